"""Engines behind the spool's door, and the small interface to the disk under them."""
