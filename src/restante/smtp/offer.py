"""What a peer's EHLO offers, and the commands that may therefore be sent to it (RFC 5321 §4.1.1.1, 2920, 3030, 3461).

Of what MAIL may wish for besides: RFC 2852, 6710, 8689. A parameter goes only to a peer that has announced its
extension; what cannot be sent to a peer at all is found before the transaction is begun, by unsendable().
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from restante.smtp.address import Mailbox, write_path
from restante.smtp.command import Body, MailParameters, RcptParameters
from restante.smtp.reply import Reply
from restante.smtp.wishes import By, ByMode

RECIPIENTS_FOR_ALL = 100
"""Recipients that every server takes in one transaction (RFC 5321 §4.5.3.1.8)."""


class Way(StrEnum):
    """How messages are sent to a peer, by what it offers."""

    STREAM = "stream"
    """PIPELINING and CHUNKING: many messages without waiting (RFC 3030 §4.3)."""
    GROUP = "group"
    """PIPELINING: one flight for a message's end and the next one's MAIL, RCPT and DATA (RFC 2920 §3.1)."""
    LOCKSTEP = "lockstep"
    """Neither: each reply is waited for."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The extensions of one peer in one state of its session. `size` is its fixed maximum in octets, None: untold."""

    pipelining: bool = False
    chunking: bool = False
    eight_bit: bool = False
    binary: bool = False
    smtputf8: bool = False
    dsn: bool = False
    starttls: bool = False
    sizes: bool = False
    size: int | None = None
    auth: tuple[str, ...] = ()
    """SASL mechanisms in upper case, in the peer's order."""
    requiretls: bool = False
    priorities: bool = False
    deliver_by: bool = False
    least_seconds: int = 0
    """What DELIVERBY's seconds may be at the least where the mode is R (RFC 2852 §4)."""

    @staticmethod
    def of_ehlo(lines: Sequence[str]) -> Offer:
        """From the lines of the reply to EHLO, the first of which is the peer's name."""
        said = {words[0].upper(): words[1:] for line in lines[1:] if (words := line.split())}
        size = _number(said.get("SIZE", ()))
        return Offer(
            pipelining="PIPELINING" in said,
            chunking="CHUNKING" in said,
            eight_bit="8BITMIME" in said,
            binary="BINARYMIME" in said,
            smtputf8="SMTPUTF8" in said,
            dsn="DSN" in said,
            starttls="STARTTLS" in said,
            sizes="SIZE" in said,
            size=size or None,
            auth=tuple(word.upper() for word in said.get("AUTH", ())),
            requiretls="REQUIRETLS" in said,
            priorities="MT-PRIORITY" in said,
            deliver_by="DELIVERBY" in said,
            least_seconds=_number(said.get("DELIVERBY", ())),
        )

    @property
    def way(self) -> Way:
        """How to send to it."""
        if not self.pipelining:
            return Way.LOCKSTEP
        return Way.STREAM if self.chunking else Way.GROUP


def _number(words: Sequence[str]) -> int:
    """The number that follows a keyword; 0 where none does."""
    word = words[0] if words else ""
    return int(word) if word.isascii() and word.isdigit() and len(word) <= 18 else 0


class Outgoing(msgspec.Struct, frozen=True, gc=False):
    """One transaction to be sent. `size` counts the octets of its content.

    `content` None: it is asked for piece by piece, and only once the peer wants it, so that no refused giant crosses
    the link.
    """

    reverse_path: Mailbox | None
    parameters: MailParameters
    recipients: Sequence[tuple[Mailbox, RcptParameters]]
    size: int
    content: bytes | None = None


def unsendable(offer: Offer, outgoing: Outgoing) -> Reply | None:
    """Why a transaction can never be sent to such a peer, as the reply that it would give; None: it can."""
    parameters = outgoing.parameters
    if offer.size is not None and outgoing.size > offer.size:  # RFC 1870 §6.1: the maximum is fixed
        return Reply(552, f"{outgoing.size} octets are more than the {offer.size} that the next hop takes", "5.3.4")
    if parameters.body is Body.BINARY and not (offer.binary and offer.way is Way.STREAM):
        return Reply(554, "The next hop does not take BINARYMIME", "5.6.1")
    if parameters.by is not None and (too_late := _too_late(offer, parameters.by)) is not None:
        return too_late
    if offer.smtputf8:
        return None
    addresses = [mailbox for mailbox, _ in outgoing.recipients]
    if outgoing.reverse_path is not None:
        addresses.append(outgoing.reverse_path)
    is_ascii = all(address.is_ascii for address in addresses)
    headers_are = not parameters.smtputf8 or (outgoing.content is not None and _header(outgoing.content).isascii())
    return None if is_ascii and headers_are else Reply(553, "The next hop does not take SMTPUTF8", "5.6.7")


def _too_late(offer: Offer, by: By) -> Reply | None:
    """RFC 2852 §4.1.4.1: what is to come back in time is relayed only to who knows of that, and takes the time left."""
    if by.mode is not ByMode.RETURN:
        return None
    if not offer.deliver_by:
        return Reply(554, "The next hop does not take DELIVERBY", "5.3.3")
    if by.seconds <= 0:
        return Reply(554, "The time for its delivery is over", "5.4.7")
    if by.seconds < offer.least_seconds:
        return Reply(554, f"The next hop wants {offer.least_seconds} seconds, and {by.seconds} are left", "5.4.7")
    return None


def _header(content: bytes) -> bytes:
    return content.partition(b"\r\n\r\n")[0]


def mail_line(offer: Offer, outgoing: Outgoing) -> bytes:
    """MAIL with the parameters that the peer knows."""
    given = outgoing.parameters
    words = [f"MAIL FROM:{write_path(outgoing.reverse_path)}"]
    if offer.sizes:
        words.append(f"SIZE={outgoing.size}")
    if given.body is Body.BINARY or (given.body is Body.EIGHT_BIT and offer.eight_bit):
        words.append(f"BODY={given.body}")
    if given.smtputf8 and offer.smtputf8:
        words.append("SMTPUTF8")
    if offer.dsn:
        if given.ret is not None:
            words.append(f"RET={given.ret}")
        if given.envid is not None:
            words.append(f"ENVID={given.envid}")
    if given.requiretls and offer.requiretls:
        words.append("REQUIRETLS")
    if given.by is not None and offer.deliver_by:
        words.append(f"BY={given.by}")
    if given.priority is not None and offer.priorities:
        words.append(f"MT-PRIORITY={given.priority}")
    return " ".join(words).encode() + b"\r\n"


def rcpt_line(offer: Offer, mailbox: Mailbox, given: RcptParameters) -> bytes:
    """RCPT with the parameters that the peer knows."""
    words = [f"RCPT TO:{write_path(mailbox)}"]
    if offer.dsn:
        if given.notify is not None:
            words.append(f"NOTIFY={','.join(given.notify)}")
        if given.orcpt is not None and (given.orcpt.isascii() or offer.smtputf8):
            words.append(f"ORCPT={given.orcpt}")
    return " ".join(words).encode() + b"\r\n"
