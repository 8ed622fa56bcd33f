"""The site's side: when to call an office, the link and its hooks, the call and its record."""
