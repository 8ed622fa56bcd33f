"""Any sequence of calls leaves every engine as it leaves a dictionary: a model-based test of the whole door."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from msgspec import structs
from tests.contract.engines import NOW, Engine, Sqlite, arrival, octets, whole
from tests.store.faults import FaultyDisk

from restante.model import (
    ByMode,
    DeliverBy,
    DomainName,
    Envelope,
    Item,
    ItemId,
    ItemState,
    Order,
    Recipient,
    Waiting,
    item_id,
    message_of,
)
from restante.spool.spool import INLINE_LIMIT, Arrival, Due, Filter, Settlement, Spool
from restante.store.claims import NO_RELEASE

DOMAINS = tuple(DomainName(f"{name}.example") for name in "abc")
SOME_DOMAINS = st.lists(st.sampled_from(DOMAINS), min_size=1, max_size=3, unique=True)
RELEASES = st.integers(0, 2)

ENGINES: dict[str, Callable[[Path], Engine]] = {"sqlite": lambda folder: Sqlite(folder, disk=FaultyDisk())}

_T = TypeVar("_T")


class SpoolAgainstModel(RuleBasedStateMachine):
    """Plays calls on a spool and on what it should be."""

    make: Callable[[Path], Engine]

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._folder = tempfile.TemporaryDirectory()
        self._engine = type(self).make(Path(self._folder.name))
        self._items: dict[ItemId, Item] = {}
        self._contents: dict[ItemId, bytes] = {}
        self._lent: dict[ItemId, int] = {}
        self._had: dict[int, set[ItemId]] = {}
        self._numbers = [1, 2, 3]
        self._next_number = 4
        self._clock = NOW

    def _do(self, call: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.run(call)

    @initialize()
    def open(self) -> None:
        """Opens the store."""
        self._spool: Spool = self._do(self._engine.open())

    def teardown(self) -> None:
        """Closes the store."""
        self._do(self._spool.close())
        self._runner.close()
        self._folder.cleanup()

    # what is played

    @rule(
        domains=SOME_DOMAINS,
        size=st.one_of(st.integers(0, 5), st.just(INLINE_LIMIT + 1)),
        priority=st.integers(-1, 1),
        back=st.integers(-5, 5),
        stopped=st.just([]) | SOME_DOMAINS,
        by=st.none() | st.integers(0, 30),
    )
    def accept(  # noqa: PLR0917 - hypothesis names them
        self, domains: list[DomainName], size: int, priority: int, back: int, stopped: list[DomainName], by: int | None
    ) -> None:
        """A message comes in; its time may lie before another's; some items of it are stopped, with a notice each."""
        self._clock += 1
        content = octets(size, len(self._items))
        arrived = self._clock + back
        made = self._do(arrival(self._spool, *domains, content=content, arrived=arrived, priority=priority))
        wishes = None if by is None else DeliverBy(NOW + by, ByMode.RETURN, trace=True)
        envelopes = [(domain, structs.replace(each, deliver_by=wishes)) for domain, each in made.envelopes]
        frozen = {domain: f"too large for {domain}" for domain in domains if domain in stopped}
        notices = [
            self._do(arrival(self._spool, domain, content=b"notice", arrived=arrived)) for domain in sorted(frozen)
        ]
        made = structs.replace(made, envelopes=envelopes, frozen=frozen, notices=notices)
        self._do(_wait(self._spool.accept(made)))
        self._add(made, content)
        for notice in notices:
            self._add(notice, b"notice")

    def _add(self, made: Arrival, content: bytes) -> None:
        for number, (domain, envelope) in enumerate(made.envelopes, 1):
            one = item_id(made.id, number)
            item = Item(one, domain, envelope, len(content), made.arrived, made.priority)
            if domain in made.frozen:
                item = replace(item, state=ItemState.FROZEN, detail=made.frozen[domain])
            self._items[one] = item
            self._contents[one] = content

    @rule(
        domains=SOME_DOMAINS,
        order=st.sampled_from(Order),
        limit=st.integers(1, 4),
        which=RELEASES,
        due=st.one_of(st.none(), st.builds(Due, st.integers(0, 30), st.integers(10, 40))),
    )
    def claim(self, domains: list[DomainName], order: Order, limit: int, which: int, due: Due | None) -> None:
        """A release takes the next: exactly those that the promise names, with their contents."""
        release = self._numbers[which]
        due = None if due is None else Due(NOW + due.by, NOW + due.beyond)
        had = self._had.setdefault(release, set())
        free = [
            item
            for item in self._items.values()
            if item.domain in domains and item.state is ItemState.WAITING and item.id not in self._lent
            if item.id not in had and (due is None or not due.by < item.next_attempt <= due.beyond)
        ]
        free.sort(key=lambda item: (-item.priority, item.size if order is Order.SMALLEST else 0, item.id))
        expected = [replace(item, state=ItemState.CLAIMED) for item in free[:limit]]
        claimed = self._do(self._spool.claim(domains, order, limit, release, due=due))
        assert claimed == expected
        self._lent.update((item.id, release) for item in claimed)
        for item, content in zip(claimed, self._do(self._spool.contents(claimed)), strict=True):
            found = self._do(_content(self._spool, item)) if content is None else content
            assert found == self._contents[item.id]

    @precondition(lambda self: self._lent)
    @rule(
        data=st.data(),
        left=st.booleans(),
        with_dsn=st.booleans(),
        next_attempt=st.integers(0, 30),
        to=st.none() | st.sampled_from(DOMAINS),
        was_tried=st.booleans(),
    )
    def settle(  # noqa: PLR0917 - hypothesis names them
        self,
        data: st.DataObject,
        left: bool,
        with_dsn: bool,
        next_attempt: int,
        to: DomainName | None,
        was_tried: bool,
    ) -> None:
        """It is written what became of some: tried or not, gone, here or elsewhere, with a report or without."""
        settlements = []
        for one in self._some(data, self._lent):
            item = self._items[one]
            recipient = Recipient(item.envelope.recipients[0].mailbox)
            remaining = Envelope(None, (recipient,), requiretls=True, warned=not was_tried) if left else None
            dsn = self._do(arrival(self._spool, DOMAINS[0], content=b"dsn", arrived=self._clock)) if with_dsn else None
            settlements.append(
                Settlement(one, remaining, "450 later", NOW + next_attempt, dsn, is_attempt=was_tried, domain=to)
            )
        self._do(_wait(self._spool.settle(settlements)))
        for each in settlements:
            self._back(each.item)
            if each.remaining is None:
                del self._items[each.item], self._contents[each.item]
            else:
                before = self._items[each.item]
                self._items[each.item] = replace(
                    before,
                    domain=to or before.domain,
                    envelope=each.remaining,
                    detail=each.detail,
                    next_attempt=each.next_attempt,
                    attempts=before.attempts + was_tried,
                )
            if each.dsn is not None:
                self._add(each.dsn, b"dsn")

    @precondition(lambda self: self._items)
    @rule(data=st.data(), frozen=st.booleans())
    def lend(self, data: st.DataObject, frozen: bool) -> None:
        """Some are taken by their ids, for no release; what is frozen only where that is asked for."""
        some = self._some(data, self._items)
        wanted = {ItemState.WAITING, ItemState.FROZEN} if frozen else {ItemState.WAITING}
        free = [one for one in some if self._items[one].state in wanted and one not in self._lent]
        lent = self._do(self._spool.lend(some, frozen=frozen))
        assert sorted(item.id for item in lent) == sorted(free)
        assert all(item == replace(self._items[item.id], state=ItemState.CLAIMED) for item in lent)
        self._lent.update(dict.fromkeys(free, NO_RELEASE))

    @precondition(lambda self: self._items)
    @rule(data=st.data(), domains=SOME_DOMAINS, limit=st.integers(1, 4), is_first=st.booleans())
    def look_for_the_old(self, data: st.DataObject, domains: list[DomainName], limit: int, is_first: bool) -> None:
        """Some are looked for by their age."""
        ids = sorted(self._items)
        after = None if is_first else data.draw(st.sampled_from(ids))
        bounds = {domain: message_of(data.draw(st.sampled_from(ids))) for domain in domains}
        old = [
            item
            for one, item in sorted(self._items.items())
            if item.state is ItemState.WAITING and one not in self._lent and one > (after or 0)
            if item.domain in bounds and item.message <= bounds[item.domain]
        ]
        assert self._do(self._spool.aged(list(bounds.items()), after, limit)) == old[:limit]

    @precondition(lambda self: self._items)
    @rule(data=st.data(), limit=st.integers(1, 4), is_first=st.booleans())
    def look_for_the_timed(self, data: st.DataObject, limit: int, is_first: bool) -> None:
        """Some are looked for that are to be delivered by some time."""
        after = None if is_first else data.draw(st.sampled_from(sorted(self._items)))
        looked_at = [one for one in sorted(self._items) if one > (after or 0)][:limit]
        found, last = self._do(self._spool.timed(after, limit))
        assert [item.id for item in found] == [one for one in looked_at if self._items[one].envelope.deliver_by]
        assert last == (looked_at[-1] if looked_at else None)

    @precondition(lambda self: self._items)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        """Some come back; what was not lent is as it was."""
        some = self._some(data, self._items)
        self._spool.give_back(some)
        for one in some:
            if one in self._lent:
                self._back(one)

    def _back(self, one: ItemId) -> None:
        self._had.setdefault(self._lent.pop(one), set()).add(one)

    @precondition(lambda self: self._items)
    @rule(data=st.data())
    def freeze(self, data: st.DataObject) -> None:
        """An operator stops some."""
        some = self._some(data, self._items)
        stopped = [one for one in some if self._items[one].state is ItemState.WAITING]
        assert sorted(self._do(self._spool.freeze(some))) == sorted(stopped)
        self._set(stopped, ItemState.FROZEN)

    @precondition(lambda self: self._items)
    @rule(data=st.data())
    def thaw(self, data: st.DataObject) -> None:
        """An operator lets some go again."""
        some = self._some(data, self._items)
        going = [one for one in some if self._items[one].state is ItemState.FROZEN]
        assert sorted(self._do(self._spool.thaw(some))) == sorted(going)
        self._set(going, ItemState.WAITING)

    @precondition(lambda self: self._items)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """An operator removes some: those that are not on their way."""
        some = self._some(data, self._items)
        gone = [one for one in some if one not in self._lent]
        assert sorted(self._do(self._spool.remove(some))) == sorted(gone)
        for one in gone:
            del self._items[one], self._contents[one]

    @precondition(lambda self: self._items)
    @rule(data=st.data())
    def quarantine(self, data: st.DataObject) -> None:
        """A message is set aside."""
        message = message_of(data.draw(st.sampled_from(sorted(self._items))))
        some = [one for one in self._items if message_of(one) == message]
        aside = [one for one in some if self._items[one].state is not ItemState.QUARANTINED]
        assert sorted(self._do(self._spool.quarantine(message))) == sorted(aside)
        self._set(aside, ItemState.QUARANTINED)
        for one in aside:
            self._lent.pop(one, None)

    def _set(self, some: list[ItemId], state: ItemState) -> None:
        self._items.update((one, replace(self._items[one], state=state)) for one in some)

    @rule(which=RELEASES)
    def end_release(self, which: int) -> None:
        """A release is forgotten; another comes after it."""
        ended = self._numbers[which]
        self._spool.release_ended(ended)
        self._had.pop(ended, None)
        self._lent = {one: release for one, release in self._lent.items() if release != ended}
        self._numbers[which], self._next_number = self._next_number, self._next_number + 1

    @rule()
    def reopen(self) -> None:
        """The process ends, and another finds what is on disk."""
        self._do(self._spool.close())
        self._spool = self._do(self._engine.open())
        self._lent.clear()
        self._had.clear()

    def _some(self, data: st.DataObject, known: Any) -> list[ItemId]:
        return data.draw(st.lists(st.sampled_from(sorted(known)), min_size=1, max_size=4, unique=True))

    # what must hold

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        """Items in all their fields, and counters."""
        shown = [
            replace(item, state=ItemState.CLAIMED) if one in self._lent else item
            for one, item in sorted(self._items.items())
        ]
        assert self._do(self._spool.listing(Filter())) == shown
        counters: dict[DomainName, Waiting] = {}
        for item in self._items.values():
            if item.state is ItemState.WAITING:
                now = counters.get(item.domain, Waiting(0, 0, item.arrived))
                oldest = min(now.oldest or item.arrived, item.arrived)
                counters[item.domain] = Waiting(now.items + 1, now.octets + item.size, oldest)
        assert self._spool.domains() == counters

    @invariant()
    def what_is_due_is_as_the_model_says(self) -> None:
        """The least hour of what waits and is free; none that lies too far ahead."""
        hours = [
            item.next_attempt if item.next_attempt <= NOW + 20 else 0.0
            for one, item in self._items.items()
            if item.state is ItemState.WAITING and one not in self._lent
        ]
        assert self._do(self._spool.due(DOMAINS, NOW + 20)) == min(hours, default=None)


async def _wait(done: Any) -> None:
    await done


async def _content(spool: Spool, item: Item) -> bytes:
    return await whole(await spool.content(item))


@pytest.mark.parametrize("name", ENGINES)
def test_any_sequence_of_calls_leaves_what_the_model_says(name: str) -> None:
    """Accept, claim, settle, give back, freeze, thaw, remove, quarantine, end a release, reopen."""
    machine = type("Machine", (SpoolAgainstModel,), {"make": staticmethod(ENGINES[name])})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=40, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
