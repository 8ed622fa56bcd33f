"""Outcomes and errors of the other rooms as replies: the only place where they become SMTP (RFC 5321, 1985, 3463)."""

from __future__ import annotations

from typing import assert_never

from restante.directory.routing import DomainRejected, RelayDenied, UnknownUser
from restante.logins.check import NotAdmitted, NotTried, NotUnderstood
from restante.model import DomainName, MessageId, write_message_id
from restante.release.answers import Answer, Busy, NotAllowed, NothingWaiting, Queued, Started, TurnAnswer, Unavailable
from restante.release.turn import Turn
from restante.smtp import reply
from restante.smtp.reply import Reply
from restante.spool.spool import NotTaken, SpoolBroken, SpoolFull

NO_SPACE = Reply(452, "Insufficient system storage, try again later", "4.3.1")
TOO_MANY_RECIPIENTS = Reply(452, "Too many recipients", "4.5.3")
HEADER_TOO_LONG = Reply(552, "The header section is too long", "5.6.0")
PRIORITY_LOWERED = Reply(250, "0 is the priority that this message gets", "2.3.6")
"""RFC 6710 §4.1: the new priority is the first word."""
NOT_YOUR_SENDER = Reply(550, "This sender is not yours", "5.7.1")
TOO_MANY_HOPS = Reply(554, "Too many hops, this message is in a loop", "5.4.6")
TURN_TOO_OFTEN = Reply(450, "You ask too often, try again later", "4.7.0")
TURN_NEEDS_TLS = Reply(450, "Mail for you must be encrypted, use STARTTLS first", "4.7.10")


def not_routed(found: UnknownUser | RelayDenied | DomainRejected) -> Reply:
    """Why a recipient is not taken."""
    match found:
        case UnknownUser():
            return Reply(550, "No such user here", "5.1.1")
        case RelayDenied():
            return Reply(550, "Relay access denied", "5.7.1")
        case DomainRejected(text=text):
            return Reply(550, text or "No mail is taken for this domain", "5.7.1")
    assert_never(found)


def full(domain: DomainName) -> Reply:
    """The quota of a held domain leaves no room (RFC 3463 §3.3)."""
    return Reply(452, f"The mailbox of {domain} is full here, try again later", "4.2.2")


def not_logged_in(outcome: NotAdmitted | NotTried | NotUnderstood) -> Reply:
    """RFC 4954 §6. An unknown user, a wrong password and a certificate that proves nobody get the same words."""
    match outcome:
        case NotAdmitted():
            return Reply(535, "Authentication credentials invalid", "5.7.8")
        case NotTried():
            return Reply(454, "Temporary authentication failure, try again later", "4.7.0")
        case NotUnderstood():
            return Reply(501, "Cannot understand this mechanism's response", "5.5.2")
    assert_never(outcome)


def accepted(message: MessageId) -> bytes:
    """The 250 that takes responsibility for a message (RFC 5321 §6.1), as octets: a Reply takes six times as long."""
    return f"250 2.0.0 OK queued as {write_message_id(message)}\r\n".encode()


def not_accepted(error: BaseException) -> Reply:
    """Why a message was not stored: 4yz, for nothing of it was kept, or what was said by whoever was to have it."""
    match error:
        case SpoolFull():
            return NO_SPACE
        case SpoolBroken():
            return Reply(451, "The spool cannot be written, try again later", "4.3.0")
        case NotTaken():
            return error.reply
        case _:
            return reply.LOCAL_FAULT


def etrn(node: str, answer: Answer) -> Reply:
    """RFC 1985 §5.1. Unknown and forbidden nodes get the same words, so that nobody learns which exist."""
    match answer:
        case Started(waiting=None):
            return Reply(252, f"OK, pending messages for node {node} started", "2.0.0")
        case Started(waiting=n):
            return Reply(253, f"OK, {n} pending messages for node {node} started", "2.0.0")
        case NothingWaiting(code=250):
            return Reply(250, f"OK, queuing for node {node} started", "2.0.0")
        case NothingWaiting():
            return Reply(251, f"OK, no messages waiting for node {node}", "2.0.0")
        case Queued():
            return Reply(250, f"OK, queuing for node {node} started", "2.0.0")
        case NotAllowed():
            return Reply(459, f"Node {node} not allowed", "4.7.1")
        case Unavailable():
            return Reply(458, f"Unable to queue messages for node {node}", "4.3.0")
    assert_never(answer)


def atrn(answer: TurnAnswer | NotAllowed) -> Reply:
    """RFC 2645 §5.2.1. A foreign domain, an unknown one, and one of each among one's own get the same words."""
    match answer:
        case Turn():
            return Reply(250, "OK now reversing the connection", "2.0.0")
        case NothingWaiting():
            return Reply(453, "You have no mail", "4.2.0")
        case Busy():
            return Reply(450, "Your mail is on its way already, try again later", "4.7.0")
        case NotAllowed():
            return Reply(450, "ATRN request refused", "4.7.1")
        case Unavailable():
            return Reply(451, "Unable to process ATRN request now", "4.3.0")
    assert_never(answer)
