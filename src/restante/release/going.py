"""How one release goes: what has left, message by message, and of large ones piece by piece. Its clock is handed in."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from restante.model import ItemId, Waiting
from restante.release.rates import Rate, Series
from restante.release.settling import Sorted


class Going:
    """What one release has carried since `started`, a wall time that is now. `now` gives monotonic seconds.

    `octets` are those of the messages that were taken. What is sent in vain has left, too: so more may have left.
    """

    def __init__(self, now: Callable[[], float], started: float) -> None:
        self._now = now
        self._began = now()
        self.delivered = self.deferred = self.failed = self.octets = 0
        self._deferred_octets = 0
        self._on_its_way: dict[ItemId, int] = {}
        """By item that is streamed: octets of the last attempt that have left."""
        self._left_besides = 0
        """Octets that have left, and are not in `octets`."""
        self.series = Series(started)

    def on_its_way(self, item: ItemId, octets: int) -> None:
        """So much of an item has left, in this attempt."""
        before = self._on_its_way.get(item, 0)
        self._left_besides += octets - before if octets > before else octets
        self._on_its_way[item] = octets
        self.note()

    def settled(self, results: Sorted) -> None:
        """What became of an item is safe; call note() when that was said of all that there are."""
        size = results.item.size
        before = self._on_its_way.pop(results.item.id, 0) if self._on_its_way else 0
        if results.is_delivered:
            self.delivered += 1
        if results.deferred:
            self.deferred += 1
            self._deferred_octets += size
        if results.refused:
            self.failed += 1
        if results.delivered:
            self.octets += size
            self._left_besides -= min(before, size)

    def note(self) -> None:
        """Notes how it stands now."""
        self.series.note(self._now() - self._began, self.octets + self._left_besides, self.delivered)

    @property
    def rate(self) -> Rate | None:
        """How fast it goes now."""
        return self.series.rate(self._now() - self._began)

    def left(self, waiting: Iterable[Waiting]) -> Waiting:
        """What of all that waits is still to leave: it, without what was to be tried later, and what has left of it."""
        amounts = list(waiting)
        items = sum(amount.items for amount in amounts) - self.deferred
        octets = sum(amount.octets for amount in amounts) - self._deferred_octets - sum(self._on_its_way.values())
        return Waiting(max(0, items), max(0, octets))
