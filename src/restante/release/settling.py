"""What an item's outcomes mean for it: a settlement, the facts to announce, and whether its sender gets a DSN. Pure.

Delivered recipients leave the envelope, deferred ones stay, refused ones become a failure DSN (RFC 3464) to the
reverse-path, unless it is null or NOTIFY forbids (RFC 3461 §5.2). Nothing else ever makes a DSN for held mail.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from restante.facts import Fact, ItemDeferred, ItemDelivered, ItemFailed
from restante.model import Envelope, Item, MessageId, Recipient
from restante.release.retry import delay
from restante.transport.outcome import Deferred, Delivered, ItemOutcome, Outcome, Refused


@dataclass(frozen=True, slots=True)
class Sorted:
    """An item's recipients by what became of them."""

    delivered: tuple[tuple[Recipient, Delivered], ...]
    deferred: tuple[tuple[Recipient, Deferred], ...]
    refused: tuple[tuple[Recipient, Refused], ...]

    @property
    def detail(self) -> str:
        """Why something still waits, for people."""
        return self.deferred[0][1].reply if self.deferred else ""


def sort(outcome: ItemOutcome) -> Sorted:
    """Sorts what a carrier has reported."""
    pairs: list[tuple[Recipient, Outcome]] = [
        (recipient, result)
        for recipient, (_, result) in zip(outcome.item.envelope.recipients, outcome.outcomes, strict=True)
    ]
    return Sorted(
        tuple((r, o) for r, o in pairs if isinstance(o, Delivered)),
        tuple((r, o) for r, o in pairs if isinstance(o, Deferred)),
        tuple((r, o) for r, o in pairs if isinstance(o, Refused)),
    )


def remaining(item: Item, results: Sorted) -> Envelope | None:
    """The envelope that still waits; None when the item is done with."""
    if not results.deferred:
        return None
    return replace(item.envelope, recipients=tuple(recipient for recipient, _ in results.deferred))


def next_attempt(item: Item, results: Sorted, now: float) -> float:
    """The wall time at which what is left of an item may be tried again by itself."""
    return now + delay(item.attempts + 1) if results.deferred else 0.0


def facts(item: Item, results: Sorted, release: int, target: str, dsn: MessageId | None) -> Sequence[Fact]:
    """What to announce once the settlement is safe."""
    announced: list[Fact] = []
    if results.delivered:
        reply = results.delivered[0][1].reply
        count = len(results.delivered)
        announced.append(ItemDelivered(item.id, item.domain, release, target, count, item.size, reply))
    if results.deferred:
        count = len(results.deferred)
        announced.append(ItemDeferred(item.id, item.domain, release, target, count, results.detail))
    if results.refused:
        reason = results.refused[0][1].reply
        announced.append(ItemFailed(item.id, item.domain, release, target, len(results.refused), reason, dsn))
    return announced
