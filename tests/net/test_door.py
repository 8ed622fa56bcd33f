"""Who may come in: each limit, what is told beyond it, and that what is kept has an end."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from restante.model import IPAddress
from restante.net import door as doors
from restante.net.door import Door, Guest, Refused, Rules, patience
from restante.net.networks import Networks, network_of

SITE = Networks([ipaddress.ip_network("198.51.100.0/24")])
OWN = Networks([ipaddress.ip_network("10.0.0.0/8")])
TOTAL = "421 4.3.2 Too many connections, try again later"
FROM_YOU = "421 4.7.0 Too many connections from you, try again later"
TOO_FAST = "421 4.7.0 Too many new connections from you, try again later"


def ip(text: str) -> IPAddress:
    return ipaddress.ip_address(text)


def come(door: Door, text: str, now: float = 0.0, **more: int) -> Guest | str:
    """Who was let in, or what was said instead."""
    admitted = door.admit(ip(text), now, **more)  # type: ignore[arg-type]
    return admitted if isinstance(admitted, Guest) else str(admitted.reply)


def let_in(door: Door, text: str, now: float = 0.0, **more: int) -> Guest:
    """Who must be let in."""
    guest = come(door, text, now, **more)
    assert isinstance(guest, Guest), guest
    return guest


def test_who_has_left_is_not_sent_away() -> None:
    """So that what ended is not kept alive by what was to end it, until a collection of garbage."""
    guest = let_in(Door(Rules()), "192.0.2.1")
    sent: list[str] = []
    guest.send_away = lambda: sent.append("away")
    guest.leave()
    guest.send_away()
    assert not sent


def test_one_address_has_so_many_connections() -> None:
    """Another one is not the worse for it, and when one leaves the next may come."""
    door = Door(Rules(per_address=2))
    first = let_in(door, "192.0.2.1")
    let_in(door, "192.0.2.1")
    assert come(door, "192.0.2.1") == FROM_YOU
    let_in(door, "192.0.2.2")
    first.leave()
    first.leave()
    let_in(door, "192.0.2.1")
    assert come(door, "192.0.2.1") == FROM_YOU
    assert len(door) == 3


def test_the_64_of_an_ipv6_address_counts_as_one() -> None:
    """Whoever has one address of it has them all."""
    door = Door(Rules(per_address=1))
    let_in(door, "2001:db8::1")
    assert come(door, "2001:db8::ffff:ffff:ffff:ffff") == FROM_YOU
    let_in(door, "2001:db8:0:1::1")
    assert len({network_of(ip("192.0.2.1")), network_of(ip("192.0.2.2"))}) == 2


def test_one_address_begins_so_many_a_second() -> None:
    """Three seconds' worth at once, and then as they come; who goes on trying meanwhile loses nothing."""
    door = Door(Rules(rate=20, per_address=1000))
    for _ in range(60):
        let_in(door, "192.0.2.1")
    assert [come(door, "192.0.2.1") for _ in range(100)] == [TOO_FAST] * 100
    let_in(door, "192.0.2.2")
    begun = sum(isinstance(come(door, "192.0.2.1", tenth / 10), Guest) for tenth in range(1, 101) for _ in range(7))
    assert begun == 200


def test_the_last_places_are_for_sites() -> None:
    """A stranger is told that there is no room while a site still gets in; in the end nobody does."""
    door = Door(Rules(connections=10, reserved=3, sites=SITE))
    for number in range(7):
        let_in(door, f"192.0.2.{number}")
    assert come(door, "192.0.2.99") == TOTAL
    for number in range(3):
        let_in(door, f"198.51.100.{number}")
    assert come(door, "198.51.100.99") == TOTAL
    assert come(door, "192.0.2.99") == TOTAL


def test_no_more_than_half_of_the_places_are_reserved() -> None:
    """So that the default for these does not close a small server's door."""
    door = Door(Rules(connections=4))
    let_in(door, "192.0.2.1")
    let_in(door, "192.0.2.2")
    assert come(door, "192.0.2.3") == TOTAL


def test_where_somebody_has_proved_who_he_is_a_site_is() -> None:
    """A login from an address that changes is remembered: the next connection from there may use the last places."""
    door = Door(Rules(connections=4, reserved=2))
    site = let_in(door, "203.0.113.7")
    site.prove()
    site.leave()
    let_in(door, "192.0.2.1")
    let_in(door, "192.0.2.2")
    assert come(door, "192.0.2.3") == TOTAL
    let_in(door, "203.0.113.7")


def test_who_has_proved_who_he_is_no_longer_counts_against_his_address() -> None:
    """Once, however often he proves it."""
    door = Door(Rules(per_address=2))
    guests = [let_in(door, "192.0.2.1") for _ in range(2)]
    assert come(door, "192.0.2.1") == FROM_YOU
    guests[0].prove()
    guests[0].prove()
    let_in(door, "192.0.2.1")
    assert come(door, "192.0.2.1") == FROM_YOU
    guests[0].leave()
    guests[0].prove()
    assert come(door, "192.0.2.1") == FROM_YOU


@pytest.mark.parametrize("where", ["ours", "here"])
def test_our_own_networks_and_this_very_host_are_not_held_to_an_address_s_limits(where: str) -> None:
    """But to the total."""
    door = Door(Rules(connections=200, reserved=0, own=OWN))
    for _ in range(200):
        let_in(door, "10.1.2.3", is_local=False) if where == "ours" else let_in(door, "192.0.2.1", is_local=True)
    assert come(door, "10.1.2.3") == TOTAL


def test_the_last_descriptors_are_kept() -> None:
    """A quarter of them for the spool and what goes out, of which sites may use half."""
    door = Door(Rules(descriptors=256, sites=SITE))
    let_in(door, "192.0.2.1", descriptor=191)
    assert come(door, "192.0.2.1", descriptor=192) == TOTAL
    let_in(door, "198.51.100.1", descriptor=223)
    assert come(door, "198.51.100.1", descriptor=224) == TOTAL
    assert Rules(descriptors=1 << 20).first_kept(is_site=False) == (1 << 20) - 1024


def test_strangers_who_keep_us_waiting_go_when_there_is_little_room() -> None:
    """Not sites, not our own, not who has proved who he is, nor anybody while it is our turn."""
    rules = Rules(connections=20, reserved=0, sites=SITE, own=OWN)
    door = Door(rules)
    waiting = [let_in(door, f"192.0.2.{number}") for number in range(12)]
    busy = let_in(door, "192.0.2.100")
    busy.waiting_since = None
    proven = let_in(door, "192.0.2.101")
    proven.prove()
    let_in(door, "198.51.100.1")
    assert door.overdue(1000.0) == [], "there is room"
    let_in(door, "10.0.0.1")
    late = let_in(door, "192.0.2.102", now=95.0)
    assert set(door.overdue(100.0)) == set(waiting)
    assert door.overdue(100.1) == [], "they were just looked for"
    for guest in waiting[:2]:
        guest.leave()
    assert set(door.overdue(104.0)) == set(), "there is room again"
    for number in range(5):
        let_in(door, f"203.0.113.{number}", now=104.0)
    assert set(door.overdue(104.0)) == {*waiting[2:], late}, "the fuller it is, the sooner"


def test_patience_ends_as_room_does() -> None:
    """From ten seconds, where four fifths are taken, to three; without end before."""
    assert patience(0.79) == float("inf")
    assert patience(0.8) == 10.0
    assert patience(0.9) == pytest.approx(6.5)
    assert patience(1.0) == patience(1.5) == pytest.approx(3.0)


def test_the_log_is_told_of_refusals_now_and_then() -> None:
    """The first at once, then every ten seconds how many there were."""
    door = Door(Rules(connections=1))
    let_in(door, "192.0.2.1")
    told = []
    for second in range(25):
        refused = door.admit(ip("192.0.2.2"), second)
        assert isinstance(refused, Refused)
        told.append(refused.times)
    assert [(second, times) for second, times in enumerate(told) if times] == [(0, 1), (10, 10), (20, 10)]


def test_what_is_kept_of_a_flood_from_everywhere_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that have paid are forgotten as others come, and beyond the bound the oldest are, too."""
    door = Door(Rules(connections=1))
    for number in range(100_000):
        door.admit(ip(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"), number / 10_000)
    assert len(door._paid_until) <= 1000
    monkeypatch.setattr(doors, "MOST_NETWORKS", 50)
    monkeypatch.setattr(doors, "MOST_PROVEN", 50)
    for number in range(2000):
        door.admit(ip(f"2001:db8:{number >> 16:x}:{number & 0xFFFF:x}::1"), 11.0)
    assert len(door._paid_until) <= 51
    door.rules = Rules(connections=1000)
    for number in range(200):
        let_in(door, f"192.0.2.{number}", now=20.0).prove()
    assert len(door._proven) == 50


class Crowd(RuleBasedStateMachine):
    """Anybody comes, proves who he is and leaves, in any order; the counts are as a slow book-keeper has them."""

    def __init__(self) -> None:
        super().__init__()
        self.door = Door(Rules(connections=12, per_address=3, reserved=4, rate=5, sites=SITE, own=OWN))
        self.inside: list[tuple[str, Guest]] = []
        self.now = 0.0

    @rule(
        address=st.sampled_from(["192.0.2.1", "192.0.2.2", "198.51.100.1", "198.51.100.2", "10.0.0.1", "2001:db8::1"]),
        later=st.floats(0, 0.5),
    )
    def somebody_comes(self, address: str, later: float) -> None:
        self.now += later
        unproven = sum(at == address and not guest.is_proven for at, guest in self.inside)
        answer = come(self.door, address, self.now)
        if isinstance(answer, Guest):
            assert unproven < 3 or address.startswith("10."), "one too many of an address"
            assert len(self.inside) < 12, "one too many"
            self.inside.append((address, answer))
        elif answer == FROM_YOU:
            assert unproven >= 3
        elif answer == TOTAL:
            assert len(self.inside) >= 8

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def somebody_leaves(self, data: st.DataObject) -> None:
        _, guest = self.inside.pop(data.draw(st.integers(0, len(self.inside) - 1)))
        guest.leave()

    @precondition(lambda self: self.inside)
    @rule(data=st.data())
    def somebody_proves_who_he_is(self, data: st.DataObject) -> None:
        self.inside[data.draw(st.integers(0, len(self.inside) - 1))][1].prove()

    @invariant()
    def the_books_balance(self) -> None:
        assert len(self.door) == len(self.inside)
        assert sum(self.door._unproven.values()) == sum(not guest.is_proven for _, guest in self.inside)
        assert all(self.door._unproven.values())


Crowd.TestCase.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
TestCrowd = Crowd.TestCase


def test_a_guest_of_no_door() -> None:
    """As of a connection that we have dialled: nothing is counted, and nothing fails."""
    guest = Guest()
    guest.prove()
    guest.leave()
    assert guest.waiting_since is None
