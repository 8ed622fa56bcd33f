"""Handing mail to a store by LMTP: by its port or its socket, with an outcome for each recipient."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.transport.test_smtp import Stock, listening, parcel

from restante.model import HostPort, NextHopError, parse_lmtp
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.transport.lmtp import LmtpCarrier
from restante.transport.outcome import CarryEnd, Deferred, Delivered, Outcome, Refused
from restante.transport.smtp import SmtpMeans


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("lmtp:127.0.0.1:24", HostPort("127.0.0.1", 24)),
        ("lmtp:[::1]:2424", HostPort("::1", 2424)),
        ("lmtp:store.example:24", HostPort("store.example", 24)),
        ("lmtp:/run/dovecot/lmtp", Path("/run/dovecot/lmtp")),
    ],
)
def test_where_a_store_is(text: str, where: HostPort | Path) -> None:
    """A host and its port, or a socket."""
    assert parse_lmtp(text) == where


@pytest.mark.parametrize(
    "text",
    ["", "lmtp:", "lmtp:store.example", "lmtp:127.0.0.1:25", "lmtp:a b:24", "127.0.0.1:24", f"lmtp:/{'x' * 107}"],
)
def test_where_no_store_can_be(text: str) -> None:
    """LMTP has no port of its own, and must not be on port 25 (RFC 2033 §5)."""
    with pytest.raises(NextHopError):
        parse_lmtp(text)


class Store:
    """An LMTP server; `answers` are the replies to content by local part, `unknown` is refused at RCPT."""

    def __init__(self, answers: dict[str, bytes], unknown: str = "") -> None:
        self._answers = answers
        self._unknown = unknown
        self.heard: list[bytes] = []

    async def serve(self, stream: AsyncioStream) -> None:
        """One connection."""
        stream.write(b"220 store.example LMTP\r\n")
        unread = b""
        named: list[str] = []
        in_content = False
        while data := await stream.read(10):
            unread += data
            *lines, unread = unread.split(b"\r\n")
            for line in lines:
                if in_content:
                    if line == b".":
                        in_content = False
                        stream.write(b"".join(self._answers.get(local, b"250 2.0.0 saved\r\n") for local in named))
                    continue
                self.heard.append(line)
                match line[:4]:
                    case b"LHLO":
                        stream.write(b"250-store.example\r\n250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n")
                    case b"MAIL":
                        named = []
                        stream.write(b"250 2.1.0 OK\r\n")
                    case b"RCPT":
                        local = line.partition(b"<")[2].partition(b"@")[0].decode()
                        if local != self._unknown:
                            named.append(local)
                        stream.write(b"550 5.1.1 who?\r\n" if local == self._unknown else b"250 2.1.5 OK\r\n")
                    case b"DATA":
                        in_content = bool(named)
                        stream.write(b"354 go on\r\n" if named else b"503 5.5.1 nobody\r\n")
                    case b"QUIT":
                        stream.write(b"221 2.0.0 bye\r\n")
                        return
                    case _:
                        stream.write(b"250 2.0.0 OK\r\n")


async def carry(store: HostPort | Path, stock: Stock) -> tuple[CarryEnd, list[list[Outcome]]]:
    """How it ended, and the outcomes of each item."""
    outcomes: list[list[Outcome]] = []
    carrier = LmtpCarrier(store, SmtpMeans(dial, "site.example", time.monotonic, connections=1))
    end = await asyncio.wait_for(
        carrier.carry(stock, lambda done: outcomes.append([outcome for _, outcome in done.outcomes])), 20
    )
    return end, outcomes


@asynccontextmanager
async def on_socket(folder: Path, store: Store) -> AsyncIterator[Path]:
    """The same store, on a socket."""
    tasks: list[asyncio.Task[None]] = []

    def opened(stream: AsyncioStream) -> None:
        tasks.append(asyncio.ensure_future(store.serve(stream)))

    path = folder / "lmtp.sock"
    server = await asyncio.get_running_loop().create_unix_server(lambda: AsyncioStream(opened), str(path))
    try:
        yield path
    finally:
        server.close()
        await asyncio.gather(*tasks)


async def test_each_recipient_has_an_outcome_of_its_own() -> None:
    """RFC 2033 §4.2: one took it, one is full, one is unknown, and one was refused for good."""
    answers = {"bert": b"452 4.2.2 full\r\n", "dora": b"554 5.6.0 not this\r\n"}
    store = Store(answers, unknown="carl")
    async with listening(store.serve) as host:
        end, outcomes = await carry(host, Stock(parcel(1, b"Hi\r\n", "anna", "bert", "carl", "dora")))
    assert end == CarryEnd()
    assert outcomes == [
        [
            Delivered("250 2.0.0 saved"),
            Deferred("452 4.2.2 full"),
            Refused("550 5.1.1 who?", "5.1.1"),
            Refused("554 5.6.0 not this", "5.6.0"),
        ]
    ]
    assert store.heard[0] == b"LHLO site.example"


async def test_a_store_by_its_socket(tmp_path: Path) -> None:
    """Many messages, one connection."""
    store = Store({})
    async with on_socket(tmp_path, store) as path:
        end, outcomes = await carry(path, Stock(*(parcel(number) for number in range(1, 21))))
    assert end == CarryEnd()
    assert outcomes == [[Delivered("250 2.0.0 saved")]] * 20
    assert store.heard.count(b"LHLO site.example") == 1


async def test_nobody_at_the_socket_is_an_error_and_nothing_is_reported(tmp_path: Path) -> None:
    """The items wait; the reason names the socket."""
    end, outcomes = await carry(tmp_path / "missing.sock", Stock(parcel(1)))
    assert outcomes == []
    assert end.error == f"{tmp_path}/missing.sock: No such file or directory"
