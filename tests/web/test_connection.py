"""Connections of HTTP: requests one after the other, what is no HTTP, answers that nobody fetches, the end of all."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.web.office import PATH, serving
from tests.web.test_guard import HEAD, Inner, heard, walled

from restante.web.guard import Bounds, Receive, Scope, Send

GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def test_requests_come_one_behind_the_other() -> None:
    """Also in one flight; each is answered in its turn."""
    async with walled(Inner(), Bounds()) as port:
        said = await heard(port, HEAD + b"Content-Length: 3\r\n\r\nabc" + GET + LAST)
        assert [one.rpartition(b"\r\n\r\n")[2] for one in said.split(b"HTTP/1.1 200 ")[1:]] == [b"3", b"0", b"0"]


async def test_what_is_no_http_is_a_problem() -> None:
    """400, and the connection is closed; nothing smuggled behind it is read."""
    wrong = [
        b"EHLO far.example\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: localhost\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nX : a\r\n\r\n",
        b"GET /\r\nHost: localhost\r\n\r\n",
        HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"X: " + b"y" * 20_000,
    ]
    async with walled(Inner(), Bounds()) as port:
        for octets in wrong:
            said = await heard(port, octets + GET)
            assert said.startswith(b"HTTP/1.1 400 "), octets
            assert said.count(b"HTTP/1.1") == 1
            assert json.loads(said.partition(b"\r\n\r\n")[2])["status"] == 400


async def test_a_bad_chunk_ends_a_request_that_has_begun() -> None:
    """Whatever is done with it by then."""
    async with walled(Inner(), Bounds()) as port:
        said = await heard(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nno chunk\r\n" + GET)
        assert said.count(b"HTTP/1.1") == said.count(b"HTTP/1.1 400 ") == 1


async def test_a_client_that_asks_first_is_told_to_go_on() -> None:
    """RFC 9110 §10.1.1: but not one whose body is too long."""
    async with walled(Inner(), Bounds(octets=10)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        async with asyncio.timeout(60):
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            writer.write(b"abc")
            await reader.readuntil(b"HTTP/1.1 200 ")
        writer.close()
        said = await heard(port, HEAD + b"Expect: 100-continue\r\nConnection: close\r\nContent-Length: 11\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 413 ")


class Large(Inner):
    """An application whose answer is larger than all buffers on the way."""

    def __init__(self) -> None:
        super().__init__()
        self.written = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(500):
            await send({"type": "http.response.body", "body": b"~" * 100_000, "more_body": True})
            self.written += 100_000
        await send({"type": "http.response.body", "body": b""})


async def test_an_answer_waits_for_who_fetches_it() -> None:
    """It is not made ahead of time; and it comes whole."""
    large = Large()
    async with walled(large, Bounds()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(LAST)
        while not large.written:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert large.written < 40_000_000
        async with asyncio.timeout(60):
            assert (await reader.read()).count(b"~") == 50_000_000
        writer.close()


async def test_a_stop_lets_a_request_end_and_no_other_begin(tmp_path: Path) -> None:
    """Who is idle is let go at once."""
    async with serving(tmp_path) as office, office.client() as client:
        reader, writer = await asyncio.open_connection(*office.address.split(":"))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        await reader.readuntil(b'{"status":"ok"}')
        asking = asyncio.create_task(client.put(PATH, json={"recipients": ["anna@test.example"]}))
        http = office.web._http
        while http is not None and not http.state.tasks:
            await asyncio.sleep(0.001)
        await office.web.close_door()
        async with asyncio.timeout(60):
            assert await reader.read() == b""
        await office.web.end(10)
        assert (await asking).status_code == 200
        writer.close()
