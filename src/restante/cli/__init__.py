"""Verbs for people: what `restante` does on the command line, and nothing that the other rooms need.

verbs.py has the commands, doors.py whom they ask (a running server, or the store), screen.py and following.py how
answers look: tables and live lines on a terminal, plain ones elsewhere, JSON with --json.
"""

from restante.cli.verbs import main

__all__ = ["main"]
