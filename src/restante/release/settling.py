"""What an item's outcomes mean for it: a settlement, the facts to announce, and whether its sender gets a DSN. Pure.

Delivered recipients leave the envelope, deferred ones stay, refused ones become a failure DSN (RFC 3464) to the
reverse-path, unless it is null or NOTIFY forbids (RFC 3461 §5.2). Nothing else ever makes a DSN for held mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from restante.facts import Fact, ItemDeferred, ItemDelivered, ItemFailed
from restante.model import Item, MessageId, Recipient
from restante.release.retry import delay
from restante.spool.spool import Arrival, Settlement
from restante.transport.outcome import Deferred, Delivered, ItemOutcome, Refused


@dataclass(frozen=True, slots=True)
class Sorted:
    """An item's recipients by what became of them."""

    item: Item
    delivered: Sequence[tuple[Recipient, Delivered]]
    deferred: Sequence[tuple[Recipient, Deferred]]
    refused: Sequence[tuple[Recipient, Refused]]

    @property
    def is_delivered(self) -> bool:
        """Whether every recipient was taken."""
        return not self.deferred and not self.refused


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
    return Sorted(outcome.item, delivered, deferred, refused)


def kept(results: Sorted, reason: str) -> Sorted:
    """The same, but that those who were refused wait after all."""
    deferred = [*results.deferred, *((recipient, Deferred(reason)) for recipient, _ in results.refused)]
    return replace(results, deferred=deferred, refused=())


def settlement(results: Sorted, now: float, dsn: Arrival | None = None) -> Settlement:
    """What is to be written: who still waits, why, and from which wall time on it may be tried again by itself."""
    item = results.item
    if not results.deferred:
        return Settlement(item.id, None, dsn=dsn)
    remaining = replace(item.envelope, recipients=tuple([recipient for recipient, _ in results.deferred]))
    return Settlement(item.id, remaining, results.deferred[0][1].reply, now + delay(item.attempts + 1), dsn)


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
