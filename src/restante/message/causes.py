"""Why a sender is told something of a recipient, and whether he wants to know (RFC 3461 §5.2, RFC 2852 §4).

Values alone: dsn.py makes a message of them, wording.py has what it says to people.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, StrEnum

from restante.model import Envelope, Notify, Recipient


class Action(StrEnum):
    """What has become of a recipient's copy (RFC 3464 §2.3.3), the gravest first."""

    FAILED = "failed"
    DELAYED = "delayed"
    RELAYED = "relayed"
    DELIVERED = "delivered"


class Cause(Enum):
    """What has happened: an action, and how it came to it."""

    REFUSED = "the next hop, or the mailbox, does not take it"
    EXPIRED = "it could not be handed on in all the time that it may wait"
    UNCOLLECTED = "it was held for its site, which has not collected it in all that time"
    RETURNED = "the operator of this mail system has sent it back"
    TOO_LATE = "it should have been delivered by a time that has passed, or come back"
    LATE = "it could not be handed on yet"
    MISSED = "its site was expected to collect it, and has not"
    OVERDUE = "it should have been delivered by a time that has passed"
    RELAYED = "it was handed on to a host that sends no notices"
    PASSED = "it was handed on, and its sender wants to know the hops"
    DELIVERED = "it is in its mailbox"

    @property
    def action(self) -> Action:
        """The action that it comes to."""
        match self:
            case Cause.REFUSED | Cause.EXPIRED | Cause.UNCOLLECTED | Cause.RETURNED | Cause.TOO_LATE:
                return Action.FAILED
            case Cause.LATE | Cause.MISSED | Cause.OVERDUE:
                return Action.DELAYED
            case Cause.RELAYED | Cause.PASSED:
                return Action.RELAYED
            case Cause.DELIVERED:
                return Action.DELIVERED

    @property
    def status(self) -> str:
        """The enhanced status code where no host has said one (RFC 3463)."""
        match self.action:
            case Action.FAILED:
                return "5.0.0" if self in (Cause.REFUSED, Cause.RETURNED) else "5.4.7"
            case Action.DELAYED:
                return "4.4.7"
            case _:
                return "2.0.0"


_ASKED_BY = {Action.FAILED: Notify.FAILURE, Action.DELAYED: Notify.DELAY}


@dataclass(frozen=True, slots=True)
class About:
    """One recipient of a notice: why, and the reply or error that there was; empty where there was none."""

    recipient: Recipient
    cause: Cause
    reply: str = ""
    status: str = ""
    """An enhanced status code that was said; empty: the cause's own."""


@dataclass(frozen=True, slots=True)
class Times:
    """Wall times for a notice: its own, up to when it is tried again, and when the site is expected and was last."""

    now: float
    until: float | None = None
    expected: float | None = None
    missed: float | None = None


def wants(envelope: Envelope, recipient: Recipient, cause: Cause) -> bool:
    """Whether the sender is to be told: never the null reverse-path, and what NOTIFY asks for, or does not exclude."""
    if envelope.reverse_path is None:
        return False
    notify = recipient.notify
    if cause is Cause.PASSED:  # asked for by BY=...T, or owed to BY=...N (RFC 2852 §4.1.4.2)
        return notify is None or Notify.NEVER not in notify
    wanted = _ASKED_BY.get(cause.action, Notify.SUCCESS)
    return wanted is not Notify.SUCCESS if notify is None else wanted in notify
