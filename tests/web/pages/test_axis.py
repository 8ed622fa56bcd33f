"""The axis of a line of time: days and hours by the clock on the wall, and labels that can be read."""

from __future__ import annotations

from datetime import datetime, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.web.pages.axis import DAY, HOUR, NARROW_PIXELS, WIDE_PIXELS, Scale, Tick, room, ticks

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = [ZoneInfo(name) for name in ("Europe/Berlin", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu")]
SPANS = [DAY, 3 * DAY, 7 * DAY, 31 * DAY]


def scale_from(text: str, seconds: float, zone: tzinfo = BERLIN) -> Scale:
    """A picture that begins at that time of the clock."""
    start = datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()
    return Scale(start, start + seconds)


def labels(found: tuple[Tick, ...]) -> list[str]:
    """In order."""
    return [tick.label for tick in found]


def test_a_day_has_its_hours() -> None:
    """From noon to noon: every third hour, and the day where it begins."""
    found = ticks(scale_from("2026-11-25 12:00", DAY), BERLIN)
    assert labels(found) == ["12:00", "15:00", "18:00", "21:00", "Thu 26 Nov", "03:00", "06:00", "09:00"]
    assert [tick.label for tick in found if tick.fits_narrow] == ["12:00", "18:00", "Thu 26 Nov", "06:00"]
    assert [round(tick.x, 1) for tick in found[:3]] == [0, 12.5, 25]


def test_longer_times_have_fewer_names() -> None:
    """A month has its Mondays; every day has a line."""
    found = ticks(scale_from("2026-11-25 00:00", 31 * DAY), BERLIN)
    assert len(found) == 31
    assert all(tick.is_day for tick in found)
    assert [tick.label for tick in found if tick.fits] == ["30 Nov", "7 Dec", "14 Dec", "21 Dec"]
    week = ticks(scale_from("2026-11-25 00:00", 7 * DAY), BERLIN)
    assert labels(week)[:2] == ["Wed 25", "Thu 26"]


def test_where_clocks_go_forward_a_day_has_23_hours() -> None:
    """The hours after it are where the clock shows them."""
    found = {tick.label: tick.at for tick in ticks(scale_from("2026-03-29 00:00", DAY), BERLIN)}
    assert found["03:00"] - found["Sun 29 Mar"] == 2 * HOUR
    assert found["Mon 30 Mar"] - found["Sun 29 Mar"] == 23 * HOUR


def test_where_clocks_go_back_a_day_has_25_hours() -> None:
    """What comes twice has one tick."""
    found = ticks(scale_from("2026-10-25 00:00", 25 * HOUR), BERLIN)
    assert labels(found).count("03:00") == 1
    assert found[1].at - found[0].at == 4 * HOUR


def test_what_the_clock_skips_has_no_tick() -> None:
    """Where it was set forward at midnight the day begins at one; where an island has skipped a day, there is none."""
    zone = ZoneInfo("America/Sao_Paulo")
    found = ticks(scale_from("2018-11-03 12:00", DAY, zone), zone)
    [midnight] = [tick for tick in found if tick.is_day]
    assert midnight.label == "Sun 4 Nov"
    assert datetime.fromtimestamp(midnight.at, zone).hour == 1
    apia = ZoneInfo("Pacific/Apia")
    assert "Fri 30 Dec" not in labels(ticks(scale_from("2011-12-29 00:00", 3 * DAY, apia), apia))


@given(
    start=st.integers(0, 2**32),
    seconds=st.sampled_from(SPANS) | st.integers(60, 31 * 86400),
    zone=st.sampled_from(ZONES),
)
def test_ticks_are_in_the_picture_in_order_and_labels_apart(start: int, seconds: float, zone: tzinfo) -> None:
    """Whatever the time, the zone and the length; each says what the clock says then."""
    scale = Scale(start, start + seconds)
    found = ticks(scale, zone)
    assert all(scale.start <= tick.at < scale.until and 0 <= tick.x <= 100 for tick in found)
    assert all(one.at < other.at for one, other in pairwise(found))
    for tick in found:
        if not tick.is_day:
            assert f"{datetime.fromtimestamp(tick.at, zone):%H:%M}" == tick.label
    wide, narrow = [tick for tick in found if tick.fits], [tick for tick in found if tick.fits_narrow]
    for some, pixels in ((wide, WIDE_PIXELS), (narrow, NARROW_PIXELS)):
        ends = [tick.x + room(tick.label, pixels) for tick in some]
        assert all(end <= tick.x for end, tick in zip(ends, some[1:], strict=False))
        assert all(end <= 100 for end in ends)


@pytest.mark.parametrize("seconds", SPANS)
@given(start=st.integers(0, 2**32))
def test_a_picture_always_says_a_day(seconds: float, start: int) -> None:
    """At least one line is that of a day."""
    assert any(tick.is_day for tick in ticks(Scale(start, start + seconds + 2 * HOUR), BERLIN))
