"""The rules of what waits; no disk in here (store/ has the engines)."""
