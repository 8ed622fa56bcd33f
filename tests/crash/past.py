"""What was tried on a spool and what was acknowledged, each by how many operations its disk had done by then.

A cut after so many operations may show all that was acknowledged by then and, of what was under way, all or nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tests.crash.simulated import RecordingDisk

from restante.model import DomainName, Envelope, ItemId, ItemState, MessageId, item_id
from restante.spool.spool import Arrival, Settlement, Spool


class Shown(NamedTuple):
    """What of an item a cut may show."""

    domain: DomainName
    envelope: Envelope
    state: ItemState = ItemState.WAITING
    attempts: int = 0


Found = dict[ItemId, Shown]


@dataclass
class _Change:
    to: dict[ItemId, Shown | None]
    """None: the item is gone."""
    tried: int
    acknowledged: int | None = None


@dataclass
class History:
    """All of it, in order; `now` is how things stand when all of it has been done."""

    disk: RecordingDisk
    changes: list[_Change] = field(default_factory=list)
    contents: dict[MessageId, bytes] = field(default_factory=dict)
    now: Found = field(default_factory=dict)

    @asynccontextmanager
    async def trying(self, to: dict[ItemId, Shown | None]) -> AsyncIterator[None]:
        """For the time of a call that changes these items, in one commit."""
        change = _Change(to, len(self.disk.operations))
        self.changes.append(change)
        yield
        change.acknowledged = len(self.disk.operations)
        self.now = _after(self.now, change)

    def states(self, items: Sequence[ItemId], state: ItemState) -> dict[ItemId, Shown | None]:
        """These items, in another state."""
        return {item: self.now[item]._replace(state=state) for item in items}

    def states_after(self, cut: int) -> list[Found]:
        """Everything that a cut after so many operations may leave."""
        possible: list[Found] = [{}]
        for change in self.changes:
            if change.tried >= cut:
                break
            following = [_after(before, change) for before in possible]
            is_safe = change.acknowledged is not None and change.acknowledged <= cut
            possible = following if is_safe else possible + following
        return possible


def _after(before: Found, change: _Change) -> Found:
    return {item: what for item, what in (before | change.to).items() if what is not None}


class Recorded:
    """A spool of which a history is kept: of what it is asked to accept and to settle, whoever asks."""

    def __init__(self, spool: Spool, history: History) -> None:
        self._spool = spool
        self._history = history

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)

    async def accept(self, arrival: Arrival) -> None:
        """A message and its notices: all of them or none."""
        async with self._history.trying(self._arrives(arrival)):
            await self._spool.accept(arrival)

    async def settle(self, settlements: Sequence[Settlement]) -> None:
        """Outcomes and reports: all of them or none."""
        to: dict[ItemId, Shown | None] = {}
        for each in settlements:
            to[each.item] = _remains(self._history.now[each.item], each)
            if each.dsn is not None:
                to |= self._arrives(each.dsn)
        async with self._history.trying(to):
            await self._spool.settle(settlements)

    def _arrives(self, arrival: Arrival) -> dict[ItemId, Shown | None]:
        if isinstance(arrival.content, bytes):
            self._history.contents[arrival.id] = arrival.content
        assert arrival.id in self._history.contents, "who streams it notes it"
        to: dict[ItemId, Shown | None] = {}
        for number, (domain, envelope) in enumerate(arrival.envelopes, 1):
            state = ItemState.FROZEN if domain in arrival.frozen else ItemState.WAITING
            to[item_id(arrival.id, number)] = Shown(domain, envelope, state)
        for notice in arrival.notices:
            to |= self._arrives(notice)
        return to


def _remains(before: Shown, settlement: Settlement) -> Shown | None:
    if settlement.remaining is None:
        return None
    domain = settlement.domain or before.domain
    return Shown(domain, settlement.remaining, before.state, before.attempts + settlement.is_attempt)
