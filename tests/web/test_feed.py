"""What happens, as it happens: who is told what, from where on, and what becomes of a client that is slow."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, get_args

import httpx2
import pytest
from tests.web.office import ROOT, Office, serving

from restante.clock import SystemClock
from restante.facts import ConnectionRefused, Fact, ItemDelivered, MessageAccepted
from restante.model import DomainName, ItemId, MessageId, Principal
from restante.web.feed import HEARTBEAT, MOST_OF_ONE, OWN_FACTS, Feed, is_seen

TEST, THEIRS = DomainName("test.example"), DomainName("theirs.example")
OWN = frozenset({TEST})
HERE = ipaddress.ip_address("192.0.2.1")
EVENTS = "/api/events"


def delivered(domain: DomainName = TEST, reply: str = "250 2.0.0 OK") -> ItemDelivered:
    """A fact of one domain."""
    return ItemDelivered(ItemId(1 << 60), domain, 7, "192.0.2.25:25", 1, 400, reply)


class Follower:
    """Reads events, one after the other."""

    def __init__(self, events: AsyncIterator[bytes]) -> None:
        self._events = events
        self._unread = b""

    async def raw(self) -> bytes:
        """The next event or remark; b"" at the end."""
        while b"\n\n" not in self._unread:
            async with asyncio.timeout(60):
                piece = await anext(self._events, None)
            if piece is None:
                return b""
            self._unread += piece
        event, _, self._unread = self._unread.partition(b"\n\n")
        return event

    async def next(self) -> tuple[str, str, dict[str, Any]]:
        """The next event: its id, its name and its data."""
        while (event := await self.raw()).startswith(b":"):
            pass
        identifier, name, data = event.decode("ascii").split("\n")
        return identifier.removeprefix("id: "), name.removeprefix("event: "), json.loads(data.removeprefix("data: "))


async def test_who_follows_is_told_from_then_on() -> None:
    """With the words of the log; nothing that a peer has said can be an event of its own."""
    feed = Feed(SystemClock())
    feed.heard(delivered())
    follower = Follower(feed.follow(None, ""))
    assert await follower.raw() + b"\n\n" == HEARTBEAT
    feed.heard(delivered(reply="250 ok\r\n\r\nid: 7\nevent: forged\n\n\u2028"))
    _, name, data = await follower.next()
    assert (name, data["event"], data["domain"]) == ("item-delivered", "item delivered", "test.example")
    assert data["reply"] == "250 ok\r\n\r\nid: 7\nevent: forged\n\n\u2028"


async def test_who_comes_again_is_told_what_was_missed() -> None:
    """Where it is still known; else that something was."""
    feed = Feed(SystemClock(), ring=10)
    follower = Follower(feed.follow(None, ""))
    await follower.raw()
    feed.heard(delivered(reply="first"))
    last, _, _ = await follower.next()
    for number in range(3):
        feed.heard(delivered(reply=str(number)))
    again = Follower(feed.follow(None, last))
    assert [(await again.next())[2]["reply"] for _ in range(3)] == ["0", "1", "2"]
    epoch = last.partition("-")[0]
    for number in range(10):
        feed.heard(delivered(reply=str(number)))
    for unknown in (last, f"{epoch}-9999", f"{epoch}-x", "0-1", "\u0663", "-1"):
        late = Follower(feed.follow(None, unknown))
        assert (await late.next())[1:] == ("reset", {})


async def test_a_client_that_is_too_slow_is_cut() -> None:
    """What it has not seen has left the ring; nothing more is kept for it."""
    feed = Feed(SystemClock(), ring=5)
    slow = Follower(feed.follow(None, ""))
    await slow.raw()
    for _ in range(6):
        feed.heard(delivered())
    assert await slow.raw() == b""


async def test_a_sign_of_life_comes_where_nothing_happens() -> None:
    """So that both ends know that the other is there."""
    follower = Follower(Feed(SystemClock(), heartbeat=0.01).follow(None, ""))
    for _ in range(3):
        assert await follower.raw() + b"\n\n" == HEARTBEAT


async def test_others_see_what_is_of_their_own_domains() -> None:
    """Of a message for several domains, one's own; not who has sent it."""
    feed = Feed(SystemClock())
    follower = Follower(feed.follow(OWN, ""))
    await follower.raw()
    feed.heard(delivered(THEIRS))
    feed.heard(ConnectionRefused(HERE, "too many", 1))
    principal = Principal(HERE, "somebody")
    feed.heard(MessageAccepted(MessageId(1 << 50), principal, "<ann@a.example>", (THEIRS, TEST), 3, 400))
    _, name, data = await follower.next()
    assert (name, data.pop("time") > 0) == ("message-accepted", True)
    assert data == {
        "event": "message accepted",
        "id": "10000000000",
        "from": "<ann@a.example>",
        "domains": ["test.example"],
        "octets": 400,
    }


@pytest.mark.parametrize("kind", get_args(Fact), ids=lambda kind: kind.__name__)
def test_a_fact_is_told_to_others_only_where_it_is_of_one_domain(kind: Any) -> None:
    """What is added to facts is kept from them until somebody has thought about it."""
    fact = kind(*(TEST if name == "domain" else () for name in kind.__struct_fields__))
    assert is_seen(fact, OWN) == (kind in OWN_FACTS)
    assert not is_seen(fact, frozenset({THEIRS}))
    assert not is_seen(fact, frozenset())


@contextlib.asynccontextmanager
async def following(client: httpx2.AsyncClient, **headers: str) -> AsyncIterator[Follower]:
    """One who follows over HTTP."""
    async with client.stream("GET", EVENTS, headers=headers) as answer:
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        follower = Follower(answer.aiter_bytes())
        await follower.raw()
        yield follower


async def test_events_come_over_http(tmp_path: Path) -> None:
    """Each user's own, also those that were missed."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        async with following(client) as mine, following(root) as every:
            office.feed.announce(delivered(THEIRS, "theirs"))
            office.feed.announce(delivered(TEST, "mine"))
            last, _, data = await mine.next()
            assert data["reply"] == "mine"
            assert [(await every.next())[2]["reply"] for _ in range(2)] == ["theirs", "mine"]
        office.feed.announce(delivered(TEST, "missed"))
        async with client.stream("GET", EVENTS, headers={"Last-Event-ID": last}) as answer:
            missed = Follower(answer.aiter_bytes())
            assert (await missed.next())[2]["reply"] == "missed"


async def test_a_user_follows_a_few_times_at_once(tmp_path: Path) -> None:
    """Who leaves makes room; others have room of their own."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(MOST_OF_ONE):
                await stack.enter_async_context(following(client))
            assert (await client.get(EVENTS)).status_code == 429
            await stack.enter_async_context(following(root))
        async with asyncio.timeout(60):
            while True:
                async with client.stream("GET", EVENTS) as answer:
                    if answer.status_code == 200:
                        break
                await asyncio.sleep(0.05)


async def test_whose_rights_change_is_let_go(tmp_path: Path) -> None:
    """At the next event: a removed user hears nothing more."""
    async with serving(tmp_path) as office, office.client() as client, following(client) as follower:
        office.directory = _without(office, "test")
        office.feed.announce(delivered())
        office.feed.announce(delivered())
        first = await follower.raw()
        assert first == b"" or await follower.raw() == b""


def _without(office: Office, name: str) -> Any:
    directory = office.directory
    users = [user for user in directory.users.values() if user.name != name]
    return type(directory)(directory.hostname, directory.entries(), (), users)


async def test_a_stop_lets_all_go(tmp_path: Path) -> None:
    """At once, though they would stay for hours."""
    async with serving(tmp_path) as office, office.client() as client, following(client) as follower:
        await office.web.close_door()
        assert await follower.raw() == b""
        async with asyncio.timeout(60):
            await office.web.end(60)
