"""One connection: the engine's questions, answered with the other rooms' decisions (RFC 5321, 1985).

What nothing has to be waited for, so all of an ordinary session, is dealt with as it comes (_hear); a task is made for
the rest. The reply to a message is promised, and settled when the spool has it on disk; the session reads on
meanwhile, up to MOST_PROMISED messages, so that what one peer streams shares commits as what many peers send does.
Before an ETRN is decided, all that this peer has sent is safe: it is part of what the ETRN releases.

Each command and each content has the timeout once; what comes of it buys more time only at the least rate, so that a
peer that drips an octet at a time holds a connection no longer than one that is silent. The door is told since when
we wait, for it hurries strangers when there is little room.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import lru_cache

from restante.directory.entries import Held
from restante.directory.rights import may_relay, may_send_as
from restante.directory.routing import DomainRejected, RelayDenied, UnknownUser, route
from restante.facts import CommandRefused, LoggedIn, LoginRefused, MessageAccepted, ReleaseDecided
from restante.logins.check import Admitted, Attempt, NotUnderstood, Outcome
from restante.model import MAX_ITEMS_PER_MESSAGE, DomainName, IPAddress, Mailbox, Principal, Recipient
from restante.net.door import Guest
from restante.net.stream import InjectedBytes, Stream, StreamClosed, StreamTimeout
from restante.release.answers import NotAllowed
from restante.server import answers
from restante.server.intake import Intake, Origin
from restante.server.over import Over
from restante.server.screening import opened
from restante.server.services import Services, end_point
from restante.server.turning import Turned
from restante.smtp import reply
from restante.smtp.address import write_path
from restante.smtp.due import Promise
from restante.smtp.events import (
    AuthAsked,
    AuthContinued,
    ContentArrived,
    ContentEnded,
    Event,
    Greeted,
    RecipientNamed,
    ReleaseAsked,
    TlsAsked,
    TransactionDropped,
    TransactionOpened,
    TurnAsked,
)
from restante.smtp.reply import Reply
from restante.smtp.sasl import Challenge
from restante.smtp.server import ServerEngine
from restante.smtp.services import PROFILES, Features, Service, Stage
from restante.spool.spool import NotTaken, SpoolBroken, SpoolFull

MOST_PROMISED = 256
TURN_SECONDS = 0.01
"""After so long other sessions have their turn, however much a peer has sent in one piece."""
MOST_AT_ONCE = 16
"""Events of one piece that are dealt with as it comes; beyond that the time is looked at."""


_OVER = (Stage.CLOSED, Stage.TURNED)


class Session:
    """One connection's session, over whatever stream."""

    def __init__(self, stream: Stream, services: Services, guest: Guest | None = None) -> None:
        self._stream = stream
        self._services = services
        self._guest = guest if guest is not None else Guest()
        self._principal = _known(stream)
        self._engine = ServerEngine(services.features(self._principal, stream.tls))
        self._origin: Origin | None = None
        self._greeting: Greeted | None = None
        self._attempt: Attempt | None = None
        self._turned: Turned | None = None
        self._intake: Intake | None = None
        self._waits_alone = False  # whether the last message is to be safe before the next is taken
        self._pending: set[asyncio.Future[None]] = set()
        self._leaving_by_itself: set[DomainName] = set()
        self._stopping = False
        self._over: Over | None = None
        self._has_left = False
        self._left: Event | None = None  # what was asked while the coroutine waited, and needs it
        self._reading = False
        self._steps = -1  # of the engine, when _patience was last renewed
        self._patience = 0.0  # seconds left for what is under way
        self._waiting_since = 0.0
        self._now = services.clock.monotonic
        self._timeout = services.limits.command_timeout

    async def run(self) -> None:
        """Serves until the peer leaves, is too slow, or stop() is called."""
        await self.begin()

    def begin(self) -> Over:
        """What run() waits for. A task is made only when something must be waited for: most sessions need none."""
        self._over = Over(loop=asyncio.get_running_loop())
        self._prove_by_certificate()
        self._engine.greet()
        self._flush()
        self._reading = True
        self._stream.listen(self._hear, self._begin_wait(self._now()), self._heard)
        return self._over

    def _heard(self, is_enough: bool, error: Exception | None) -> None:
        """The peer has taken its leave, or there is something to wait for."""
        self._reading = False
        self._guest.waiting_since = None
        assert self._over is not None, "begin() listens"
        if is_enough and self._engine.stage is Stage.CLOSED and self._left is None and self._intake is None:
            self._flush()
            self._has_left = True
            self._end_if_safe()
        else:
            self._over.go_on(self._serve(is_enough, error))

    def _end_if_safe(self) -> None:
        """Where no task sees to it, the end comes when the last promise is kept."""
        assert self._over is not None, "begin() was called"
        if not self._pending:
            self._over.end()

    async def _serve(self, is_enough: bool, error: Exception | None) -> None:
        """Goes on with what must be waited for, from what listening has come to."""
        try:
            if error is not None:
                raise error
            if is_enough or await self._listen():
                await self._converse()
        except StreamTimeout:
            self._engine.close(reply.IDLE_TOO_LONG)
            self._flush()
        except (StreamClosed, InjectedBytes):
            self._stream.abort()
        finally:
            await self._drop()
            if self._pending:
                await asyncio.wait(self._pending)
            self._flush()

    def stop(self) -> None:
        """Ends it with 421 between commands, or a turned one between messages; a message coming in may still arrive."""
        self._stopping = True
        if self._turned is not None:
            self._turned.stop()
        self._leave_if_idle()

    @property
    def is_complete(self) -> bool:
        """Whether the peer has taken its leave."""
        return self._engine.has_quit

    def _leave_if_idle(self) -> None:
        """Says farewell, if that is wanted, while the peer is waited for and nothing is under way."""
        if self._must_leave and self._reading and not self._pending:
            self._farewell()

    @property
    def _must_leave(self) -> bool:
        return self._stopping and self._intake is None

    def _farewell(self) -> None:
        if self._engine.stage is not Stage.CLOSED:
            self._engine.close(reply.SHUTTING_DOWN)
            self._flush()
            self._stream.end()

    async def _converse(self) -> None:
        now = self._now
        while True:
            turn_began = now()
            while not self._must_leave:
                if self._is_loaded:
                    await self._all_safe()
                if (event := self._next_event()) is None:
                    break
                if not self._handled(event):
                    await self._handle(event)
                if now() - turn_began > TURN_SECONDS:
                    self._flush()
                    await asyncio.sleep(0)
                    await self._stream.drain(self._timeout)  # a peer that has gone is not worked for any longer
                    turn_began = now()
            self._flush()
            if self._engine.stage in _OVER:
                return
            if self._must_leave:
                await self._all_safe()
                self._farewell()
                return
            self._guest.waiting_since = now()
            await self._stream.drain(self._timeout)
            if not await self._listen():
                return

    def _next_event(self) -> Event | None:
        event, self._left = self._left, None
        return event if event is not None else self._engine.next_event()

    @property
    def _is_loaded(self) -> bool:
        """Whether nothing more should be taken of this peer before what it has sent is safe."""
        return self._engine.promised > MOST_PROMISED or self._waits_alone

    async def _listen(self) -> bool:
        """Deals with what comes; True: there is something to wait for, False: the peer has ended.

        Raises StreamClosed, StreamTimeout.
        """
        self._reading = True
        try:
            return await self._stream.feed(self._hear, self._begin_wait(self._now()))
        finally:
            self._reading = False
            self._guest.waiting_since = None

    def _hear(self, data: bytes) -> float | None:
        """What has come: seconds of patience for more where all of it was dealt with and the peer takes what is said;
        else None.
        """
        now = self._now()
        engine = self._engine
        engine.receive(data)
        is_dealt_with = self._is_dealt_with()
        if engine.steps == self._steps:  # in the middle of something
            left = self._patience - (now - self._waiting_since) + len(data) / self._services.limits.min_rate
            self._patience = min(self._timeout, max(0.0, left))
        if is_dealt_with:
            self._flush()
            if not self._stream.is_clogged:
                return self._begin_wait(now)
        self._reading = False
        return None

    def _is_dealt_with(self) -> bool:
        """Deals with what has come; whether that was all of it, and the peer may go on."""
        engine = self._engine
        for _ in range(MOST_AT_ONCE):
            if (event := engine.next_event()) is None:
                is_loaded = self._waits_alone or (self._pending and engine.promised > MOST_PROMISED)
                return not (is_loaded or self._stopping or engine.stage in _OVER)
            if not self._handled(event):
                self._left = event
                return False
            if self._waits_alone or self._stopping:
                return False
        return False

    def _begin_wait(self, now: float) -> float:
        """How many seconds the peer may be silent: a new command or content has all of them."""
        if (steps := self._engine.steps) != self._steps:
            self._steps = steps
            self._patience = self._timeout
        self._waiting_since = now
        self._guest.waiting_since = now - (self._timeout - self._patience)
        return self._patience

    def _flush(self) -> None:
        if data := self._engine.data_to_send():
            self._stream.write(data)

    async def _all_safe(self) -> None:
        """Says what is due, and waits until no promise is open."""
        self._flush()
        while self._pending:
            await asyncio.wait(self._pending)
        self._waits_alone = False

    # events

    def _handled(self, event: Event) -> bool:
        """Deals with what nothing has to be waited for; whether it was that."""
        if isinstance(event, RecipientNamed):
            self._engine.answer(self._recipient(event))
        elif isinstance(event, TransactionOpened):
            self._engine.answer(self._opened(event))
        elif isinstance(event, ContentArrived):
            if self._intake is None or not self._intake.fits(len(event.data)):
                return False
            self._intake.keep(event.data)
            self._has_refused_header(self._intake)
        elif self._intake is not None and self._intake.is_in_file:
            return False
        elif isinstance(event, ContentEnded):
            self._content_ended(self._content_refusal())
        elif isinstance(event, Greeted):
            self._intake = None
            self._greeted(event)
        elif isinstance(event, TransactionDropped):
            self._intake = None
        else:
            return False
        return True

    async def _handle(self, event: Event) -> None:
        """Deals with any event."""
        match event:
            case ContentArrived(data=data):
                await self._content(data)
            case ContentEnded():
                refusal = self._content_refusal()
                if refusal is not None:
                    await self._drop()
                self._content_ended(refusal)
            case TransactionDropped():
                await self._drop()
            case Greeted():
                await self._drop()
                self._greeted(event)
            case ReleaseAsked():
                await self._release_asked(event)
            case TlsAsked():
                await self._start_tls()
            case AuthAsked(mechanism=mechanism, initial=initial):
                assert self._services.logins is not None, "no mechanism was offered"
                self._attempt = self._services.logins.attempt(mechanism, self._principal, end_point(self._stream.tls))
                self._login(await self._attempt.start(initial))
            case AuthContinued(response=response):
                assert self._attempt is not None, "there was no challenge"
                self._login(await self._attempt.respond(response))
            case TurnAsked(domains=domains):
                await self._turn_asked(domains)

    def _prove_by_certificate(self) -> None:
        """Tells the door of a certificate to which something was granted; anybody can make himself another one."""
        if self._principal.certificate and self._services.directory().granted_to(self._principal):
            self._guest.prove()

    def _refused(self, command: str, refusal: Reply) -> Reply:
        self._services.announce(CommandRefused(self._principal, command, str(refusal)))
        return refusal

    def _greeted(self, event: Greeted) -> None:
        self._greeting = event
        self._origin = self._origin_of(event)
        engine = self._engine
        engine.answer(_welcome(engine.features, is_helo=event.verb == "HELO", authenticated=engine.authenticated))

    def _origin_of(self, greeting: Greeted) -> Origin:
        protocol = "SMTP"
        if greeting.verb != "HELO":  # RFC 3848
            protocol = PROFILES[self._services.service].protocol
            protocol += "S" * (self._stream.tls is not None) + "A" * (self._principal.login is not None)
        return Origin(self._principal, greeting.name, protocol, self._services.hostname)

    def _login(self, step: Challenge | Outcome) -> None:
        """What an AUTH has come to (RFC 4954 §4)."""
        if isinstance(step, Challenge):
            self._engine.challenge(step.data)
            return
        self._attempt = None
        if not isinstance(step, Admitted):
            said = answers.not_logged_in(step)
            login = "" if isinstance(step, NotUnderstood) else step.login
            self._services.announce(LoginRefused(self._principal, login, step.why, str(said)))
            self._engine.answer(said)
            return
        assert self._greeting is not None, "AUTH comes after EHLO"
        self._principal = replace(self._principal, login=step.login)
        self._origin = self._origin_of(self._greeting)
        self._guest.prove()
        self._services.announce(LoggedIn(self._principal, step.mechanism))
        self._engine.answer(reply.AUTHENTICATED)

    async def _start_tls(self) -> None:
        assert self._services.tls is not None, "it was not offered"
        context = self._services.tls()
        await self._all_safe()
        if self._engine.unread or self._stream.unread:  # looked at before the answer: behind it comes the handshake
            raise InjectedBytes("bytes were sent behind STARTTLS")
        self._engine.answer(reply.READY_FOR_TLS)
        self._flush()
        self._guest.waiting_since = self._services.clock.monotonic()
        await self._stream.start_tls(context, server_side=True)
        self._principal = _known(self._stream)
        self._prove_by_certificate()
        self._origin = self._greeting = None
        self._engine = ServerEngine(self._services.features(self._principal, self._stream.tls))
        self._steps = -1

    async def _release_asked(self, event: ReleaseAsked) -> None:
        await self._all_safe()
        answer = await self._services.ask(event.node, self._principal)
        text = event.text if event.text.isascii() else str(event.node)
        said = answers.etrn(text, answer)
        granted = () if isinstance(answer, NotAllowed) else (str(event.node),)
        self._services.announce(ReleaseDecided(self._principal, str(event.node), granted, str(said)))
        self._engine.answer(said)

    async def _turn_asked(self, domains: tuple[DomainName, ...]) -> None:
        turning = self._services.turning
        assert turning is not None, "ATRN is known where it can be had"
        await self._all_safe()
        self._turned = await turning.asked(domains, self._principal, self._engine, self._stream)
        self._flush()
        if self._turned is not None:
            await self._turned.carry()

    # a transaction

    def _opened(self, event: TransactionOpened) -> Reply:
        assert self._origin is not None
        services = self._services
        if services.service is Service.SUBMISSION and not may_send_as(
            services.directory(), self._principal, event.reverse_path
        ):
            return self._refused("MAIL", answers.NOT_YOUR_SENDER)
        expected = event.parameters.size or 0
        if not self._services.spool.room_for(expected):
            return self._refused("MAIL", answers.NO_SPACE)
        wall = self._services.clock.wall()
        self._intake = opened(
            services.screen, services.spool, self._origin, event.reverse_path, event.parameters, wall=wall
        )
        self._leaving_by_itself.clear()
        if (event.parameters.priority or 0) > 0 and not self._may_hasten(event.reverse_path):
            self._intake.priority = 0
            return answers.PRIORITY_LOWERED
        return reply.SENDER_OK

    def _may_hasten(self, reverse_path: Mailbox | None) -> bool:
        """Whether a priority above the usual is taken from this peer (RFC 6710 §5)."""
        principal = self._principal
        return principal.login is not None or may_relay(self._services.directory(), principal, reverse_path)

    def _recipient(self, event: RecipientNamed) -> Reply:
        intake = self._intake
        assert intake is not None
        if intake.recipients >= self._services.limits.recipients:
            return self._refused("RCPT", answers.TOO_MANY_RECIPIENTS)
        found = route(self._services.directory(), event.mailbox, self._principal, intake.reverse_path)
        if isinstance(found, UnknownUser | RelayDenied | DomainRejected):
            return self._refused(f"RCPT {event.mailbox}", answers.not_routed(found))
        if found.domain not in intake.by_domain and len(intake.by_domain) >= MAX_ITEMS_PER_MESSAGE:
            return self._refused("RCPT", answers.TOO_MANY_RECIPIENTS)
        admission = self._services.admission
        if admission is not None and (refusal := admission.recipient(found, intake)) is not None:
            return self._refused(f"RCPT {event.mailbox}", refusal)
        parameters = event.parameters
        intake.add(found.domain, Recipient(found.mailbox, parameters.notify, parameters.orcpt))
        if not isinstance(found.entry, Held):
            self._leaving_by_itself.add(found.domain)
        return reply.RECIPIENT_OK

    async def _content(self, data: bytes) -> None:
        intake = self._intake
        assert intake is not None
        try:
            await intake.take(data)
        except (SpoolFull, SpoolBroken, NotTaken) as error:
            self._engine.refuse_content(answers.not_accepted(error))
            await intake.drop()
        else:
            if self._has_refused_header(intake):
                await intake.drop()

    def _has_refused_header(self, intake: Intake) -> bool:
        """Refuses content whose header section has become too long; whether it did."""
        if intake.header_octets <= self._services.limits.header_size:
            return False
        self._engine.refuse_content(answers.HEADER_TOO_LONG)
        return True

    def _content_refusal(self) -> Reply | None:
        """Why the message that has come whole is not taken; None: it is."""
        intake = self._intake
        assert intake is not None
        refusal = self._engine.refusal
        if refusal is None and intake.hops > self._services.limits.hops:
            refusal = answers.TOO_MANY_HOPS
        if refusal is None and intake.limiter is not None:
            refusal = intake.limiter.content(intake)
        return refusal

    def _content_ended(self, refusal: Reply | None) -> None:
        intake, self._intake = self._intake, None
        if refusal is not None:
            self._engine.answer(self._refused("DATA", refusal))
            return
        assert intake is not None
        promise = self._engine.answer_later()
        accepting = intake.accept()
        task = accepting if isinstance(accepting, asyncio.Future) else asyncio.ensure_future(accepting)
        self._pending.add(task)
        leaving = tuple(self._leaving_by_itself)
        task.add_done_callback(lambda done: self._accepted(done, promise, intake, leaving))
        self._waits_alone = intake.waits_alone

    def _accepted(
        self, done: asyncio.Future[None], promise: Promise, intake: Intake, leaving: tuple[DomainName, ...]
    ) -> None:
        self._pending.discard(done)
        error = asyncio.CancelledError() if done.cancelled() else done.exception()
        if error is not None:
            promise.settle(self._refused("DATA", answers.not_accepted(error)))
        else:
            promise.settle(answers.accepted(intake.id))
        self._flush()
        if error is None:
            self._announce_accepted(intake)
            if intake.limiter is not None and intake.arrival is not None:
                intake.limiter.accepted(intake.arrival)
            for domain in leaving:
                self._services.arrived(domain)
        if self._stopping:
            self._leave_if_idle()
        if self._has_left:
            self._end_if_safe()

    def _announce_accepted(self, intake: Intake) -> None:
        self._services.announce(
            MessageAccepted(
                intake.id,
                self._principal,
                write_path(intake.reverse_path),
                tuple(intake.by_domain),
                intake.recipients,
                intake.size,
            )
        )

    async def _drop(self) -> None:
        intake, self._intake = self._intake, None
        if intake is not None:
            await intake.drop()


@lru_cache(maxsize=64)
def _welcome(features: Features, *, is_helo: bool, authenticated: bool) -> Reply:
    """The answer to a greeting; kept, for one listener has few."""
    keywords = () if is_helo else features.keywords(authenticated=authenticated)
    lines = (features.hostname, *keywords)
    return Reply(250, lines[-1], more=lines[:-1])


@lru_cache(maxsize=4096)
def _unproven(address: IPAddress) -> Principal:
    """Kept, with what it is in the log: most connections are from where others came from."""
    return Principal(address)


def _known(stream: Stream) -> Principal:
    """Who the other end is by its connection alone."""
    shown = stream.tls.peer if stream.tls is not None else None
    if shown is None:
        return _unproven(stream.peer[0])
    return Principal(stream.peer[0], certificate=shown.fingerprint, certificate_names=shown.names)
