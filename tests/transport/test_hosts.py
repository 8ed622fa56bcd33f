"""restante.transport.hosts: what is remembered of hosts between releases."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from restante.transport.hosts import DOWN_SECONDS, MOST_HOSTS, MOST_TURNS, HostMemory, Turns

A, B = ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")


def test_who_did_not_answer_is_down_for_a_while() -> None:
    """Then it is tried as if nothing had been."""
    hosts = HostMemory()
    hosts.failed(A, 1000.0)
    assert hosts.is_down(A, 1000.0 + DOWN_SECONDS - 1)
    assert not hosts.is_down(B, 1000.0)
    assert not hosts.is_down(A, 1000.0 + DOWN_SECONDS)


def test_an_answer_clears_it() -> None:
    """And the answer of one that was never down changes nothing."""
    hosts = HostMemory()
    hosts.failed(A, 0.0)
    hosts.answered(A)
    hosts.answered(B)
    assert not hosts.is_down(A, 0.0)


def test_the_memory_is_bounded() -> None:
    """What failed longest ago is forgotten first, by its last failure."""
    hosts = HostMemory()
    first, second = ipaddress.ip_address("10.0.0.1"), ipaddress.ip_address("10.0.0.2")
    hosts.failed(first, 0.0)
    hosts.failed(second, 0.0)
    hosts.failed(first, 1.0)
    for number in range(MOST_HOSTS - 1):
        hosts.failed(ipaddress.ip_address(0x0B000000 + number), 1.0)
    assert hosts.is_down(first, 1.0)
    assert not hosts.is_down(second, 1.0)


def test_turns_are_evenly_spaced() -> None:
    """Six a minute: each ten seconds after the one before; who comes late does not wait, nor save up turns."""
    turns = Turns()
    assert [turns.take("test.example", 6, 100.0) for _ in range(3)] == [0.0, 10.0, 20.0]
    assert turns.take("other.example", 6, 100.0) == 0.0
    assert turns.take("test.example", 6, 1000.0) == 0.0
    assert turns.take("test.example", 6, 1001.0) == 9.0


@given(st.integers(1, 1000), st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_never_more_than_the_rate(per_minute: int, waits: list[float]) -> None:
    """In no minute begin more than the rate and one."""
    turns, now, begun = Turns(), 0.0, []
    for wait in waits:
        now += wait
        now += turns.take("test.example", per_minute, now)
        begun.append(now)
    for start in begun:
        assert sum(start <= moment < start + 59.999 for moment in begun) <= per_minute + 1


def test_turns_are_bounded() -> None:
    """Those that are over are forgotten; a destination whose next turn is to come is not."""
    turns = Turns()
    turns.take("slow.example", 1, 0.0)
    for number in range(MOST_TURNS):
        turns.take(number, 1_000_000, 0.0)
    assert turns.take("one more", 1, 1.0) == 0.0
    assert turns.take("slow.example", 1, 1.0) == 59.0
    assert len(turns._next) == 2
