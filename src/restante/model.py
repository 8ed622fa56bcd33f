"""The words of the field as types: envelope, message, item, principal, next hop (docs/design.md has the vocabulary).

Values only: nothing here reads a clock, a file or a socket. Envelopes are written to the store as JSON by msgspec,
so a field that is added needs a default, and none is ever renamed.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import NewType

import msgspec

from restante.smtp.address import AddressError, DomainName, Mailbox, parse_domain
from restante.smtp.command import Body, MailParameters, Notify, RcptParameters, Ret
from restante.smtp.node import IPAddress
from restante.smtp.wishes import ByMode

__all__ = ["Body", "ByMode", "DomainName", "IPAddress", "MailParameters", "Mailbox", "Notify", "RcptParameters", "Ret"]

MessageId = NewType("MessageId", int)
"""53 bits: milliseconds since 2020 and a sequence. Greater is later."""
ItemId = NewType("ItemId", int)
"""A message's id and, in the low 10 bits, the item's number in it, from 1."""

ITEM_BITS = 10
MAX_ITEMS_PER_MESSAGE = (1 << ITEM_BITS) - 1
_SEQUENCE_BITS = 12
_EPOCH = 1_577_836_800  # 2020-01-01, UTC
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # Crockford's: no I, L, O, U
_DIGITS = 11
_PAIRS = [high + low for high in _ALPHABET for low in _ALPHABET]
MOST_NAMES_SHOWN = 3  # of a certificate: it may have a hundred
_LEAST = 1 << 43  # of a message's id, whatever a clock without battery says: every item's id is beyond 53 bits


class IdError(ValueError):
    """Text that is no id of a message or an item."""


def arrival_of(message: MessageId) -> float:
    """The wall time at which a message's id was given, as far as the clock was right."""
    return (message >> _SEQUENCE_BITS) / 1000 + _EPOCH


def item_id(message: MessageId, number: int) -> ItemId:
    """The id of a message's item, counted from 1."""
    assert 1 <= number <= MAX_ITEMS_PER_MESSAGE, number
    return ItemId((message << ITEM_BITS) | number)


def message_of(item: ItemId) -> MessageId:
    """The message that an item belongs to."""
    return MessageId(item >> ITEM_BITS)


def write_message_id(message: MessageId) -> str:
    """A message's id as people see it: eleven letters and digits that sort by time."""
    return f"{_head(message >> 20)}{_PAIRS[message >> 10 & 1023]}{_PAIRS[message & 1023]}"


@lru_cache(maxsize=256)
def _head(high: int) -> str:
    """The first seven: all ids of a quarter of a second have them in common, so they are seldom written."""
    return f"{_ALPHABET[high >> 30 & 31]}{_PAIRS[high >> 20 & 1023]}{_PAIRS[high >> 10 & 1023]}{_PAIRS[high & 1023]}"


def write_item_id(item: ItemId) -> str:
    """An item's id as people see it: its message's, a hyphen, its number."""
    return f"{write_message_id(message_of(item))}-{item & MAX_ITEMS_PER_MESSAGE}"


def parse_id(text: str) -> MessageId | ItemId:
    """A message's id (`0QJ3K5W7T9A`: all its items) or an item's (`0QJ3K5W7T9A-1`). Raises IdError."""
    digits, hyphen, number = text.strip().upper().partition("-")
    if len(digits) != _DIGITS or any(digit not in _ALPHABET for digit in digits):
        raise IdError(f"{text!r} is not the id of a message or an item")
    message = 0
    for digit in digits:
        message = message * 32 + _ALPHABET.index(digit)
    if message >= 1 << 53:
        raise IdError(f"{text!r} is not the id of a message or an item")
    if not hyphen:
        return MessageId(message)
    if not (number.isascii() and number.isdigit() and len(number) <= 4 and 1 <= int(number) <= MAX_ITEMS_PER_MESSAGE):
        raise IdError(f"{text!r} is not the id of an item")
    return item_id(MessageId(message), int(number))


def is_item_id(identifier: MessageId | ItemId) -> bool:
    """Which of the two parse_id() gave: an item's id has more than 53 bits, a message's that many at the most."""
    return identifier >= 1 << 53


class IdSource:
    """Gives message ids, each greater than all before, whatever the clock does."""

    def __init__(self, wall: Callable[[], float], last: MessageId | None = None) -> None:
        self._wall = wall
        self._last = max(last or 0, _LEAST)

    def next(self) -> MessageId:
        """A new id."""
        now = int((self._wall() - _EPOCH) * 1000) << _SEQUENCE_BITS
        self._last = max(now, self._last + 1)
        return MessageId(self._last)


@dataclass(frozen=True, slots=True)
class Recipient:
    """One forward-path of an envelope, with what DSN asked for it (RFC 3461)."""

    mailbox: Mailbox
    notify: tuple[Notify, ...] | None = None
    orcpt: str | None = None


@dataclass(frozen=True, slots=True)
class DeliverBy:
    """By when a message is to be delivered (RFC 2852), as a wall time. `trace`: each hop reports that it passed."""

    at: float
    mode: ByMode
    trace: bool = False

    @property
    def is_final(self) -> bool:
        """Whether the message goes back when its time is over."""
        return self.mode is ByMode.RETURN


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What MAIL and RCPT said. `reverse_path` None is `<>`. One item's envelope has recipients of one domain only.

    `requiretls` is RFC 8689's tag. Another one of it is made by msgspec.structs.replace().
    """

    reverse_path: Mailbox | None
    recipients: tuple[Recipient, ...]
    body: Body | None = None
    smtputf8: bool = False
    ret: Ret | None = None
    envid: str | None = None
    requiretls: bool = False
    deliver_by: DeliverBy | None = None
    warned: bool = False
    """Whether its sender was told that it is late."""
    since: MessageId | None = None
    """Where an operator has sent it elsewhere: an id of that moment; it is as old as a message of that id."""

    def is_over(self, now: float) -> bool:
        """Whether its time is over, and it is to go back, at that wall time (RFC 2852)."""
        return self.deliver_by is not None and self.deliver_by.is_final and self.deliver_by.at <= now


class ItemState(StrEnum):
    """Where an item stands; spool/states.py has the steps between. `claimed` is never on disk: a lease dies with us."""

    WAITING = "waiting"
    CLAIMED = "claimed"
    FROZEN = "frozen"
    QUARANTINED = "quarantined"


class Order(StrEnum):
    """In which order a domain's items leave; priority comes before all in each (`priority`: then arrival)."""

    PRIORITY = "priority"
    ARRIVAL = "arrival"
    SMALLEST = "smallest"


@dataclass(frozen=True, slots=True)
class Item:
    """One envelope of one message, waiting for one domain. Times are wall seconds; `size` is the content's octets."""

    id: ItemId
    domain: DomainName
    envelope: Envelope
    size: int
    arrived: float
    priority: int = 0
    state: ItemState = ItemState.WAITING
    attempts: int = 0
    next_attempt: float = 0.0
    detail: str = ""
    """Why it still waits: the last reply or error, for people."""

    @property
    def is_known(self) -> bool:
        """Whether its envelope could be read; else it is quarantined, and domain and envelope are empty."""
        return bool(self.envelope.recipients)

    @property
    def message(self) -> MessageId:
        """The message it belongs to."""
        return message_of(self.id)

    @property
    def since(self) -> MessageId:
        """From when on it waits where it waits: the id of its message, or one of that moment."""
        return self.envelope.since or self.message


class Waiting(msgspec.Struct, frozen=True, gc=False):
    """What waits for one domain. `oldest` is the wall time at which the oldest of it arrived."""

    items: int = 0
    octets: int = 0
    oldest: float | None = None


class NextHopError(ValueError):
    """Text that is no next hop."""


@dataclass(frozen=True, slots=True)
class HostPort:
    """Where to dial: a name or an address, and a port."""

    host: str
    port: int = 25

    @staticmethod
    def parse(text: str, default_port: int = 25) -> HostPort:
        """`host`, `host:port`, `[v6]`, `[v6]:port`. Raises NextHopError."""
        host, port = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            port = rest.removeprefix(":") if rest.startswith(":") else ""
            if not bracket or (rest and not port):
                raise NextHopError(f"{text!r} is not host, host:port or [v6]:port")
        elif text.count(":") == 1:
            host, _, port = text.partition(":")
            if not port:
                raise NextHopError(f"{text!r} has no port after the colon")
        if port and not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65536):
            raise NextHopError(f"{port!r} is not a port from 1 to 65535")
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            try:
                host = parse_domain(host)
            except AddressError:
                raise NextHopError(f"{text!r} is not host, host:port or [v6]:port") from None
            if text.startswith("["):
                raise NextHopError(f"{text!r} is not host, host:port or [v6]:port") from None
        return HostPort(host, int(port) if port else default_port)

    @property
    def address(self) -> IPAddress | None:
        """The host as an IP address, where it is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Caller:
    """`next_hop = "caller"`: the address that asked for the release."""

    def __str__(self) -> str:
        return "caller"


@dataclass(frozen=True, slots=True)
class ByMx:
    """`next_hop = "mx"`: what the recipient domain's DNS says (RFC 5321 §5.1)."""

    def __str__(self) -> str:
        return "mx"


LMTP_PREFIX = "lmtp:"
_MAX_SOCKET = 107  # octets of a Unix socket's path


def parse_lmtp(text: str) -> HostPort | Path:
    """Where `lmtp:HOST:PORT` or `lmtp:/path.sock` leads. Raises NextHopError."""
    where = text.removeprefix(LMTP_PREFIX)
    if where == text:
        raise NextHopError(f"{text!r} does not begin with {LMTP_PREFIX}")
    if where.startswith("/"):
        if len(where.encode()) > _MAX_SOCKET or "\0" in where:
            raise NextHopError(f"{where!r} cannot be a socket's path: it has more than {_MAX_SOCKET} octets, or a NUL")
        return Path(where)
    host = HostPort.parse(where, default_port=0)
    if not host.port:
        raise NextHopError(f"{where!r} has no port; LMTP has none of its own (RFC 2033 §5)")
    if host.port == 25:
        raise NextHopError(f"{where!r}: LMTP must not be on port 25 (RFC 2033 §5)")
    return host


NextHop = HostPort | Caller | ByMx


def parse_next_hop(text: str) -> NextHop:
    """A next hop as a configuration writes it. Raises NextHopError."""
    if text.lower() == "caller":
        return Caller()
    if text.lower() == "mx":
        return ByMx()
    return HostPort.parse(text)


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is at the other end: an address always; a login or a certificate once it is proven.

    `operator` is the command line on the control socket, which may do everything.
    """

    address: IPAddress
    login: str | None = None
    """The name of a user of this host as the directory has it, in lower case."""
    certificate: str | None = None
    """SHA-256 fingerprint of the TLS client certificate, lower-case hex, whoever issued it."""
    certificate_names: tuple[str, ...] = ()
    """The DNS names in it, as A-labels in lower case; only where an authority that this host trusts issued it."""
    operator: bool = False
    _text: str = field(default="", init=False, repr=False, compare=False)

    def __str__(self) -> str:
        if not self._text:  # it is in every line of a session's log
            proofs = [f"user:{self.login}"] if self.login else []
            proofs += [f"cert:{self.certificate[:16]}"] if self.certificate else []
            proofs += [f"cert:{name}" for name in self.certificate_names[:MOST_NAMES_SHOWN]]
            text = "operator" if self.operator else " ".join([str(self.address), *proofs])
            object.__setattr__(self, "_text", text)
        return self._text


def numbered(message: MessageId) -> Iterator[ItemId]:
    """The ids of a message's items, in order."""
    return (item_id(message, number) for number in itertools.count(1))


class Progress(StrEnum):
    """Where a release or a call stands."""

    QUEUED = "queued"
    RUNNING = "running"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class ReleaseView:
    """A release as it stands, for people. `items` and `octets` waited when it began; times are wall seconds."""

    number: int
    domain: str
    """The destination that it releases: an entry's name, a domain or `*`; by MX, the recipient domain."""
    requester: str
    target: str
    progress: Progress
    items: int = 0
    octets: int = 0
    delivered: int = 0
    deferred: int = 0
    failed: int = 0
    octets_sent: int = 0
    asked: float = 0.0
    started: float | None = None
    ended: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class CallView:
    """A call as it stands, for people. Messages and octets each way; `window_ends` is a wall time."""

    name: str
    office: str
    progress: Progress
    reason: str = ""
    """Why it was made: `schedule`, `operator`, `link-up`."""
    step: str = ""
    """What it is doing: `before`, `connect`, `etrn` or `atrn`, `turned`, `waiting`, `after`."""
    expected: int | None = None
    """Messages that the office said it would send (253), as far as known."""
    received: int = 0
    received_octets: int = 0
    sent: int = 0
    sent_octets: int = 0
    started: float | None = None
    window_ends: float | None = None
    ended: float | None = None
    replies: tuple[str, ...] = ()
    """What the office answered, one line per ETRN, or for ATRN: `test.example: 253 2.0.0 OK, ...`."""
    error: str = ""
