"""Headers, seen as bytes: trace fields and reports; no MIME is ever parsed."""
