"""The client of rspamd's protocol, against a server that answers well, badly, or not at all."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from tests.filtering.shown import HELLO, shown
from tests.listening import listening

from restante.filtering.filter import Accept, Filter, FilterError, Shown
from restante.filtering.rspamd import MOST_ANSWER, Rspamd
from restante.model import Mailbox

CLEAN = b'{"action":"no action","score":0.0,"required_score":15.0}'
Writer = asyncio.StreamWriter


@dataclass
class Request:
    """What came: the request line, the fields as (name in lower case, value), the octets behind them."""

    line: str
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of one field."""
        return [value for given, value in self.fields if given == name]


@dataclass
class Server:
    """Answers each request with `answer`, or as `acts` has it."""

    answer: bytes = CLEAN
    status: str = "200 OK"
    acts: Callable[[Writer], Awaitable[None]] | None = None
    closes: bool = True
    requests: list[Request] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        """One connection."""
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                line, *lines = head.split("\r\n")[:-2]
                fields = [(name.lower(), value) for name, _, value in (each.partition(": ") for each in lines)]
                request = Request(line, fields, b"")
                request.body = await reader.readexactly(int(request.all("content-length")[0]))
                self.requests.append(request)
                if self.acts is not None:
                    await self.acts(writer)
                    return
                keeping = "close" if self.closes else "keep-alive"
                told = f"HTTP/1.1 {self.status}\r\nConnection: {keeping}\r\nContent-Length: {len(self.answer)}\r\n\r\n"
                writer.write(told.encode() + self.answer)
                await writer.drain()
                if self.closes:
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            pass


@asynccontextmanager
async def asked(server: Server) -> AsyncIterator[Rspamd]:
    """A filter that asks this server."""
    async with listening(server.serve) as port:
        rspamd = Rspamd(f"http://127.0.0.1:{port}", "office.example", 4)
        try:
            yield rspamd
        finally:
            await rspamd.close()


async def error_of(rspamd: Filter, message: Shown | None = None) -> str:
    """Why there is no verdict."""
    with pytest.raises(FilterError) as caught:
        await asyncio.wait_for(rspamd.judge(message or shown()), 60)
    return str(caught.value)


async def test_it_is_told_who_brings_what_to_whom() -> None:
    """By the fields of rspamd's protocol; the body is the message and nothing else."""
    server = Server()
    async with asked(server) as rspamd:
        assert await rspamd.judge(shown(login="test")) == Accept("no action, 0.00 of 15.00")
    [request] = server.requests
    assert request.line == "POST /checkv2 HTTP/1.1"
    assert request.body == HELLO
    told = ("ip", "helo", "mta-name", "from", "rcpt", "user", "queue-id", "content-length", "accept-encoding")
    assert {name: request.all(name) for name in told} == {
        "ip": ["192.0.2.7"],
        "helo": ["client.example"],
        "mta-name": ["office.example"],
        "from": ["<ann@far.example>"],
        "rcpt": ["<anna@test.example>", "<bert@other.example>"],
        "user": ["test"],
        "queue-id": ["40000000000"],
        "content-length": [str(len(HELLO))],
        "accept-encoding": ["identity"],
    }


async def test_a_null_sender_no_login_and_letters_beyond_ascii() -> None:
    """The null reverse-path is told as such; addresses of SMTPUTF8 are octets of UTF-8."""
    server = Server()
    bare = Mailbox.parse("jürgen@test.example")
    async with asked(server) as rspamd:
        await rspamd.judge(shown(reverse_path=None, recipients=(bare,), name="[192.0.2.7]"))
    [request] = server.requests
    assert request.all("from") == ["<>"]
    assert request.all("rcpt") == ["<jürgen@test.example>"]
    assert request.all("user") == []


async def test_content_that_is_not_in_memory_is_sent_as_it_is_read() -> None:
    """With its length told before: rspamd refuses what it does not want at once."""
    server = Server()

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(30):
            yield b"0123456789" * 1000

    async with asked(server) as rspamd:
        assert isinstance(await rspamd.judge(shown(pieces(), size=300_000)), Accept)
    assert server.requests[0].body == b"0123456789" * 30_000
    assert server.requests[0].all("transfer-encoding") == []


@pytest.mark.parametrize("closes", [True, False])
async def test_connections_are_kept_where_the_server_keeps_them(closes: bool) -> None:
    """And made anew where it does not."""
    server = Server(closes=closes)
    async with asked(server) as rspamd:
        for _ in range(5):
            assert isinstance(await rspamd.judge(shown()), Accept)
    assert server.connections == (5 if closes else 1)


@pytest.mark.parametrize("status", ["500 Internal", "404 Not Found", "302 Found", "201 Created", "503 Busy"])
async def test_another_status_is_no_verdict(status: str) -> None:
    """Whatever comes with it; no redirect is followed."""
    async with asked(Server(status=status)) as rspamd:
        assert await error_of(rspamd) == f"HTTP status {status[:3]}"


async def test_an_answer_without_end_is_no_verdict() -> None:
    """It is not read beyond a limit."""

    async def endless(writer: Writer) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
            await writer.drain()

    async with asked(Server(acts=endless)) as rspamd:
        assert await error_of(rspamd) == f"an answer of more than {MOST_ANSWER} octets"


@pytest.mark.parametrize(
    "octets",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n" + CLEAN, id="cut"),
        pytest.param(b"220 office.example ESMTP\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n{}\n", id="no report"),
        pytest.param(b"\0" * 100_000, id="noise"),
    ],
)
async def test_a_server_that_hangs_up_or_talks_nonsense_gives_no_verdict(octets: bytes) -> None:
    """A cut answer is not taken for a whole one, though it would do."""

    async def says(writer: Writer) -> None:
        writer.write(octets)

    async with asked(Server(acts=says)) as rspamd:
        assert await error_of(rspamd)


async def test_nobody_there_is_no_verdict() -> None:
    """At once."""
    async with asked(Server()) as rspamd:
        pass
    closed = Rspamd("http://127.0.0.1:1", "office.example", 4)
    assert "ConnectError" in await error_of(closed)
    await closed.close()
    del rspamd


async def test_a_name_that_can_be_in_no_field_is_no_verdict_on_that_message_alone() -> None:
    """The next one is judged."""
    async with asked(Server()) as rspamd:
        assert await error_of(rspamd, shown(name="a\0b"))
        assert isinstance(await rspamd.judge(shown()), Accept)


async def test_a_message_that_cannot_be_read_is_told_as_that() -> None:
    """The disk's own error, not the filter's."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise OSError("the disk is gone")

    async with asked(Server()) as rspamd:
        with pytest.raises(OSError, match="the disk is gone"):
            await rspamd.judge(shown(broken(), size=2))


async def test_no_proxy_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says is for others: mail goes nowhere but to the filter."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with asked(Server()) as rspamd:
        assert isinstance(await rspamd.judge(shown()), Accept)
