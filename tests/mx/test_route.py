"""restante.mx.route: as few questions as will do."""

from __future__ import annotations

import ipaddress
from random import Random

import pytest

from restante.model import DomainName, IPAddress
from restante.mx.exchanges import NoWay, Oneself
from restante.mx.lookup import Answer, LookupFailed, MxRecord
from restante.mx.route import route
from restante.net.dane import TlsaRecord


class Zone:
    """Names, out of two tables; what is in neither does not exist, and None fails."""

    def __init__(self, mx: dict[str, tuple[MxRecord, ...]], addresses: dict[str, tuple[str, ...] | None]) -> None:
        self._mx = mx
        self._addresses = addresses
        self.asked: list[str] = []

    async def mx(self, name: str) -> Answer[MxRecord]:
        self.asked.append(f"{name} MX")
        return Answer(self._mx.get(name, ()), exists=name in self._mx or name in self._addresses)

    async def addresses(self, name: str) -> Answer[IPAddress]:
        self.asked.append(f"{name} A")
        found = self._addresses.get(name, ())
        if found is None:
            raise LookupFailed(f"{name}: SERVFAIL")
        return Answer(tuple(map(ipaddress.ip_address, found)), exists=name in self._addresses)

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        raise AssertionError(name)

    async def txt(self, name: str) -> Answer[str]:
        raise AssertionError(name)


async def hosts(domain: str, zone: Zone) -> list[str]:
    """The hosts that are tried."""
    found = await route(DomainName(domain), zone, Oneself(), Random(0))
    assert not isinstance(found, NoWay), found
    return [way.host for way in found]


async def test_mx_and_addresses() -> None:
    """Each is asked for once."""
    zone = Zone(
        {"test.example": (MxRecord(20, "b.example"), MxRecord(10, "a.example"))},
        {"a.example": ("192.0.2.7",), "b.example": ("192.0.2.8",)},
    )
    assert await hosts("test.example", zone) == ["a.example", "b.example"]
    assert sorted(zone.asked) == ["a.example A", "b.example A", "test.example MX"]


async def test_the_implicit_mx() -> None:
    """The domain's own addresses, where it has no MX record."""
    assert await hosts("test.example", Zone({}, {"test.example": ("192.0.2.7",)})) == ["test.example"]


async def test_a_literal_asks_nothing() -> None:
    """There is nothing to look up."""
    zone = Zone({}, {})
    assert await hosts("[192.0.2.7]", zone) == ["[192.0.2.7]"]
    assert zone.asked == []


async def test_a_host_that_cannot_be_looked_up_is_left_out() -> None:
    """Unless it is the only one."""
    records = (MxRecord(10, "a.example"), MxRecord(20, "b.example"))
    zone = Zone({"test.example": records}, {"a.example": None, "b.example": ("192.0.2.8",)})
    assert await hosts("test.example", zone) == ["b.example"]
    with pytest.raises(LookupFailed):
        await hosts("test.example", Zone({"test.example": records[:1]}, {"a.example": None}))


async def test_no_way_asks_no_further() -> None:
    """A domain that does not exist has no hosts to look up."""
    zone = Zone({}, {})
    found = await route(DomainName("no.example"), zone, Oneself(), Random(0))
    assert isinstance(found, NoWay)
    assert zone.asked == ["no.example MX"]
