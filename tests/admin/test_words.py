"""Words for people: sizes and spans."""

from __future__ import annotations

import pytest

from restante.admin.words import size, span


@pytest.mark.parametrize(
    ("octets", "words"),
    [
        (0, "0 octets"),
        (999, "999 octets"),
        (1000, "1.0 kB"),
        (4096, "4.1 kB"),
        (9949, "9.9 kB"),
        (9951, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (25_000_000, "25 MB"),
        (3e15, "3000 TB"),
    ],
)
def test_sizes(octets: float, words: str) -> None:
    """Two digits are enough."""
    assert size(octets) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "0 s"),
        (0.9, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (303, "5 min 3 s"),
        (3600, "1 h"),
        (3603, "1 h"),
        (7800, "2 h 10 min"),
        (86400 * 3 + 3600 * 4, "3 d 4 h"),
    ],
)
def test_spans(seconds: float, words: str) -> None:
    """Two units are enough."""
    assert span(seconds) == words
