"""Items over one connection that was turned round: several releases, one after the other, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.transport.test_smtp import WAYS, Sink, Stock, parcel

from restante.net.asyncio_stream import NOWHERE, AsyncioStream, memory_pair
from restante.net.stream import StreamClosed
from restante.smtp import client
from restante.smtp.client import Ahead
from restante.transport.outcome import CarryEnd, Delivered, ItemOutcome, Outcome
from restante.transport.turned import TurnedCarrier


@asynccontextmanager
async def turned(sink: Sink | None = None) -> AsyncIterator[tuple[TurnedCarrier, AsyncioStream]]:
    """The office's carrier and the customer's end, which a sink serves where one is given."""
    ours, theirs = await memory_pair(((ipaddress.ip_address("203.0.113.7"), 40000), NOWHERE))
    serving = asyncio.create_task(sink.serve(theirs)) if sink is not None else None
    try:
        yield TurnedCarrier(ours, "office.example", Ahead()), theirs
    finally:
        ours.abort()
        if serving is not None:
            await asyncio.wait([serving])
        theirs.abort()


async def carried(carrier: TurnedCarrier, *numbers: int) -> tuple[CarryEnd, dict[int, Outcome]]:
    """One release of these messages."""
    outcomes: dict[int, Outcome] = {}

    def report(done: ItemOutcome) -> None:
        [(_, outcomes[done.item.message])] = done.outcomes

    stock = Stock(*(parcel(number, b"%d\r\n" % number) for number in numbers))
    return await asyncio.wait_for(carrier.carry(stock, report), 60), outcomes


async def heard(theirs: AsyncioStream) -> bytes:
    """All that is said until the end."""
    said = b""
    with contextlib.suppress(StreamClosed):
        async with asyncio.timeout(60):
            while data := await theirs.read():
                said += data
    return said


@pytest.mark.parametrize("hidden", WAYS, ids=["stream", "group", "lockstep"])
async def test_several_releases_share_the_connection(hidden: frozenset[str]) -> None:
    """By each of the three ways; an empty one among them, and one greeting for all."""
    sink = Sink()
    sink.hidden = hidden
    async with turned(sink) as (carrier, _):
        assert carrier.target == "203.0.113.7:40000"
        for numbers in ([1, 2, 3], [], [4], range(5, 60)):
            end, outcomes = await carried(carrier, *numbers)
            assert end == CarryEnd()
            assert outcomes == {number: Delivered("250 2.0.0 OK") for number in numbers}
        await asyncio.wait_for(carrier.leave(), 60)
        assert carrier.is_over
        await carrier.leave()
    assert [content for _, content in sink.messages] == [b"%d\r\n" % number for number in range(1, 60)]


async def test_who_gets_nothing_is_greeted_and_left() -> None:
    """RFC 2645 §5.2.1 lets an office turn although it has no mail."""
    async with turned() as (carrier, theirs):
        leaving = asyncio.create_task(carrier.leave())
        theirs.write(b"220 tim.example\r\n")
        assert await theirs.read(5) == b"EHLO office.example\r\n"
        theirs.write(b"250 tim.example\r\n")
        assert await theirs.read(5) == b"QUIT\r\n"
        theirs.write(b"221 Bye\r\n")
        await asyncio.wait_for(leaving, 60)
        assert await theirs.read(5) == b""


async def test_nothing_is_said_before_the_customer_greets() -> None:
    """RFC 2645 §5.3: the provider waits for the 220; it waits five minutes (RFC 5321 §4.5.3.2.1)."""
    assert client.USUAL_PATIENCE == 300
    async with turned() as (carrier, theirs):
        carrying = asyncio.create_task(carried(carrier, 1))
        with pytest.raises(Exception, match="silent"):
            await theirs.read(0.05)
        theirs.write(b"220 tim.example\r\n")
        assert await theirs.read(5) == b"EHLO office.example\r\n"
        theirs.abort()
        end, outcomes = await carrying
        assert end.error.startswith("203.0.113.7:40000: ")
        assert not outcomes


async def test_a_customer_that_never_greets_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is closed then, and what was to follow is not tried."""
    monkeypatch.setattr(client, "USUAL_PATIENCE", 0.05)
    async with turned() as (carrier, theirs):
        end, outcomes = await carried(carrier, 1)
        assert end.error == "203.0.113.7:40000: the peer was silent for too long"
        assert not outcomes
        assert carrier.is_over
        await carrier.leave()
        assert await heard(theirs) == b""


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"554 5.3.2 No\r\n",
        b"421 4.3.2 Not now\r\n",
        b"220 tim.example\r\n250 tim.example\r\n",
        b"ETRN one.example\r\n",
        b"\x16\x03\x01",
    ],
)
async def test_who_does_not_greet_gets_nothing_and_is_over(said: bytes) -> None:
    """An error with the caller's address; nothing is reported, so that all of it waits."""
    async with turned() as (carrier, theirs):
        theirs.write(said)
        theirs.flush()
        theirs.end()
        end, outcomes = await carried(carrier, 1)
        assert end.error.startswith("203.0.113.7:40000: ")
        assert not outcomes
        assert carrier.is_over


async def test_421_between_two_releases_ends_the_second() -> None:
    """Nothing of it is sent anywhere else."""
    async with turned() as (carrier, theirs):
        carrying = asyncio.create_task(carried(carrier))
        theirs.write(b"220 tim.example\r\n")
        await theirs.read(5)
        theirs.write(b"250 tim.example\r\n")
        assert await carrying == (CarryEnd(), {})
        theirs.write(b"421 4.3.2 tim.example closes\r\n")
        theirs.flush()
        end, outcomes = await carried(carrier, 1)
        assert "421" in end.error
        assert not outcomes
        assert carrier.is_over


async def test_cancelling_closes_it_at_once() -> None:
    """The customer sees the end, and the carrier is over."""
    async with turned() as (carrier, theirs):
        carrying = asyncio.create_task(carried(carrier, 1))
        theirs.write(b"220 tim.example\r\n")
        await theirs.read(5)
        carrying.cancel()
        with pytest.raises(asyncio.CancelledError):
            await carrying
        assert carrier.is_over
        assert await heard(theirs) == b""
