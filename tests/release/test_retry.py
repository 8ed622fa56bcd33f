"""When to try again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.directory.entries import EVERY_OTHER, RETRY_SECONDS, Delivered, Held, Relayed
from restante.model import ByMx, HostPort
from restante.release.retry import EARLY_SECONDS, SLACK_SECONDS, delay, due_at, schedule_of

SCHEDULES = st.lists(st.floats(10, 604_800), min_size=1, max_size=100)
WALLS = st.floats(0, 4e9)


@pytest.mark.parametrize(
    ("failures", "minutes"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 16), (6, 32), (7, 60), (8, 60), (1000, 60)]
)
def test_waits_double_up_to_an_hour_where_nothing_else_is_said(failures: int, minutes: int) -> None:
    """As the manual says."""
    assert delay(failures, RETRY_SECONDS) == minutes * 60


@given(SCHEDULES, st.integers(1, 10**9))
def test_the_last_wait_of_a_schedule_comes_again_and_again(schedule: list[float], failures: int) -> None:
    """Each before it once, in order."""
    assert delay(failures, schedule) == (schedule[failures - 1] if failures < len(schedule) else schedule[-1])


def test_there_is_no_wait_without_a_failure() -> None:
    """Asking for one is a mistake of ours."""
    with pytest.raises(AssertionError):
        delay(0)


def test_a_relay_has_a_schedule_of_its_own() -> None:
    """All others have the usual one."""
    assert schedule_of(Relayed(EVERY_OTHER, ByMx(), retry=(10.0, 20.0))) == (10.0, 20.0)
    for entry in (Held("test.example", HostPort("192.0.2.25")), Delivered("local.example", None)):
        assert schedule_of(entry) == RETRY_SECONDS


@given(SCHEDULES, st.integers(1, 200), WALLS, st.floats(0, 604_800))
def test_what_was_deferred_is_due_when_its_wait_is_over_and_not_before(
    schedule: list[float], failures: int, wall: float, passed: float
) -> None:
    """As long as the clock goes on as it should."""
    hour = wall + delay(failures, schedule)
    due = due_at(wall + passed, schedule)
    assert (hour <= due.by) == (hour <= wall + passed + EARLY_SECONDS)
    assert hour <= due.beyond


@given(SCHEDULES, st.integers(1, 200), WALLS, st.floats(0, 4e8))
def test_no_clock_that_is_set_back_makes_mail_wait_longer_than_its_schedule(
    schedule: list[float], failures: int, wall: float, back: float
) -> None:
    """By a second, a day or ten years: either it is due now, or it will be within the longest wait, and a minute."""
    hour, now = wall + delay(failures, schedule), wall - back
    due = due_at(now, schedule)
    assert hour <= due.by or hour > due.beyond or hour <= now + max(schedule) + SLACK_SECONDS
