"""Text to settings: every key validated, all problems at once, and the documented sample from the same source."""
