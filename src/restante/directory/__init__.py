"""What this host knows of domains and who may do what, as an immutable snapshot that is swapped whole."""
