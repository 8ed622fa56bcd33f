"""Carries items to a next hop or into a mailbox; gives an outcome per recipient; knows no spool."""
