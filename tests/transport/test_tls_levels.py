"""What a peer hears that is not what it should be: required means that no word of mail or of ETRN is said to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from tests.net.authority import Wish, self_made
from tests.transport.test_smtp import Stock, listening, parcel

from restante.calls.office import Office, etrn
from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.stream import ResultType, Stream, StreamClosed, StreamTimeout
from restante.net.tls import Pair, TlsLevel, TlsPolicy, server_context
from restante.net.tls_layers import pin_of
from restante.transport.greeting import Manners
from restante.transport.smtp import SmtpCarrier, SmtpMeans

PEER = self_made(Wish(("peer.example",)))
OTHER_PIN, PIN = pin_of(self_made().certificate), pin_of(PEER.certificate)
REQUIRED = TlsPolicy(TlsLevel.REQUIRED)
VERIFY = TlsPolicy(TlsLevel.VERIFY)
PINNED = TlsPolicy(TlsLevel.REQUIRED, (OTHER_PIN, PIN))
WRONGLY_PINNED = TlsPolicy(TlsLevel.REQUIRED, (OTHER_PIN,))


class Eavesdropper:
    """A server that says what it likes to STARTTLS, says yes to all else, and keeps every line that it hears."""

    def __init__(self, pair: Pair, way: str) -> None:
        self._pair = pair
        self._way = way
        self.in_clear: list[str] = []
        self.inside: list[str] = []

    async def serve(self, stream: AsyncioStream) -> None:
        """One connection."""
        try:
            stream.write(b"220 peer.example\r\n")
            if await self._converse(stream, self.in_clear):
                await self._answer(stream)
        except (StreamClosed, StreamTimeout):
            return

    async def _converse(self, stream: AsyncioStream, heard: list[str]) -> bool:
        """Whether it was asked for TLS."""
        unread = b""
        while data := await stream.read(5):
            unread += data
            *lines, unread = unread.split(b"\r\n")
            for line in lines:
                heard.append(line.decode())
                if line == b"STARTTLS":
                    return True
                stream.write(self._ehlo(stream) if line.startswith(b"EHLO") else b"250 OK\r\n")
                if line == b"QUIT":
                    return False
        return False

    def _ehlo(self, stream: AsyncioStream) -> bytes:
        is_offered = self._way != "stripped" and stream.tls is None
        return b"250-peer.example\r\n250 STARTTLS\r\n" if is_offered else b"250 peer.example\r\n"

    async def _answer(self, stream: AsyncioStream) -> None:
        match self._way:
            case "refused":
                stream.write(b"454 4.7.0 TLS not available\r\n")
                await self._converse(stream, self.in_clear)
            case "unknown":
                stream.write(b"502 5.5.1 Command not implemented\r\n")
                await self._converse(stream, self.in_clear)
            case "garbage":
                stream.write(b"220 Go\r\n")
                await stream.read(5)
                stream.write(b"250 this is no TLS\r\n" * 20)
                await self._converse(stream, self.in_clear)
            case "hang-up":
                stream.write(b"220 Go\r\n")
            case "injected":
                stream.write(b"220 Go\r\n250 peer.example\r\n")
                await self._converse(stream, self.in_clear)
            case "honest":
                stream.write(b"220 Go\r\n")
                await stream.start_tls(server_context(self._pair.certificate, self._pair.key), server_side=True)
                await self._converse(stream, self.inside)


Attempt = Callable[[HostPort, TlsPolicy], Awaitable[str]]


async def by_carrier(host: HostPort, policy: TlsPolicy) -> str:
    """Sends a message; why that failed."""
    reported: list[object] = []
    means = SmtpMeans(dial, "office.example", time.monotonic)
    end = await asyncio.wait_for(SmtpCarrier(host, means, policy).carry(Stock(parcel(1)), reported.append), 60)
    return end.error


async def by_call(host: HostPort, policy: TlsPolicy) -> str:
    """Asks for mail; why that failed."""
    manners = Manners("office.example", host.host, policy, patience=10)
    office = Office(host, dial, manners, connected=lambda: None)
    return (await asyncio.wait_for(office.contact(etrn(["test.example"], lambda *_: None)), 60)).problem


SAID = {by_carrier: "MAIL FROM:<ann@far.example>", by_call: "ETRN test.example"}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """The peer's."""
    return PEER.write(tmp_path, "peer")


@pytest.mark.parametrize("attempt", SAID)
@pytest.mark.parametrize("policy", [REQUIRED, VERIFY, PINNED], ids=["required", "verify", "pinned"])
@pytest.mark.parametrize("way", ["stripped", "refused", "unknown", "garbage", "hang-up", "injected"])
async def test_without_tls_nothing_is_said(way: str, policy: TlsPolicy, attempt: Attempt, pair: Pair) -> None:
    """But who we are, and that we want TLS; and the reason is told."""
    peer = Eavesdropper(pair, way)
    async with listening(peer.serve) as host:
        problem = await attempt(host, policy)
    assert problem.startswith(str(host))
    assert peer.in_clear[0] == "EHLO office.example"
    assert set(peer.in_clear[1:]) <= {"STARTTLS", "QUIT"}
    assert peer.inside == []


@pytest.mark.parametrize("attempt", SAID)
@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (VERIFY, "the certificate is not trusted: self-signed certificate"),
        (WRONGLY_PINNED, f"the public key is not the pinned one: its SHA-256 is {PIN}"),
    ],
    ids=["verify", "pinned"],
)
async def test_to_somebody_else_nothing_is_said(policy: TlsPolicy, reason: str, attempt: Attempt, pair: Pair) -> None:
    """Neither in clear nor encrypted, and the reason is told."""
    peer = Eavesdropper(pair, "honest")
    async with listening(peer.serve) as host:
        problem = await attempt(host, policy)
    assert reason in problem
    assert (peer.in_clear, peer.inside) == (["EHLO office.example", "STARTTLS"], [])


@pytest.mark.parametrize("attempt", SAID)
@pytest.mark.parametrize("policy", [REQUIRED, PINNED, TlsPolicy()], ids=["required", "pinned", "opportunistic"])
async def test_to_the_right_one_all_is_said_inside(policy: TlsPolicy, attempt: Attempt, pair: Pair) -> None:
    """From EHLO on (RFC 3207 §4.2)."""
    peer = Eavesdropper(pair, "honest")
    async with listening(peer.serve) as host:
        await attempt(host, policy)
    assert peer.in_clear == ["EHLO office.example", "STARTTLS"]
    assert peer.inside[0] == "EHLO office.example"
    assert any(line.startswith(SAID[attempt]) for line in peer.inside)  # type: ignore[index]


@pytest.mark.parametrize("attempt", SAID)
@pytest.mark.parametrize("way", ["stripped", "refused", "garbage", "hang-up"])
async def test_opportunistic_says_it_in_clear_rather_than_never(way: str, attempt: Attempt, pair: Pair) -> None:
    """RFC 7435: who listens could have it anyhow."""
    peer = Eavesdropper(pair, way)
    async with listening(peer.serve) as host:
        await attempt(host, TlsPolicy())
    assert any(line.startswith(SAID[attempt]) for line in peer.in_clear)  # type: ignore[index]


@pytest.mark.parametrize(
    ("way", "policy", "result"),
    [
        ("honest", TlsPolicy(), None),
        ("honest", REQUIRED, None),
        ("honest", PINNED, None),
        ("honest", WRONGLY_PINNED, ResultType.NOT_TRUSTED),
        ("honest", VERIFY, ResultType.NOT_TRUSTED),
        ("honest", TlsPolicy(TlsLevel.DANE), ResultType.VALIDATION_FAILURE),
        ("honest", TlsPolicy(is_tested=True), ResultType.NOT_TRUSTED),
        ("stripped", TlsPolicy(), ResultType.NO_STARTTLS),
        ("stripped", REQUIRED, ResultType.NO_STARTTLS),
        ("refused", TlsPolicy(), ResultType.NO_STARTTLS),
        ("refused", REQUIRED, ResultType.NO_STARTTLS),
        ("garbage", TlsPolicy(), ResultType.VALIDATION_FAILURE),
        ("hang-up", REQUIRED, ResultType.VALIDATION_FAILURE),
    ],
)
async def test_what_became_of_tls_is_told(way: str, policy: TlsPolicy, result: ResultType | None, pair: Pair) -> None:
    """Once for a connection, in the words of RFC 8460; one that is made in clear instead is no further one."""
    told: list[tuple[int, ResultType | None, bool]] = []

    def seen(stream: Stream, result: ResultType | None, reason: str) -> None:
        told.append((stream.peer[1], result, bool(reason)))

    means = SmtpMeans(dial, "office.example", time.monotonic, connections=1)
    async with listening(Eavesdropper(pair, way).serve) as host:
        carrier = SmtpCarrier(host, means, policy, tls_seen=seen)
        await asyncio.wait_for(carrier.carry(Stock(parcel(1)), lambda _outcome: None), 60)
    [(port, said, _)] = told
    assert (port, said) == (host.port, result)
