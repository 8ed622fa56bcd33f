"""What still fits into a window."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.release.plan import Room

SECONDS = st.floats(min_value=0.001, max_value=1e6)
RATES = st.floats(min_value=0.1, max_value=1e9)
OCTETS = st.integers(min_value=1, max_value=10**9)


@given(OCTETS, st.none() | RATES)
def test_without_a_window_everything_fits(octets: int, rate: float | None) -> None:
    """No end, no limit, however slow the link."""
    room = Room(None, rate)
    assert room.fits(octets)
    assert not room.is_over


@given(OCTETS, SECONDS)
def test_an_unknown_rate_stops_nobody(octets: int, seconds: float) -> None:
    """As long as the window is open."""
    assert Room(seconds, None).fits(octets)


@given(st.floats(max_value=0, allow_nan=False), OCTETS, st.none() | RATES)
def test_after_the_end_nothing_fits(seconds: float, octets: int, rate: float | None) -> None:
    """Not even the smallest message, at whatever rate."""
    room = Room(seconds, rate)
    assert room.is_over
    assert not room.fits(octets)


@given(SECONDS, RATES, OCTETS)
def test_a_message_fits_when_it_can_be_whole_at_the_other_end(seconds: float, rate: float, octets: int) -> None:
    """What fits takes no longer than what is left, and of two messages the smaller fits first."""
    room = Room(seconds, rate)
    assert room.fits(octets) == (octets <= seconds * rate)
    assert room.fits(octets) <= room.fits(octets - 1)


def test_a_large_message_at_64_kbit_in_ten_minutes() -> None:
    """4.5 MB go through such a window, 5 MB do not."""
    room = Room(600, 64_000 / 8)
    assert room.fits(4_500_000)
    assert not room.fits(5_000_000)
