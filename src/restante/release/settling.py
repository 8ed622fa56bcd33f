"""What an item's outcomes mean for it: a settlement, the facts to announce, and whether its sender gets a DSN. Pure.

Delivered recipients leave the envelope, deferred ones stay, refused ones leave it too. Of those that leave the sender
may want to know (RFC 3461 §5.2): of refused ones, and of delivered ones where nobody behind the next hop will tell.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, structs

from restante.directory.entries import RETRY_SECONDS
from restante.facts import Fact, ItemDeferred, ItemDelivered, ItemFailed
from restante.message.causes import About, Cause
from restante.model import Envelope, Item, MessageId, Recipient
from restante.release.retry import delay
from restante.spool.spool import Arrival, Settlement
from restante.transport.outcome import Deferred, Delivered, Hop, ItemOutcome, Refused


class Sorted(Struct, frozen=True, gc=False):
    """An item's recipients by what became of them."""

    item: Item
    delivered: Sequence[tuple[Recipient, Delivered]]
    deferred: Sequence[tuple[Recipient, Deferred]]
    refused: Sequence[tuple[Recipient, Refused]]
    at: str = ""
    """The host that has said so, where it is not the release's target."""

    @property
    def is_delivered(self) -> bool:
        """Whether every recipient was taken."""
        return not self.deferred and not self.refused

    @property
    def may_be_told(self) -> bool:
        """Whether it is worth to look whether the sender wants to know: for most mail it is not."""
        if self.refused:
            return True
        asked = self.item.envelope.deliver_by is not None
        return bool(self.delivered) and (asked or any(each.notify is not None for each, _ in self.delivered))


def sort(outcome: ItemOutcome) -> Sorted:
    """Sorts what a carrier has reported."""
    delivered: list[tuple[Recipient, Delivered]] = []
    deferred: list[tuple[Recipient, Deferred]] = []
    refused: list[tuple[Recipient, Refused]] = []
    for recipient, (mailbox, result) in zip(outcome.item.envelope.recipients, outcome.outcomes, strict=True):
        assert mailbox == recipient.mailbox, (mailbox, recipient)
        match result:
            case Delivered():
                delivered.append((recipient, result))
            case Deferred():
                deferred.append((recipient, result))
            case Refused():
                refused.append((recipient, result))
    return Sorted(outcome.item, delivered, deferred, refused, outcome.at)


def told_of(results: Sorted) -> list[About]:
    """What the sender could be told, if he wants to know."""
    found = [About(who, Cause.REFUSED, refused.reply, refused.status) for who, refused in results.refused]
    for who, delivered in results.delivered:
        if (cause := _cause(results.item.envelope, delivered.hop)) is not None:
            found.append(About(who, cause, delivered.reply))
    return found


def _cause(envelope: Envelope, hop: Hop) -> Cause | None:
    """What delivery to a hop comes to; None where it sees to the reports."""
    if hop.is_final:
        return Cause.DELIVERED
    by = envelope.deliver_by
    if by is not None and (by.trace or not hop.deliver_by):  # RFC 2852 §4.1.4.2
        return Cause.PASSED
    return None if hop.dsn else Cause.RELAYED


def kept(results: Sorted, reason: str) -> Sorted:
    """The same, but that those who were refused wait after all."""
    deferred = [*results.deferred, *((recipient, Deferred(reason)) for recipient, _ in results.refused)]
    return structs.replace(results, deferred=deferred, refused=())


def settlement(
    results: Sorted, now: float, dsn: Arrival | None = None, retry: Sequence[float] = RETRY_SECONDS
) -> Settlement:
    """What is to be written: who still waits, why, and from which wall time on it may be tried again by itself."""
    item = results.item
    if not results.deferred:
        return Settlement(item.id, None, dsn=dsn)
    remaining = structs.replace(item.envelope, recipients=tuple([recipient for recipient, _ in results.deferred]))
    return Settlement(item.id, remaining, results.deferred[0][1].reply, now + delay(item.attempts + 1, retry), dsn)


def facts(results: Sorted, release: int, target: str, dsn: MessageId | None) -> list[Fact]:
    """What to announce once the settlement is safe."""
    announced: list[Fact] = []
    item = results.item
    if results.delivered:
        reply = results.delivered[0][1].reply
        count = len(results.delivered)
        announced.append(ItemDelivered(item.id, item.domain, release, target, count, item.size, reply))
    if results.deferred:
        reason = results.deferred[0][1].reply
        announced.append(ItemDeferred(item.id, item.domain, release, target, len(results.deferred), reason))
    if results.refused:
        reason = results.refused[0][1].reply
        announced.append(ItemFailed(item.id, item.domain, release, target, len(results.refused), reason, dsn))
    return announced
