"""What a ServerEngine asks and tells. A question is answered before the next event is asked for; a notice is not."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from restante.smtp.address import DomainName, Mailbox
from restante.smtp.command import MailParameters, RcptParameters
from restante.smtp.node import Node

# questions


@dataclass(frozen=True, slots=True)
class Greeted:
    """EHLO or HELO, or LMTP's LHLO."""

    verb: str
    name: str


@dataclass(frozen=True, slots=True)
class TlsAsked:
    """STARTTLS. After a positive answer this engine takes no more bytes: a new one begins (RFC 3207 §4.2)."""


@dataclass(frozen=True, slots=True)
class AuthAsked:
    """AUTH (RFC 4954) with a mechanism that is offered, and its initial response where one came.

    Answered with challenge(), or with answer(): 235 is success, 4yz and 5yz end the exchange.
    """

    mechanism: str
    initial: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AuthContinued:
    """The response to the last challenge; answered as AuthAsked is."""

    response: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ReleaseAsked:
    """ETRN (RFC 1985). `text` is the node as it was written."""

    node: Node
    text: str


@dataclass(frozen=True, slots=True)
class TurnAsked:
    """ATRN (RFC 2645 §5.2.1); no domains: all of this customer's.

    After a positive answer this engine takes no more bytes: the peer becomes the server.
    """

    domains: tuple[DomainName, ...]


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


# notices


class ContentArrived(msgspec.Struct, frozen=True, gc=False):
    """The next octets of the content, dots unstuffed."""

    data: bytes


@dataclass(frozen=True, slots=True)
class TransactionDropped:
    """RSET, QUIT or a failed chunk has ended the transaction; what was kept of it is to be forgotten."""


Question = (
    Greeted
    | TlsAsked
    | AuthAsked
    | AuthContinued
    | ReleaseAsked
    | TurnAsked
    | TransactionOpened
    | RecipientNamed
    | ContentEnded
)
Event = Question | ContentArrived | TransactionDropped
