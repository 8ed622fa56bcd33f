"""ServerEngine: the server's side of an SMTP session, without I/O (RFC 5321, 2920, 3030, 3207, 1985).

Bytes go in by receive(), questions and notices come out of next_event(), decisions go in by answer(), and the replies
to all that was pipelined come out of data_to_send() at once, in order. The reply to a message's content may be
promised with answer_later(): the engine goes on reading, and holds back the replies behind it until it is settled,
so that many messages of one connection can share one commit.

What needs no decision (NOOP, RSET, VRFY, bad syntax, bad sequence) is answered here. RULES is the whole of what may
come when; the manual prints it. Who may do what, sizes of queues, time: all that is the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from restante.smtp import reply
from restante.smtp.address import Mailbox
from restante.smtp.command import (
    MAX_COMMAND_LINE,
    Body,
    CommandError,
    MailParameters,
    RcptParameters,
    parse_bdat,
    parse_mail,
    parse_rcpt,
    split_line,
)
from restante.smtp.content import DataDecoder, LineEnds
from restante.smtp.node import Node, NodeError, parse_node
from restante.smtp.reply import Reply

MAX_ERRORS = 200  # bad commands in one session, after which it is closed


class Stage(StrEnum):
    """Where a session stands."""

    CONNECTED = "connected"  # greeted by us, not yet by the peer
    READY = "ready"
    OPENED = "opened"  # MAIL was accepted
    ADDRESSED = "addressed"  # and at least one RCPT
    CHUNKING = "chunking"  # and a BDAT that was not the last
    CONTENT = "content"  # inside DATA, or inside a chunk
    TURNED = "turned"  # STARTTLS was accepted: the next bytes are not SMTP
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Features:
    """What a listener offers in this state. `size` is the largest content in octets; `services` differ in the rest."""

    hostname: str
    size: int
    starttls: bool = False
    etrn: bool = True

    def keywords(self) -> tuple[str, ...]:
        """The EHLO keywords, in the order in which they are told."""
        return (
            "PIPELINING",
            f"SIZE {self.size}",
            *(["ETRN"] if self.etrn else []),
            *(["STARTTLS"] if self.starttls else []),
            "ENHANCEDSTATUSCODES",
            "8BITMIME",
            "DSN",
            "SMTPUTF8",
            "CHUNKING",
            "BINARYMIME",
        )


# questions: each must be answered before the next event


@dataclass(frozen=True, slots=True)
class Greeted:
    """EHLO or HELO."""

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class TlsAsked:
    """STARTTLS. After a positive answer this engine takes no more bytes: a new one begins (RFC 3207 §4.2)."""


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """ETRN (RFC 1985). `text` is the node as it was written."""

    node: Node
    text: str


@dataclass(frozen=True, slots=True)
class TransactionOpened:
    """MAIL."""

    reverse_path: Mailbox | None
    parameters: MailParameters


@dataclass(frozen=True, slots=True)
class RecipientNamed:
    """RCPT."""

    mailbox: Mailbox
    parameters: RcptParameters


@dataclass(frozen=True, slots=True)
class ContentEnded:
    """The whole message has come; the answer takes responsibility for it, or refuses it. answer() or answer_later()."""


# notices: nothing to answer


@dataclass(frozen=True, slots=True)
class ContentArrived:
    """The next octets of the content, dots unstuffed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TransactionDropped:
    """RSET, QUIT or a failed chunk has ended the transaction; what was kept of it is to be forgotten."""


Question = Greeted | TlsAsked | ReleaseAsked | TransactionOpened | RecipientNamed | ContentEnded
Event = Question | ContentArrived | TransactionDropped


class Promise:
    """A reply that will be known later. settle() it once; then ask data_to_send() again."""

    __slots__ = ("encoded",)

    def __init__(self) -> None:
        self.encoded: bytes | None = None

    def settle(self, answer: Reply) -> None:
        """Gives the reply."""
        assert self.encoded is None, "settled twice"
        self.encoded = bytes(answer)


class _Chunk:
    """A BDAT on its way in: octets still to come, the stage it came in, and what is wrong with it already."""

    __slots__ = ("came_in", "last", "left", "refusal")

    def __init__(self, left: int, came_in: Stage, *, last: bool, refusal: Reply | None) -> None:
        self.left = left
        self.came_in = came_in
        self.last = last
        self.refusal = refusal


class _Transaction:
    """What dies together with a transaction."""

    __slots__ = ("check", "decoder", "refusal", "size")

    def __init__(self, *, binary: bool) -> None:
        self.check = None if binary else LineEnds()
        self.decoder: DataDecoder | None = None
        self.size = 0
        self.refusal: Reply | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """What a command asks in a stage, and the stage that a positive answer leads to."""

    handler: Callable[[ServerEngine, str], Event | None]
    then: Stage


class ServerEngine:
    """The server's side of one session. `features` are told at EHLO."""

    def __init__(self, features: Features) -> None:
        self.features = features
        self.steps = 0
        """Command lines, chunks and contents taken so far: a deadline is for each, not for each piece that comes."""
        self._stage = Stage.CONNECTED
        self._unread = b""
        self._at = 0  # how much of it is used
        self._skipping_line = False
        self._unsent: deque[bytes | Promise] = deque()
        self._open: Stage | None = None  # a question is open: the stage that a positive answer leads to
        self._transaction: _Transaction | None = None
        self._smtputf8 = False
        self._binary = False
        self._chunk: _Chunk | None = None
        self._ended = False
        self._errors = 0

    # what the caller does

    @property
    def stage(self) -> Stage:
        """Where the session stands."""
        return self._stage

    @property
    def unread(self) -> int:
        """Octets received and not yet used; after a positive answer to STARTTLS more than 0 is an injection."""
        return len(self._unread) - self._at

    @property
    def refusal(self) -> Reply | None:
        """What is already wrong with the content that is coming; the answer to it, whatever is decided."""
        return self._transaction.refusal if self._transaction is not None else None

    def greet(self) -> None:
        """Says 220."""
        self._unsent.append(f"220 {self.features.hostname} ESMTP restante\r\n".encode())

    def receive(self, data: bytes) -> None:
        """Takes what the peer sent, cut anywhere. After the end of the session it is not looked at."""
        if self._stage is not Stage.CLOSED:
            self._unread = self._unread[self._at :] + data  # mostly nothing is left: then this copies nothing
            self._at = 0

    def data_to_send(self) -> bytes:
        """The replies that are due, in order, up to the first that was only promised."""
        unsent = self._unsent
        if not unsent:
            return b""
        due: list[bytes] = []
        while unsent:
            head = unsent[0]
            if isinstance(head, Promise):
                if head.encoded is None:
                    break
                head = head.encoded
            due.append(head)
            unsent.popleft()
        return due[0] if len(due) == 1 else b"".join(due)

    @property
    def promised(self) -> int:
        """How many replies wait behind a promise, itself among them."""
        return len(self._unsent)

    def answer(self, answer: Reply) -> None:
        """Decides the open question. Only a positive reply moves the session on."""
        assert self._open is not None, "nothing was asked"
        self._say(answer)
        self._decided(positive=answer.is_positive)

    def answer_later(self) -> Promise:
        """Promises the answer to ContentEnded; the session goes on as the stage is the same after any answer."""
        assert self._ended, "only the answer to content can be promised"
        promise = Promise()
        self._unsent.append(promise)
        self._decided(positive=True)
        return promise

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
        while self._stage is not Stage.TURNED:
            if self._stage is Stage.CONTENT:
                event = self._next_content()
                if event is None and self._stage is Stage.CONTENT:
                    break
            elif (line := self._next_line()) is not None:
                event = self._command(line)
            else:
                break
            if event is not None:
                return event
        if self._at == len(self._unread):  # let go of what was read
            self._unread, self._at = b"", 0
        return None

    # lines

    def _next_line(self) -> bytes | None:
        while (end := self._unread.find(b"\n", self._at)) >= 0:
            line = self._unread[self._at : end]
            self._at = end + 1
            self.steps += 1
            whole = line.endswith(b"\r")
            if self._skipping_line:  # answered already, at its bare LF or its length
                self._skipping_line = not whole
                continue
            length = len(line)
            if whole and length < MAX_COMMAND_LINE and line.find(b"\r") == length - 1 and b"\0" not in line:
                return line[:-1]
            self._skipping_line = not whole
            self._refuse(reply.LINE_TOO_LONG if length >= MAX_COMMAND_LINE else reply.BAD_LINE_END)
        if self.unread >= MAX_COMMAND_LINE:
            self._too_long()
        return None

    def _too_long(self) -> None:
        if not self._skipping_line:
            self._skipping_line = True
            self._refuse(reply.LINE_TOO_LONG)
        self._unread, self._at = self._unread[-1:], 0  # the last may be the CR of its end

    def _command(self, line: bytes) -> Event | None:
        try:
            verb, argument = split_line(line)
            rule = RULES.get((self._stage, verb))
            if rule is None:
                refusal = reply.BAD_SEQUENCE if verb in VERBS else reply.UNKNOWN_COMMAND
                raise CommandError(reply.NOT_IMPLEMENTED if verb in UNSUPPORTED else refusal)  # noqa: TRY301
            event = rule.handler(self, argument)
        except CommandError as error:
            self._refuse(error.reply)
            return None
        if event is not None and not isinstance(event, TransactionDropped):
            self._open = rule.then
        return event

    def _say(self, answer: Reply) -> None:
        self._unsent.append(bytes(answer))

    def _refuse(self, refusal: Reply) -> None:
        self._errors += 1
        self._say(refusal)
        if self._errors > MAX_ERRORS:
            self.close(reply.TOO_MANY_ERRORS)

    def _end(self) -> None:
        self._stage = Stage.CLOSED
        self._unread, self._at = b"", 0

    def _decided(self, *, positive: bool) -> None:
        assert self._open is not None
        if self._ended:
            self._ended = False
            self._transaction = None
            self._stage = Stage.READY
        elif positive:
            self._stage = self._open
            if self._stage is Stage.OPENED:
                self._transaction = _Transaction(binary=self._binary)
            elif self._stage is Stage.READY:
                self._transaction = None
        self._open = None

    # commands

    def greeted(self, verb: str, argument: str) -> Event:
        """EHLO and HELO; an open transaction ends only if the greeting is accepted (RFC 5321 §4.1.4)."""
        if not argument or not argument.isprintable():
            raise CommandError(Reply(501, f"Syntax: {verb} hostname", "5.5.4"))
        return Greeted(verb, argument)

    def mail(self, argument: str) -> Event:
        """MAIL."""
        reverse_path, parameters = parse_mail(argument)
        if parameters.size is not None and parameters.size > self.features.size:
            raise CommandError(reply.TOO_LARGE)
        self._smtputf8 = parameters.smtputf8
        self._binary = parameters.body is Body.BINARY
        return TransactionOpened(reverse_path, parameters)

    def rcpt(self, argument: str) -> Event:
        """RCPT."""
        return RecipientNamed(*parse_rcpt(argument, smtputf8=self._smtputf8))

    def etrn(self, argument: str) -> Event:
        """ETRN."""
        if not self.features.etrn:
            raise CommandError(Reply(500, "ETRN is not offered here", "5.5.1"))
        if not argument:
            raise CommandError(Reply(500, "Syntax: ETRN node", "5.5.4"))
        try:
            return ReleaseAsked(parse_node(argument), argument)
        except NodeError:
            raise CommandError(Reply(501, "Not a node: domain, @domain, #group or address", "5.5.4")) from None

    def starttls(self, argument: str) -> Event:
        """STARTTLS."""
        if not self.features.starttls:
            raise CommandError(reply.NOT_IMPLEMENTED)
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        return TlsAsked()

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
        assert self._transaction is not None
        self._transaction.decoder = DataDecoder()
        self._say(reply.START_CONTENT)
        self._stage = Stage.CONTENT

    def data_too_early(self, argument: str) -> None:  # noqa: ARG002 - all handlers take one
        """DATA with no recipient accepted."""
        raise CommandError(reply.NO_RECIPIENTS)

    def bdat(self, argument: str) -> Event | None:
        """BDAT, wherever it comes: its octets must be swallowed even where it is refused (RFC 3030 §2).

        One without a true count ends the transaction, lest the next chunks are taken for the whole message.
        """
        try:
            left, last = parse_bdat(argument)
        except CommandError as error:
            self._refuse(error.reply)
            return self._drop()
        refusal = None
        if self._stage not in (Stage.ADDRESSED, Stage.CHUNKING):
            refusal = reply.NO_RECIPIENTS if self._stage is Stage.OPENED else reply.BAD_SEQUENCE
        self._chunk = _Chunk(left, self._stage, last=last, refusal=refusal)
        self._stage = Stage.CONTENT
        return None

    def quit(self, argument: str) -> Event | None:
        """QUIT."""
        if argument:
            raise CommandError(reply.NO_ARGUMENT_TAKEN)
        self._say(reply.BYE)
        self._end()
        return self._drop()

    def simple(self, answer: Reply) -> None:
        """Whatever has one answer, always."""
        self._say(answer)

    def _drop(self) -> Event | None:
        if self._stage not in (Stage.CONNECTED, Stage.CLOSED):
            self._stage = Stage.READY
        dropped, self._transaction = self._transaction is not None, None
        return TransactionDropped() if dropped else None

    # content

    def _next_content(self) -> Event | None:
        """The next event of the content; None when more octets are needed, or a chunk has ended without one."""
        if self._chunk is not None:
            return self._next_of_chunk(self._chunk)
        transaction = self._transaction
        assert transaction is not None
        decoder = transaction.decoder
        assert decoder is not None
        if not decoder.ended:
            if self._at == len(self._unread):
                return None
            data, self._at = decoder.feed(self._unread, self._at)
            if (arrived := self._arrived(transaction, data)) is not None or not decoder.ended:
                return arrived
        return self._content_end()

    def _next_of_chunk(self, chunk: _Chunk) -> Event | None:
        if chunk.left:
            data = self._unread[self._at : self._at + chunk.left]
            self._at += len(data)
            chunk.left -= len(data)
            if chunk.refusal is None:
                assert self._transaction is not None
                if (arrived := self._arrived(self._transaction, data)) is not None:
                    return arrived
            if chunk.left:
                return None
        self._chunk = None
        return self._chunk_end(chunk)

    def _chunk_end(self, chunk: _Chunk) -> Event | None:
        if chunk.refusal is not None:
            self.steps += 1
            self._stage = chunk.came_in
            self._refuse(chunk.refusal)
            return self._drop()  # the client has to begin again, and may have pipelined that already
        assert self._transaction is not None
        if chunk.last:
            return self._content_end()
        self.steps += 1
        if self._transaction.refusal is not None:
            self._say(self._transaction.refusal)
            return self._drop()
        self._say(reply.CHUNK_OK)
        self._stage = Stage.CHUNKING
        return None

    def _arrived(self, transaction: _Transaction, data: bytes) -> Event | None:
        if not data or transaction.refusal is not None:
            return None
        transaction.size += len(data)
        if transaction.size > self.features.size:
            transaction.refusal = reply.TOO_LARGE
            return None
        if transaction.check is not None:
            transaction.check.feed(data)
            if transaction.check.broken:
                transaction.refusal = reply.BARE_LINE_END
                return None
        return ContentArrived(data)

    def _content_end(self) -> Event:
        transaction = self._transaction
        assert transaction is not None
        if transaction.check is not None and transaction.check.broken_at_end and transaction.refusal is None:
            transaction.refusal = reply.BARE_LINE_END
        self.steps += 1
        self._ended = True
        self._open = Stage.READY
        return ContentEnded()


def _says(answer: Reply) -> Callable[[ServerEngine, str], Event | None]:
    return lambda engine, _: engine.simple(answer)


_HELP = Reply(214, "Commands: EHLO HELO MAIL RCPT DATA BDAT RSET NOOP VRFY ETRN STARTTLS QUIT", "2.0.0")
_EHLO = Rule(lambda engine, argument: engine.greeted("EHLO", argument), Stage.READY)
_HELO = Rule(lambda engine, argument: engine.greeted("HELO", argument), Stage.READY)


def _rules() -> dict[tuple[Stage, str], Rule]:
    engine = ServerEngine
    table = {
        (Stage.CONNECTED, "ETRN"): Rule(engine.etrn, Stage.CONNECTED),  # typed at a telnet prompt
        (Stage.READY, "ETRN"): Rule(engine.etrn, Stage.READY),  # RFC 1985 §5: only between transactions
        (Stage.READY, "STARTTLS"): Rule(engine.starttls, Stage.TURNED),
        (Stage.READY, "MAIL"): Rule(engine.mail, Stage.OPENED),
        (Stage.OPENED, "RCPT"): Rule(engine.rcpt, Stage.ADDRESSED),
        (Stage.ADDRESSED, "RCPT"): Rule(engine.rcpt, Stage.ADDRESSED),
        (Stage.OPENED, "DATA"): Rule(engine.data_too_early, Stage.OPENED),
        (Stage.ADDRESSED, "DATA"): Rule(engine.data, Stage.CONTENT),
    }
    for stage in (Stage.CONNECTED, Stage.READY, Stage.OPENED, Stage.ADDRESSED, Stage.CHUNKING):
        table |= {
            (stage, "EHLO"): _EHLO,
            (stage, "HELO"): _HELO,
            (stage, "RSET"): Rule(engine.reset, stage),
            (stage, "BDAT"): Rule(engine.bdat, stage),
            (stage, "QUIT"): Rule(engine.quit, Stage.CLOSED),
            (stage, "NOOP"): Rule(_says(reply.OK), stage),
            (stage, "VRFY"): Rule(_says(reply.VERIFY_NOTHING), stage),
            (stage, "HELP"): Rule(_says(_HELP), stage),
        }
    return table


RULES: Mapping[tuple[Stage, str], Rule] = _rules()
"""What may come when; what is not here is out of sequence, or unknown."""
VERBS = frozenset(verb for _, verb in RULES)
UNSUPPORTED = frozenset({"EXPN", "TURN", "ATRN", "AUTH", "SEND", "SOML", "SAML"})
