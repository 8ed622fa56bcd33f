"""What is kept for a short while for one session, in memory alone: what it may see once, what it has just done."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar

SECONDS = 600.0
MOST = 100
"""The oldest gives way."""

T = TypeVar("T")


class Once(Generic[T]):
    """By a session's own secret and a name. Used in the event loop."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._kept: OrderedDict[tuple[str, str], T] = OrderedDict()

    def put(self, session: str, name: str, what: T) -> None:
        """Keeps it, until it is taken or its time is over."""
        key = session, name
        self._kept[key] = what
        self._kept.move_to_end(key)
        while len(self._kept) > MOST:
            self._kept.popitem(last=False)
        asyncio.get_running_loop().call_later(self._seconds, self._drop, key, what)

    def look(self, session: str, name: str) -> T | None:
        """What is kept, and stays so."""
        return self._kept.get((session, name))

    def take(self, session: str, name: str) -> T | None:
        """What is kept, for this one time."""
        return self._kept.pop((session, name), None)

    def _drop(self, key: tuple[str, str], what: T) -> None:
        if self._kept.get(key) is what:
            del self._kept[key]
