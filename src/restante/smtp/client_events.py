"""What a ClientEngine tells: where the session stands, and what was answered."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import msgspec

from restante.smtp.offer import Offer
from restante.smtp.reply import Reply


@dataclass(frozen=True, slots=True)
class Ready:
    """The peer has been greeted: transactions may begin, or STARTTLS, AUTH, ETRN, ATRN."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class TlsReady:
    """The peer waits for the handshake; then tls_started()."""


@dataclass(frozen=True, slots=True)
class TlsRefused:
    """The peer goes on in clear."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Authenticated:
    """The peer knows who we are, and has proven itself where the mechanism lets it."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class AuthRefused:
    """The exchange has failed; the session goes on. `problem` tells why it was we who cancelled it, where we did."""

    reply: Reply
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Answered:
    """The reply to ETRN, or the refusal of ATRN."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Turned:
    """ATRN was accepted: this engine is finished, and we are the server of this connection from our 220 on."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class ContentWanted:
    """The content of a transaction may be sent now, by content()."""

    key: Hashable


class Finished(msgspec.Struct, frozen=True):
    """A transaction is over: a reply for each of its recipients, in their order; 2yz means that it was taken.

    `refused_by_name`: which of the replies, from 0, answered RCPT and not what stands before or behind it.
    """

    key: Hashable
    replies: tuple[Reply, ...]
    refused_by_name: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over; what is not finished is not confirmed. `reply` None: we took our leave."""

    reply: Reply | None


Event = (
    Ready | TlsReady | TlsRefused | Authenticated | AuthRefused | Answered | Turned | ContentWanted | Finished | Ended
)
