"""Items carried over real connections: to our own server engine, and to next hops that refuse, leave, hang or lie."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from restante.model import (
    DomainName,
    Envelope,
    HostPort,
    Item,
    Mailbox,
    MailParameters,
    MessageId,
    Recipient,
    item_id,
)
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.door import Door, Rules
from restante.net.listen import Listener
from restante.net.tls import TlsLevel, TlsPolicy, self_signed, server_context
from restante.smtp import reply
from restante.smtp.client import Ahead
from restante.smtp.events import ContentArrived, ContentEnded, Greeted, RecipientNamed, TlsAsked, TransactionOpened
from restante.smtp.reply import Reply
from restante.smtp.server import ServerEngine
from restante.smtp.services import Features
from restante.transport.outcome import CarryEnd, Delivered, ItemOutcome, Outcome, Parcel, Refused
from restante.transport.smtp import SmtpCarrier, SmtpMeans

BERT = Mailbox("bert", DomainName("test.example"))
_ports = iter(range(26100, 26900))


def parcel(
    number: int,
    content: bytes | Callable[[], AsyncIterator[bytes]] = b"Hi\r\n",
    *users: str,
    size: int | None = None,
    sender: str = "ann",
) -> Parcel:
    """An item for users of test.example."""
    recipients = tuple(Recipient(Mailbox(user, DomainName("test.example"))) for user in users or ("bert",))
    envelope = Envelope(Mailbox(sender, DomainName("far.example")), recipients)
    octets = size if size is not None else len(content) if isinstance(content, bytes) else 0
    return Parcel(Item(item_id(MessageId(number), 1), DomainName("test.example"), envelope, octets, 0.0), content)


class Stock:
    """A feed of what is in it."""

    def __init__(self, *parcels: Parcel) -> None:
        self.parcels = list(parcels)
        self.put = 0

    async def next(self) -> Parcel | None:
        """The next."""
        return self.parcels.pop(0) if self.parcels else None

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self.put += 1
        self.parcels.insert(0, parcel)


class Sink:
    """A server on our own engine that keeps what comes. `decide` may refuse; `hidden` keywords are not offered."""

    def __init__(self) -> None:
        self.messages: list[tuple[list[str], bytes]] = []
        self.asked: list[MailParameters] = []
        self.connections = 0
        self.hidden: frozenset[str] = frozenset()
        self.refuse: Callable[[str], Reply | None] = lambda _: None
        self.refuse_sender: Callable[[str], Reply | None] = lambda _: None
        self.refuse_content: Callable[[bytes], Reply | None] = lambda _: None
        self.close_after: int | None = None
        self.tls: Path | None = None

    async def serve(self, stream: AsyncioStream) -> None:
        """One connection."""
        self.connections += 1
        engine = self._engine(stream)
        engine.greet()
        while True:
            while (event := engine.next_event()) is not None:
                match event:
                    case Greeted():
                        lines = ["sink.example", *(k for k in engine.features.keywords() if k not in self.hidden)]
                        engine.answer(Reply(250, lines[-1], more=tuple(lines[:-1])))
                    case TransactionOpened(reverse_path=sender, parameters=parameters):
                        self.asked.append(parameters)
                        recipients: list[str] = []
                        content = bytearray()
                        if self.close_after is not None and len(self.messages) >= self.close_after:
                            engine.answer(Reply(451, "x", "4.0.0"))
                            engine.close(Reply(421, "Too many messages here", "4.7.0"))
                            self.close_after += self.close_after
                        else:
                            refusal = None if sender is None else self.refuse_sender(sender.local)
                            engine.answer(refusal or reply.SENDER_OK)
                    case RecipientNamed(mailbox=mailbox):
                        refusal = self.refuse(mailbox.local)
                        if refusal is None:
                            recipients.append(mailbox.local)
                        engine.answer(refusal or reply.RECIPIENT_OK)
                    case ContentArrived(data=data):
                        content += data
                    case ContentEnded():
                        self.messages.append((recipients, bytes(content)))
                        engine.answer(engine.refusal or self.refuse_content(bytes(content)) or reply.OK)
                    case TlsAsked():
                        engine.answer(reply.READY_FOR_TLS)
                        stream.write(engine.data_to_send())
                        assert self.tls is not None
                        await stream.start_tls(
                            server_context(*self_signed(self.tls, "sink.example")[:2]), server_side=True
                        )
                        engine = self._engine(stream)
                    case _:
                        pass
            stream.write(engine.data_to_send())
            await stream.drain()
            if engine.stage == "closed" or not (data := await stream.read(10)):
                return
            engine.receive(data)

    def _engine(self, stream: AsyncioStream) -> ServerEngine:
        is_clear = stream.tls is None
        features = Features("sink.example", 10**8, starttls=self.tls is not None and is_clear, encrypted=not is_clear)
        return ServerEngine(features)


@asynccontextmanager
async def listening(serve: Callable[[AsyncioStream], object]) -> AsyncIterator[HostPort]:
    """A next hop on loopback."""
    while True:
        address = HostPort("127.0.0.1", next(_ports))
        listener = Listener(address, lambda stream, _: serve(stream), Door(Rules()))  # type: ignore[arg-type, return-value]  # coroutine functions all
        try:
            await listener.start()
        except Exception:  # noqa: BLE001 - a port that is taken: the next one
            continue
        break
    try:
        yield address
    finally:
        await listener.close_door()
        await listener.end_sessions(0.2)


async def carry(
    host: HostPort,
    stock: Stock,
    *,
    tls: TlsLevel = TlsLevel.OPPORTUNISTIC,
    ahead: Ahead | None = None,
    connections: int = 4,
) -> tuple[CarryEnd, dict[int, list[Outcome]]]:
    """How it ended, and the outcomes by message number."""
    outcomes: dict[int, list[Outcome]] = {}

    def report(done: ItemOutcome) -> None:
        assert done.item.message not in outcomes, "reported twice"
        outcomes[done.item.message] = [outcome for _, outcome in done.outcomes]

    means = SmtpMeans(dial, "office.example", time.monotonic, ahead or Ahead(), connections)
    end = await asyncio.wait_for(SmtpCarrier(host, means, TlsPolicy(tls)).carry(stock, report), 60)
    return end, outcomes


WAYS = [frozenset[str](), frozenset({"CHUNKING", "BINARYMIME"}), frozenset({"CHUNKING", "BINARYMIME", "PIPELINING"})]


@pytest.mark.parametrize("hidden", WAYS, ids=["stream", "group", "lockstep"])
async def test_every_item_arrives_once_and_byte_for_byte(hidden: frozenset[str]) -> None:
    """Dots at line starts, 8-bit octets and sizes around the limits, by each of the three ways."""

    async def large() -> AsyncIterator[bytes]:
        for number in range(40):
            yield (b".%d\r\n" % number) * 12_000

    whole = b"".join([piece async for piece in large()])
    contents = [b"Hi\r\n", b".\r\n", b"..\r\n.x\r\n", b"", "ü\r\n".encode(), b"a" * 70_000 + b"\r\n"]
    sink = Sink()
    sink.hidden = hidden
    async with listening(sink.serve) as host:
        stock = Stock(*(parcel(n, c) for n, c in enumerate(contents * 20)), parcel(999, large, size=len(whole)))
        end, outcomes = await carry(host, stock)
    assert end.error == ""
    assert len(outcomes) == len(contents) * 20 + 1
    assert all(isinstance(o, Delivered) for [o] in outcomes.values())
    assert sorted(content for _, content in sink.messages) == sorted([*contents * 20, whole])


async def test_streaming_needs_one_connection_and_keeps_the_order() -> None:
    """Others open more, once the peer has answered."""
    sink = Sink()
    async with listening(sink.serve) as host:
        end, _ = await carry(host, Stock(*(parcel(n, b"%d\r\n" % n) for n in range(300))))
        assert (sink.connections, end.connections) == (1, 1)
        assert [content for _, content in sink.messages] == [b"%d\r\n" % n for n in range(300)]
        sink.hidden = WAYS[1]
        sink.messages.clear()
        end, _ = await carry(host, Stock(*(parcel(n) for n in range(300))))
    assert 1 < end.connections <= 4
    assert len(sink.messages) == 300


async def test_no_further_connection_is_opened_while_one_waits_for_mail() -> None:
    """It would wait, too: a slow disk, or a pace that was set, needs no more of them."""

    class Slow(Stock):
        async def next(self) -> Parcel | None:
            await asyncio.sleep(0.005)
            return await super().next()

    sink = Sink()
    sink.hidden = WAYS[1]
    async with listening(sink.serve) as host:
        end, _ = await carry(host, Slow(*(parcel(n) for n in range(50))))
    assert len(sink.messages) == 50
    assert end.connections == 1


async def test_recipients_are_judged_one_by_one() -> None:
    """What one is told does not touch the others, nor the next message."""
    sink = Sink()
    sink.refuse = {"carl": Reply(550, "No carl", "5.1.1"), "dora": Reply(450, "Not now", "4.2.1")}.get
    async with listening(sink.serve) as host:
        _, outcomes = await carry(host, Stock(parcel(1, b"x\r\n", "bert", "carl", "dora"), parcel(2, b"y\r\n", "carl")))
    assert [type(outcome).__name__ for outcome in outcomes[1]] == ["Delivered", "Refused", "Deferred"]
    assert [type(outcome).__name__ for outcome in outcomes[2]] == ["Refused"]
    assert [recipients for recipients, _ in sink.messages] == [["bert"]]


@pytest.mark.parametrize("hidden", WAYS, ids=["stream", "group", "lockstep"])
async def test_a_refusal_knows_whether_it_answered_the_recipient_by_name(hidden: frozenset[str]) -> None:
    """By each of the three ways: at RCPT, and not of the sender or of the content."""
    sink = Sink()
    sink.hidden = hidden
    sink.refuse = {"carl": Reply(550, "No carl", "5.1.1")}.get
    sink.refuse_sender = {"dora": Reply(550, "No dora", "5.1.1")}.get
    sink.refuse_content = lambda content: Reply(550, "Nobody", "5.1.1") if b"bad" in content else None
    async with listening(sink.serve) as host:
        parcels = [
            parcel(1, b"x\r\n", "bert", "carl"),
            parcel(2, b"bad\r\n", "bert", "carl"),
            parcel(3, b"x\r\n", "carl", sender="dora"),
            parcel(4, b"x\r\n", "carl"),
        ]
        _, outcomes = await carry(host, Stock(*parcels))
    by_name = {
        number: [outcome.is_by_name for outcome in its if isinstance(outcome, Refused)]
        for number, its in outcomes.items()
    }
    assert by_name == {1: [True], 2: [False, True], 3: [False], 4: [True]}


async def test_an_item_with_very_many_recipients_goes_in_several_transactions() -> None:
    """RFC 5321 §4.5.3.1.8: a hundred are taken by every server; the item is reported once, in its envelope's order."""
    sink = Sink()
    sink.refuse = {"u150": Reply(550, "No", "5.1.1")}.get
    users = [f"u{number}" for number in range(250)]
    async with listening(sink.serve) as host:
        _, outcomes = await carry(host, Stock(parcel(1, b"x\r\n", *users)))
    assert [len(recipients) for recipients, _ in sink.messages] == [100, 99, 50]
    assert [index for index, outcome in enumerate(outcomes[1]) if not isinstance(outcome, Delivered)] == [150]


async def test_a_peer_that_counts_messages_is_dialled_again() -> None:
    """421 after some were taken: what was not answered goes over the next connection, none twice."""
    sink = Sink()
    sink.close_after = 10
    async with listening(sink.serve) as host:
        end, outcomes = await carry(host, Stock(*(parcel(n, b"%d\r\n" % n) for n in range(35))))
    delivered = [number for number, [outcome] in outcomes.items() if isinstance(outcome, Delivered)]
    assert end.error == ""
    assert len(sink.messages) == len(delivered)
    assert sink.connections > 1
    assert len(outcomes) == 35


async def test_tls_is_used_where_offered_and_demanded_where_required(tmp_path: Path) -> None:
    """Opportunistic takes any certificate; `verify` does not take a self-signed one; `required` wants TLS."""
    sink = Sink()
    sink.tls = tmp_path
    async with listening(sink.serve) as host:
        end, outcomes = await carry(host, Stock(parcel(1)))
        assert (end.error, outcomes) == ("", {1: [Delivered("250 2.0.0 OK")]})
        end, outcomes = await carry(host, Stock(parcel(1)), tls=TlsLevel.VERIFY)
        assert "certificate" in end.error.lower()
        assert not outcomes
        sink.tls = None
        end, outcomes = await carry(host, Stock(parcel(1)), tls=TlsLevel.REQUIRED)
        assert "TLS is required" in end.error
        assert not outcomes


async def test_a_next_hop_that_is_not_there_is_an_error_and_nothing_is_reported() -> None:
    """Its name and port are in it."""
    end, outcomes = await carry(HostPort("127.0.0.1", 1), Stock(parcel(1)))
    assert end.error.startswith("127.0.0.1:1: ")
    assert not outcomes


def scripted(greeting: bytes = b"", *answers: bytes) -> Callable[[AsyncioStream], object]:
    """A server that greets, answers each of the client's flights with the next of these, and then hangs up."""

    async def serve(stream: AsyncioStream) -> None:
        stream.write(greeting)
        for answer in answers:
            if not await stream.read(5):
                return
            stream.write(answer)
        await stream.drain()

    return serve


EHLO = b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n"


@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ([], "hung up"),
        ([b"554 go away\r\n"], "554 go away"),
        ([b"421 4.3.2 later\r\n"], "421 4.3.2 later"),
        ([b"SSH-2.0-OpenSSH\r\n"], "not a reply"),
        ([b"220 a\r\n", b"421 4.3.2 later\r\n"], "421 4.3.2 later"),
        ([b"220 a\r\n", EHLO], "hung up"),
        ([b"220 a\r\n", EHLO + b"250 OK\r\n250 OK\r\n250 OK\r\n"], "nothing that was asked"),
        ([b"220 a\r\n", EHLO, b"250 OK\r\n250 OK\r\n354 what\r\n"], "354"),
        ([b"220 a\r\n", EHLO, b"250 OK\r\n250 O"], "hung up"),
        ([b"220 a\r\n", EHLO, b"x" * 5000], "longer"),
        ([b"220 a\r\n", EHLO, b"250-more\r\n" * 300], "lines"),
    ],
)
async def test_a_next_hop_that_leaves_or_lies_delivers_nothing(answers: list[bytes], error: str) -> None:
    """Whatever it says, an item is delivered only by a 2yz to its own content; it is left unreported, and waits."""
    async with listening(scripted(*answers)) as host:
        end, outcomes = await carry(host, Stock(parcel(1)))
    assert error in end.error
    assert not outcomes


async def test_a_connection_that_dies_leaves_exactly_the_unconfirmed() -> None:
    """Two of five had their 250."""
    confirmed = b"250 OK\r\n250 OK\r\n250 queued\r\n" + b"250 OK\r\n250 OK\r\n250 OK\r\n250 queued\r\n"
    async with listening(scripted(b"220 a\r\n", EHLO, confirmed + b"250 OK\r\n")) as host:
        end, outcomes = await carry(host, Stock(*(parcel(n) for n in range(5))))
    assert sorted(outcomes) == [0, 1]
    assert end.error


async def test_cancelling_closes_the_connection_at_once() -> None:
    """Nothing goes on behind the release's back."""
    hangs, left = asyncio.Event(), asyncio.Event()

    async def hang(stream: AsyncioStream) -> None:
        stream.write(b"220 a\r\n")
        await stream.read(60)
        stream.write(EHLO)
        while await stream.read(60):
            hangs.set()
        left.set()

    async with listening(hang) as host:
        task = asyncio.create_task(carry(host, Stock(parcel(1))))
        await asyncio.wait_for(hangs.wait(), 60)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(left.wait(), 60)
