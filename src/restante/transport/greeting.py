"""The client's way from a connection that stands to where it may ask or send (RFC 5321 §3.1-3.2, 3207, 4954).

Greeting, EHLO, STARTTLS as the policy wants it, EHLO again, and AUTH with the strongest mechanism that the credentials
are enough for. Lock-step: each answer decides what comes next, and what was said ahead of its question is an attack.
Whoever opens the connection decides whether another one is tried; `is_final` tells where that will not help soon.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from dataclasses import dataclass, field

from restante.errors import RestanteError
from restante.net.stream import (
    InjectedBytes,
    NotTrusted,
    ResultType,
    Stream,
    StreamClosed,
    StreamTimeout,
    TlsSeen,
)
from restante.net.tls import OPPORTUNISTIC, CertificateError, Pair, TlsLevel, TlsPolicy, context_towards
from restante.smtp.client import Ahead, ClientEngine
from restante.smtp.client_events import Authenticated, AuthRefused, Ended, Event, Ready, TlsReady, TlsRefused
from restante.smtp.offer import Offer
from restante.smtp.reply import MalformedReply, Reply
from restante.smtp.sasl import Credentials, choose, client_exchange

QUIT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Manners:
    """How to speak to a peer, and as whom."""

    hostname: str
    """Our name, for EHLO."""
    server_name: str
    """The peer's name, which its certificate must have where it is verified."""
    tls: TlsPolicy = OPPORTUNISTIC
    ahead: Ahead = field(default_factory=Ahead)
    own: Pair | None = None
    """The certificate that we show where the peer asks for one."""
    login: Credentials | None = None
    """Who we log in as; with an empty name: whoever our certificate proves, where the peer has EXTERNAL."""
    patience: float = float("inf")
    """Seconds for each reply at most; never more than the RFCs want."""
    lmtp: bool = False
    tls_seen: TlsSeen | None = None
    """Who is told what became of TLS, where it was wanted."""

    def dialogue(self, stream: Stream) -> Dialogue:
        """A new session on a connection that stands."""
        return Dialogue(stream, ClientEngine(self.hostname, self.ahead, lmtp=self.lmtp), self.patience)


@dataclass(eq=False)
class Unwelcome(RestanteError):
    """The peer does not let us so far; `is_final` tells that trying again soon will not help."""

    problem: str
    is_final: bool = False
    result: ResultType | None = None
    """What TLS has failed of, if it has."""

    def __str__(self) -> str:
        return self.problem


class TlsFailed(Unwelcome):
    """The handshake did not succeed; the connection is gone, another in clear may do."""


class LoginRefused(Unwelcome):
    """We are not who we say, or cannot say it without showing the password to whoever listens."""


class PeerEnded(Unwelcome):
    """The peer said that it does not go on; what was not answered was not taken."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(str(reply), reply.is_permanent)
        self.reply = reply


class Dialogue:
    """A stream and its engine, one question at a time. `rtt`: seconds that the peer's last answer took."""

    def __init__(self, stream: Stream, engine: ClientEngine, patience: float = float("inf")) -> None:
        self.stream = stream
        self.engine = engine
        self.patience = patience
        self.rtt: float | None = None

    async def event(self) -> Event:
        """What comes of what was asked, within the time for a whole reply, however slowly the peer talks.

        Raises PeerEnded, StreamClosed, StreamTimeout, InjectedBytes, MalformedReply.
        """
        now = asyncio.get_running_loop().time
        asked = now()
        deadline = asked + min(self.patience, self.engine.patience)
        while (event := self.engine.next_event()) is None:
            if self._say():
                asked = now()
                deadline = asked + min(self.patience, self.engine.patience)
            data = await self.stream.read(max(0.0, deadline - now()))
            if not data:
                raise StreamClosed("hung up")
            self.rtt = now() - asked
            self.engine.receive(data)
        if isinstance(event, Ended) and event.reply is not None:
            raise PeerEnded(event.reply)
        return event

    def _say(self) -> bool:
        """Sends what is due; whether there was anything."""
        data = self.engine.data_to_send()
        if data and self.stream.unread:  # it would be taken for the reply to what is said now
            raise InjectedBytes("more was said than was asked for")
        self.stream.write(data)
        return bool(data)

    async def leave(self) -> None:
        """Takes leave; what the peer says to that changes nothing. Closing the stream is left to the caller."""
        if self.engine.has_ended:
            return
        self.patience = min(self.patience, QUIT_SECONDS)
        with contextlib.suppress(RestanteError, MalformedReply):
            self.engine.quit()
            await self.event()


async def introduce(dialogue: Dialogue, manners: Manners) -> None:
    """From the peer's greeting to where something may be asked or sent.

    Raises Unwelcome (TlsFailed, LoginRefused, PeerEnded among it), StreamClosed, StreamTimeout, InjectedBytes,
    MalformedReply; the stream is left to the caller.
    """
    offer = await _ready(dialogue)
    if manners.tls.level is not TlsLevel.OFF and dialogue.stream.tls is None:
        offer = await _encrypt_and_tell(dialogue, manners, offer)
    if manners.login is not None:
        await _log_in(dialogue, manners.login, offer)


async def _ready(dialogue: Dialogue) -> Offer:
    event = await dialogue.event()
    assert isinstance(event, Ready), event
    return event.offer


async def _encrypt_and_tell(dialogue: Dialogue, manners: Manners, offer: Offer) -> Offer:
    tell = manners.tls_seen
    try:
        offer = await _encrypt(dialogue, manners, offer)
    except Unwelcome as error:
        if tell is not None and error.result is not None:
            tell(dialogue.stream, error.result, str(error))
        raise
    if tell is not None:
        tls = dialogue.stream.tls
        if tls is None:
            tell(dialogue.stream, ResultType.NO_STARTTLS, "")
        else:
            tell(dialogue.stream, None if tls.peer is None else tls.peer.doubt, "")
    return offer


async def _encrypt(dialogue: Dialogue, manners: Manners, offer: Offer) -> Offer:
    """STARTTLS, as far as the policy wants it; what the peer offers then."""
    if not offer.starttls:
        if manners.tls.may_be_clear:
            return offer
        raise Unwelcome("TLS is required, and STARTTLS is not offered", is_final=True, result=ResultType.NO_STARTTLS)
    dialogue.engine.start_tls()
    event = await dialogue.event()
    if isinstance(event, TlsRefused):
        if manners.tls.may_be_clear:
            return offer
        problem = f"TLS is required, and STARTTLS was answered {event.reply}"
        raise Unwelcome(problem, event.reply.is_permanent, ResultType.NO_STARTTLS)
    assert isinstance(event, TlsReady), event
    await _shake_hands(dialogue.stream, manners)
    dialogue.engine.tls_started()
    return await _ready(dialogue)


async def _shake_hands(stream: Stream, manners: Manners) -> None:
    if stream.unread:
        raise InjectedBytes("octets were sent ahead of the TLS handshake")
    try:
        context = context_towards(manners.tls, manners.own)
    except CertificateError as error:
        raise Unwelcome(str(error), is_final=True) from None
    try:
        await stream.start_tls(context, server_side=False, server_name=manners.server_name)
    except NotTrusted as error:
        raise TlsFailed(str(error), is_final=True, result=error.result) from None
    except (StreamClosed, StreamTimeout) as error:
        raise TlsFailed(str(error), result=ResultType.VALIDATION_FAILURE) from None


async def _log_in(dialogue: Dialogue, login: Credentials, offer: Offer) -> None:
    tls = dialogue.stream.tls
    end_point = tls.server_end_point if tls is not None else b""
    mechanism = choose(offer.auth, login, is_encrypted=tls is not None, can_bind=bool(end_point))
    if mechanism is None:
        if not login.login:  # the certificate has been shown, and may do by itself
            return
        raise LoginRefused(_no_way(offer, is_encrypted=tls is not None), is_final=True)
    nonce = secrets.token_urlsafe(24)
    dialogue.engine.authenticate(mechanism, client_exchange(mechanism, login, nonce=nonce, server_end_point=end_point))
    event = await dialogue.event()
    if isinstance(event, AuthRefused):
        if event.problem:
            raise LoginRefused(f"{mechanism} was cancelled: {event.problem}", is_final=True)
        who = login.login or "our certificate"
        raise LoginRefused(f"the login as {who} was refused: {event.reply}", event.reply.is_permanent)
    assert isinstance(event, Authenticated), event


def _no_way(offer: Offer, *, is_encrypted: bool) -> str:
    """Why there is no mechanism for us."""
    if not offer.auth:
        return "no login is offered" if is_encrypted else "no login is offered without TLS"
    offered = ", ".join(offer.auth)
    if is_encrypted:
        return f"none of the logins that are offered is ours: {offered}"
    return f"without TLS the password would be shown: of the logins only {offered} is offered"
