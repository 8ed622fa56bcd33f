"""Small files that are replaced whole: certificates, what is remembered of calls. The spool has a disk of its own.

And what any of them is told by a disk that is only full.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
"""What a disk says that is only full."""


def replace_safely(file: Path, content: bytes) -> None:
    """Writes a file for its owner alone, so that after a power cut the old one or the new one is there, whole.

    What was replaced before in the same folder is safe then, too. Raises OSError.
    """
    draft = file.with_name(file.name + ".new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as opened:
        opened.write(content)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
