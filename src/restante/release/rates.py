"""How fast something went, and what is to be expected of it. Pure: times and counts go in, points and figures come out.

A series keeps few points however long it grows: when it is full, the time between two of them doubles. Nothing is kept
but what was noted, so between two points lies what was not seen: a line is the best that can be drawn there.
"""

from __future__ import annotations

from array import array
from collections import deque
from dataclasses import dataclass

from restante.model import ReleaseView, Waiting

MOST_POINTS = 120
FIRST_INTERVAL = 0.125
"""Seconds between two points at first: what takes three seconds has a picture, too."""
RECENT_SECONDS = 10.0
SAMPLE_SECONDS = 1.0
"""Between two samples of what is recent."""


@dataclass(frozen=True, slots=True)
class Point:
    """How much had gone by a wall time, since the start."""

    at: float
    octets: int
    messages: int


@dataclass(frozen=True, slots=True)
class Rate:
    """How fast it goes: octets and messages a second, over that many seconds up to now."""

    octets: float
    messages: float
    seconds: float


class Series:
    """What has gone, over time. `started` is a wall time; all other times are seconds since then, none before the last.

    Counts only grow.
    """

    __slots__ = ("_at", "_interval", "_messages", "_octets", "_recent", "_started")

    def __init__(self, started: float) -> None:
        self._started = started
        self._interval = FIRST_INTERVAL
        self._at = array("d")
        self._octets = array("q")
        self._messages = array("q")
        self._recent = deque([(0.0, 0, 0)])

    def note(self, at: float, octets: int, messages: int) -> None:
        """So much has gone by now, in all."""
        if not self._is_in_last(at) and len(self._at) >= MOST_POINTS:
            self._thin_out()
        if self._is_in_last(at):
            self._at[-1], self._octets[-1], self._messages[-1] = at, octets, messages
        else:
            self._at.append(at)
            self._octets.append(octets)
            self._messages.append(messages)
        recent = self._recent
        if at >= recent[-1][0] + SAMPLE_SECONDS:
            recent.append((at, octets, messages))
            while len(recent) > 1 and recent[1][0] <= at - RECENT_SECONDS:
                recent.popleft()

    @property
    def points(self) -> tuple[Point, ...]:
        """The start, then no more than MOST_POINTS; the last is what was noted last."""
        noted = zip(self._at, self._octets, self._messages, strict=True)
        return Point(self._started, 0, 0), *(Point(self._started + at, *counts) for at, *counts in noted)

    def rate(self, now: float) -> Rate | None:
        """How fast it goes: over the last RECENT_SECONDS, or since the start.

        Where nothing was noted for so long, over the time since then and some before. None where nothing was.
        """
        if not self._at:
            return None
        last, octets, messages = self._at[-1], self._octets[-1], self._messages[-1]
        before = [sample for sample in self._recent if sample[0] < last]
        since = max((sample for sample in before if sample[0] <= now - RECENT_SECONDS), default=None)
        if since is None:
            since = min(before, default=(0.0, 0, 0))
        seconds = now - since[0]
        if seconds <= 0:
            return None
        return Rate((octets - since[1]) / seconds, (messages - since[2]) / seconds, seconds)

    def _is_in_last(self, at: float) -> bool:
        """Whether that is within the interval of the last point."""
        return bool(self._at) and at // self._interval == self._at[-1] // self._interval

    def _thin_out(self) -> None:
        """Doubles the interval until there is room; of each the last point is left."""
        while len(self._at) >= MOST_POINTS:
            self._interval *= 2
            slots = [at // self._interval for at in self._at]
            left = [number for number, slot in enumerate(slots) if slots[number + 1 : number + 2] != [slot]]
            self._at = array("d", [self._at[number] for number in left])
            self._octets = array("q", [self._octets[number] for number in left])
            self._messages = array("q", [self._messages[number] for number in left])


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be expected of a release that runs. None is not known; all of it, when none runs.

    `seconds_left`: of its window, where that has an end. `seconds_needed`: for all that is left, as fast as it goes
    now. `items_fit` and `octets_fit` are what can go before the window's end by the rate that the release itself goes
    by; items, where they are as large as those that are left on average.
    """

    octets_per_second: float | None = None
    messages_per_second: float | None = None
    measured_seconds: float | None = None
    seconds_left: float | None = None
    items_left: int | None = None
    octets_left: int | None = None
    seconds_needed: float | None = None
    items_fit: int | None = None
    octets_fit: int | None = None


@dataclass(frozen=True, slots=True)
class ReleaseRate:
    """How fast a release went; no points where it has not begun, or is the sum of others."""

    view: ReleaseView
    points: tuple[Point, ...] = ()
    outlook: Outlook = Outlook()


def outlook(
    rate: Rate | None, left: Waiting | None, seconds_left: float | None, octets_per_second: float | None
) -> Outlook:
    """The outlook of a release that goes at that rate, and by that many octets a second reckons what fits."""
    needed = left.octets / rate.octets if left is not None and rate is not None and rate.octets else None
    fits = (
        None
        if left is None or seconds_left is None or octets_per_second is None
        else min(left.octets, int(seconds_left * octets_per_second))
    )
    return Outlook(
        octets_per_second=rate.octets if rate is not None else None,
        messages_per_second=rate.messages if rate is not None else None,
        measured_seconds=rate.seconds if rate is not None else None,
        seconds_left=seconds_left,
        items_left=left.items if left is not None else None,
        octets_left=left.octets if left is not None else None,
        seconds_needed=needed,
        items_fit=_items(left, fits) if left is not None and fits is not None else None,
        octets_fit=fits,
    )


def _items(left: Waiting, octets: int) -> int:
    """How many items so many octets are."""
    return left.items * octets // left.octets if left.octets else left.items
