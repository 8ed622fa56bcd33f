"""A dialogue as a test: `C:` lines go to a server engine, `S:` lines must come out, however the bytes are cut.

A script is played turn by turn, in one piece, in pieces of 7 octets and octet by octet; the replies and what was
accepted must be the same each time. `C:` text may hold Python escapes and ends in CR LF; `C+` text has no line end.
A reply without text (`S: 334`) has its space even so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise

from restante.smtp import reply
from restante.smtp.address import Mailbox, write_path
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
from restante.smtp.sasl import (
    Challenge,
    PasswordShown,
    Proven,
    ScramAsked,
    SecretAsked,
    ServerExchange,
    Step,
    server_exchange,
)
from restante.smtp.scram import derive_keys
from restante.smtp.server import ServerEngine
from restante.smtp.services import Features

SIZE = 5000
OFFICE = Features("office.example", SIZE)
QUEUED = Reply(250, "OK queued", "2.0.0")
TURNING = Reply(250, "OK now reversing the connection", "2.0.0")
PASSWORDS = {"tim": "tanstaaftanstaaf"}
KEYS = derive_keys(PASSWORDS["tim"], b"salt of twelve", 4096)
BAD_CREDENTIALS = Reply(535, "Authentication credentials invalid", "5.7.8")
_LINE = re.compile(r"([2-5])[0-9]{2}([ -])(?:([245])\.[0-9]{1,3}\.[0-9]{1,3} )?.*")


@dataclass(frozen=True)
class Taken:
    """A message that was accepted."""

    reverse_path: str
    recipients: tuple[str, ...]
    content: bytes


@dataclass
class Talker:
    """An engine and who decides for it: accepts all, but for what `refused` has by address, verb or node."""

    features: Features = OFFICE
    refused: Mapping[str, Reply] = field(default_factory=dict)
    promises: bool = False
    """Whether the answer to content is promised, and settled by settle()."""

    def __post_init__(self) -> None:
        self.engine = ServerEngine(self.features)
        self.taken: list[Taken] = []
        self.events: list[Event] = []
        self.promised: list[Promise] = []
        self._path: Mailbox | None = None
        self._recipients: list[str] = []
        self._content = bytearray()
        self._exchange: ServerExchange | None = None

    def say(self, data: bytes) -> bytes:
        """Gives the engine bytes, decides what it asks, and returns what it says."""
        self.engine.receive(data)
        while (event := self.engine.next_event()) is not None:
            self._decide(event)
        return self.engine.data_to_send()

    def settle(self) -> bytes:
        """Keeps every promise, in order, and returns what may then be said."""
        for promise in self.promised:
            promise.settle(QUEUED)
        self.promised.clear()
        return self.engine.data_to_send()

    def _decide(self, event: Event) -> None:
        self.events.append(event)
        match event:
            case Greeted(verb=verb, name=name):
                keywords = self.features.keywords(authenticated=self.engine.authenticated) if verb != "HELO" else ()
                lines = (self.features.hostname, *keywords)
                self._answer(name, Reply(250, lines[-1], more=lines[:-1]))
            case TransactionOpened(reverse_path=path):
                self._path = path
                self._forget()
                self._answer(write_path(path), reply.SENDER_OK)
            case RecipientNamed(mailbox=mailbox):
                if str(mailbox) not in self.refused:
                    self._recipients.append(str(mailbox))
                self._answer(str(mailbox), reply.RECIPIENT_OK)
            case ReleaseAsked(node=node, text=text):
                self._answer(str(node), Reply(250, f"OK, queuing for node {text} started", "2.0.0"))
            case TlsAsked():
                self._answer("STARTTLS", reply.READY_FOR_TLS)
            case TurnAsked(domains=domains):
                self._answer(f"ATRN {','.join(domains)}", TURNING)
            case AuthAsked(mechanism=mechanism, initial=initial):
                self._exchange = server_exchange(
                    mechanism, initial, hostname=self.features.hostname, nonce="1896.697170952", disguise=b"secret"
                )
                self._authenticate(self._exchange, self._exchange.step)
            case AuthContinued(response=response):
                assert self._exchange is not None
                self._authenticate(self._exchange, self._exchange.respond(response))
            case ContentArrived(data=data):
                assert data, "an empty notice"
                self._content += data
            case ContentEnded():
                self._ended()
            case TransactionDropped():
                self._forget()

    def _answer(self, key: str, otherwise: Reply) -> None:
        self.engine.answer(self.refused.get(key, otherwise))

    def _authenticate(self, exchange: ServerExchange, step: Step) -> None:
        match step:
            case Challenge(data=data):
                self.engine.challenge(data)
            case ScramAsked(login=login):
                self._authenticate(exchange, exchange.answer(KEYS if login in PASSWORDS else None))
            case SecretAsked(login=login):
                secret = PASSWORDS.get(login)
                self._authenticate(exchange, exchange.answer(secret.encode() if secret else None))
            case PasswordShown(login=login, password=password):
                is_right = PASSWORDS.get(login) == password
                self._answer("AUTH", reply.AUTHENTICATED if is_right else BAD_CREDENTIALS)
            case Proven():
                self._answer("AUTH", reply.AUTHENTICATED)
            case _:
                self._answer("AUTH", BAD_CREDENTIALS)

    def _ended(self) -> None:
        refusal = self.engine.refusal or self.refused.get("DATA")
        if refusal is None:
            self.taken.append(Taken(write_path(self._path), tuple(self._recipients), bytes(self._content)))
        self._forget()
        if self.promises and refusal is None:
            self.promised.append(self.engine.answer_later())
        else:
            self.engine.answer(refusal or QUEUED)

    def _forget(self) -> None:
        self._recipients.clear()
        self._content.clear()


def talk(make: Callable[[], Talker], script: str) -> Talker:
    """Plays the script in every way; gives the talker of the last, for a closer look."""
    turns = list(_turns(script))
    talker = make()
    for said, expected in turns:
        assert _text(talker.say(said)) == _text(expected), f"after {said!r}"
    said, expected = (b"".join(parts) for parts in zip(*turns, strict=True))
    for pieces in (whole(said), cut(said, 7), cut(said, 1)):
        again = make()
        heard = b"".join(again.say(piece) for piece in pieces)
        assert _text(heard) == _text(expected)
        assert again.taken == talker.taken
        assert again.engine.stage is talker.engine.stage
        assert_well_formed(heard)
        talker = again
    return talker


def whole(data: bytes) -> list[bytes]:
    """In one piece."""
    return [data]


def cut(data: bytes, size: int) -> list[bytes]:
    """In pieces of so many octets."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def cut_at(data: bytes, places: Iterable[int]) -> list[bytes]:
    """In pieces that end at these places."""
    edges = [0, *sorted({place for place in places if 0 < place < len(data)}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def hear(data: Iterable[bytes], make: Callable[[], Talker] = Talker) -> tuple[bytes, list[Taken]]:
    """All replies to pieces of a session, and what was accepted in it."""
    talker = make()
    return b"".join([talker.say(piece) for piece in data]), talker.taken


def assert_well_formed(heard: bytes) -> None:
    """Whole lines of printable text; an enhanced code is of its reply's class (RFC 2034), and none is on a 3yz."""
    text = heard.decode()
    assert text == "" or text.endswith("\r\n"), text
    for line in text.split("\r\n")[:-1]:
        match = _LINE.fullmatch(line)
        assert match, line
        assert line.isprintable(), line
        assert match[3] in (None, match[1]), line


def _turns(script: str) -> Iterator[tuple[bytes, bytes]]:
    said, expected = b"", b""
    for line in filter(None, map(str.strip, script.splitlines())):
        who, text = line[:2], line[3:]
        if who == "S:":
            expected += f"{text if len(text) > 3 else f'{text} '}\r\n".encode()
            continue
        assert who in ("C:", "C+"), line
        if expected:
            yield said, expected
            said, expected = b"", b""
        said += text.encode().decode("unicode_escape").encode("latin-1") + (b"\r\n" if who == "C:" else b"")
    yield said, expected


def _text(data: bytes) -> list[str]:
    return data.decode().split("\r\n")
