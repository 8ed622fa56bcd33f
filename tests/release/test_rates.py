"""The series of what has gone, and what is to be expected: few points, however long it took, and no untrue one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.model import Waiting
from restante.release.rates import (
    FIRST_INTERVAL,
    MOST_POINTS,
    RECENT_SECONDS,
    SAMPLE_SECONDS,
    Outlook,
    Point,
    Rate,
    Series,
    outlook,
)

START = 1_767_225_600.0
STEPS = st.lists(
    st.tuples(
        st.one_of(st.floats(0, 0.3), st.floats(0, 30), st.floats(0, 100_000)),
        st.integers(0, 2**40),
        st.integers(0, 1000),
    ),
    min_size=1,
    max_size=600,
)
"""Seconds since the last note, and how much has gone since."""


def noted(steps: list[tuple[float, int, int]]) -> tuple[Series, list[Point]]:
    """The series, and all that was noted."""
    series, seen = Series(START), [Point(START, 0, 0)]
    at, octets, messages = 0.0, 0, 0
    for seconds, more_octets, more_messages in steps:
        at, octets, messages = at + seconds, octets + more_octets, messages + more_messages
        series.note(at, octets, messages)
        seen.append(Point(START + at, octets, messages))
    return series, seen


def steady(seconds: int, each: float = 1.0) -> Series:
    """A message of a thousand octets each so many seconds, for so long."""
    return noted([(each, 1000, 1)] * int(seconds / each))[0]


@given(STEPS)
def test_a_series_is_bounded_and_loses_nothing_but_detail(steps: list[tuple[float, int, int]]) -> None:
    """From the start to the last note, all that is told was so; what lies between two points adds up to all."""
    series, seen = noted(steps)
    points = series.points
    assert len(points) <= 1 + MOST_POINTS
    assert (points[0], points[-1]) == (seen[0], seen[-1])
    assert set(points) <= set(seen)
    pairs = list(pairwise(points))
    assert all(a.at <= b.at and a.octets <= b.octets and a.messages <= b.messages for a, b in pairs)
    assert sum(b.octets - a.octets for a, b in pairs) == sum(octets for _, octets, _ in steps)
    assert sum(b.messages - a.messages for a, b in pairs) == sum(messages for _, _, messages in steps)


@given(STEPS, st.floats(0, 1000))
def test_a_rate_is_what_went_since_a_moment_that_was_seen(steps: list[tuple[float, int, int]], later: float) -> None:
    """Over ten seconds or the whole time, and longer only where nothing was noted for so long."""
    series, seen = noted(steps)
    last = seen[-1]
    now = last.at - START + later
    rate = series.rate(now)
    if rate is None:
        assert now <= 0
        return
    octets = {last.octets - point.octets for point in seen}
    assert any(rate.octets * rate.seconds == pytest.approx(each, rel=1e-6, abs=1e-6) for each in octets)
    assert 0 < rate.seconds <= now
    recent = [point for point in seen if point.at < last.at and now - (point.at - START) >= RECENT_SECONDS]
    if recent:
        assert rate.seconds >= RECENT_SECONDS


@pytest.mark.parametrize("seconds", [3, 60, 3600, 86_400, 604_800])
def test_whatever_it_took_it_makes_a_picture(seconds: int) -> None:
    """Half as many points as there may be, where there was so much to note."""
    points = noted([(FIRST_INTERVAL, 10, 1)] * min(int(seconds / FIRST_INTERVAL), 50_000))[0].points
    assert len(points) >= min(MOST_POINTS / 2, seconds / FIRST_INTERVAL)
    gaps = [b.at - a.at for a, b in pairwise(points[1:-1])]
    assert max(gaps) <= 2 * min(gaps)


def test_the_rate_of_now_forgets_what_was() -> None:
    """A link that has become slow is seen within ten seconds or so."""
    series = steady(600)
    for second in range(20):
        series.note(600 + second, 600_000 + second * 10, 600)
    rate = series.rate(619)
    assert rate is not None
    assert rate.octets == pytest.approx(10)
    assert rate.messages == 0
    assert RECENT_SECONDS <= rate.seconds <= RECENT_SECONDS + SAMPLE_SECONDS


def test_a_message_that_takes_long_is_not_a_standstill() -> None:
    """One a minute has a rate at any time, and what stands still has less and less."""
    series = steady(600, each=60)
    assert series.rate(600) == Rate(1000 / 60, 1 / 60, 60.0)
    assert series.rate(630) == Rate(1000 / 90, 1 / 90, 90.0)
    assert series.rate(600 + 3600 - 60) == Rate(1000 / 3600, 1 / 3600, 3600.0)


def test_nothing_is_known_of_what_has_not_begun() -> None:
    """Neither of a series without notes, nor at its very start."""
    assert Series(START).rate(100) is None
    series = Series(START)
    series.note(0, 0, 0)
    assert series.rate(0) is None
    assert series.points == (Point(START, 0, 0), Point(START, 0, 0))


LEFT = Waiting(10, 20_000, None)
RATE = Rate(500.0, 0.25, 10.0)


@pytest.mark.parametrize(
    ("left", "seconds_left", "by", "needed", "fits"),
    [
        (LEFT, 8.0, 1000.0, 40.0, (4, 8000)),
        (LEFT, 8.0, 1e9, 40.0, (10, 20_000)),
        (LEFT, 0.0, 1000.0, 40.0, (0, 0)),
        (LEFT, None, 1000.0, 40.0, (None, None)),
        (LEFT, 8.0, None, 40.0, (None, None)),
        (None, 8.0, 1000.0, None, (None, None)),
        (Waiting(0, 0), 8.0, 1000.0, 0.0, (0, 0)),
        (Waiting(3, 0), 8.0, 1000.0, 0.0, (3, 0)),
    ],
)
def test_an_outlook_says_what_is_known(
    left: Waiting | None,
    seconds_left: float | None,
    by: float | None,
    needed: float | None,
    fits: tuple[int | None, int | None],
) -> None:
    """What fits is known where the window has an end, what is left is known, and the rate was measured."""
    found = outlook(RATE, left, seconds_left, by)
    assert (found.seconds_left, found.seconds_needed) == (seconds_left, needed)
    assert (found.items_fit, found.octets_fit) == fits
    assert (found.octets_per_second, found.messages_per_second, found.measured_seconds) == (500.0, 0.25, 10.0)


def test_without_a_rate_nobody_knows_how_long_it_takes() -> None:
    """Nor where nothing has left for ten seconds."""
    assert outlook(None, LEFT, None, None) == Outlook(items_left=10, octets_left=20_000)
    assert outlook(Rate(0.0, 0.0, 10.0), LEFT, None, None).seconds_needed is None
