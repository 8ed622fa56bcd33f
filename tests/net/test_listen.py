"""A door: how many come in, what the others are told, why it may not open, and how it is closed."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.net.listen import CannotListen, Listener
from restante.net.stream import StreamClosed
from restante.net.tls import self_signed, server_context

LOCALHOST = HostPort("127.0.0.1", 0)
Open = Callable[[Callable[[AsyncioStream], Awaitable[None]], int], Awaitable[Listener]]


@pytest.fixture
async def listening() -> AsyncIterator[Open]:
    """Opens listeners, and closes them at the end."""
    opened = []

    async def start(handler: Callable[[AsyncioStream], Awaitable[None]], connections: int) -> Listener:
        listener = Listener(LOCALHOST, handler, connections)
        await listener.start()
        opened.append(listener)
        return listener

    yield start
    for listener in opened:
        await listener.close_door()
        await listener.end_sessions(0)


async def greet(stream: AsyncioStream) -> None:
    """A session that greets, and ends with its peer."""
    stream.write(b"220 hello\r\n")
    while await stream.read():
        pass


async def connect(listener: Listener) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer."""
    return await asyncio.open_connection("127.0.0.1", listener.port)


async def test_one_too_many_is_told_421(listening: Open) -> None:
    """And closed; when somebody leaves there is room again, at once."""
    listener = await listening(greet, 2)
    (one, leaving), (two, staying) = await connect(listener), await connect(listener)
    assert [await one.readline(), await two.readline()] == [b"220 hello\r\n"] * 2
    for _ in range(5):
        refused, writer = await connect(listener)
        assert await refused.read() == b"421 4.7.0 Too many connections, try again later\r\n"
        writer.close()
    assert listener.sessions == 2
    leaving.close()
    await asyncio.sleep(0.05)
    three, third = await connect(listener)
    assert await three.readline() == b"220 hello\r\n"
    staying.close()
    third.close()


async def test_who_is_refused_and_does_not_leave_takes_nobodys_place(listening: Open) -> None:
    """Only those who are served are counted."""
    listener = await listening(greet, 1)
    reader, writer = await connect(listener)
    assert await reader.readline() == b"220 hello\r\n"
    lingering = [await connect(listener) for _ in range(3)]
    await asyncio.sleep(0.02)
    assert listener.sessions == 1
    writer.close()
    await asyncio.sleep(0.05)
    again, other = await connect(listener)
    assert await again.readline() == b"220 hello\r\n"
    for left in (other, *(pair[1] for pair in lingering)):
        left.close()


async def test_an_address_that_is_taken() -> None:
    """Said with the address and the system's own words, once each."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotListen) as caught:
            await Listener(HostPort("127.0.0.1", port), greet, 1).start()
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.parametrize(
    ("host", "why"), [("192.0.2.1", "Cannot assign requested address"), ("no-such-host.invalid", "")]
)
async def test_an_address_that_is_not_ours(host: str, why: str) -> None:
    """Neither is a name that nobody knows."""
    with pytest.raises(CannotListen, match=f"cannot listen on {host}:2525: {why}"):
        await Listener(HostPort(host, 2525), greet, 1).start()


async def test_a_closed_door_lets_sessions_end(listening: Open) -> None:
    """No further connection is taken; those that are open go on until their peers leave."""
    listener = await listening(greet, 10)
    reader, writer = await connect(listener)
    assert await reader.readline() == b"220 hello\r\n"
    port = listener.port
    await listener.close_door()
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", port)
    asyncio.get_running_loop().call_later(0.05, writer.close)
    await asyncio.wait_for(listener.end_sessions(5), 2)
    assert listener.sessions == 0


async def test_sessions_that_do_not_end_are_cut(listening: Open) -> None:
    """After the patience that was given."""
    cut = []

    async def stubborn(stream: AsyncioStream) -> None:
        stream.write(b"220 hello\r\n")
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cut.append(stream.peer)
            raise

    listener = await listening(stubborn, 10)
    reader, writer = await connect(listener)
    await reader.readline()
    await listener.close_door()
    await asyncio.wait_for(listener.end_sessions(0.05), 2)
    assert len(cut) == 1
    assert listener.sessions == 0
    with contextlib.suppress(ConnectionError):  # a reset is as good as an end
        assert await reader.read() == b""
    writer.close()


async def test_a_session_that_fails_is_told_to_the_loop(listening: Open) -> None:
    """Its connection is closed, and the others go on."""
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def fails(stream: AsyncioStream) -> None:
        await stream.read()
        raise LookupError("a mistake of ours")

    listener = await listening(fails, 10)
    reader, writer = await connect(listener)
    writer.write(b"x")
    assert await reader.read() == b""
    writer.close()
    await asyncio.sleep(0.02)
    assert [str(context["exception"]) for context in told] == ["a mistake of ours"]
    assert listener.sessions == 0


async def test_a_session_whose_tls_handshake_fails_frees_its_place_at_once(listening: Open, tmp_path: Path) -> None:
    """Nothing is waited for: the peer may be a scanner, and there are many."""
    context = server_context(*self_signed(tmp_path, "office.example")[:2])

    async def serve(stream: AsyncioStream) -> None:
        with contextlib.suppress(StreamClosed):
            await stream.start_tls(context, server_side=True)

    listener = await listening(serve, 10)
    reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    async with asyncio.timeout(2):
        with contextlib.suppress(ConnectionError):
            await reader.read()
        while listener.sessions:
            await asyncio.sleep(0.01)
    writer.close()
