"""The wall around the application: for whom a request is, where it comes from, how long it may be and take."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from tests.stories.ports import free_port
from tests.web.office import PATH, serving
from tests.web.test_logins import basic

from restante.clock import SystemClock
from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.net.door import Door, Guest, Rules
from restante.net.listen import Listener
from restante.web.connection import Http, serve
from restante.web.guard import Bounds, Event, Guard, Receive, Scope, Send, host_of

SECURE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("office.example", 200),
        ("OFFICE.example:8025", 200),
        ("office.example.", 200),
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("office.example.evil.example", 421),
        ("office.example:evil", 421),
        ("office.example@evil.example", 421),
        ("127.0.0.2", 421),
        ("[::1]", 421),
        ("[office.example", 421),
        ("", 421),
        ("\u00b9localhost", 421),
    ],
)
async def test_a_request_is_for_a_name_of_this_host(tmp_path: Path, host: str, status: int) -> None:
    """Else a page of anybody's could have its own name look up to our address (DNS rebinding)."""
    async with serving(tmp_path) as office:
        said = await office.says(f"GET /healthz HTTP/1.1\r\nHost: {host}\r\n\r\n".encode("latin-1"))
        assert said.startswith(f"HTTP/1.1 {status} ".encode()), said


@pytest.mark.parametrize(
    ("origin", "status"),
    [
        ("http://{}", 200),
        ("https://{}", 403),
        ("http://evil.example", 403),
        ("http://{}.evil.example", 403),
        ("null", 403),
        ("", 403),
    ],
)
async def test_no_page_of_another_origin_may_ask(tmp_path: Path, origin: str, status: int) -> None:
    """Nor is it told that it might (no CORS)."""
    async with serving(tmp_path) as office, office.client(None) as client:
        answer = await client.get("/healthz", headers={"Origin": origin.format(office.address)})
        assert answer.status_code == status
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_every_answer_says_that_it_is_no_page(tmp_path: Path) -> None:
    """Whatever its status; and who serves it is nobody's business."""
    async with serving(tmp_path) as office, office.client(None) as client:
        for path in ("/healthz", "/api/nowhere", PATH):
            answer = await client.get(path)
            assert {name: answer.headers[name] for name in SECURE} == SECURE
            assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert answer.headers["date"].endswith(" GMT")
            assert "server" not in answer.headers


async def test_a_coded_body_is_refused(tmp_path: Path) -> None:
    """A few octets could become many (RFC 9110 §8.4: 415)."""
    async with serving(tmp_path) as office, office.client() as client:
        coded = gzip.compress(json.dumps({"recipients": []}).encode())
        for coding in ("gzip", "GZIP", "identity, gzip", "x\tx"):
            answer = await client.put(PATH, content=coded, headers={"Content-Encoding": coding})
            assert answer.status_code == 415


async def test_a_body_that_is_too_long_is_refused_at_its_head(tmp_path: Path) -> None:
    """By what it says of itself; a length that makes no sense is no HTTP."""
    async with serving(tmp_path) as office:
        for length, status in (("8388609", 413), ("9" * 19, 413), ("-1", 400), ("1, 2", 400), ("0x10", 400)):
            head = f"PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
            assert (await office.says(head.encode())).startswith(f"HTTP/1.1 {status} ".encode()), length


async def test_a_body_in_chunks_is_counted_as_it_comes(tmp_path: Path) -> None:
    """One without end is refused, and its connection closed soon, though it goes on."""
    async with serving(tmp_path) as office:
        reader, writer = await asyncio.open_connection(*office.address.split(":"))
        head = f"PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        head += f"Content-Type: application/json\r\nAuthorization: {basic('test:tanstaaf')}\r\n\r\n"
        writer.write(head.encode())

        async def pour() -> None:
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
                    await writer.drain()

        pouring = asyncio.create_task(pour())
        async with asyncio.timeout(60):
            assert (await reader.read(12)) == b"HTTP/1.1 413"
            with contextlib.suppress(ConnectionError):
                await reader.read()
            await pouring
        writer.close()


class Inner:
    """An application that reads the whole body, and says how long it was; or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self._error = error

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        octets = 0
        while True:
            event: Event = await receive()
            octets += len(event.get("body", b""))
            if not event.get("more_body", False):
                break
        if self._error is not None:
            raise self._error
        del scope
        body = str(octets).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def walled(inner: Inner, bounds: Bounds, *, head_seconds: float = 10.0) -> AsyncIterator[int]:
    """The port at which it is served."""
    http = Http(Guard(inner, lambda: {"localhost"}, SystemClock(), bounds), SystemClock(), head_seconds=head_seconds)

    async def session(stream: AsyncioStream, guest: Guest) -> None:
        await serve(stream, guest, http)

    listener = Listener(HostPort("127.0.0.1", free_port()), partial(session), Door(Rules()))
    await listener.start()
    try:
        yield listener.port
    finally:
        await listener.close_door()
        http.stop()
        await listener.end_sessions(1)
        await http.end()


async def heard(port: int, octets: bytes) -> bytes:
    """All that comes until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    async with asyncio.timeout(60):
        said = await reader.read()
    writer.close()
    return said


HEAD = b"PUT / HTTP/1.1\r\nHost: localhost\r\n"


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    """408, for a length that was promised and for chunks without end."""
    async with walled(Inner(), Bounds(seconds=0.2)) as port:
        for kind in (b"Content-Length: 100\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(HEAD + kind)
            async with asyncio.timeout(60):
                assert (await reader.readuntil(b"came too slowly")).startswith(b"HTTP/1.1 408 ")
            writer.close()


async def test_a_thin_link_has_the_time_that_it_needs() -> None:
    """What comes at the least rate, or faster, is waited for."""
    async with walled(Inner(), Bounds(seconds=0.4, least_rate=100)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Content-Length: 1000\r\n\r\n" + b"x" * 800)
        await asyncio.sleep(1.0)
        writer.write(b"x" * 200)
        async with asyncio.timeout(60):
            assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")
        writer.close()


@pytest.mark.parametrize("begun", [b"", b"GET /", HEAD, HEAD + b"X: " + b"y" * 5000])
async def test_a_head_that_does_not_end_is_not_waited_for(begun: bytes) -> None:
    """The connection is closed, also where an octet comes now and then."""
    async with walled(Inner(), Bounds(), head_seconds=0.4) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(begun)
        async with asyncio.timeout(60):
            reading = asyncio.create_task(reader.read())
            while not reading.done():
                with contextlib.suppress(ConnectionError):
                    writer.write(b"z" if begun else b"")
                    await writer.drain()
                await asyncio.wait([reading], timeout=0.1)
        assert reading.exception() is not None or reading.result() == b""
        writer.close()


async def test_what_fails_inside_is_told_to_nobody_outside() -> None:
    """500 without a word of it; the process hears it, and goes on."""
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: caught.append(context["exception"]))
    error = RuntimeError("a secret")
    async with walled(Inner(error), Bounds()) as port:
        said = await heard(port, HEAD + b"Connection: close\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 500 ")
        assert said.endswith(b'{"title": "Internal Server Error", "status": 500}')
    assert caught == [error]


@pytest.mark.parametrize(
    ("authority", "host"),
    [("a.example", "a.example"), ("[::1]:80", "::1"), ("[::1]", "::1"), ("[::1]x", ""), ("a:", ""), ("a:1:2", "")],
)
def test_the_host_of_an_authority(authority: str, host: str) -> None:
    """Without its port; nothing where it makes no sense."""
    assert host_of(authority) == host
