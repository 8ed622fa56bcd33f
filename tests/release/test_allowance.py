"""So many notices an hour for each address, and no more."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.model import Mailbox
from restante.release import allowance
from restante.release.allowance import HOUR, Allowance

ANN, DORA = Mailbox.parse("ann@far.example"), Mailbox.parse("dora@far.example")


class Clock:
    """Monotonic seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        """Now."""
        return self.now


def test_each_address_has_its_own() -> None:
    """What is behind a plus sign, and case, make no other one."""
    clock = Clock()
    given_out = Allowance(clock, 3)
    assert [given_out.take(ANN) for _ in range(4)] == [True, True, True, False]
    assert not given_out.allows(Mailbox.parse("Ann+list@FAR.example"))
    assert given_out.take(DORA)
    clock.now += HOUR / 3
    assert [given_out.allows(ANN), given_out.take(ANN), given_out.take(ANN)] == [True, True, False]


def test_a_reload_may_change_it() -> None:
    """At once."""
    given_out = Allowance(Clock(), 1)
    assert [given_out.take(ANN), given_out.take(ANN)] == [True, False]
    given_out.per_hour = 2
    assert [given_out.take(ANN), given_out.take(ANN)] == [True, False]


@given(st.lists(st.floats(0, 7200), max_size=60), st.integers(1, 5))
def test_in_no_hour_there_are_more_than_twice_as_many(waits: list[float], per_hour: int) -> None:
    """A full bucket and what runs into it meanwhile; and whoever waits an hour has all of it again."""
    clock = Clock()
    given_out = Allowance(clock, per_hour)
    taken: list[float] = []
    for wait in waits:
        clock.now += wait
        if given_out.take(ANN):
            taken.append(clock.now)
    for moment in taken:
        assert len([each for each in taken if moment <= each < moment + HOUR]) <= 2 * per_hour
    clock.now += HOUR + 0.001
    assert [given_out.take(ANN) for _ in range(per_hour + 1)] == [True] * per_hour + [False]


def test_it_forgets_those_that_are_full_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """And, where there are too many, the one that was not drawn from for the longest time."""
    monkeypatch.setattr(allowance, "MOST_BUCKETS", 3)
    clock = Clock()
    given_out = Allowance(clock, 1)
    people = [Mailbox.parse(f"user{number}@far.example") for number in range(5)]
    for person in people:
        clock.now += 1
        given_out.take(person)
    assert [given_out.allows(person) for person in people] == [True, True, False, False, False]
    clock.now += HOUR
    given_out.take(ANN)
    assert len(given_out._drawn) == 1
