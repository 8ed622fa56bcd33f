"""How fast something went, step by step."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.release.rates import Point
from restante.web.pages.speed import MOST_STEPS, Step, steps

pauses = st.floats(0, 100) | st.just(0.0)
moves = st.lists(st.tuples(pauses, st.integers(0, 10**7), st.integers(0, 50)), max_size=130)


def points_of(moves: list[tuple[float, int, int]]) -> list[Point]:
    """From the start: after so many seconds so much more had gone."""
    points = [Point(1000.0, 0, 0)]
    for pause, octets, messages in moves:
        last = points[-1]
        points.append(Point(last.at + pause, last.octets + octets, last.messages + messages))
    return points


def test_each_step_tells_how_fast_it_went_since_the_one_before() -> None:
    """A picture begins at the start, as fast as it goes on."""
    points = [Point(0, 0, 0), Point(10, 1000, 10), Point(20, 1000, 10), Point(30, 4000, 11)]
    assert steps(points) == (
        Step(0, 100, 1, 0),
        Step(10, 100, 1, 1000),
        Step(20, 0, 0, 1000),
        Step(30, 300, 0.1, 4000),
    )


def test_a_moment_at_the_end_is_no_step_of_its_own() -> None:
    """Ten octets in a millisecond are not ten thousand a second."""
    points = [Point(0, 0, 0), Point(10, 1000, 10), Point(20, 2000, 20), Point(20.001, 2010, 21)]
    assert [round(step.octets_per_second) for step in steps(points)] == [100, 100, 101]


@pytest.mark.parametrize("points", [[], [Point(5, 0, 0)], [Point(5, 0, 0), Point(5, 100, 1)]])
def test_where_no_time_has_passed_there_is_nothing_to_show(points: list[Point]) -> None:
    """It has not begun, or has only just."""
    assert steps(points) == ()


@given(moves)
def test_steps_are_few_in_order_and_leave_nothing_out(moves: list[tuple[float, int, int]]) -> None:
    """What they say comes to what has gone, and none of them is negative."""
    points = points_of(moves)
    found = steps(points)
    assert len(found) <= MOST_STEPS + 1
    if not found:
        return
    assert (found[0].at, found[-1].at, found[-1].octets) == (points[0].at, points[-1].at, points[-1].octets)
    seconds = [after.at - before.at for before, after in pairwise(found)]
    assert all(length > 0 for length in seconds)
    octets = sum(step.octets_per_second * length for step, length in zip(found[1:], seconds, strict=True))
    messages = sum(step.messages_per_second * length for step, length in zip(found[1:], seconds, strict=True))
    assert octets == pytest.approx(points[-1].octets, rel=1e-6, abs=1e-3)
    assert messages == pytest.approx(points[-1].messages, rel=1e-6, abs=1e-3)
    assert min(step.octets_per_second for step in found) >= 0
