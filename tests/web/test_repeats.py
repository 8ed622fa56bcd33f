"""What was done by a key is remembered for a day, and not without bounds."""

from __future__ import annotations

import pytest

from restante.clock import TurnedClock
from restante.web.problems import Problem
from restante.web.repeats import KEPT_SECONDS, MOST_KEPT, Repeats


async def test_a_key_is_known_for_a_day() -> None:
    """From its first time on: repeats do not make it last longer."""
    clock = TurnedClock(0.0)
    repeats = Repeats[int](clock)
    assert repeats.find("key", "a") is None
    repeats.keep("key", "a", 7)
    await clock.turn(KEPT_SECONDS - 1)
    assert repeats.find("key", "a") == 7
    repeats.keep("key", "a", 7)
    with pytest.raises(Problem):
        repeats.find("key", "b")
    await clock.turn(1)
    assert repeats.find("key", "b") is None
    repeats.keep("key", "b", 8)
    assert repeats.find("key", "b") == 8


def test_the_oldest_key_gives_way() -> None:
    """A client that makes keys without end fills no memory."""
    repeats = Repeats[int](TurnedClock(0.0))
    for number in range(MOST_KEPT + 1):
        repeats.keep(number, "a", number)
    assert (repeats.find(0, "a"), repeats.find(1, "a")) == (None, 1)
