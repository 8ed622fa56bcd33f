"""Counts between bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.spool.histogram import Histogram


def test_a_number_counts_for_the_first_bound_that_is_not_less() -> None:
    """A bound's own number is not above it; what is above all is counted too."""
    made = Histogram((1.0, 2.0))
    for number in (0.5, 1.0, 1.5, 2.0, 2.5, 9.0):
        made.add(number)
    assert made.counts == [2, 2, 2]
    assert made.total == 16.5


@given(st.lists(st.floats(-1e6, 1e6)), st.lists(st.floats(-1e6, 1e6), unique=True).map(sorted))
def test_up_to_each_bound_there_are_as_many_as_there_are(numbers: list[float], bounds: list[float]) -> None:
    """As `le` of Prometheus has it."""
    made = Histogram(bounds)
    for number in numbers:
        made.add(number)
    for place, bound in enumerate(bounds, 1):
        assert sum(made.counts[:place]) == sum(number <= bound for number in numbers)
    assert sum(made.counts) == len(numbers)


def test_what_was_taken_does_not_change() -> None:
    """It is for another thread."""
    made = Histogram((1.0,))
    made.add(1)
    taken = made.taken()
    made.add(1)
    assert (taken.counts, taken.total) == ([1, 0], 1)
