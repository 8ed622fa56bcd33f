"""AsyncioStream.feed() and listen(): what comes is taken as it comes, until that is enough."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

import pytest
from tests.net.conftest import Pair
from tests.waiting import until

from restante.net.asyncio_stream import AsyncioStream
from restante.net.stream import StreamClosed, StreamTimeout


class Taker:
    """Keeps what it is given; says what a test wants it to, by default that there is time for more."""

    def __init__(self, say: Callable[[bytes], float | None] = lambda _: 60.0) -> None:
        self.taken: list[bytes] = []
        self._say = say

    def __call__(self, data: bytes) -> float | None:
        """One piece."""
        self.taken.append(data)
        return self._say(data)


async def test_each_piece_is_taken_until_it_is_enough(pair: Pair) -> None:
    """What had come before, and what comes; and what comes after that is kept for the next read."""
    ours, theirs = pair
    theirs.write(b"one")
    await until(lambda: ours.unread == 3)
    taker = Taker(lambda data: None if data == b"three" else 60.0)
    feeding = asyncio.ensure_future(ours.feed(taker, 60))
    await until(lambda: taker.taken == [b"one"])
    theirs.write(b"two")
    await until(lambda: taker.taken == [b"one", b"two"])
    assert ours.unread == 0
    theirs.write(b"three")
    assert await feeding
    theirs.write(b"four")
    assert await ours.read(60) == b"four"
    assert taker.taken == [b"one", b"two", b"three"]
    assert ours.received == 15


async def test_what_had_come_can_be_enough(pair: Pair) -> None:
    """Then nothing is waited for."""
    ours, theirs = pair
    theirs.write(b"one")
    await until(lambda: ours.unread == 3)
    assert await ours.feed(Taker(lambda _: None), 60)


async def test_an_answer_leaves_without_anybody_being_woken(pair: Pair) -> None:
    """Who takes may write: it is sent while feed() goes on."""
    ours, theirs = pair

    def echo(data: bytes) -> float:
        ours.write(data.upper())
        return 60.0

    feeding = asyncio.ensure_future(ours.feed(echo, 60))
    for word in (b"noop", b"quit"):
        theirs.write(word)
        assert await theirs.read(60) == word.upper()
    assert not feeding.done()
    theirs.end()
    assert not await feeding


async def test_each_piece_sets_the_patience_for_the_next(pair: Pair) -> None:
    """The seconds that were given count, whether more or fewer than before."""
    ours, theirs = pair
    taker = Taker(lambda data: 60.0 if data == b"long" else 0.05)
    with pytest.raises(StreamTimeout):
        await ours.feed(taker, 0.05)
    feeding = asyncio.ensure_future(ours.feed(taker, 0.4))
    theirs.write(b"long")
    await until(lambda: taker.taken == [b"long"])
    await asyncio.sleep(0.5)
    assert not feeding.done()
    theirs.write(b"short")
    async with asyncio.timeout(30):
        with pytest.raises(StreamTimeout):
            await feeding
    theirs.write(b"late")
    assert await ours.read(60) == b"late"


async def test_what_goes_wrong_in_it_is_for_who_waits(pair: Pair) -> None:
    """Not for the event loop, which would only log it; the stream is as before."""
    ours, theirs = pair

    def fail(_: bytes) -> float:
        raise ZeroDivisionError

    feeding = asyncio.ensure_future(ours.feed(fail, 60))
    theirs.write(b"x")
    with pytest.raises(ZeroDivisionError):
        await feeding
    theirs.write(b"y")
    assert await ours.read(60) == b"y"


async def test_a_cancelled_wait_takes_nothing_more(pair: Pair) -> None:
    """What comes then is for the next who reads."""
    ours, theirs = pair
    taker = Taker()
    feeding = asyncio.ensure_future(ours.feed(taker, 60))
    await asyncio.sleep(0)
    feeding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await feeding
    theirs.write(b"x")
    assert await ours.read(60) == b"x"
    assert taker.taken == []


async def test_the_end_of_a_peer_is_told(pair: Pair) -> None:
    """False at a clean end, after its last words; every time that it is asked."""
    ours, theirs = pair
    theirs.write(b"bye")
    await until(lambda: ours.unread == 3)
    theirs.end()
    taker = Taker()
    assert not await ours.feed(taker, 60)
    assert taker.taken == [b"bye"]
    assert not await ours.feed(taker, 60)


async def test_a_reset_is_an_error() -> None:
    """What had come before it is taken; a peer that has gone is not waited for."""
    left, right = socket.socketpair()
    left.setblocking(False)
    _, ours = await asyncio.get_running_loop().create_connection(AsyncioStream, sock=left)
    taker = Taker()
    feeding = asyncio.ensure_future(ours.feed(taker, 60))
    right.send(b"x")
    await until(lambda: taker.taken == [b"x"])
    ours.write(b"never read")
    await asyncio.sleep(0.01)
    right.close()  # with octets unread: a reset
    with pytest.raises(StreamClosed):
        await feeding


# without a coroutine


Told = list[tuple[bool, Exception | None]]


async def test_who_listens_is_told_when_it_is_enough(pair: Pair) -> None:
    """Once, in the turn of the loop in which it came; what comes then is kept."""
    ours, theirs = pair
    told: Told = []
    taker = Taker(lambda data: None if data == b"two" else 60.0)
    ours.listen(taker, 60, lambda *how: told.append(how))
    for data in (b"one", b"two", b"three"):
        theirs.write(data)
        await until(lambda: ours.received and (taker.taken[-1] == data or ours.unread))  # noqa: B023 - waited for here
    assert taker.taken == [b"one", b"two"]
    assert told == [(True, None)]
    assert await ours.read(60) == b"three"


async def test_who_listens_is_told_of_what_has_come_already(pair: Pair) -> None:
    """For the next feed() to give."""
    ours, theirs = pair
    theirs.write(b"one")
    await until(lambda: ours.unread == 3)
    told: Told = []
    ours.listen(Taker(), 60, lambda *how: told.append(how))
    assert told == [(False, None)]
    taker = Taker(lambda _: None)
    assert await ours.feed(taker, 60)
    assert taker.taken == [b"one"]


async def test_who_listens_is_told_of_an_end_and_of_silence(pair: Pair) -> None:
    """And of what was wrong with who takes."""
    ours, theirs = pair
    told: Told = []
    ours.listen(Taker(), 0.05, lambda *how: told.append(how))
    await until(lambda: told)
    assert isinstance(told[0][1], StreamTimeout)

    def fails(_: bytes) -> float:
        raise LookupError("a mistake of ours")

    ours.listen(fails, 60, lambda *how: told.append(how))
    theirs.write(b"x")
    await until(lambda: len(told) == 2)
    assert isinstance(told[1][1], LookupError)
    ours.listen(Taker(), 60, lambda *how: told.append(how))
    theirs.end()
    await until(lambda: len(told) == 3)
    assert told[2] == (False, None)
    assert not await ours.feed(Taker(), 60)
