"""Whose turn it is: so many releases run at once, and no kind of destination is kept waiting by another.

There are few configured next hops, and sites with short windows behind them; by MX there may be thousands of
destinations, and any of them may hang until it is given up. So these leave a fifth of the places free, and those that
were down when they were last tried take half of the places at the most. Pure: no release is known here, only names.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from enum import Enum, auto

KEPT_PART = 5
DOWN_PART = 2


class Kind(Enum):
    """What a destination is, as far as its turn goes."""

    NAMED = auto()
    """Its next hop is configured, or it is here: it comes first."""
    BY_MX = auto()
    DOWN = auto()
    """The last try has failed, whatever it is; nobody but us asks."""


class Places:
    """Who waits for a place and who has one, by destination; a few operations each, however many wait."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._kept = at_once // KEPT_PART
        self._most_down = max(1, at_once // DOWN_PART)
        self._waiting: dict[Kind, OrderedDict[str, int]] = {kind: OrderedDict() for kind in Kind}
        """By kind, in order: which number each has drawn."""
        self._taken: dict[str, Kind] = {}
        self._counts = dict.fromkeys(Kind, 0)
        self._numbers = itertools.count()

    def __contains__(self, destination: str) -> bool:
        return any(destination in waiting for waiting in self._waiting.values())

    def wait(self, destination: str, kind: Kind) -> None:
        """It is to have a place when its turn has come; it keeps its turn where it waits as that kind already."""
        if destination not in self._waiting[kind]:
            self.give_up(destination)
            self._waiting[kind][destination] = next(self._numbers)

    def give_up(self, destination: str) -> None:
        """It waits no longer."""
        for waiting in self._waiting.values():
            waiting.pop(destination, None)

    def next(self) -> str | None:
        """Whose turn it is, if there is a place: it has it then, until leave()."""
        kind = self._next_kind() if len(self._taken) < self._at_once else None
        if kind is None:
            return None
        destination, _ = self._waiting[kind].popitem(last=False)
        self._take(destination, kind)
        return destination

    def take(self, destination: str) -> None:
        """It has a place at once, even if there is none: its connection is there."""
        self.give_up(destination)
        self._take(destination, Kind.NAMED)

    def leave(self, destination: str) -> None:
        """Its place is free."""
        self._counts[self._taken.pop(destination)] -= 1

    def close(self) -> None:
        """Nobody gets a place any more."""
        self._at_once = 0
        for waiting in self._waiting.values():
            waiting.clear()

    def _take(self, destination: str, kind: Kind) -> None:
        assert destination not in self._taken, destination
        self._taken[destination] = kind
        self._counts[kind] += 1

    def _next_kind(self) -> Kind | None:
        others = self._counts[Kind.BY_MX] + self._counts[Kind.DOWN]
        other = self._next_other() if others < self._at_once - self._kept else None
        if self._waiting[Kind.NAMED] and (other is None or others >= self._kept):
            return Kind.NAMED
        return other

    def _next_other(self) -> Kind | None:
        may = [Kind.BY_MX, Kind.DOWN] if self._counts[Kind.DOWN] < self._most_down else [Kind.BY_MX]
        waiting = [kind for kind in may if self._waiting[kind]]
        return min(waiting, key=lambda kind: next(iter(self._waiting[kind].values())), default=None)
