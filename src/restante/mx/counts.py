"""Counts sessions by how their TLS went, in memory, and writes them once a minute at most."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from restante.mx.book import BookUnusable, TlsBook
from restante.mx.tlsrpt import PolicyShown, Row, TlsOutcome, day_of

WRITE_SECONDS = 60.0
MOST_KINDS = 20_000
"""Kinds of rows in memory; when there are so many they are written before their time."""


class TlsCounts:
    """The counts since they were last written; without a book they end with the process. `wall` gives wall seconds."""

    def __init__(self, book: TlsBook | None, wall: Callable[[], float]) -> None:
        self._book = book
        self._wall = wall
        self._counts: Counter[tuple[str, PolicyShown, TlsOutcome]] = Counter()
        self._writing: asyncio.TimerHandle | None = None

    def count(self, policy: PolicyShown, outcome: TlsOutcome) -> None:
        """One more session. Inside an event loop."""
        if self._book is None:
            return
        self._counts[day_of(self._wall()), policy, outcome] += 1
        if len(self._counts) >= MOST_KINDS:
            self.write()
        elif self._writing is None:
            self._writing = asyncio.get_running_loop().call_later(WRITE_SECONDS, self.write)

    def write(self) -> None:
        """Writes what was counted. What cannot be written now is tried with the next; more than fits is dropped."""
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None
        if self._book is None or not self._counts:
            return
        try:
            self._book.add(Row(day, policy, outcome, times) for (day, policy, outcome), times in self._counts.items())
        except BookUnusable:
            if len(self._counts) < MOST_KINDS:
                return
        self._counts.clear()
