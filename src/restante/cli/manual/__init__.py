"""What of the manual is written by the program itself: every command, what is spoken on the wire, and every key.

described.py reads the commands, commands.py and man.py write them as a page and as restante(1), protocol.py has the
tables of SMTP and of the spool, completions.py what shells load. `python -m restante.cli.manual .` writes all of it
into a checkout; a test holds what is there equal to it.
"""

from restante.cli.manual import commands, man, protocol
from restante.cli.manual.completions import NAMES, completion
from restante.config import sample


def pages() -> dict[str, str]:
    """The text of each file, by its name in a checkout."""
    return {
        "docs/configuration.md": sample.manual(),
        "docs/commands.md": commands.manual(),
        "docs/protocol.md": protocol.manual(),
        "contrib/man/restante.1": man.man(),
        **{f"contrib/completions/{name}": completion(shell) for shell, name in NAMES.items()},
    }
