"""ServerEngine: the server's side of an SMTP session, without I/O (RFC 5321, 2920, 3030, 3207, 1985, 4954, 2645).

Bytes go in by receive(), questions and notices come out of next_event(), decisions go in by answer(), and the replies
to all that was pipelined come out of data_to_send() at once, in order. The reply to a message's content may be
promised with answer_later(): the engine goes on reading, and holds back the replies behind it until it is settled,
so that many messages of one connection can share one commit.

What needs no decision (NOOP, bad syntax, bad sequence, what comes before a TLS or login that must come first) is
answered here, by the tables of smtp/services.py. Who may do what, time, and the SASL mechanisms are the caller's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache, partial

from restante.smtp import reply
from restante.smtp.command import (
    MAX_COMMAND_LINE,
    Body,
    CommandError,
    parse_atrn,
    parse_auth,
    parse_bdat,
    parse_mail,
    parse_rcpt,
    parse_response,
)
from restante.smtp.due import Due, Promise
from restante.smtp.events import (
    AuthAsked,
    AuthContinued,
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
from restante.smtp.exchange import MAX_EXCHANGE_LINE, encode
from restante.smtp.lines import Unread
from restante.smtp.node import NodeError, parse_node
from restante.smtp.reply import Reply
from restante.smtp.services import PROFILES, Features, Service, Stage, table
from restante.smtp.transaction import Chunk, Transaction

# found once: a member of an Enum takes Python 3.11 longer than all else that is done to choose a branch
_READY, _OPENED, _ADDRESSED, _CONTENT = Stage.READY, Stage.OPENED, Stage.ADDRESSED, Stage.CONTENT
_AUTHENTICATING, _TURNED, _CLOSED = Stage.AUTHENTICATING, Stage.TURNED, Stage.CLOSED

MAX_ERRORS = 200  # bad commands in one session, after which it is closed

Handler = Callable[["ServerEngine", str], Event | None]


class ServerEngine:
    """The server's side of one session. `features` are told at EHLO."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.authenticated = False
        """Whether an AUTH of this session was answered 235."""
        self.stage = Stage.CONNECTED
        """Where the session stands; the engine alone moves it."""
        self._unread = Unread()
        self._contents = 0  # and chunks, taken so far
        self._due = Due()
        self._open: Stage | None = None  # a question is open: the stage that a positive answer leads to
        self._is_for_mail = False  # it is an ETRN: a refusal is an error, lest a session tries names without end
        self._transaction: Transaction | None = None
        self.has_quit = False
        """Whether the peer has taken its leave."""
        self._smtputf8 = False
        self._binary = False
        self._chunk: Chunk | None = None
        self._ended = False
        self._errors = 0
        self._handlers = _handlers(features.service, tls_first=features.tls_first)
        self._says_each = PROFILES[features.service].says_each
        self.data_to_send = self._due.take
        """Gives the replies that are due, in order, up to the first that was only promised."""

    # what the caller does

    @property
    def unread(self) -> int:
        """Octets received and not yet used; more than 0 where STARTTLS or ATRN is to be answered is an injection."""
        return len(self._unread)

    @property
    def steps(self) -> int:
        """Lines, chunks and contents taken so far: a deadline is for each, not for each piece that comes."""
        return self._unread.taken + self._contents

    @property
    def refusal(self) -> Reply | None:
        """What is already wrong with the content that is coming; the answer to it, whatever is decided."""
        return self._transaction.refusal if self._transaction is not None else None

    def greet(self) -> None:
        """Says 220."""
        protocol = PROFILES[self.features.service].protocol
        self._due.append(f"220 {self.features.hostname} {protocol} restante\r\n".encode())

    def receive(self, data: bytes) -> None:
        """Takes what the peer sent, cut anywhere. After the end of the session it is not looked at."""
        if self.stage is not _CLOSED:
            self._unread.receive(data)

    @property
    def promised(self) -> int:
        """How many replies wait behind a promise, itself among them."""
        return len(self._due)

    def answer(self, answer: Reply) -> None:
        """Decides the open question. Only a positive reply moves the session on."""
        assert self._open is not None, "nothing was asked"
        if self._open is _AUTHENTICATING:
            self._exchange_decided(answer)
            return
        is_for_mail, self._is_for_mail = self._is_for_mail, False
        is_positive = answer.is_positive
        if is_for_mail and not is_positive:
            self._refuse(answer)
        else:
            self._say(answer, self._times if self._ended else 1)
        self._decided(positive=is_positive)

    def answer_later(self) -> Promise:
        """Promises the answer to ContentEnded; the session goes on as the stage is the same after any answer."""
        assert self._ended, "only the answer to content can be promised"
        promise = Promise(self._times)
        self._due.append(promise)
        self._decided(positive=True)
        return promise

    def challenge(self, data: bytes) -> None:
        """Answers AuthAsked or AuthContinued with 334: the exchange goes on, and the next line is its response.

        Lines that were pipelined behind AUTH are responses then, as for Postfix; only the peer is harmed by that.
        """
        assert self._open is _AUTHENTICATING, "no AUTH was asked"
        self._say(Reply(334, encode(data)))
        self.stage = _AUTHENTICATING
        self._unread.longest = MAX_EXCHANGE_LINE
        self._open = None

    def refuse_content(self, refusal: Reply) -> None:
        """The content that is coming will be answered so; the rest of it is swallowed."""
        assert self._transaction is not None
        self._transaction.refusal = self._transaction.refusal or refusal

    def close(self, farewell: Reply) -> None:
        """Says 421 (or the like) behind what is due, and takes nothing more."""
        self._say(farewell)
        self._end()

    def next_event(self) -> Event | None:
        """The next question or notice, or None when more bytes are needed."""
        assert self._open is None, "answer() the last question first"
        unread = self._unread
        while (stage := self.stage) is not _TURNED:
            if stage is _CONTENT:
                event = self._next_content()
                if event is None and self.stage is _CONTENT:
                    break
            elif unread.at == len(unread.data):
                break
            elif stage is _AUTHENTICATING:
                if (line := unread.next_line()) is None:
                    break
                event = self._response(line)
            else:
                if (command := unread.next_command()) is None:
                    break
                event = self._command(command)
            if event is not None:
                return event
        if unread.at and unread.at == len(unread.data):  # let go of what was read
            unread.data, unread.at = b"", 0
        return None

    # lines

    def _command(self, command: tuple[str, str] | Reply) -> Event | None:
        if isinstance(command, Reply):  # to a line that is none
            self._refuse(command)
            # It may have been a BDAT: what remains must not pass for the whole message.
            return self._drop() if self.stage in (Stage.ADDRESSED, Stage.CHUNKING) else None
        verb, argument = command
        handler, then = self._handlers.get((self.stage, verb), _UNKNOWN)
        try:
            event = handler(self, argument)
        except CommandError as error:
            self._refuse(error.reply)
            return None
        if event is not None and not isinstance(event, TransactionDropped):
            self._open = then
        return event

    def _say(self, answer: Reply, times: int = 1) -> None:
        encoded = answer.encoded or bytes(answer)
        self._due.append(encoded if times == 1 else encoded * times)

    @property
    def _times(self) -> int:
        """How often content that has ended is answered: once, or for each recipient, where the service does so."""
        if not self._says_each:
            return 1
        assert self._transaction is not None
        return self._transaction.recipients

    def _refuse(self, refusal: Reply) -> None:
        self._errors += 1
        self._say(refusal)
        if self._errors > MAX_ERRORS:
            self.close(reply.TOO_MANY_ERRORS)

    def _end(self) -> None:
        self.stage = _CLOSED
        self._unread.forget()

    def _decided(self, *, positive: bool) -> None:
        assert self._open is not None
        if self._ended:
            self._ended = False
            self._transaction = None
            self.stage = _READY
        elif positive:
            self.stage = self._open
            if self.stage is _ADDRESSED:
                assert self._transaction is not None
                self._transaction.recipients += 1
            elif self.stage is _OPENED:
                self._transaction = Transaction(self.features.size, binary=self._binary)
            elif self.stage is _READY:
                self._transaction = None
        self._open = None

    # commands

    def greeted(self, verb: str, argument: str) -> Event:
        """EHLO, HELO and LHLO; an open transaction ends only if the greeting is accepted (RFC 5321 §4.1.4)."""
        if not argument or not argument.isprintable():
            raise CommandError(Reply(501, f"Syntax: {verb} hostname", "5.5.4"))
        return Greeted(verb, argument)

    def mail(self, argument: str) -> Event:
        """MAIL."""
        event = _transaction(argument)
        parameters = event.parameters
        if parameters.size is not None and parameters.size > self.features.size:
            raise CommandError(reply.TOO_LARGE)
        if parameters.requiretls and not self.features.encrypted:
            raise CommandError(reply.REQUIRETLS_IN_CLEAR)
        self._smtputf8 = parameters.smtputf8
        self._binary = parameters.body is Body.BINARY
        return event

    def rcpt(self, argument: str) -> Event:
        """RCPT."""
        return _recipient(argument, self._smtputf8)

    def etrn(self, argument: str) -> Event:
        """ETRN."""
        if not argument:
            raise CommandError(Reply(500, "Syntax: ETRN node", "5.5.4"))
        try:
            node = parse_node(argument)
        except NodeError:
            raise CommandError(Reply(501, "Not a node: domain, @domain, #group or address", "5.5.4")) from None
        self._is_for_mail = True
        return ReleaseAsked(node, argument)

    def starttls(self, argument: str) -> Event:
        """STARTTLS."""
        if not self.features.starttls:
            raise CommandError(reply.NOT_IMPLEMENTED)
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        return TlsAsked()

    def atrn(self, argument: str) -> Event:
        """ATRN, of one who is logged in."""
        return TurnAsked(parse_atrn(argument))

    def auth(self, argument: str) -> Event:
        """AUTH."""
        if not self.features.auth:
            waits_for_tls = self.features.starttls and PROFILES[self.features.service].login_for
            raise CommandError(reply.TLS_FIRST if waits_for_tls else reply.NOT_IMPLEMENTED)
        mechanism, initial = parse_auth(argument)
        if mechanism not in self.features.auth:
            raise CommandError(reply.BAD_MECHANISM)
        return AuthAsked(mechanism, initial)

    def reset(self, argument: str) -> Event | None:
        """RSET."""
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        self._say(reply.OK)
        return self._drop()

    def data(self, argument: str) -> None:
        """DATA, with at least one recipient."""
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        if self._binary:
            raise CommandError(Reply(503, "BINARYMIME is sent with BDAT", "5.5.1"))
        self._say(reply.START_CONTENT)
        self.stage = _CONTENT

    def bdat(self, argument: str, refusal: Reply | None = None) -> Event | None:
        """BDAT, wherever it comes: its octets must be swallowed even where it is refused (RFC 3030 §2).

        One without a true count ends the transaction, lest the next chunks are taken for the whole message.
        """
        try:
            left, last = parse_bdat(argument)
        except CommandError as error:
            self._refuse(error.reply)
            return self._drop()
        self._chunk = Chunk(left, self.stage, last=last, refusal=refusal)
        self.stage = _CONTENT
        return None

    def quit(self, argument: str) -> Event | None:
        """QUIT."""
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        self.has_quit = True
        self._say(reply.BYE)
        self._end()
        return self._drop()

    def simple(self, answer: Reply) -> None:
        """What has one answer, always."""
        self._say(answer)

    def _drop(self) -> Event | None:
        if self.stage not in (Stage.CONNECTED, _CLOSED):
            self.stage = _READY
        dropped, self._transaction = self._transaction is not None, None
        return TransactionDropped() if dropped else None

    # an AUTH exchange

    def _response(self, line: bytes | Reply) -> Event | None:
        try:
            if isinstance(line, Reply):
                raise CommandError(reply.AUTH_LINE_TOO_LONG if line is reply.LINE_TOO_LONG else line)  # noqa: TRY301
            response = parse_response(line)
        except CommandError as error:
            self._leave_exchange(error.reply)
            return None
        self._open = _AUTHENTICATING
        return AuthContinued(response)

    def _exchange_decided(self, answer: Reply) -> None:
        self._open = None
        if answer.is_positive:
            assert answer.code == 235, answer
            self.authenticated = True
            self._handlers = _handlers(self.features.service, tls_first=self.features.tls_first, authenticated=True)
        self._leave_exchange(answer)

    def _leave_exchange(self, answer: Reply) -> None:
        self.stage = _READY
        self._unread.longest = MAX_COMMAND_LINE
        if answer.is_positive:
            self._say(answer)
        else:
            self._refuse(answer)

    # content

    def _next_content(self) -> Event | None:
        """The next event of the content; None when more octets are needed, or a chunk has ended without one."""
        if self._chunk is not None:
            return self._next_of_chunk(self._chunk)
        transaction = self._transaction
        assert transaction is not None
        decoder, unread = transaction.decoder, self._unread
        if not decoder.ended:
            if unread.at == len(unread.data):
                return None
            data, unread.at = decoder.feed(unread.data, unread.at)
            if (arrived := transaction.arrived(data)) is not None or not decoder.ended:
                return arrived
        return self._content_end()

    def _next_of_chunk(self, chunk: Chunk) -> Event | None:
        if chunk.left:
            data = self._unread.take(chunk.left)
            chunk.left -= len(data)
            if chunk.refusal is None:
                assert self._transaction is not None
                if (arrived := self._transaction.arrived(data)) is not None:
                    return arrived
            if chunk.left:
                return None
        self._chunk = None
        return self._chunk_end(chunk)

    def _chunk_end(self, chunk: Chunk) -> Event | None:
        if chunk.refusal is not None:
            self._contents += 1
            self.stage = chunk.came_in
            self._refuse(chunk.refusal)
            return self._drop()  # the client has to begin again, and may have pipelined that already
        if chunk.last:
            return self._content_end()
        assert self._transaction is not None
        self._contents += 1
        if self._transaction.refusal is not None:
            self._say(self._transaction.refusal)
            return self._drop()
        self._say(reply.CHUNK_OK)
        self.stage = Stage.CHUNKING
        return None

    def _content_end(self) -> Event:
        assert self._transaction is not None
        self._transaction.ended()
        self._contents += 1
        self._ended = True
        self._open = _READY
        return ContentEnded()


@lru_cache(maxsize=1024)
def _transaction(argument: str) -> TransactionOpened:
    return TransactionOpened(*parse_mail(argument))


@lru_cache(maxsize=1024)
def _recipient(argument: str, smtputf8: bool) -> RecipientNamed:
    return RecipientNamed(*parse_rcpt(argument, smtputf8=smtputf8))


def _refuse(refusal: Reply, engine: ServerEngine, argument: str) -> None:  # noqa: ARG001 - a Handler, once it is partial
    raise CommandError(refusal)


HANDLERS: Mapping[str, Handler] = {
    "EHLO": lambda engine, argument: engine.greeted("EHLO", argument),
    "HELO": lambda engine, argument: engine.greeted("HELO", argument),
    "LHLO": lambda engine, argument: engine.greeted("LHLO", argument),
    "STARTTLS": ServerEngine.starttls,
    "AUTH": ServerEngine.auth,
    "ETRN": ServerEngine.etrn,
    "ATRN": ServerEngine.atrn,
    "MAIL": ServerEngine.mail,
    "RCPT": ServerEngine.rcpt,
    "DATA": ServerEngine.data,
    "BDAT": ServerEngine.bdat,
    "RSET": ServerEngine.reset,
    "NOOP": lambda engine, _: engine.simple(reply.OK),
    "VRFY": lambda engine, _: engine.simple(reply.VERIFY_NOTHING),
    "HELP": lambda engine, _: engine.simple(PROFILES[engine.features.service].help),
    "QUIT": ServerEngine.quit,
}
_UNKNOWN = partial(_refuse, reply.UNKNOWN_COMMAND), Stage.CLOSED


@cache
def _handlers(
    service: Service, *, tls_first: bool, authenticated: bool = False
) -> Mapping[tuple[Stage, str], tuple[Handler, Stage]]:
    """What is done with each command in one state of a session, and where a positive answer leads."""
    found: dict[tuple[Stage, str], tuple[Handler, Stage]] = {}
    for (stage, verb), outcome in table(service, tls_first=tls_first, authenticated=authenticated).items():
        if isinstance(outcome, Stage):
            found[stage, verb] = HANDLERS[verb], outcome
        elif verb == "BDAT":
            found[stage, verb] = partial(ServerEngine.bdat, refusal=outcome), stage
        else:
            found[stage, verb] = partial(_refuse, outcome), stage
    return found
