"""The secret that makes unknown users look like others: SCRAM shows each user a salt, and the same one each time.

It is kept in the data folder, for one that was new after each start would tell who is unknown.
"""

from __future__ import annotations

import secrets
from pathlib import Path

from restante.files import replace_safely

_NAME = "disguise.key"
_OCTETS = 32


def load_disguise(folder: Path) -> bytes:
    """The secret of this host; it is made where there is none, or none that is whole. Raises OSError."""
    file = folder / _NAME
    try:
        kept = file.read_bytes()
    except FileNotFoundError:
        kept = b""
    if len(kept) == _OCTETS:
        return kept
    fresh = secrets.token_bytes(_OCTETS)
    replace_safely(file, fresh)
    return fresh
