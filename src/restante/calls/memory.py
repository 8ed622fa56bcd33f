"""What is remembered of each call over a restart: up to when its schedule is served, and how its last call went.

One small JSON file, replaced whole. A file that cannot be read is as none; one that cannot be written costs only that
a schedule which was missed while restante was off may not be made up.
"""

from __future__ import annotations

import contextlib
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from restante.files import replace_safely
from restante.model import CallView

MAX_FILE = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Remembered:
    """One call's past. Times are wall seconds."""

    served: float
    expressions: tuple[str, ...]
    """The schedule that `served` belongs to; another one counts from when it was first seen."""
    begun: float | None = None
    last: CallView | None = None
    told: dict[str, str] = field(default_factory=dict)
    """For each domain a digest of the recipients that the office was told last; see telling.py."""


class CallMemory:
    """The file, by the names of calls."""

    def __init__(self, file: Path | None) -> None:
        self._file = file
        self._known = _read(file) if file is not None else {}

    def get(self, name: str) -> Remembered | None:
        """What is remembered of a call."""
        return self._known.get(name)

    def put(self, name: str, remembered: Remembered) -> None:
        """Remembers it, on disk too."""
        if self._known.get(name) == remembered:
            return
        self._known[name] = remembered
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                replace_safely(self._file, msgspec.json.encode(self._known))

    def forget_all_but(self, names: AbstractSet[str]) -> None:
        """Drops calls that are no longer configured; the file follows at the next put()."""
        self._known = {name: known for name, known in self._known.items() if name in names}


def _read(file: Path) -> dict[str, Remembered]:
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(MAX_FILE), type=dict[str, Remembered])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return {}
