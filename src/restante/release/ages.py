"""How old mail is, without the wall clock: ids only grow, so what has an id of an hour ago is an hour old.

Time here is steady: seconds in which this host has run, counted by the monotonic clock. It stands still while the host
is off or asleep, for then nobody could have had the mail; a jump of the wall clock, however far, changes nothing. Of
which id was the last at which steady time a log is kept: every few minutes, thinned out with age to about a hundredth
of it. What the log cannot tell is taken to be young: mail may grow older than it should, never less.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from restante.clock import Clock
from restante.model import MessageId

MARK_SECONDS = 300.0
"""Between two marks."""
PARTS = 100
"""A mark may be missing where the next is not further away than this part of its age."""
MOST_SECONDS = 3660 * 86400.0
"""How far back the log reaches: longer than any `expire`."""
JUMP_SECONDS = 60.0
"""By so much the wall clock may be put right and still count as one that runs."""
OFF_SECONDS = 900.0
"""For so long this host may be off and still count as having been there."""


@dataclass(frozen=True, slots=True)
class Mark:
    """At that steady time all messages so far had ids up to this one."""

    steady: float
    last: MessageId


class Ages:
    """The log. `marks` are those of an earlier process, in any order; those that make no sense are left out."""

    def __init__(self, marks: Iterable[Mark] = ()) -> None:
        self._steady: list[float] = []
        self._last: list[MessageId] = []
        for mark in sorted(marks, key=lambda mark: mark.steady):
            if not self._last or mark.last >= self._last[-1]:
                self._add(mark)

    @property
    def steady(self) -> float:
        """The steady time of the last mark; 0 where there is none."""
        return self._steady[-1] if self._steady else 0.0

    @property
    def marks(self) -> list[Mark]:
        """All of them, in order."""
        return [Mark(steady, last) for steady, last in zip(self._steady, self._last, strict=True)]

    def note(self, mark: Mark) -> Sequence[float]:
        """Adds a mark, greater than all before; the steady times of those that are no longer needed."""
        assert not self._steady or (mark.steady >= self.steady and mark.last > self._last[-1]), (mark, self.marks[-1])
        self._add(mark)
        return self._thin(mark.steady)

    def last_at(self, steady: float) -> MessageId | None:
        """Up to which id messages are at least as old as from that time; None where that is not known of any."""
        place = bisect_right(self._steady, steady)
        return self._last[place - 1] if place else None

    def first_seen(self, message: MessageId) -> float:
        """The earliest steady time at which a message may have come."""
        place = bisect_left(self._last, message)
        return self._steady[place - 1] if place else 0.0

    def seen_by(self, message: MessageId) -> float:
        """The steady time by which a message had come; without end where that is not known."""
        place = bisect_left(self._last, message)
        return self._steady[place] if place < len(self._steady) else float("inf")

    def begin_at(self, first: MessageId) -> list[Mark]:
        """Ids go on from `first`, which may be less than they had come to; the marks that this has changed.

        An empty spool has forgotten its last id, and begins anew at what the clock says.
        """
        changed = [place for place, last in enumerate(self._last) if last >= first]
        for place in changed:
            self._last[place] = MessageId(first - 1)
        return [Mark(self._steady[place], self._last[place]) for place in changed]

    def _add(self, mark: Mark) -> None:
        self._steady.append(mark.steady)
        self._last.append(mark.last)

    def _thin(self, now: float) -> list[float]:
        """Leaves out what lies between two marks that are near enough, and what is older than is ever asked."""
        kept = [len(self._steady) - 1]
        for place in range(len(self._steady) - 2, -1, -1):
            before = self._steady[place - 1] if place else None
            after = self._steady[kept[-1]]
            if now - after > MOST_SECONDS:
                break
            if self._steady[place] == after:
                continue
            if before is None or after - before > max(MARK_SECONDS, (now - before) / PARTS):
                kept.append(place)
        kept.reverse()
        left_out = sorted(set(self._steady).difference(self._steady[place] for place in kept))
        self._steady = [self._steady[place] for place in kept]
        self._last = [self._last[place] for place in kept]
        return left_out


class SteadyClock:
    """Steady time, going on from `steady`; and since when the wall clock has run as evenly.

    `wall` and `since` are what an earlier process knew last, where one did. look() has to be called every few minutes.
    """

    def __init__(self, clock: Clock, steady: float, wall: float | None = None, since: float | None = None) -> None:
        self._clock = clock
        self._began = clock.monotonic() - steady
        self._seen = (clock.wall(), clock.monotonic())
        was_there = wall is not None and 0 <= self._seen[0] - wall <= OFF_SECONDS
        self._since = since if was_there and since is not None else self._seen[0]

    def now(self) -> float:
        """Steady seconds."""
        return self._clock.monotonic() - self._began

    @property
    def since(self) -> float:
        """The wall time from which on this host was there, and its wall clock did not jump."""
        return self._since

    def look(self) -> float:
        """Finds out whether the wall clock has jumped; gives its time."""
        wall, monotonic = self._clock.wall(), self._clock.monotonic()
        passed, counted = wall - self._seen[0], monotonic - self._seen[1]
        if abs(passed - counted) > JUMP_SECONDS:
            self._since = wall
        self._seen = (wall, monotonic)
        return wall

    def steady_at(self, wall: float) -> float:
        """The steady time of a wall time that is not before `since`; while this host was off it stood still."""
        return self.now() - (self._clock.wall() - wall)
