"""The API on the admin address: what an office is told, and tells, over HTTP."""
