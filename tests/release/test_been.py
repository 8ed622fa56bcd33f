"""What is kept of a site's contacts: bounded, in order, and no contact lost that fits."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from restante.release.been import (
    KEPT_SECONDS,
    SIZE,
    TOGETHER_SECONDS,
    Been,
    contacts_of,
    is_ring,
    missed_of,
    with_contact,
    with_missed,
)

HOUR, DAY, NOON = 3600, 86400, 1_800_000_000
seconds = st.integers(0, 7200) | st.integers(0, 20 * DAY)


@st.composite
def events(draw: st.DrawFn) -> list[Been]:
    """Contacts and misses as they come, by a clock that may be set back and forth."""
    found, now = list[Been](), NOON
    for passed in draw(st.lists(seconds, max_size=40)):
        now = max(0, now + passed * draw(st.sampled_from([1, 1, 1, 1, -1, 400])))
        asked, reached = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
        took = draw(st.integers(0, 10_000)) if reached else 0
        found.append(Been(now - took, now, asked, reached) if asked or reached else Been(now, now))
    return found


def ring_of(some: list[Been], most: int = 1000) -> bytes:
    """A ring after all of them."""
    ring = b""
    for one in some:
        ring = with_missed(ring, one.first, most) if one.is_missed else with_contact(ring, one, most)
    return ring


@given(events(), st.integers(1, 8))
def test_it_is_bounded_and_in_order(some: list[Been], most: int) -> None:
    """Whatever the clock does: so many records at the most, no contact overlaps another, and the last one is there."""
    ring = ring_of(some, most)
    assert len(ring) <= most * SIZE
    assert not some or is_ring(ring)
    contacts = contacts_of(ring)
    assert all(one.last < other.first for one, other in pairwise(contacts))
    assert list(missed_of(ring)) == sorted(set(missed_of(ring)))
    if some and not some[-1].is_missed:
        assert any(one.first <= max(0, some[-1].first) and some[-1].last <= one.last for one in contacts)


@given(st.lists(st.integers(0, 3 * HOUR), max_size=60), st.booleans())
def test_no_contact_is_lost_that_fits(gaps: list[int], asks: bool) -> None:
    """Their counts add up, and each lies in a record no longer than an hour, where they take no time."""
    some, now = list[Been](), NOON
    for gap in gaps:
        now += gap
        some.append(Been(now, now, asked=1) if asks else Been(now, now, 0, 1, 1, 3, 500))
    contacts = contacts_of(ring_of(some))
    for place in range(2, len(Been._fields)):
        assert sum(one[place] for one in contacts) == sum(one[place] for one in some)
    assert all(one.last - one.first <= TOGETHER_SECONDS for one in contacts)
    assert len(contacts) <= (now - NOON) // TOGETHER_SECONDS + 1


def test_a_site_that_comes_every_five_minutes_is_one_record_an_hour() -> None:
    """With a miss between two of them it is two: what came before did not make up for it."""
    every = [Been(NOON + minute * 60, NOON + minute * 60, asked=1) for minute in range(0, 60, 5)]
    assert contacts_of(ring_of(every)) == (Been(NOON, NOON + 55 * 60, asked=12),)
    ring = ring_of([*every[:3], Been(NOON + 700, NOON + 700), *every[3:]])
    assert [one.asked for one in contacts_of(ring)] == [3, 9]
    assert missed_of(ring) == (NOON + 700,)


def test_a_release_belongs_to_what_asked_for_it() -> None:
    """Though it has ended long after that, and the site has asked again meanwhile."""
    asked = [Been(NOON + hour * HOUR, NOON + hour * HOUR, asked=1) for hour in (0, 2, 4)]
    ring = ring_of([*asked, Been(NOON + 1, NOON + 5 * HOUR, reached=1, delivered=7)])
    assert contacts_of(ring) == (Been(NOON, NOON + 5 * HOUR, asked=3, reached=1, delivered=7),)


def test_what_is_too_old_is_left_out() -> None:
    """A month later it is forgotten, with the next that comes."""
    one = Been(NOON, NOON, asked=1)
    later = Been(NOON + KEPT_SECONDS + 1, NOON + KEPT_SECONDS + 1, asked=1)
    assert contacts_of(ring_of([one, later])) == (later,)
    just = Been(NOON + KEPT_SECONDS, NOON + KEPT_SECONDS, asked=1)
    assert contacts_of(ring_of([one, just])) == (one, just)


def test_the_same_miss_is_one() -> None:
    """Should it be told again after a restart."""
    assert missed_of(ring_of([Been(NOON, NOON), Been(NOON, NOON)])) == (NOON,)


def test_what_does_not_fit_is_the_most_that_does() -> None:
    """Counts beyond their fields; a clock that stands in 1970."""
    ring = with_contact(b"", Been(-5, 3, 100_000, 100_000, 100_000, 2**40, 2**70), 3)
    assert contacts_of(ring) == (Been(0, 3, 65535, 65535, 65535, 2**32 - 1, 2**64 - 1),)


def test_what_is_no_ring_is_known() -> None:
    """A row of another form is not read as one."""
    assert not is_ring(b"")
    assert not is_ring(b"x" * (SIZE + 1))
