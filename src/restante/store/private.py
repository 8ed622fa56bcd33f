"""The data folder: made at first start, for its owner alone, and never where its name would not be safe."""

from __future__ import annotations

import os
from pathlib import Path

from restante.errors import RestanteError
from restante.store.disk import Disk, make_folders


class DataUnusable(RestanteError):
    """The data directory cannot be made or written. Trying again helps when that was mended."""


def make_private(data: Path) -> None:
    """Makes the folder where there is none. Raises DataUnusable."""
    was_there = data.is_dir()
    try:
        make_folders(Disk(), data)  # its name must be safe: all that is acknowledged lies below it
    except OSError as error:
        if not (was_there and isinstance(error, PermissionError)):  # else the names above are in somebody else's care
            raise DataUnusable(f"the data directory {data} cannot be made: {error.strerror}") from None
    if not os.access(data, os.W_OK | os.X_OK):
        raise DataUnusable(f"the data directory {data} cannot be written")
