"""The people's side of a running server: the control socket of the command line."""
