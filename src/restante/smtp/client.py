"""ClientEngine: the client's side of an SMTP or LMTP session, without I/O (RFC 5321, 2920, 3030, 3207, 4954, 2033).

Bytes go in by receive(), what they mean comes out of next_event(), transactions go in by begin() wherever can_begin
says so, and what is to be sent comes out of data_to_send(). Each reply is matched, in order, to the command that it
answers; one that came before its command was sent is an injection and ends the session. A transaction is finished
by one event with a reply for each of its recipients; those never finished when the session ends are in doubt at
worst: nothing is called delivered that the peer has not confirmed.

STARTTLS, AUTH, ETRN (RFC 1985) and ATRN (RFC 2645) are sent alone, while nothing is on its way. How far transactions
run ahead of the replies is bounded by Ahead. Whom to send to, time, TLS and files are the caller's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from restante.smtp.address import DomainName
from restante.smtp.client_events import (
    Answered,
    Authenticated,
    AuthRefused,
    ContentWanted,
    Ended,
    Event,
    Finished,
    Ready,
    TlsReady,
    TlsRefused,
    Turned,
)
from restante.smtp.exchange import Login
from restante.smtp.offer import Offer, Outgoing, Way, mail_line, rcpt_line
from restante.smtp.reply import MalformedReply, Reply, ReplyReader
from restante.smtp.sasl import ClientExchange
from restante.smtp.sending import Sending
from restante.smtp.stuffer import ContentStuffer


@dataclass(frozen=True, slots=True)
class Ahead:
    """How far to run ahead of the replies: messages and octets of content; what a cut connection leaves in doubt."""

    messages: int = 500
    octets: int = 4 * 1024 * 1024


class Asked(StrEnum):
    """What a reply answers."""

    GREETING = "greeting"
    EHLO = "EHLO"
    HELO = "HELO"
    STARTTLS = "STARTTLS"
    AUTH = "AUTH"
    ETRN = "ETRN"
    ATRN = "ATRN"
    RSET = "RSET"
    MAIL = "MAIL"
    RCPT = "RCPT"
    DATA = "DATA"
    CHUNK = "BDAT"
    END = "end of content"
    QUIT = "QUIT"


PATIENCE = {  # seconds, RFC 5321 §4.5.3.2, RFC 2645 §5.2.1
    Asked.ATRN: 600.0,
    Asked.DATA: 120.0,
    Asked.CHUNK: 600.0,
    Asked.END: 600.0,
    Asked.QUIT: 5.0,
}
USUAL_PATIENCE = 300.0


class ClientEngine:
    """The client's side of one session. `hostname` is our EHLO name; `lmtp`: the peer speaks LMTP, not SMTP."""

    def __init__(self, hostname: str, ahead: Ahead | None = None, *, lmtp: bool = False) -> None:
        self._hostname = hostname
        self._lmtp = lmtp
        self._ahead = ahead or Ahead()
        self._reader = ReplyReader()
        self._unsent: list[bytes] = []
        self._unsent_octets = 0
        self._expected: deque[tuple[Asked, Sending | None]] = deque([(Asked.GREETING, None)])
        self._told = 1  # of the expected, those whose command has been handed out
        self._replies: deque[tuple[Asked, Sending | None, Reply]] = deque()  # received, and what each answers
        self._fault: MalformedReply | None = None  # what came behind them
        self._steps: deque[tuple[Asked, bytes]] = deque()  # lock-step: what follows the next reply
        self._held: tuple[Asked, bytes] | None = None  # what follows the reply to RSET, where it is sent alone
        self._login: Login | None = None
        self._writing: Sending | None = None
        self._ahead_messages = 0
        self._ahead_octets = 0
        self._needs_reset = False  # before the next transaction
        self._may_be_open = False  # what a refused transaction has begun: no command that goes alone may fall into it
        self._ended = False
        self._ready = False
        self.offer = Offer()
        self._way = Way.LOCKSTEP

    # what the caller does

    def receive(self, data: bytes) -> None:
        """Takes what the peer sent, cut anywhere."""
        self._reader.receive(data)
        try:
            next_reply = self._reader.next_reply
            while (reply := next_reply()) is not None:
                if not self._told:  # now, not when somebody looks: by then more may have been asked
                    raise MalformedReply(f"a reply to nothing that was asked: {reply}")  # noqa: TRY301
                self._match(reply)
        except MalformedReply as fault:
            self._fault = fault

    def data_to_send(self) -> bytes:
        """What is to be sent now."""
        if not self._unsent:
            return b""
        data = self._unsent[0] if len(self._unsent) == 1 else b"".join(self._unsent)
        self._unsent.clear()
        self._unsent_octets = 0
        self._told = len(self._expected)
        return data

    @property
    def unsent(self) -> int:
        """Octets that data_to_send() would give."""
        return self._unsent_octets

    @property
    def patience(self) -> float:
        """Seconds that the next reply may take."""
        asked = self._expected[0][0] if self._expected else Asked.GREETING
        return PATIENCE.get(asked, USUAL_PATIENCE)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is on its way."""
        return self._ahead_messages == 0

    @property
    def octets_ahead(self) -> int:
        """Octets of content of what is on its way."""
        return self._ahead_octets

    @property
    def has_ended(self) -> bool:
        """Whether the session is over: nothing said now would be heard."""
        return self._ended

    @property
    def can_begin(self) -> bool:
        """Whether a transaction may begin now, within the bounds."""
        if not self._ready or self._ended or self._writing is not None:
            return False
        if self._way is Way.LOCKSTEP:
            return self._ahead_messages == 0
        return self._ahead_messages < self._ahead.messages and self._ahead_octets < self._ahead.octets

    def begin(self, key: Hashable, outgoing: Outgoing) -> None:
        """Begins a transaction; `key` names it in events. Ask can_begin, and unsendable(), first."""
        assert self.can_begin
        assert outgoing.recipients
        transaction = Sending(key, outgoing)
        self._ahead_messages += 1
        self._ahead_octets += outgoing.size
        self._writing = transaction
        offer = self.offer
        asked = [Asked.MAIL, *([Asked.RCPT] * len(outgoing.recipients))]
        lines = [mail_line(offer, outgoing)]
        lines += [rcpt_line(offer, mailbox, given) for mailbox, given in outgoing.recipients]
        if self._needs_reset or (self._way is Way.STREAM and self._ahead_messages > 1):
            # The transaction before may not have been ended by its content: what follows must not fall into it.
            asked.insert(0, Asked.RSET)
            lines.insert(0, b"RSET\r\n")
            self._needs_reset = self._may_be_open = False
        if self._way is not Way.STREAM:
            asked.append(Asked.DATA)
            lines.append(b"DATA\r\n")
        if self._way is Way.LOCKSTEP:
            self._steps.extend(zip(asked[1:], lines[1:], strict=True))
            self._command(asked[0], lines[0], transaction)
            return
        self._send(b"".join(lines))
        self._expected.extend([(each, transaction) for each in asked])
        transaction.owed = len(asked)
        if self._way is Way.STREAM and outgoing.content is not None:
            self.content(key, outgoing.content, last=True)

    def content(self, key: Hashable, piece: bytes, *, last: bool) -> None:
        """The next piece of content of the transaction that is being written; wants_content() must say so."""
        transaction = self._writing
        assert transaction is not None
        assert transaction.key == key
        if transaction.stuffer is not None:
            self._send(transaction.stuffer.feed(piece, last=last))
            if last:
                self._expect(Asked.END, transaction)
        else:
            self._send(b"BDAT %d%s\r\n" % (len(piece), b" LAST" if last else b""))
            self._send(piece)
            self._expect(Asked.END if last else Asked.CHUNK, transaction)
        if last:
            transaction.written = True
            self._writing = None

    def wants_content(self, key: Hashable) -> bool:
        """Whether more of that transaction's content is to be sent: no longer after it was refused."""
        return self._writing is not None and self._writing.key == key and self._writing.refusal is None

    @property
    def can_ask(self) -> bool:
        """Whether a command that is sent alone may be sent now: one of the next four."""
        return self._ready and self.is_idle and not self._ended and not self._expected and not self._replies

    def start_tls(self) -> None:
        """Asks for TLS; the answer is TlsReady or TlsRefused."""
        self._ask(Asked.STARTTLS, b"STARTTLS\r\n")

    def authenticate(self, mechanism: str, exchange: ClientExchange) -> None:
        """Says who we are (RFC 4954); the answer is Authenticated or AuthRefused."""
        self._login = Login(mechanism, exchange)
        self._ask(Asked.AUTH, self._login.command())

    def etrn(self, node: str) -> None:
        """Asks for what waits for a node (RFC 1985); the answer is Answered."""
        assert node.isascii(), node
        assert node.isprintable(), node
        self._ask(Asked.ETRN, f"ETRN {node}\r\n".encode())

    def atrn(self, domains: Sequence[DomainName]) -> None:
        """Asks to turn round for these domains, or for all of ours (RFC 2645); the answer is Turned or Answered."""
        self._ask(Asked.ATRN, f"ATRN {','.join(domains)}".rstrip().encode() + b"\r\n")

    def tls_started(self) -> None:
        """The handshake is done: what was known of the peer is forgotten, and it is greeted again (RFC 3207 §4.2)."""
        self.offer = Offer()
        self._greet()

    def quit(self) -> None:
        """Takes leave; nothing may be begun any more."""
        self._ready = False
        self._command(Asked.QUIT, b"QUIT\r\n", None)

    def next_event(self) -> Event | None:
        """What the octets received so far mean, or None when more are needed. Raises MalformedReply."""
        while not self._ended:
            if not self._replies:
                if self._fault is not None:
                    raise self._fault
                return None
            asked, transaction, reply = self._replies.popleft()
            if reply.code == 421 and asked is not Asked.QUIT:  # RFC 5321 §3.8: it closes, whatever was asked
                return self._closed(transaction, reply)
            if transaction is None:
                event = self._answered(asked, reply)
            else:
                event = self._of_transaction(transaction, asked, reply)
            if event is not None:
                return event
        return None

    # sending

    def _send(self, data: bytes) -> None:
        self._unsent.append(data)
        self._unsent_octets += len(data)

    def _command(self, asked: Asked, line: bytes, transaction: Sending | None) -> None:
        self._send(line)
        self._expect(asked, transaction)

    def _expect(self, asked: Asked, transaction: Sending | None) -> None:
        self._expected.append((asked, transaction))
        if transaction is not None:
            transaction.owed += 1

    def _greet(self) -> None:
        self._command(Asked.EHLO, f"{'LHLO' if self._lmtp else 'EHLO'} {self._hostname}\r\n".encode(), None)

    def _ask(self, asked: Asked, line: bytes) -> None:
        """Sends what is sent alone; behind RSET where a transaction may still be open."""
        assert self.can_ask
        self._ready = False
        if self._may_be_open:
            self._needs_reset = self._may_be_open = False
            self._held = (asked, line)
            asked, line = Asked.RSET, b"RSET\r\n"
        self._command(asked, line, None)

    # replies

    def _match(self, reply: Reply) -> None:
        """Finds what a reply answers."""
        asked, transaction = self._expected[0]
        if self._lmtp and transaction is not None and not _is_last(asked, transaction, reply):
            return
        self._expected.popleft()
        self._told -= 1
        self._replies.append((asked, transaction, reply))

    def _closed(self, transaction: Sending | None, reply: Reply) -> Event:
        """The peer leaves with 421; in LMTP some of a message's recipients may have had their final replies."""
        if transaction is None or len(transaction.finals) < 2:
            return self._end(reply)
        transaction.finals += [reply] * (transaction.finals_due - len(transaction.finals))
        self._replies.clear()
        self._replies.append((Asked.GREETING, None, reply))  # it is Ended next
        return self._finish(transaction, reply)

    def _end(self, reply: Reply | None) -> Ended:
        self._ended = True
        self._writing = None
        return Ended(reply)

    def _answered(self, asked: Asked, reply: Reply) -> Event | None:
        match asked:
            case Asked.GREETING:
                if reply.code // 100 != 2:
                    return self._end(reply)
                self._greet()
                return None
            case Asked.EHLO if reply.is_permanent and not self._lmtp:  # it may know only HELO (RFC 5321 §3.2)
                self._command(Asked.HELO, f"HELO {self._hostname}\r\n".encode(), None)
                return None
            case Asked.EHLO | Asked.HELO:
                if reply.code // 100 != 2:
                    return self._end(reply)
                self.offer = Offer.of_ehlo(reply.lines) if asked is Asked.EHLO else Offer()
                self._way = self.offer.way
                self._ready = True
                return Ready(self.offer)
            case Asked.STARTTLS:
                return self._tls_answered(reply)
            case Asked.RSET:
                assert self._held is not None
                if not reply.is_positive:
                    raise MalformedReply(f"RSET was refused: {reply}")
                self._command(*self._held, None)
                return None
            case Asked.AUTH:
                return self._auth_answered(reply)
            case Asked.ETRN:
                self._ready = True
                return Answered(reply)
            case Asked.ATRN:
                return self._atrn_answered(reply)
            case _:
                return self._end(None)

    def _tls_answered(self, reply: Reply) -> Event:
        if reply.code != 220:
            self._ready = True
            return TlsRefused(reply)
        self._expect_silence(Asked.STARTTLS)
        return TlsReady()

    def _expect_silence(self, asked: Asked) -> None:
        """What stands behind a reply that hands over the connection is an injection."""
        if self._reader.has_unread or self._replies or self._fault:
            raise MalformedReply(f"octets were sent behind the reply to {asked}")

    def _auth_answered(self, reply: Reply) -> Event | None:
        login = self._login
        assert login is not None
        if reply.code == 334 and not login.problem:
            self._command(Asked.AUTH, login.respond(reply), None)
            return None
        self._login = None
        if not reply.is_positive:
            self._ready = True
            return AuthRefused(reply, login.problem)
        if reply.code != 235 or not login.may_succeed:  # RFC 5802 §5: the server has to prove itself first
            raise MalformedReply(f"{reply.code} in the midst of an AUTH exchange")
        self._ready = True
        return Authenticated(reply)

    def _atrn_answered(self, reply: Reply) -> Event:
        if reply.code // 100 != 2:
            self._ready = True
            return Answered(reply)
        self._expect_silence(Asked.ATRN)
        self._ended = True
        return Turned(reply)

    def _of_transaction(self, transaction: Sending, asked: Asked, reply: Reply) -> Event | None:
        transaction.owed -= 1
        is_positive = reply.code < 400
        if is_positive and reply.code // 100 != (3 if asked is Asked.DATA else 2):
            raise MalformedReply(f"{reply.code} is no reply to {asked}")
        if asked is Asked.RCPT:  # the most frequent first
            transaction.rcpts.append(reply)
            transaction.taken += is_positive
        elif asked is Asked.MAIL:
            transaction.mail = reply
        elif asked is Asked.END:
            return self._finish(transaction, reply)
        elif asked is Asked.DATA:
            return self._data_answered(transaction, reply)
        elif asked is Asked.CHUNK:
            is_taken = is_positive and transaction.refusal is None
            return None if is_taken else self._refused(transaction, reply)
        elif asked is Asked.RSET and not is_positive:
            raise MalformedReply(f"RSET was refused: {reply}")
        return None if self._way is Way.GROUP else self._go_on(transaction, reply)

    def _go_on(self, transaction: Sending, reply: Reply) -> Event | None:
        """What follows a reply to RSET, MAIL or RCPT."""
        if self._way is Way.LOCKSTEP:
            return self._next_step(transaction, reply)
        is_asking_first = self._way is Way.STREAM and transaction.outgoing.content is None
        if is_asking_first and transaction.owed == 0 and len(transaction.rcpts) == len(transaction.outgoing.recipients):
            return self._want(transaction, reply)
        return None

    def _next_step(self, transaction: Sending, reply: Reply) -> Event | None:
        """Lock-step: the next command, unless the transaction has become pointless."""
        mail_refused = transaction.mail is not None and not transaction.mail.is_positive
        all_named = len(transaction.rcpts) == len(transaction.outgoing.recipients)
        if mail_refused or (all_named and not transaction.is_wanted):
            self._steps.clear()
            return self._finish(transaction, reply)
        asked, line = self._steps.popleft()
        self._command(asked, line, transaction)
        return None

    def _want(self, transaction: Sending, reply: Reply) -> Event | None:
        """The content's turn has come, if anybody wants it."""
        if not transaction.is_wanted:
            return self._finish(transaction, reply)
        content = transaction.outgoing.content
        if content is None:
            return ContentWanted(transaction.key)
        self.content(transaction.key, content, last=True)
        return None

    def _data_answered(self, transaction: Sending, reply: Reply) -> Event | None:
        if not reply.is_positive:
            return self._finish(transaction, reply)
        transaction.stuffer = ContentStuffer()
        if transaction.is_wanted:
            return self._want(transaction, reply)
        if self._lmtp:
            raise MalformedReply("354 although nobody takes it")  # RFC 2033 §4.2: 503
        transaction.written = True  # RFC 2920 §3.1: 354 although nobody takes it; an empty message is refused
        self._writing = None
        self._send(b".\r\n")
        self._expect(Asked.END, transaction)
        return None

    def _refused(self, transaction: Sending, reply: Reply) -> Event | None:
        """A chunk was refused: no more is sent of it, and replies to what was sent are waited for (RFC 3030 §2)."""
        transaction.refusal = transaction.refusal or reply
        if self._lmtp and transaction.written:
            self._replies.clear()
            self._fault = MalformedReply("a chunk was refused, and how many replies follow is told nowhere in LMTP")
            return self._finish(transaction, reply)
        if self._writing is transaction:
            self._writing = None
        return None if transaction.owed else self._finish(transaction, reply)

    def _finish(self, transaction: Sending, reply: Reply) -> Finished:
        if not (transaction.written and reply.is_positive):
            self._needs_reset = True  # some servers keep a transaction whose content they refused
            self._may_be_open |= transaction.is_begun
        if self._writing is transaction:
            self._writing = None
        self._ahead_messages -= 1
        self._ahead_octets -= transaction.outgoing.size
        return Finished(transaction.key, transaction.results(reply), transaction.refused_by_name)


def _is_last(asked: Asked, transaction: Sending, reply: Reply) -> bool:
    """LMTP: whether this is all that answers a command; content has a reply for each recipient (RFC 2033 §4.2-3)."""
    if asked is Asked.RCPT:
        transaction.finals_due += reply.is_positive
    if asked is not Asked.END:
        return True
    if reply.is_positive and reply.code // 100 != 2:
        raise MalformedReply(f"{reply.code} is no reply to {asked}")
    transaction.finals.append(reply)
    return len(transaction.finals) >= transaction.finals_due or reply.code == 421
