"""Durations and sizes: what is written is what is read, and nothing else is understood."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config.units import UnitError, parse_duration, parse_size, write_duration, write_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("30s", 30), ("10m", 600), ("2h", 7200), ("5d", 432_000), ("1w", 604_800), ("007m", 420)],
)
def test_a_duration_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    """Seconds, minutes, hours, days, weeks."""
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "octets"),
    [("0", 0), ("1024", 1024), ("512KB", 524_288), ("25MB", 26_214_400), ("2GB", 2_147_483_648), ("25mb", 26_214_400)],
)
def test_a_size_counts_in_1024s_and_without_a_unit_in_octets(text: str, octets: int) -> None:
    """1 KB is 1024 octets, 1 MB is 1024 KB; capitals do not matter."""
    assert parse_size(text) == octets


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "10",
        "10 m",
        "10M",
        "1h30m",
        "-5m",
        "1.5h",
        " 5m",
        "5m ",
        "5m\n",
        "5y",
        "1000000000s",
        "٣m",
        "5\N{FULLWIDTH LATIN SMALL LETTER M}",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    """Digits of other scripts, blanks, signs and fractions among it."""
    with pytest.raises(UnitError, match="is not a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "KB",
        "5 KB",
        "5K",
        "5TB",
        "-5",
        "1.5GB",
        "5MB\n",
        "0x10",
        "1_000",
        "٣KB",
        "5\N{LATIN SMALL LETTER LONG S}B",
        "1" * 16,
    ],
)
def test_what_is_no_size_is_refused(text: str) -> None:
    """Digits of other scripts, blanks, signs and fractions among it."""
    with pytest.raises(UnitError, match="is not a size"):
        parse_size(text)


@given(st.integers(0, 999_999_999))
def test_every_duration_is_read_as_it_was_written(seconds: int) -> None:
    """In whatever unit it was put."""
    assert parse_duration(write_duration(seconds)) == seconds


@given(st.integers(0, 10**15 - 1) | st.integers(0, 10**6).map(lambda n: n << 20))
def test_every_size_is_read_as_it_was_written(octets: int) -> None:
    """In whatever unit it was put."""
    assert parse_size(write_size(octets)) == octets


def test_the_largest_unit_without_a_fraction_is_written() -> None:
    """A week is a week, ninety minutes are ninety minutes."""
    assert [write_duration(s) for s in (604_800, 5400, 86_400, 59)] == ["1w", "90m", "1d", "59s"]
    assert [write_size(n) for n in (50 << 20, 1536, 1025, 2 << 30)] == ["50MB", "1536", "1025", "2GB"]


@given(st.text(max_size=20))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    """It is a duration or a size, or a UnitError."""
    for parse in (parse_duration, parse_size):
        try:
            assert parse(text) >= 0
        except UnitError:
            continue
