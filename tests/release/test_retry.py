"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.release.retry import FIRST_SECONDS, LONGEST_SECONDS, delay


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (1000, 60)]
)
def test_waits_double_up_to_an_hour(failures: int, minutes: int) -> None:
    """As the manual says."""
    assert delay(failures) == minutes * 60


@given(st.integers(min_value=1, max_value=10**9))
def test_a_wait_is_never_shorter_than_the_one_before(failures: int) -> None:
    """However often it has failed, and within its bounds."""
    assert FIRST_SECONDS <= delay(failures) <= delay(failures + 1) <= LONGEST_SECONDS


def test_there_is_no_wait_without_a_failure() -> None:
    """Asking for one is a mistake of ours."""
    with pytest.raises(AssertionError):
        delay(0)
