"""Claims: which items are lent to which release, and what each release has still to be offered. In memory, in the loop.

A release reads ahead: keys of waiting items in its order, after the last one that it has read. Whatever begins to wait
behind that place (mail of higher priority, slow arrivals, what somebody gave back or thawed) is noted as `late` when it
happens, so that nothing is missed and nothing is read twice. What a release had and did not settle is never offered
to it again. An item is marked as lent before its row is read: what is read then cannot be somebody else's.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import Enum

from restante.model import DomainName, Item, ItemId, Order
from restante.spool.spool import Due
from restante.store.reader import FIRST, Key

MOST_LATE = 20_000
NO_RELEASE = 0
"""Who has what was lent by its id; releases count from 1."""


class Busy(Enum):
    """Why an item can be neither lent nor given back just now."""

    SETTLING = "what became of it is being written"
    REMOVING = "it is being removed"


class Cursor:
    """How far one release has come. `order` and `due` are those of its claims."""

    def __init__(self, release: int, order: Order, due: Due | None) -> None:
        self.release = release
        self.order = order
        self.due = due
        self.covered: set[DomainName] = set()
        self.position = FIRST
        self.at_end = False
        self.is_reading = False
        self.had: set[ItemId] = set()
        """Items that it gave back, or of which something was left: still waiting, not for this release."""
        self.lent: set[ItemId] = set()
        self._ahead: deque[Key] = deque()
        self._late: list[Key] = []

    @property
    def has_begun(self) -> bool:
        """Whether anything was read."""
        return self.at_end or self.position != FIRST

    def restart(self, order: Order, due: Due | None) -> None:
        """Reads everything again, from the start."""
        self.order, self.due = order, due
        self.position, self.at_end = FIRST, False
        self._ahead.clear()
        self._late.clear()

    def read(self, keys: Sequence[Key], *, is_all: bool) -> None:
        """Takes what was read after `position`."""
        self._ahead.extend(keys)
        if keys:
            self.position = keys[-1]
        self.at_end = is_all

    def noticed(self, key: Key) -> None:
        """Something waits anew: kept here when reading on would not find it."""
        if self.at_end or self.is_reading or key <= self.position:
            heapq.heappush(self._late, key)
            if len(self._late) > MOST_LATE and not self.is_reading:
                self.restart(self.order, self.due)

    def next(self) -> Key | None:
        """The next key that was read, in order; None when reading on is needed, or of no use."""
        if not self._ahead:
            return heapq.heappop(self._late) if self._late and self.at_end else None
        if self._late and self._late[0] <= self._ahead[0]:
            return heapq.heappop(self._late)
        return self._ahead.popleft()


class Claims:
    """All that is lent, and to whom."""

    def __init__(self) -> None:
        self._owners: dict[ItemId, int | Busy] = {}
        self._items: dict[ItemId, Item] = {}
        self._cursors: dict[int, Cursor] = {}
        self._watching: dict[DomainName, list[Cursor]] = {}

    @property
    def are_watched(self) -> bool:
        """Whether any release wants to know of what arrives."""
        return bool(self._watching)

    # releases

    def cursor(self, release: int, order: Order, due: Due | None) -> Cursor:
        """A release's place, made at its first claim."""
        cursor = self._cursors.get(release)
        if cursor is None:
            cursor = self._cursors[release] = Cursor(release, order, due)
        elif (cursor.order, cursor.due) != (order, due):
            cursor.restart(order, due)
        return cursor

    def cover(self, cursor: Cursor, domains: Sequence[DomainName]) -> list[DomainName]:
        """Lets a release see further domains; those that are new to it."""
        if cursor.covered.issuperset(domains):
            return []
        added = [domain for domain in dict.fromkeys(domains) if domain not in cursor.covered]
        for domain in added:
            cursor.covered.add(domain)
            self._watching.setdefault(domain, []).append(cursor)
        return added

    def end(self, release: int) -> None:
        """Forgets a release; what it still had is free."""
        cursor = self._cursors.pop(release, None)
        if cursor is None:
            return
        for domain in cursor.covered:
            watching = self._watching[domain]
            watching.remove(cursor)
            if not watching:
                del self._watching[domain]
        for item in list(cursor.lent):
            self.let_go(item)

    # items

    def take(self, cursor: Cursor, most: int) -> list[Key]:
        """Lends the next items that were read and are free."""
        taken: list[Key] = []
        owners, had = self._owners, cursor.had
        while len(taken) < most and (key := cursor.next()) is not None:
            item = ItemId(key[2])
            if item not in owners and item not in had:
                owners[item] = cursor.release
                cursor.lent.add(item)
                taken.append(key)
        return taken

    def take_these(self, items: Iterable[ItemId]) -> list[ItemId]:
        """Lends those that are free, for no release."""
        free = [item for item in dict.fromkeys(items) if item not in self._owners]
        self._owners.update(dict.fromkeys(free, NO_RELEASE))
        return free

    def lend(self, items: Iterable[Item]) -> None:
        """The rows of items that were taken."""
        self._items.update((item.id, item) for item in items)

    def untake(self, cursor: Cursor, keys: Iterable[Key], *, again: bool) -> None:
        """They were not given out: they turned out not to wait, or are to be offered `again`."""
        for key in keys:
            item = ItemId(key[2])
            if self._owners.get(item) == cursor.release:
                del self._owners[item]
            cursor.lent.discard(item)
            self._items.pop(item, None)
            if again:
                cursor.noticed(key)

    def owner(self, item: ItemId) -> int | Busy | None:
        """The release that has an item, why it is busy, or None where it is free."""
        return self._owners.get(item)

    def keep(self, item: ItemId, why: Busy) -> None:
        """Lets nobody have or give back an item while something is written about it."""
        self._was_had(item)
        self._owners[item] = why

    def let_go(self, item: ItemId) -> None:
        """Ends whatever claim there is: it waits, for other releases."""
        self._was_had(item)
        if self._owners.pop(item, None) is not None and (lent := self._items.pop(item, None)) is not None:
            self.noticed(lent.domain, -lent.priority, lent.size, item)

    def moved(self, item: ItemId, domain: DomainName) -> None:
        """It is another domain's from now on."""
        if (lent := self._items.get(item)) is not None:
            self._items[item] = replace(lent, domain=domain)

    def gone(self, item: ItemId) -> None:
        """It will never be offered again: nobody needs to remember it."""
        self._owners.pop(item, None)
        self._items.pop(item, None)
        for cursor in self._cursors.values():
            cursor.had.discard(item)
            cursor.lent.discard(item)

    def all_gone(self, items: Iterable[ItemId]) -> None:
        """The same for many."""
        for item in items:
            self.gone(item)

    def noticed(self, domain: DomainName, rank: int, size: int, item: ItemId) -> None:
        """An item waits and is free, from now on."""
        for cursor in self._watching.get(domain, ()):
            if item not in cursor.had:
                cursor.noticed((rank, size if cursor.order is Order.SMALLEST else 0, item))

    def lent(self) -> list[ItemId]:
        """All items that are on their way, or of which it is being written what became."""
        return [item for item, owner in self._owners.items() if owner is not Busy.REMOVING]

    def _was_had(self, item: ItemId) -> None:
        owner = self._owners.get(item)
        cursor = self._cursors.get(owner) if isinstance(owner, int) else None
        if cursor is not None:
            cursor.lent.discard(item)
            cursor.had.add(item)
