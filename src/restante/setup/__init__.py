"""Setting a host up, and looking whether it is: what `init` writes and tells, what `doctor` looks at and finds."""
