"""Mail over a connection that is lent before it serves what it was made for, and what goes another way instead."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.calls.played import PlayedOffices
from tests.transport.test_smtp import WAYS, Sink, Stock, parcel

from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream, memory_pair
from restante.net.tls import IN_CLEAR, OPPORTUNISTIC, TlsLevel, TlsPolicy
from restante.transport.greeting import Dialogue, Manners, Unwelcome, introduce
from restante.transport.lent import LentCarrier, LentLine
from restante.transport.outcome import CarryEnd, Deferred, Delivered, Feed, ItemOutcome, Outcome, Refused, Report

OFFICE = HostPort("office.example", 366)
TAKEN = Delivered("250 2.0.0 OK")
REQUIRED = TlsPolicy(TlsLevel.REQUIRED)
NO_MAIL = "502 5.5.1 Not implemented"
GREETING = """
    S: 220 office.example
    C: EHLO site.example
    S: 250-office.example
"""


class OwnWay:
    """The carrier that would have been used anyway; it takes all."""

    target = "office.example:25"

    def __init__(self) -> None:
        self.taken: list[int] = []

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends."""
        while (drawn := await feed.next()) is not None:
            self.taken.append(drawn.item.message)
            report(ItemOutcome(drawn.item, [(r.mailbox, TAKEN) for r in drawn.item.envelope.recipients]))
        return CarryEnd()


class Releasing:
    """A release over a lent line, with its own way and what was reported."""

    def __init__(self, line: LentLine, *numbers: int, content: bytes = b"Hi\r\n") -> None:
        self.own_way = OwnWay()
        self.carrier = line.carrier(self.own_way)
        self.stock = Stock(*(parcel(number, content) for number in numbers))
        self.outcomes: dict[int, Outcome] = {}
        self._task = asyncio.create_task(self.carrier.carry(self.stock, self._report))

    def _report(self, done: ItemOutcome) -> None:
        assert done.item.message not in self.outcomes
        [(_, self.outcomes[done.item.message])] = done.outcomes

    async def ends(self) -> CarryEnd:
        """How it ended."""
        return await asyncio.wait_for(self._task, 60)


async def greeted(stream: AsyncioStream) -> Dialogue:
    """A connection that may be lent."""
    manners = Manners("site.example", OFFICE.host, IN_CLEAR)
    dialogue = manners.dialogue(stream)
    await introduce(dialogue, manners)
    return dialogue


@asynccontextmanager
async def sunk(sink: Sink) -> AsyncIterator[Dialogue]:
    """A connection to a sink."""
    ours, theirs = await memory_pair()
    serving = asyncio.create_task(sink.serve(theirs))
    try:
        yield await greeted(ours)
    finally:
        ours.abort()
        await asyncio.wait([serving])
        theirs.abort()


@asynccontextmanager
async def played(script: str) -> AsyncIterator[tuple[Dialogue, PlayedOffices]]:
    """A connection to an office that plays a script."""
    offices = PlayedOffices(script)
    stream = await offices(OFFICE, timeout=5)
    try:
        yield await greeted(stream), offices
    finally:
        stream.end()
        await offices.closed()


def new_line() -> LentLine:
    """To the office."""
    return LentLine(OFFICE.host, OPPORTUNISTIC)


async def lent(line: LentLine, dialogue: Dialogue) -> None:
    """Until it is free again; then it can be asked."""
    await asyncio.wait_for(line.lend(dialogue), 60)


@pytest.mark.parametrize("hidden", WAYS, ids=["stream", "group", "lockstep"])
async def test_several_releases_share_it_and_it_can_be_asked_then(hidden: frozenset[str]) -> None:
    """By each of the three ways; each item once, and none by its own way."""
    sink, line = Sink(), new_line()
    sink.hidden = hidden
    async with sunk(sink) as dialogue:
        releases = [Releasing(line, *numbers) for numbers in (range(1, 40), (), range(40, 43))]
        await lent(line, dialogue)
        assert dialogue.engine.can_ask
        assert [await each.ends() for each in releases] == [CarryEnd()] * 3
        assert [each.own_way.taken for each in releases] == [[], [], []]
        assert sum(len(each.outcomes) for each in releases) == len(sink.messages) == 42
        await dialogue.leave()


@pytest.mark.parametrize("keywords", ["SIZE", "PIPELINING"])
async def test_where_no_mail_is_taken_one_is_tried_and_all_go_their_own_way(keywords: str) -> None:
    """One for all releases; what is asked then is the next thing said."""
    tries = "\n    L: MAIL FROM:<ann@far.example>" + f"\n    S: {NO_MAIL}" * (3 if keywords == "PIPELINING" else 1)
    script = f"{GREETING}\n    S: 250 {keywords}{tries}\n    C: ETRN test.example\n    S: 458 no\n"
    line = new_line()
    async with played(script) as (dialogue, offices):
        releases = [Releasing(line, *numbers) for numbers in ((1, 2, 3), (4, 5))]
        await lent(line, dialogue)
        dialogue.engine.etrn("test.example")
        await dialogue.event()
        await offices.finished()
        assert [await each.ends() for each in releases] == [CarryEnd()] * 2
        assert [each.own_way.taken for each in releases] == [[1, 2, 3], [4, 5]]
        assert releases[0].outcomes == dict.fromkeys((1, 2, 3), TAKEN)


async def test_what_this_port_does_not_offer_is_no_verdict_where_it_takes_no_mail() -> None:
    """A port for ATRN alone may know no extension, or only small mail."""
    line = new_line()
    script = f"{GREETING}\n    S: 250 SIZE 5\n    L: MAIL FROM:\n    S: {NO_MAIL}\n..."
    async with played(script) as (dialogue, _):
        release = Releasing(line, 1, 2, content=b"too long\r\n")
        release.stock.parcels.append(parcel(3))
        await lent(line, dialogue)
        assert await release.ends() == CarryEnd()
        assert release.own_way.taken == [1, 2, 3]


async def test_it_is_one_where_mail_is_taken() -> None:
    """Told as soon as that is known."""
    line = new_line()
    script = f"""{GREETING}
        S: 250 SIZE 5
        L: MAIL FROM:
        S: 250 OK
        L: RCPT TO:
        S: 452 4.2.2 full
        ...
    """
    async with played(script) as (dialogue, _):
        release = Releasing(line, 1, content=b"too long\r\n")
        release.stock.parcels.append(parcel(2))
        await lent(line, dialogue)
        assert await release.ends() == CarryEnd()
        assert isinstance(release.outcomes[1], Refused)
        assert release.outcomes[2] == Deferred("452 4.2.2 full")
        assert release.own_way.taken == []


async def test_a_cut_ends_one_release_and_the_others_go_their_own_way() -> None:
    """What was not answered is not reported; who lent it is told."""
    line = new_line()
    async with played(f"{GREETING}\n    S: 250 SIZE\n    L: MAIL FROM:") as (dialogue, _):
        releases = [Releasing(line, 1, 2), Releasing(line, 3)]
        with pytest.raises(Unwelcome):
            await lent(line, dialogue)
        end = await releases[0].ends()
        assert end.error.startswith("office.example: ")
        assert (releases[0].outcomes, releases[0].own_way.taken) == ({}, [])
        assert await releases[1].ends() == CarryEnd()
        assert releases[1].own_way.taken == [3]


async def test_what_is_withdrawn_carries_nothing() -> None:
    """There is no such connection; nobody waits for it."""
    line = new_line()
    release = Releasing(line, 1)
    line.withdraw()
    assert await release.ends() == CarryEnd()
    assert release.own_way.taken == [1]


async def test_a_carrier_that_never_carries_is_not_waited_for() -> None:
    """Its release was stopped before it began."""
    line = new_line()
    async with played(f"{GREETING}\n    S: 250 SIZE\n...") as (dialogue, _):
        carrier: LentCarrier = line.carrier(OwnWay())
        lending = asyncio.create_task(line.lend(dialogue))
        await asyncio.sleep(0)
        assert not lending.done()
        carrier.let_go()
        await asyncio.wait_for(lending, 60)


async def test_what_suits_it() -> None:
    """The same host by any port, nothing that owes more than it does, and not when it is lent already."""
    line, safe = new_line(), LentLine(OFFICE.host, REQUIRED)
    assert line.suits(HostPort(OFFICE.host, 25), IN_CLEAR)
    assert not line.suits(HostPort("mail.office.example", 366), OPPORTUNISTIC)
    assert not line.suits(OFFICE, REQUIRED)
    assert safe.suits(OFFICE, REQUIRED)
    assert safe.suits(OFFICE, OPPORTUNISTIC)
    assert not safe.suits(OFFICE, TlsPolicy(TlsLevel.VERIFY))
    safe.withdraw()
    assert not safe.suits(OFFICE, REQUIRED)
