"""Releases over one connection that an ATRN turns round (RFC 2645), one after the other.

Each is a release as any other, with its number, its view and its facts, and is begun when its turn has come. Then it
is looked at again: an entry that is being released already, or is no longer the caller's, or has nothing left, is
passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from restante.transport.outcome import Carrier


class Line(Carrier, Protocol):
    """A carrier that several releases share, one at a time."""

    @property
    def is_over(self) -> bool:
        """Whether it can carry nothing more."""
        ...


@dataclass(frozen=True, slots=True)
class Begun:
    """A release that runs; stop() lets it begin nothing more."""

    task: asyncio.Task[None]
    stop: Callable[[], None]


class Turn:
    """What one ATRN is to get: the mail of `entries`. `begin` begins one entry's release, or gives None."""

    def __init__(self, entries: Sequence[str], begin: Callable[[str, Carrier], Begun | None]) -> None:
        self._entries = entries
        self._begin = begin
        self._begun: Begun | None = None
        self._is_stopped = False

    async def carry(self, line: Line) -> None:
        """Releases all, until the line is over. The first begins at once, before anything is waited for.

        Cancelling it cuts the one that runs: what was not confirmed waits.
        """
        for entry in self._entries:
            if line.is_over or self._is_stopped:
                return
            self._begun = self._begin(entry, line)
            if self._begun is not None:
                await _ended(self._begun.task)

    def stop(self) -> None:
        """Lets it begin nothing more; what is on its way is finished."""
        self._is_stopped = True
        if self._begun is not None:
            self._begun.stop()


async def _ended(task: asyncio.Task[None]) -> None:
    try:
        await asyncio.wait([task])
    finally:
        task.cancel()
