"""When a site calls: expressions, time zones, the hours that are skipped or come twice, clocks that jump."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.calls.window import Schedule, ScheduleError, next_due, parse_expression, served_until

BERLIN = ZoneInfo("Europe/Berlin")
DAY = 86400.0


def at(text: str, fold: int = 0) -> float:
    """A wall time, read in Berlin."""
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def shown(wall: float | None) -> str:
    """A wall time as Berlin reads it."""
    assert wall is not None
    return datetime.fromtimestamp(wall, BERLIN).isoformat(timespec="minutes")


def is_due(schedule: Schedule, served: float, now: float) -> bool:
    """Whether a call is due at `now`."""
    moment = next_due(schedule, served, now)
    return moment is not None and moment <= now


def calls(expression: str, start: float, end: float) -> list[str]:
    """Every moment at which an expression calls, from after `start` to `end`."""
    schedule, found, now = Schedule.parse((expression,), BERLIN), [], start
    while (moment := schedule.next_after(now)) is not None and moment <= end:
        found.append(shown(moment))
        now = moment
    return found


def test_a_window_opens_at_the_next_moment_and_is_as_long_as_it_is_set() -> None:
    """Two in the afternoon is two in the afternoon, in local time; a moment that is now is not the next one."""
    schedule = Schedule.parse(("0 14 * * *",), BERLIN)
    window = schedule.window_after(at("2026-01-05 13:59:59"), 600)
    assert window is not None
    assert (shown(window.start), window.seconds) == ("2026-01-05T14:00+01:00", 600)
    assert shown(schedule.next_after(at("2026-01-05 14:00"))) == "2026-01-06T14:00+01:00"


def test_several_expressions_are_one_schedule() -> None:
    """The earliest of them is next, and a moment that two of them name is one moment."""
    schedule = Schedule.parse(("0 14 * * *", "0 9-17 * * 1-5", "0 14 * * *"), BERLIN)
    assert len(schedule.expressions) == 2
    assert shown(schedule.next_after(at("2026-01-05 13:30"))) == "2026-01-05T14:00+01:00"
    assert shown(schedule.next_after(at("2026-01-05 14:00"))) == "2026-01-05T15:00+01:00"


def test_what_falls_into_the_skipped_hour_is_called_right_after_it() -> None:
    """On the night in March, half past two does not exist: the call is made at three, once."""
    assert calls("30 2 * * *", at("2026-03-28 12:00"), at("2026-03-30 12:00")) == [
        "2026-03-29T03:00+02:00",
        "2026-03-30T02:30+02:00",
    ]
    assert calls("0,30 2 * * *", at("2026-03-28 12:00"), at("2026-03-29 12:00")) == ["2026-03-29T03:00+02:00"]


def test_what_falls_into_the_hour_that_comes_twice_is_called_once() -> None:
    """On the night in October, half past two comes twice: only the first one counts, from wherever one looks."""
    assert calls("30 2 * * *", at("2026-10-24 12:00"), at("2026-10-25 12:00")) == ["2026-10-25T02:30+02:00"]
    between = at("2026-10-25 02:15", fold=1)  # the second quarter past two
    assert shown(Schedule.parse(("30 2 * * *",), BERLIN).next_after(between)) == "2026-10-26T02:30+01:00"


def test_a_call_every_half_hour_follows_the_clock_through_both_nights() -> None:
    """Four half hours are four calls, whatever the hands of the clock do."""
    assert len(calls("*/30 * * * *", at("2026-03-29 01:00"), at("2026-03-29 04:00"))) == 4
    assert calls("*/30 * * * *", at("2026-10-25 02:00"), at("2026-10-25 02:30", fold=1)) == [
        "2026-10-25T02:30+02:00",
        "2026-10-25T02:00+01:00",
        "2026-10-25T02:30+01:00",
    ]


def test_what_was_missed_is_due_once_however_long_ago() -> None:
    """After three days off one call is due, not three."""
    schedule = Schedule.parse(("0 14 * * *",), BERLIN)
    served, now = at("2026-01-05 14:10"), at("2026-01-08 15:00")
    assert is_due(schedule, served, now)
    assert not is_due(schedule, now, now)


def test_a_clock_set_back_a_little_repeats_nothing_and_one_set_back_far_starts_afresh() -> None:
    """Debian's cron draws the line at three hours."""
    schedule = Schedule.parse(("0 14 * * *",), BERLIN)
    served = at("2026-01-05 14:10")
    assert not is_due(schedule, served, at("2026-01-05 13:55"))
    assert served_until(served, at("2026-01-05 13:55")) == served
    ten_years_back = at("2016-01-05 13:55")
    assert served_until(served, ten_years_back) == ten_years_back


@pytest.mark.parametrize("years", [1, 10, 1000, 7000])
def test_a_clock_that_jumps_by_years_costs_one_look(years: int) -> None:
    """No moment in between is counted; at the end of the calendar there is simply none."""
    schedule = Schedule.parse(("* * * * *",), BERLIN)
    served = at("2026-01-05 14:10")
    assert is_due(schedule, served, served + years * 365 * DAY)
    schedule.next_after(served + years * 365 * DAY)


@pytest.mark.parametrize(
    "text",
    ["", "0 14 * *", "0 14 * * * *", "60 * * * *", "0 24 * * *", "0 0 30 2 *", "*/0 * * * *", "5-1 * * * *", "@reboot",
     "a b c d e", "\N{ARABIC-INDIC DIGIT FIVE} * * * *", "-1 * * * *", "1,, * * * *"],
)  # fmt: skip
def test_what_is_no_expression_is_refused(text: str) -> None:
    """The error quotes what was found."""
    with pytest.raises(ScheduleError, match="is not"):
        parse_expression(text)


@given(st.text(max_size=40))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    """Whatever is written, it is a schedule or a ScheduleError."""
    try:
        schedule = Schedule.parse((text,), BERLIN)
    except ScheduleError:
        return
    schedule.next_after(0.0)


@given(
    wall=st.floats(min_value=0, max_value=4e9),
    minute=st.sampled_from(["*", "*/7", "30", "0,59"]),
    hour=st.sampled_from(["*", "2", "*/3", "1-3"]),
)
def test_the_next_moment_always_lies_ahead(wall: float, minute: str, hour: str) -> None:
    """From any moment of any year, also inside the hours that are skipped or doubled."""
    moment = Schedule.parse((f"{minute} {hour} * * *",), BERLIN).next_after(wall)
    assert moment is not None
    assert wall < moment <= wall + 2 * DAY


@given(
    wall=st.floats(min_value=DAY, max_value=4e9),
    minute=st.sampled_from(["*", "*/7", "30", "0,59"]),
    hour=st.sampled_from(["*", "2", "*/3", "1-3", "14"]),
)
def test_the_last_moment_lies_behind_with_none_between(wall: float, minute: str, hour: str) -> None:
    """So that whoever was expected then and has not come was missed; but for the hour that comes twice, by an hour."""
    schedule = Schedule.parse((f"{minute} {hour} * * *",), BERLIN)
    moment = schedule.last_before(wall)
    assert moment is not None
    assert wall - 2 * DAY <= moment < wall
    following = schedule.next_after(moment)
    assert following is not None
    assert following >= wall - 3600.0


def test_without_a_moment_there_was_none() -> None:
    """Nor before all years."""
    assert Schedule((), BERLIN).last_before(at("2026-01-05 13:00")) is None
    assert Schedule.parse(("0 14 * * *",)).last_before(-6e10) is not None
    assert Schedule.parse(("0 14 * * *",)).last_before(-62_135_596_000.0) is None


FIELDS = ("* * * * *", "*/7 * * * *", "30 2 * * *", "0 2,3 * * 0", "15 */2 * * *", "@hourly", "59 1 29 * *")


@given(
    st.lists(st.sampled_from(FIELDS), max_size=3),
    st.sampled_from(["2026-03-29 00:00", "2026-10-25 00:00", "2028-02-28 12:00"]),
    st.floats(0, 4 * 3600),
    st.floats(0, 4 * 3600),
)
def test_the_moments_between_two_are_those_that_come_one_after_the_other(
    expressions: list[str], day: str, after: float, seconds: float
) -> None:
    """In order, each once, neither end among them, in the nights too in which an hour is skipped or comes twice."""
    schedule, start = Schedule.parse(tuple(expressions), BERLIN), at(day) + after
    expected, now = list[float](), start
    while (moment := schedule.next_after(now)) is not None and moment < start + seconds:
        expected.append(moment)
        now = moment
    assert list(schedule.between(start, start + seconds)) == expected
