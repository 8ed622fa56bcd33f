"""What is remembered of each call over a restart: up to when its schedule is served, and how its last call went.

One small JSON file, replaced whole. A file that cannot be read is as none; one that cannot be written costs only that
a schedule which was missed while restante was off may not be made up. Both are told.
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from restante.files import replace_safely
from restante.model import CallView

MAX_FILE = 4 * 1024 * 1024
MOST_PAST = 20


@dataclass(frozen=True, slots=True)
class Remembered:
    """One call's past. Times are wall seconds."""

    served: float
    expressions: tuple[str, ...]
    """The schedule that `served` belongs to; another one counts from when it was first seen."""
    begun: float | None = None
    last: CallView | None = None
    past: tuple[CallView, ...] = ()
    """How those before it have ended, the newest first, without replies; as many as MOST_PAST."""
    told: dict[str, str] = field(default_factory=dict)
    """For each domain a digest of the recipients that the office was told last; see telling.py."""


def to_nobody(text: str) -> None:
    """For those who have no log."""


class CallMemory:
    """The file, by the names of calls."""

    def __init__(self, file: Path | None, complain: Callable[[str], None] = to_nobody) -> None:
        """`complain` is told what is forgotten, and once, for each spell of it, that nothing can be kept."""
        self._file = file
        self._complain = complain
        self._is_failing = False
        self._known: dict[str, Remembered] = {}
        if file is not None:
            try:
                self._known = _read(file)
            except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                complain(f"{file}: what was remembered of calls is forgotten: {error}")

    def get(self, name: str) -> Remembered | None:
        """What is remembered of a call."""
        return self._known.get(name)

    def put(self, name: str, remembered: Remembered) -> None:
        """Remembers it, on disk too."""
        if self._known.get(name) == remembered:
            return
        self._known[name] = remembered
        if self._file is not None:
            self._write(self._file)

    def _write(self, file: Path) -> None:
        try:
            file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_safely(file, msgspec.json.encode(self._known))
        except OSError as error:
            if not self._is_failing:
                self._complain(f"{file}: what is to be remembered of calls is not kept: {error.strerror or error}")
            self._is_failing = True
        else:
            self._is_failing = False

    def forget_all_but(self, names: AbstractSet[str]) -> None:
        """Drops calls that are no longer configured; the file follows at the next put()."""
        self._known = {name: known for name, known in self._known.items() if name in names}


def _read(file: Path) -> dict[str, Remembered]:
    """What a file says; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            return msgspec.json.decode(opened.read(MAX_FILE), type=dict[str, Remembered])
    except FileNotFoundError:
        return {}
