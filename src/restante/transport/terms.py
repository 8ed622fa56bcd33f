"""What an item asks of its next hop besides taking it: TLS as far as it goes, a time, a priority. Pure.

REQUIRETLS (RFC 8689) goes to a peer alone that offers it, and has proven who it is, by TLS; a report, which has no
reverse-path, goes without it rather than not at all (§5). DELIVERBY (RFC 2852) is given as the seconds that are left;
where a next hop does not know it, what is only to be reported when it is late goes on, and asks for DELAY instead (RFC
2852 §4.1.4.2). Final delivery, as by LMTP, keeps what was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from restante.model import Envelope, Item, MailParameters, Notify, RcptParameters, Recipient
from restante.net.tls import TlsPolicy
from restante.smtp.command import PLAIN_RCPT
from restante.smtp.offer import Offer
from restante.smtp.reply import Reply
from restante.smtp.wishes import By
from restante.transport.outcome import MAILBOX, Deferred, Hop, Outcome, Refused


@dataclass(frozen=True, slots=True)
class Footing:
    """What is known of a peer by how it was reached."""

    is_proven: bool = False
    """Whether it is who it should be: its certificate was verified, or its key is known (over TLS, that is)."""
    refuses: bool = False
    """Whether what it can never be sent goes back; else that waits, for the peer may be set up otherwise later."""
    is_final: bool = False
    """Whether it is a mail store: then nothing is asked of it."""


UNPROVEN = Footing()


def proves(policy: TlsPolicy) -> bool:
    """Whether TLS with this policy shows that the peer is who it should be; a key that is known does, as DANE's."""
    return policy.is_authenticated or bool(policy.pins)


def unsafe(item: Item, offer: Offer, footing: Footing) -> Outcome | None:
    """Why a message must not go to this peer, by RFC 8689 §4.2.1; None: it may."""
    if not _needs_tls(item.envelope, footing):
        return None
    if not footing.is_proven:
        return _not_sent(footing, "7.10", "REQUIRETLS, and the next hop's certificate is not verified")
    if not offer.requiretls:
        return _not_sent(footing, "7.30", "REQUIRETLS, and the next hop does not offer it")
    return None


def _needs_tls(envelope: Envelope, footing: Footing) -> bool:
    return envelope.requiretls and envelope.reverse_path is not None and not footing.is_final


def _not_sent(footing: Footing, status: str, why: str) -> Outcome:
    if footing.refuses:
        return Refused(str(Reply(550, why, f"5.{status}")), f"5.{status}")
    return Deferred(str(Reply(450, why, f"4.{status}")))


def mail_parameters(item: Item, footing: Footing, now: float) -> MailParameters:
    """What MAIL asks for, at the wall time `now`; of that, offer.mail_line() says what the peer knows."""
    envelope = item.envelope
    by = None if envelope.deliver_by is None or footing.is_final else _left(envelope, now)
    return MailParameters(
        item.size,
        envelope.body,
        envelope.smtputf8,
        envelope.ret,
        envelope.envid,
        envelope.requiretls and footing.is_proven,
        by,
        item.priority,
    )


def _left(envelope: Envelope, now: float) -> By:
    until = envelope.deliver_by
    assert until is not None
    return By(math.floor(until.at - now), until.mode, until.trace)


def rcpt_parameters(recipient: Recipient, parameters: MailParameters, offer: Offer) -> RcptParameters:
    """What RCPT asks for. A report of delay stands in for DELIVERBY where that is not known."""
    notify = recipient.notify
    if parameters.by is not None and not offer.deliver_by:
        notify = (Notify.FAILURE,) if notify is None else notify
        if Notify.NEVER not in notify and Notify.DELAY not in notify:
            notify = (*notify, Notify.DELAY)
    return PLAIN_RCPT if notify is None and recipient.orcpt is None else RcptParameters(notify, recipient.orcpt)


def hop_of(offer: Offer, footing: Footing) -> Hop:
    """Who has taken what this peer takes."""
    return MAILBOX if footing.is_final else Hop(is_final=False, dsn=offer.dsn, deliver_by=offer.deliver_by)
