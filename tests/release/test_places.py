"""Whose turn it is."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.release.places import Kind, Places


def filled(at_once: int, **waiting: int) -> Places:
    """Places for which so many of each kind wait: `by_mx3.example` is the fourth of its kind."""
    places = Places(at_once)
    for kind, count in waiting.items():
        for number in range(count):
            places.wait(f"{kind}{number}.example", Kind[kind.upper()])
    return places


def begun(places: Places) -> list[str]:
    """All that get a place now."""
    return list(iter(places.next, None))


def counted(names: list[str]) -> Counter[str]:
    """How many of each kind."""
    return Counter(name.removesuffix(".example").rstrip("0123456789") for name in names)


def test_first_come_first_served() -> None:
    """So many at once; the next when one leaves."""
    places = filled(2, named=4)
    assert begun(places) == ["named0.example", "named1.example"]
    places.leave("named1.example")
    assert begun(places) == ["named2.example"]
    assert "named3.example" in places
    assert "named2.example" not in places


def test_a_fifth_is_kept_from_what_goes_by_mx() -> None:
    """However many thousand wait: a site that asks does not."""
    places = filled(50, by_mx=1000)
    assert len(begun(places)) == 40
    places.wait("site.example", Kind.NAMED)
    assert begun(places) == ["site.example"]


def test_what_is_configured_comes_first_and_leaves_a_fifth_to_the_others() -> None:
    """Sites have short windows; yet a thousand of them that hang stop nobody else's mail for good."""
    places = filled(50, by_mx=1000, named=1000)
    assert counted(begun(places)) == {"named": 40, "by_mx": 10}
    for number in range(10):
        places.leave(f"by_mx{number}.example")
    assert counted(begun(places)) == {"by_mx": 10}


def test_all_places_are_used_where_nobody_else_waits() -> None:
    """Nothing is kept from configured next hops."""
    assert len(begun(filled(50, named=100))) == 50


def test_those_that_were_down_take_half_at_the_most() -> None:
    """They waited first, and the others go on."""
    places = filled(50, down=50, by_mx=1000)
    assert counted(begun(places)) == {"down": 25, "by_mx": 15}
    places.leave("by_mx0.example")
    assert begun(places) == ["by_mx15.example"]
    places.leave("down0.example")
    assert begun(places) == ["down25.example"]


def test_those_that_were_down_are_not_forgotten_over_the_others() -> None:
    """Each has its turn in the order of coming, whatever comes after it."""
    places = filled(5, by_mx=10)
    places.wait("down.example", Kind.DOWN)
    for number in range(100):
        places.wait(f"more{number}.example", Kind.BY_MX)
    order: list[str] = []
    while "down.example" not in order:
        now = begun(places)
        order += now
        for name in now:
            places.leave(name)
    assert len(order) <= 14


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_with_few_places_all_kinds_still_go(at_once: int, kind: Kind) -> None:
    """One is enough."""
    places = Places(at_once)
    places.wait("x.example", kind)
    assert begun(places) == ["x.example"]


def test_a_destination_waits_once_and_as_what_it_is_asked_for_last() -> None:
    """It keeps its turn where nothing has changed."""
    places = filled(4, by_mx=3)
    places.wait("by_mx0.example", Kind.BY_MX)
    places.wait("by_mx1.example", Kind.DOWN)
    places.wait("by_mx2.example", Kind.NAMED)
    assert begun(places) == ["by_mx2.example", "by_mx0.example", "by_mx1.example"]
    places.give_up("by_mx0.example")
    assert begun(places) == []


def test_a_connection_that_is_there_has_a_place_even_if_there_is_none() -> None:
    """And others wait the longer."""
    places = filled(1, named=2)
    assert begun(places) == ["named0.example"]
    places.take("named1.example")
    places.leave("named0.example")
    places.wait("x.example", Kind.NAMED)
    assert begun(places) == []
    places.leave("named1.example")
    assert begun(places) == ["x.example"]


def test_nobody_gets_a_place_any_more_when_it_is_closed() -> None:
    """Who has one leaves it."""
    places = filled(2, named=4)
    begun(places)
    places.close()
    places.leave("named0.example")
    places.wait("x.example", Kind.NAMED)
    assert begun(places) == []


@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.integers(0, 30), st.sampled_from([*Kind, None])), max_size=200),
)
def test_bounds_hold_and_nobody_waits_in_vain(at_once: int, steps: list[tuple[int, Kind | None]]) -> None:
    """Whatever comes and goes: never too many; and when all have left, all that waited get their turn."""
    places, running, waiting = Places(at_once), dict[str, None](), set[str]()
    for number, kind in steps:
        name = f"d{number}.example"
        if kind is None and running:
            left = list(running)[number % len(running)]
            del running[left]
            places.leave(left)
        elif kind is not None and name not in running:
            places.wait(name, kind)
            waiting.add(name)
        for one in begun(places):
            waiting.remove(one)
            running[one] = None
        assert len(running) <= at_once
    while running:
        for one in list(running):
            places.leave(one)
        running = dict.fromkeys(begun(places))
        waiting -= running.keys()
    assert not waiting
