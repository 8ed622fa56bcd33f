"""Whether there is a way to an office, as this machine's own kernel sees it."""

from __future__ import annotations

import asyncio
import socket

import pytest

from restante.calls.link import LinkProbe
from restante.model import HostPort


async def test_the_loopback_is_always_there() -> None:
    """No packet is sent, so that nobody needs to listen."""
    assert await LinkProbe(HostPort("127.0.0.1", 9)).is_up()


async def test_an_address_that_no_route_leads_to_is_down() -> None:
    """Class E is routed nowhere."""
    assert not await LinkProbe(HostPort("255.255.255.255")).is_up()


async def test_a_name_is_looked_up_until_it_is_known_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the link is down the resolver fails; that is no news and no error."""
    asked: list[str] = []

    async def resolver(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror(socket.EAI_AGAIN, "try again")
        return [(socket.AF_INET, socket.SOCK_DGRAM, 17, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolver)
    probe = LinkProbe(HostPort("office.example"))
    assert [await probe.is_up() for _ in range(5)] == [False, False, True, True, True]
    assert len(asked) == 3
