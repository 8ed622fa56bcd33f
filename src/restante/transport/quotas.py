"""What mailboxes may hold, and whether a file fits; Maildir++ has the rules, maildirsize.py the file.

What is about to come is written down before it is there, and synced: a crash leaves too much in the file, and never too
little. All is counted again before anything is refused, unless that was done a moment ago, so too much keeps nothing
out. Whoever counts puts a new file in the place of the old; what was written into the old one meanwhile may be in
neither, and then the new one is removed, to be counted again. All of it blocks: call it in a thread.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from restante.errors import RestanteError
from restante.transport.mailbox import Copy, sync_directory
from restante.transport.maildirsize import NAME, SizeFile, Usage, identity_of, make_anew

FRESH_SECONDS = 900.0
"""So long after all was counted it is believed that there is no room; by the specification."""


@dataclass(eq=False)
class MailboxFull(RestanteError):
    """What is to come does not fit. Trying again helps when the user has removed something."""

    home: Path

    def __str__(self) -> str:
        return f"{self.home} is full"


@dataclass(frozen=True, slots=True)
class Reserved:
    """What was written down for one mailbox, and in which file; None: in none, it will be counted."""

    home: Path
    copies: Sequence[Copy]
    file: tuple[int, int] | None


class Quotas:
    """The room in mailboxes that may hold `octets` each; None: whatever comes. Used from several threads."""

    def __init__(self, octets: int | None, wall: Callable[[], float]) -> None:
        self._quota = octets
        self._wall = wall
        self._lock = threading.Lock()

    def expect(self, copy: Copy, octets: int) -> None:
        """Ends a copy, before it is written, that will have so many octets at least and cannot fit. Raises OSError."""
        if self._quota is None:
            return
        with self._lock:
            if self._usage(copy.home, self._quota, octets).octets + octets > self._quota:
                copy.fail(MailboxFull(copy.home))

    def reserve(self, copies: Iterable[Copy]) -> list[Reserved]:
        """Writes down what fits of what was written, in order; ends what does not. settle() is to follow."""
        if self._quota is None:
            return []
        by_home: dict[Path, list[Copy]] = {}
        for copy in copies:
            by_home.setdefault(copy.home, []).append(copy)
        reserved: list[Reserved] = []
        for home, group in by_home.items():
            try:
                reserved.append(self._reserve(home, self._quota, group))
            except OSError as error:
                for copy in group:
                    copy.fail(error)
        return reserved

    def _reserve(self, home: Path, quota: int, copies: Sequence[Copy]) -> Reserved:
        new = [copy for copy in copies if not copy.path.exists()]  # else it takes the place of an earlier one
        with self._lock:
            room = quota - self._usage(home, quota, sum(copy.size for copy in new)).octets
            taken: list[Copy] = []
            for copy in new:
                if copy.size <= room:
                    room -= copy.size
                    taken.append(copy)
                else:
                    copy.fail(MailboxFull(home))
            try:
                with SizeFile(home) as file:
                    if taken:
                        file.add(sum(copy.size for copy in taken), len(taken))
                    return Reserved(home, taken, file.identity)
            except FileNotFoundError:  # more came while it was counted
                return Reserved(home, taken, None)

    def settle(self, reserved: Iterable[Reserved]) -> None:
        """What was written down has come, or failed. What cannot be put right here, the next count does."""
        for each in reserved:
            with contextlib.suppress(OSError), self._lock:
                self._settle(each)

    def _settle(self, reserved: Reserved) -> None:
        missing = [copy for copy in reserved.copies if copy.error is not None and not copy.path.exists()]
        if missing:
            with SizeFile(reserved.home) as file:
                file.add(-sum(copy.size for copy in missing), -len(missing))
        name = reserved.home / NAME
        if reserved.copies and identity_of(name.lstat()) != reserved.file:
            name.unlink()
            sync_directory(reserved.home)

    def _usage(self, home: Path, quota: int, wanted: int) -> Usage:
        """What it holds: counted again where that is not known, or where it may be less and `wanted` does not fit."""
        try:
            with SizeFile(home) as file:
                usage = file.read(quota)
                is_fresh = 0 <= file.age(self._wall()) < FRESH_SECONDS
        except FileNotFoundError:
            return make_anew(home, quota)
        if usage is None or (usage.octets + wanted > quota and not (usage.lines == 1 and is_fresh)):
            return make_anew(home, quota)
        return usage
