"""restante.transport.exchange: how a host's addresses are ordered, and how it is named; test_by_mx.py dials."""

from __future__ import annotations

import ipaddress
from random import Random

import pytest

from restante.model import HostPort
from restante.mx.exchanges import Exchange
from restante.net.stream import Stream, StreamClosed
from restante.net.tls import OPPORTUNISTIC
from restante.transport.exchange import ExchangeCarrier, in_order
from restante.transport.hosts import HostMemory
from restante.transport.outcome import CarryEnd, ItemOutcome, Parcel
from restante.transport.smtp import SmtpMeans

V4 = tuple(ipaddress.ip_address(f"192.0.2.{n}") for n in range(1, 5))
V6 = tuple(ipaddress.ip_address(f"2001:db8::{n}") for n in range(1, 3))


class Nothing:
    """A feed without mail."""

    async def next(self) -> Parcel | None:
        return None

    def put_back(self, parcel: Parcel) -> None:
        raise AssertionError(parcel)


async def refused(host: HostPort, *, timeout: float) -> Stream:
    """Nobody listens."""
    del timeout
    raise StreamClosed(f"{host}: Connection refused")


def unheard(outcome: ItemOutcome) -> None:
    """Nothing is told of what was not drawn."""
    raise AssertionError(outcome)


def carrier(exchange: Exchange, hosts: HostMemory) -> ExchangeCarrier:
    """One to a host that refuses."""
    means = SmtpMeans(refused, "office.example", lambda: 1000.0)
    return ExchangeCarrier(exchange, 25, means, OPPORTUNISTIC, hosts=hosts, random=Random(0))


def test_addresses_are_spread_and_the_families_take_turns() -> None:
    """Every address comes first in its family at times."""
    orders = [in_order(V4 + V6, lambda _: False, Random(seed)) for seed in range(50)]
    assert {order[0] for order in orders} == set(V6)
    assert {order[1] for order in orders} == set(V4)
    assert all(sorted(order, key=str) == sorted(V4 + V6, key=str) for order in orders)


def test_what_is_down_comes_last() -> None:
    """It is not left out."""
    order = in_order(V4 + V6, lambda address: address in V6 + V4[:1], Random(0))
    assert set(order[-3:]) == {*V6, V4[0]}


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (Exchange("mx1.test.example", 10, V4[:1]), "mx1.test.example[192.0.2.1]:25: Connection refused"),
        (Exchange("mx1.test.example", 10, V6[:1]), "mx1.test.example[2001:db8::1]:25: Connection refused"),
        (Exchange("[192.0.2.1]", 0, V4[:1]), "192.0.2.1:25: Connection refused"),
        (Exchange("[IPv6:2001:db8::1]", 0, V6[:1]), "[2001:db8::1]:25: Connection refused"),
    ],
)
async def test_who_does_not_answer_is_named_once(exchange: Exchange, expected: str) -> None:
    """With its name and its address; a literal is its address."""
    hosts = HostMemory()
    assert await carrier(exchange, hosts).carry(Nothing(), unheard) == CarryEnd(expected, 1)
    assert hosts.is_down(exchange.addresses[0], 1000.0)


async def test_all_addresses_that_do_not_answer_are_remembered() -> None:
    """Each by itself."""
    hosts = HostMemory()
    end = await carrier(Exchange("mx1.test.example", 10, V4 + V6), hosts).carry(Nothing(), unheard)
    assert end.error.endswith("]:25: Connection refused")
    assert end.error.count("mx1.test.example") == 1
    assert all(hosts.is_down(address, 1000.0) for address in V4 + V6)
