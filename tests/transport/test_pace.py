"""When another connection would find room on the path: until the link is full, whatever its delay."""

from __future__ import annotations

from restante.transport.pace import LEAST_OCTETS, Pace


def connections(*, rtt: float, octets_per_second: float, size: int, most: int = 1000) -> int:
    """How many come to be open on a link of that rate, each confirming one message a round trip."""
    pace, now, opened = Pace(), 0.0, 1
    for _ in range(40):
        now += rtt
        for _ in range(min(opened, int(octets_per_second * rtt / size) or 1)):
            pace.confirmed(size, now, rtt)
            if opened < most and pace.wants_more(2 * opened * size, rtt):
                opened += 1
    return opened


def test_a_far_and_fat_link_gets_as_many_as_it_takes_to_fill_it() -> None:
    """600 ms and 10 Mbit/s hold 750 KB: 183 messages of 4 KB are on their way at once."""
    opened = connections(rtt=0.6, octets_per_second=1_250_000, size=4096)
    assert 183 <= opened <= 2.2 * 183


def test_a_thin_link_gets_no_more_than_a_few() -> None:
    """64 kbit/s and 600 ms hold 5 KB; only what may always be on its way is."""
    assert connections(rtt=0.6, octets_per_second=8000, size=4096) <= LEAST_OCTETS // 4096 // 2 + 1


def test_large_messages_need_fewer_connections() -> None:
    """One of 1 MB is more than such a path holds."""
    assert connections(rtt=0.6, octets_per_second=1_250_000, size=1024 * 1024) <= 3


def test_what_was_confirmed_long_ago_counts_no_more() -> None:
    """The path may have become worse."""
    pace = Pace()
    for _ in range(100):
        pace.confirmed(100_000, 10.0, 0.5)
    assert pace.wants_more(1_000_000, 0.5)
    pace.confirmed(1000, 20.0, 0.5)
    assert not pace.wants_more(1_000_000, 0.5)


def test_a_near_peer_gets_a_few_though_its_path_holds_nothing() -> None:
    """It works on one message while the next is sent; but not hundreds of connections."""
    pace, opened = Pace(), 1
    for number in range(2000):
        pace.confirmed(200_000, number / 1000, 0.0001)
        opened += pace.wants_more(2 * opened * 200_000, 0.0001)
    assert 2 <= opened <= 4
