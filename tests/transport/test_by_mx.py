"""restante.transport.by_mx in a world of its own: a real DNS, mail hosts on port 25, and every trap on the way."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from random import Random

import pytest
from msgspec import structs
from tests.stories.world import HOST, NOBODY, NOBODY6, World
from tests.transport.test_smtp import Sink, Stock, parcel

from restante.clock import SystemClock
from restante.model import HostPort
from restante.mx.counts import TlsCounts
from restante.mx.exchanges import Oneself
from restante.mx.lookup import Resolver
from restante.mx.security import Security
from restante.mx.sts_fetch import PolicyFetcher
from restante.mx.sts_policies import StsPolicies
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.door import Door, Rules
from restante.net.listen import Listener
from restante.net.own import OwnAddresses
from restante.net.stream import Stream
from restante.net.tls import TlsLevel, TlsPolicy
from restante.smtp.address import parse_domain
from restante.smtp.reply import Reply
from restante.transport.by_mx import MxCarrier, MxMeans
from restante.transport.hosts import HostMemory, Turns
from restante.transport.outcome import CarryEnd, Deferred, Delivered, ItemOutcome, Parcel, Refused
from restante.transport.smtp import SmtpMeans

pytestmark = [pytest.mark.peer, pytest.mark.netns]

ZONE = f"""
a MX 10 mx1
a MX 20 mx2
spread MX 10 mx1
spread MX 10 mx2
spread MX 10 mx3
mx1 A 192.0.2.7
mx2 A 192.0.2.8
mx3 A 192.0.2.9
both MX 10 mx6
mx6 AAAA 2001:db8::7
mx6 A 192.0.2.7
dead6 MX 10 mxdead6
mxdead6 AAAA {NOBODY6}
mxdead6 A 192.0.2.7
several MX 10 mxseveral
mxseveral A 192.0.2.7
mxseveral A 192.0.2.8
dead MX 10 mxdead
dead MX 20 mx1
mxdead A {NOBODY}
alsodead MX 10 mxdead
alsodead MX 20 mx2
implicit A 192.0.2.7
cname CNAME a
mxcname MX 10 mxalias
mxalias CNAME mx1
silent MX 10 mxsilent
mxsilent A {NOBODY}

null MX 0 .
selfname MX 10 office.example.
selfaddress MX 10 me
me A {HOST}
backup MX 10 mx1
backup MX 20 me
backup MX 30 mx2
loopback MX 10 lo
lo A 127.0.0.1
loopback6 MX 10 lo6
lo6 AAAA ::1
zero MX 10 nought
nought A 0.0.0.0
nought AAAA ::
linklocal MX 10 ll
ll A 169.254.1.1
ll AAAA fe80::1
multicast MX 10 mc
mc A 224.0.0.1
mc AAAA ff02::1
mapped MX 10 m4
m4 AAAA ::ffff:127.0.0.1
text MX 10 192.0.2.7.
nothing MX 10 nohost
noaddress TXT "nothing else"
loop CNAME loop2
loop2 CNAME loop
mxloop MX 10 loop
mxfails MX 10 mx.silent.example.
ttl0 0 MX 10 mx0
mx0 0 A 192.0.2.7
{chr(10).join(f"many MX {n} mx{n}" for n in range(4, 1004))}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """The zone, a signed one, and one whose server is silent."""
    with World() as world:
        world.zone("w.example", ZONE)
        world.zone("bogus.example", "@ MX 10 mx1.w.example.", bogus=True)
        world.elsewhere("silent.example")
        world.start_dns()
        yield world


@asynccontextmanager
async def hosts(*addresses: str, port: int = 25) -> AsyncIterator[list[Sink]]:
    """A mail host at each."""
    async with AsyncExitStack() as stack:
        sinks = []
        for address in addresses:
            sink = Sink()
            door = Listener(HostPort(address, port), lambda stream, _, sink=sink: sink.serve(stream), Door(Rules()))  # type: ignore[misc]
            await door.start()
            stack.push_async_callback(door.end_sessions, 0.2)
            stack.push_async_callback(door.close_door)
            sinks.append(sink)
        yield sinks


class Sender:
    """This host, as one that sends to the world."""

    def __init__(self, timeout: float = 60.0, seed: int = 0, connections: int = 4, dial_seconds: float = 2.0) -> None:
        self._dial_seconds = dial_seconds
        self.slept: list[float] = []
        self.dialled: list[str] = []
        self.outcomes: list[ItemOutcome] = []
        names = Resolver([HostPort("127.0.0.1", 53)], timeout=timeout)
        clock = SystemClock()
        self.memory = HostMemory()
        self.means = MxMeans(
            SmtpMeans(self._dial, "office.example", clock.monotonic, connections=connections),
            names,
            Security(names, StsPolicies(names, PolicyFetcher(names), clock), TlsCounts(None, clock.wall)),
            self.memory,
            Turns(),
            Oneself(("office.example",), OwnAddresses([HostPort(HOST)], 25).__contains__),
            self._sleep,
            Random(seed),
        )

    async def _dial(self, host: HostPort, *, timeout: float) -> Stream:
        del timeout
        self.dialled.append(host.host)
        return await dial(host, timeout=self._dial_seconds)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def carry(
        self, domain: str, stock: Stock, *, rate: int | None = None, refuses: bool = True, tls: TlsPolicy | None = None
    ) -> CarryEnd:
        """Carries all of it there."""
        name = parse_domain(domain)
        carrier = MxCarrier(name, self.means, tls or TlsPolicy(), rate=rate, refuses=refuses)
        return await carrier.carry(stock, self.outcomes.append)

    def results(self) -> list[object]:
        """What became of each recipient."""
        return [result for outcome in self.outcomes for _, result in outcome.outcomes]


async def send(domain: str, *, sender: Sender | None = None, messages: int = 1) -> tuple[Sender, CarryEnd]:
    """Sends so many messages."""
    sender = sender or Sender()
    return sender, await sender.carry(domain, Stock(*map(parcel, range(1, messages + 1))))


async def test_the_better_host_takes_all(world: World) -> None:
    """And is named with its address, where people read it. The records are asked for once, however much there is."""
    seen = len(world.asked())
    async with hosts("192.0.2.7", "192.0.2.8") as (first, second):
        sender, end = await send("a.w.example", messages=20)
    assert end.error == ""
    assert (len(first.messages), len(second.messages)) == (20, 0)
    assert {outcome.at for outcome in sender.outcomes} == {"mx1.w.example[192.0.2.7]:25"}
    assert world.asked()[seen:].count("a.w.example MX") == 1


async def test_the_second_host_takes_over(world: World) -> None:
    """Nobody listens at the first."""
    del world
    async with hosts("192.0.2.8") as (second,):
        sender, end = await send("a.w.example", messages=5)
    assert end.error == ""
    assert len(second.messages) == 5
    assert sender.outcomes[0].at == "mx2.w.example[192.0.2.8]:25"


@pytest.mark.parametrize("greeting", ["421 4.3.2 Not now", "554 5.3.2 Never", "nonsense"])
async def test_a_host_that_does_not_let_us_in_is_passed_over(world: World, greeting: str) -> None:
    """421 and 554 at its greeting, or what is no greeting, is no word about the mail."""
    del world

    async def turn_away(stream: AsyncioStream) -> None:
        stream.write(f"{greeting}\r\n".encode())
        await stream.drain()
        await stream.close()

    door = Listener(HostPort("192.0.2.7", 25), lambda stream, _: turn_away(stream), Door(Rules()))
    await door.start()
    async with hosts("192.0.2.8") as (second,):
        sender, end = await send("a.w.example")
    await door.close_door()
    assert (end.error, len(second.messages)) == ("", 1)
    assert isinstance(sender.results()[0], Delivered)


async def test_a_host_that_goes_away_with_421_leaves_the_rest_to_the_next(world: World) -> None:
    """What it has not answered it has not taken (RFC 5321 §3.8)."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8") as (first, second):
        first.close_after = 0
        _, end = await send("a.w.example", messages=3)
        assert end.error == ""
        assert (len(first.messages), len(second.messages)) == (0, 3)


@pytest.mark.parametrize(
    ("reply", "kind"), [(Reply(550, "No", "5.1.1"), Refused), (Reply(450, "Later", "4.2.0"), Deferred)]
)
async def test_a_hosts_word_about_a_recipient_is_the_domains(world: World, reply: Reply, kind: type) -> None:
    """No other host is asked; the next attempt may be."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8") as (first, second):
        first.refuse = lambda _: reply
        sender, end = await send("a.w.example")
    assert (end.error, second.connections) == ("", 0)
    assert [type(result) for result in sender.results()] == [kind]
    assert sender.outcomes[0].at.startswith("mx1.w.example[")


async def test_equal_hosts_share_the_load(world: World) -> None:
    """Each release goes to one of them by chance."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8", "192.0.2.9") as sinks:
        for seed in range(30):
            await send("spread.w.example", sender=Sender(seed=seed))
        assert all(len(sink.messages) >= 3 for sink in sinks)


async def test_one_connection_serves_many_messages(world: World) -> None:
    """It is used again, not made again."""
    del world
    async with hosts("192.0.2.7") as (first,):
        _, end = await send("a.w.example", messages=50)
        assert (end.connections, first.connections, len(first.messages)) == (1, 1, 50)


async def test_the_entrys_limit_of_connections_holds(world: World) -> None:
    """Also to a host without CHUNKING, for which more would be made."""
    del world
    async with hosts("192.0.2.7") as (first,):
        first.hidden = frozenset({"CHUNKING", "PIPELINING", "BINARYMIME"})
        stock = Stock(*(parcel(n, b"x" * 70_000) for n in range(1, 60)))
        end = await Sender(connections=2).carry("a.w.example", stock)
        assert end.error == ""
        assert first.connections <= 2


async def test_ipv6_first_and_ipv4_at_once_where_it_is_dead(world: World) -> None:
    """A silent IPv6 address costs a moment, not a timeout (RFC 8305)."""
    del world
    async with hosts("192.0.2.7", "2001:db8::7") as (v4, v6):
        await send("both.w.example")
        assert (len(v4.messages), len(v6.messages)) == (0, 1)
        sender = Sender(dial_seconds=600)
        await asyncio.wait_for(send("dead6.w.example", sender=sender), 60)
        assert len(v4.messages) == 1
        assert sender.dialled == [NOBODY6, "192.0.2.7"]


async def test_all_addresses_of_a_host_are_tried(world: World) -> None:
    """One is dead, or does not let us in; the other may do."""
    del world
    async with hosts("192.0.2.8") as (other,):
        for seed in range(4):
            _, end = await send("several.w.example", sender=Sender(seed=seed))
            assert end.error == ""
        assert len(other.messages) == 4


async def test_who_did_not_answer_is_tried_last_by_all(world: World) -> None:
    """Another domain with the same dead host does not wait for it again; its answer would clear that."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8") as (first, second):
        sender = Sender()
        await send("dead.w.example", sender=sender)
        assert sender.dialled == [NOBODY, "192.0.2.7"]
        sender.dialled.clear()
        await send("alsodead.w.example", sender=sender)
        assert sender.dialled == ["192.0.2.8"]
        assert (len(first.messages), len(second.messages)) == (1, 1)


@pytest.mark.parametrize(
    "domain", ["implicit.w.example", "cname.w.example", "mxcname.w.example", "ttl0.w.example", "[192.0.2.7]"]
)
async def test_unusual_ways_that_are_ways(world: World, domain: str) -> None:
    """No MX but an address; a CNAME at the domain or its MX; records that live for no time; an address literal."""
    del world
    async with hosts("192.0.2.7") as (host,):
        sender, end = await send(domain)
    assert (end.error, len(host.messages)) == ("", 1)
    assert sender.outcomes[0].at.endswith("192.0.2.7:25" if domain.startswith("[") else "[192.0.2.7]:25")


async def test_a_thousand_hosts_are_ten(world: World) -> None:
    """None of them is there; the attempt ends, and asks for few."""
    seen = len(world.asked())
    sender, end = await send("many.w.example")
    assert sender.outcomes == []
    assert "neither" not in end.error
    assert len(world.asked()) - seen <= 25


async def test_what_no_host_takes_waits_and_says_why(world: World) -> None:
    """Nobody is there: each host is named."""
    del world
    sender, end = await send("a.w.example")
    assert sender.outcomes == []
    assert re.fullmatch(
        r"mx1\.w\.example\[192.0.2.7\]:25: Connect.*; mx2\.w\.example\[192.0.2.8\]:25: Connect.*", end.error
    )


TRAPS = {
    "null.w.example": "556 5.1.10",
    "no.w.example": "550 5.1.2",
    "noaddress.w.example": "550 5.1.2",
    "nothing.w.example": "550 5.4.4",
    "text.w.example": "550 5.4.4",
    "selfname.w.example": "550 5.4.6",
    "selfaddress.w.example": "550 5.4.6",
    f"[{HOST}]": "550 5.4.6",
    "loopback.w.example": "550 5.4.4",
    "loopback6.w.example": "550 5.4.4",
    "zero.w.example": "550 5.4.4",
    "linklocal.w.example": "550 5.4.4",
    "multicast.w.example": "550 5.4.4",
    "mapped.w.example": "550 5.4.4",
    "[127.0.0.1]": "550 5.4.4",
}


@pytest.mark.parametrize("domain", TRAPS)
async def test_traps_that_are_final(world: World, domain: str) -> None:
    """Every item is refused once with the right code; nobody is dialled."""
    del world
    sender, end = await send(domain, messages=2)
    assert end == CarryEnd("", 0)
    assert sender.dialled == []
    refused = sender.results()
    assert len(refused) == 2
    for result in refused:
        assert isinstance(result, Refused)
        assert result.reply.startswith(TRAPS[domain] + " ")
        assert result.status == TRAPS[domain].partition(" ")[2]


@pytest.mark.parametrize(
    "domain",
    ["loop.w.example", "mxloop.w.example", "bogus.example", "silent.example", "mxfails.w.example", "nowhere.example"],
)
async def test_traps_that_are_not(world: World, domain: str) -> None:
    """A failing look-up bounces nothing: CNAMEs in a circle, bogus, silent, SERVFAIL. Nothing is even drawn."""
    del world
    stock = Stock(parcel(1))
    sender = Sender(timeout=1.0)
    end = await sender.carry(domain, stock)
    assert end.error
    assert (sender.outcomes, len(stock.parcels)) == ([], 1)


@pytest.mark.parametrize("domain", ["null.w.example", "no.w.example", "selfname.w.example"])
async def test_mail_that_is_held_is_never_refused_for_its_records(world: World, domain: str) -> None:
    """Its site's next hop is a setting of ours: what is wrong there is mended, not bounced."""
    del world
    sender, stock = Sender(), Stock(parcel(1))
    end = await sender.carry(domain, stock, refuses=False)
    assert end.error.startswith("55")
    assert (sender.outcomes, len(stock.parcels)) == ([], 1)


async def test_a_backup_sends_to_those_that_are_better_only(world: World) -> None:
    """Not to itself, nor to who would send it back."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8") as (best, worse):
        await send("backup.w.example")
        assert (len(best.messages), worse.connections) == (1, 0)
    sender, end = await send("backup.w.example")
    assert sender.dialled == ["192.0.2.7"]
    assert end.error.startswith("mx1.w.example[192.0.2.7]:25: Connect")


async def test_the_rate_spaces_messages(world: World) -> None:
    """Over releases too: the second begins where the first has ended."""
    del world
    async with hosts("192.0.2.7") as (host,):
        sender = Sender()
        for _ in range(2):
            await sender.carry("a.w.example", Stock(*map(parcel, range(1, 4))), rate=1)
        assert len(host.messages) == 6
    assert [round(each, -1) for each in sender.slept] == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0]


async def test_a_host_that_cannot_be_what_the_entry_wants_is_passed_over(world: World) -> None:
    """Level `dane`, and no host has TLSA records: the mail waits."""
    del world
    async with hosts("192.0.2.7", "192.0.2.8") as sinks:
        sender = Sender()
        end = await sender.carry("a.w.example", Stock(parcel(1)), tls=TlsPolicy(TlsLevel.DANE))
        assert "TLSA" in end.error
        assert Counter(sink.connections for sink in sinks) == {0: 2}
        assert sender.outcomes == []


async def test_requiretls_goes_last_and_only_to_who_is_proven(world: World) -> None:
    """No host of this domain is: what is held waits with the reason, and holds up nothing else."""
    del world
    wanting = parcel(1)
    envelope = structs.replace(wanting.item.envelope, requiretls=True)
    wanting = Parcel(replace(wanting.item, envelope=envelope), wanting.content)
    async with hosts("192.0.2.7") as (host,):
        sender = Sender()
        end = await sender.carry("a.w.example", Stock(wanting, parcel(2), parcel(3)), refuses=False)
        assert (end.error, len(host.messages)) == ("", 2)
    assert [type(result) for result in sender.results()] == [Delivered, Delivered, Deferred]
    assert sender.outcomes[-1].item.id == wanting.item.id
    assert str(sender.results()[-1]).count("450 4.7.30 REQUIRETLS") == 1


async def test_relayed_mail_with_requiretls_goes_back_where_nobody_is_proven(world: World) -> None:
    """RFC 8689 §4.2.1: no host of the domain can be what it wants, so its sender is told; others' mail is not."""
    del world
    wanting = parcel(1)
    envelope = structs.replace(wanting.item.envelope, requiretls=True)
    wanting = Parcel(replace(wanting.item, envelope=envelope), wanting.content)
    async with hosts("192.0.2.7") as (host,):
        sender = Sender()
        await sender.carry("a.w.example", Stock(wanting, parcel(2)), refuses=True)
        assert len(host.messages) == 1
    delivered, refused = sender.results()
    assert isinstance(delivered, Delivered)
    assert refused == Refused("550 5.7.30 REQUIRETLS, and no mail host is proven to be the domain's", "5.7.30")
