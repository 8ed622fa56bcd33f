"""How fast a call went, in and out, step by step: what a picture of both shows. Pure: points of rates.py go in."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from restante.calls.going import CallRate
from restante.model import Progress
from restante.release.rates import Point
from restante.web.pages.speed import MOST_STEPS

LEAST_SECONDS = 0.25
"""Of a step: what has moved in less is as chance will have it."""


@dataclass(frozen=True, slots=True)
class BothWays:
    """Up to a wall time, since the step before: octets a second each way."""

    at: float
    received: float
    sent: float


def both_ways(rate: CallRate, now: float, most: int = MOST_STEPS) -> tuple[BothWays, ...]:
    """Steps of about the same length, up to now where it runs; none where nothing is known, or nothing has moved.

    The first begins as fast as it goes on.
    """
    received, sent = rate.received, rate.sent
    if not received or not sent or len(received) == len(sent) == 1:
        return ()
    start = received[0].at
    last = now if rate.view.progress is Progress.RUNNING else (rate.view.ended or 0)
    end = max(last, received[-1].at, sent[-1].at)
    if end <= start:
        return ()
    length = max((end - start) / most, LEAST_SECONDS)
    ends = [start]
    for at in sorted(point.at for point in (*received, *sent)):
        if at - ends[-1] >= length:
            ends.append(at)
    if ends[-1] != end:
        ends[max(1, len(ends) - (end - ends[-1] < length)) :] = [end]
    found = [_step(received, sent, *pair) for pair in pairwise(ends)]
    return replace(found[0], at=start), *found


def _step(received: Sequence[Point], sent: Sequence[Point], start: float, end: float) -> BothWays:
    seconds = end - start
    came, went = (_octets(points, end) - _octets(points, start) for points in (received, sent))
    return BothWays(end, came / seconds, went / seconds)


def _octets(points: Sequence[Point], at: float) -> float:
    """How much had gone by then, on a line between two points; after the last as much as there."""
    after = bisect_right(points, at, key=lambda point: point.at)
    if after == len(points):
        return points[-1].octets
    before, following = points[max(0, after - 1)], points[after]
    if (seconds := following.at - before.at) <= 0:
        return before.octets
    return before.octets + (following.octets - before.octets) * (at - before.at) / seconds
