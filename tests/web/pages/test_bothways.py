"""What a picture of a call's rate shows: steps, in and out, that add up to what has moved."""

from __future__ import annotations

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from restante.calls.going import CallRate
from restante.model import CallView, Progress
from restante.release.rates import Point
from restante.web.pages.bothways import both_ways

START = 1000.0


def rate(received: tuple[Point, ...], sent: tuple[Point, ...], ended: float | None) -> CallRate:
    """A call that began at START."""
    progress = Progress.RUNNING if ended is None else Progress.ENDED
    return CallRate(CallView("office", "office.example:25", progress, started=START, ended=ended), received, sent)


def points(*pairs: tuple[float, int]) -> tuple[Point, ...]:
    """So many octets by so many seconds after START."""
    return tuple(Point(START + at, octets, number) for number, (at, octets) in enumerate(((0, 0), *pairs)))


def test_both_ways_have_the_same_steps() -> None:
    """What comes in while nothing goes out, and the other way round; up to now where it runs."""
    found = both_ways(rate(points((10, 1000)), points((20, 4000)), None), START + 40)
    assert [(step.at - START, step.received, step.sent) for step in found] == [
        (0, 100, 200),
        (10, 100, 200),
        (20, 0, 200),
        (40, 0, 0),
    ]


def test_of_a_call_that_moved_nothing_there_is_no_picture() -> None:
    """Nor of one of which nothing is known any more."""
    assert both_ways(rate(points(), points(), START + 5), START + 9) == ()
    assert both_ways(rate((), (), START + 5), START + 9) == ()


STEPS = st.lists(st.tuples(st.floats(0, 1000), st.integers(0, 10**9)), max_size=130)


@given(received=STEPS, sent=STEPS, after=st.floats(0, 100))
def test_steps_are_in_order_and_add_up(
    received: list[tuple[float, int]], sent: list[tuple[float, int]], after: float
) -> None:
    """Whatever was noted and when: no more than can be seen, and all that has moved is in them."""
    series = []
    for steps in (received, sent):
        times, octets = sorted(at for at, _ in steps), sorted(much for _, much in steps)
        series.append(points(*zip(times, octets, strict=True)))
    last = max(one[-1].at for one in series)
    found = both_ways(rate(series[0], series[1], last + after), 0)
    assert len(found) <= 62
    ats = [step.at for step in found]
    assert ats == sorted(ats)
    if found:
        came = sum(step.received * (step.at - before.at) for before, step in pairwise(found))
        went = sum(step.sent * (step.at - before.at) for before, step in pairwise(found))
        at_once = [max((p.octets for p in one if p.at == START), default=0) for one in series]
        assert math.isclose(came, series[0][-1].octets - at_once[0], rel_tol=1e-6, abs_tol=1e-3)
        assert math.isclose(went, series[1][-1].octets - at_once[1], rel_tol=1e-6, abs_tol=1e-3)
        assert all(step.received >= -1e-6 and step.sent >= -1e-6 for step in found)
