"""How fast something went, step by step, from how much had gone by when: what a picture of its rate shows. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from restante.release.rates import Point

MOST_STEPS = 60


@dataclass(frozen=True, slots=True)
class Step:
    """Up to a wall time, since the step before: octets and messages a second. `octets` is all that had gone by then."""

    at: float
    octets_per_second: float
    messages_per_second: float
    octets: int


def steps(points: Sequence[Point], most: int = MOST_STEPS) -> tuple[Step, ...]:
    """Steps of about the same length; none where no time has passed. The first begins as fast as it goes on."""
    if not points or (length := (points[-1].at - points[0].at) / most) <= 0:
        return ()
    ends = [points[0]]
    for point in points[1:]:
        if point.at - ends[-1].at >= length:
            ends.append(point)
    if ends[-1] is not points[-1]:  # what is left is too short for a step of its own
        ends[max(1, len(ends) - 1) :] = [points[-1]]
    found = [_step(*pair) for pair in pairwise(ends)]
    return replace(found[0], at=points[0].at, octets=0), *found


def _step(before: Point, end: Point) -> Step:
    seconds = end.at - before.at
    octets, messages = (end.octets - before.octets) / seconds, (end.messages - before.messages) / seconds
    return Step(end.at, octets, messages, end.octets)
