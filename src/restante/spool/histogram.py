"""How often a number was how large: counts between bounds, as plain integers, cheap enough for the path of mail."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence


class Histogram:
    """Counts of numbers. `bounds` grow; a number counts for the first that is not less than it, or for none of them."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(bounds) + 1)
        """Of each bound, and last of what is greater than all."""
        self.total = 0.0
        """The sum of all numbers."""

    def add(self, number: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, number)] += 1
        self.total += number

    def taken(self) -> Histogram:
        """What it has come to, for another thread."""
        copy = Histogram(self.bounds)
        copy.counts, copy.total = self.counts.copy(), self.total
        return copy
