"""Handing mail to a store by LMTP: by its port or its socket, with an outcome for each recipient."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.transport.test_smtp import Stock, listening, parcel

from restante.directory.routing import Reader
from restante.model import HostPort, Mailbox, NextHopError, parse_lmtp
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.transport.lmtp import LmtpCarrier, StoreCarrier
from restante.transport.outcome import CarryEnd, Deferred, Delivered, ItemOutcome, Outcome, Refused
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
    """An LMTP server; `answers` are the replies to content by local part, `unknown` is refused at RCPT.

    `offers` are lines of its answer to LHLO. `stored` are the local parts that it took content for.
    """

    def __init__(self, answers: dict[str, bytes], unknown: str = "", offers: bytes = b"") -> None:
        self._answers = answers
        self._offers = offers
        self.stored: list[str] = []
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
                        replies = [self._answers.get(local, b"250 2.0.0 saved\r\n") for local in named]
                        self.stored += [local for local, r in zip(named, replies, strict=True) if r.startswith(b"250")]
                        stream.write(b"".join(replies))
                    continue
                self.heard.append(line)
                match line[:4]:
                    case b"LHLO":
                        stream.write(
                            b"250-store.example\r\n" + self._offers + b"250-ENHANCEDSTATUSCODES\r\n250 PIPELINING\r\n"
                        )
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


async def test_a_socket_of_this_machine_needs_no_tls(tmp_path: Path) -> None:
    """Whatever the store offers: nobody is between."""
    store = Store({}, offers=b"250-STARTTLS\r\n")
    async with on_socket(tmp_path, store) as path:
        _, outcomes = await carry(path, Stock(parcel(1)))
    assert outcomes == [[Delivered("250 2.0.0 saved")]]
    assert b"STARTTLS" not in store.heard


async def test_nobody_at_the_socket_is_an_error_and_nothing_is_reported(tmp_path: Path) -> None:
    """The items wait; the reason names the socket."""
    end, outcomes = await carry(tmp_path / "missing.sock", Stock(parcel(1)))
    assert outcomes == []
    assert end.error == f"{tmp_path}/missing.sock: No such file or directory"


ALIASES = {"info": ("anna", "bert"), "all": ("anna", "bert", "carl"), "gone": ()}


def readers(mailbox: Mailbox) -> tuple[Reader, ...]:
    """A user with a detail of the address, or those behind an alias."""
    user, _, detail = mailbox.local.partition("+")
    return tuple([Reader(name) for name in ALIASES[user]]) if user in ALIASES else (Reader(user, detail),)


async def hand_over(store: HostPort, stock: Stock) -> tuple[CarryEnd, list[list[tuple[str, type[Outcome]]]]]:
    """Through aliases; the local part and the kind of outcome of each recipient that is reported."""
    outcomes: list[list[tuple[str, type[Outcome]]]] = []

    def report(done: ItemOutcome) -> None:
        outcomes.append([(mailbox.local, type(outcome)) for mailbox, outcome in done.outcomes])

    carrier = StoreCarrier(LmtpCarrier(store, SmtpMeans(dial, "site.example", time.monotonic, connections=1)), readers)
    assert carrier.target == f"lmtp:{store}"
    return await asyncio.wait_for(carrier.carry(stock, report), 60), outcomes


async def test_a_store_hears_of_users_and_the_feed_of_its_own_recipients() -> None:
    """An alias for two, a user in it by name too, and a detail; each is asked for once."""
    store = Store({})
    async with listening(store.serve) as host:
        end, outcomes = await hand_over(host, Stock(parcel(1, b"Hi\r\n", "info", "anna", "carl+Lists")))
    assert end == CarryEnd()
    assert outcomes == [[("info", Delivered), ("anna", Delivered), ("carl+Lists", Delivered)]]
    assert store.stored == ["anna", "bert", "carl+Lists"]


async def test_of_an_alias_only_who_went_without_waits() -> None:
    """Bert is full and carl unknown; the other items of the feed go on."""
    store = Store({"bert": b"452 4.2.2 full\r\n"}, unknown="carl")
    async with listening(store.serve) as host:
        end, outcomes = await hand_over(host, Stock(parcel(1, b"Hi\r\n", "all"), parcel(2, b"Hi\r\n", "dora")))
    assert end == CarryEnd()
    assert outcomes == [[("anna", Delivered), ("bert", Deferred), ("carl", Refused)], [("dora", Delivered)]]
    assert store.stored == ["anna", "dora"]


async def test_what_nobody_reads_any_more_is_refused_without_asking_the_store() -> None:
    """The user was taken out of the configuration while the mail waited."""
    store = Store({})
    async with listening(store.serve) as host:
        _, outcomes = await hand_over(host, Stock(parcel(1, b"Hi\r\n", "gone"), parcel(2, b"Hi\r\n", "gone", "anna")))
    assert outcomes == [[("gone", Refused)], [("gone", Refused), ("anna", Delivered)]]
    assert store.stored == ["anna"]


async def test_what_a_store_s_connection_left_goes_back_as_it_came() -> None:
    """The store says 421 after its second message: the third is tried again at once, by its own recipients."""
    served = 0

    async def limited(stream: AsyncioStream) -> None:
        nonlocal served
        stream.write(b"220 store.example LMTP\r\n")
        messages, unread, in_content = 0, b"", False
        while data := await stream.read(10):
            unread += data
            *lines, unread = unread.split(b"\r\n")
            for line in lines:
                if in_content:
                    if line == b".":
                        in_content, messages, served = False, messages + 1, served + 1
                        stream.write(b"250 2.0.0 saved\r\n" * 2)
                elif line.startswith(b"MAIL") and messages == 2:
                    stream.write(b"421 4.7.0 enough\r\n")
                    stream.end()
                    return
                elif line == b"DATA":
                    in_content = True
                    stream.write(b"354 go on\r\n")
                else:
                    stream.write(b"250 2.0.0 OK\r\n")

    async with listening(limited) as host:
        end, outcomes = await hand_over(host, Stock(*(parcel(n, b"Hi\r\n", "info") for n in range(1, 6))))
    assert end.error == ""
    assert outcomes == [[("info", Delivered)]] * 5
    assert served == 5
