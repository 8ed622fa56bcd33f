"""A listing is what a look at every item would give, whatever is asked; and a page of it costs what it has."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from restante.model import DomainName, Envelope, Item, ItemState, Mailbox, Recipient
from restante.spool.spool import Arrival, Filter, Spool
from restante.store.disk import Disk
from restante.store.reader import Reader
from restante.store.schema import open_for_reading
from restante.store.sqlite import open_spool

NAMES = [DomainName(f"d{number}.example") for number in range(4)]
NOWHERE = DomainName("nowhere.example")


@asynccontextmanager
async def filled(folder: Path, messages: int) -> AsyncIterator[Spool]:
    """Messages of several priorities for one or two domains; some are frozen, quarantined, on their way."""
    spool = await open_spool(folder)
    try:
        for number in range(messages):
            domains = dict.fromkeys([NAMES[number % 3], NAMES[number % 4]])
            envelopes = [(name, Envelope(None, (Recipient(Mailbox("anna", name)),))) for name in domains]
            identifier = spool.new_id()
            await spool.accept(Arrival(identifier, b"x", 1, envelopes, 1000.0, priority=number % 5 - 2))
        items = [item.id for item in await spool.listing(Filter())]
        await spool.freeze(items[::7])
        await spool.quarantine((await spool.listing(Filter()))[5].message)
        await spool.lend(items[3::11], frozen=True)
        yield spool
    finally:
        await spool.close()


async def paged(spool: Spool, wanted: Filter) -> list[Item]:
    """All pages, one after the other."""
    found: list[Item] = []
    while page := await spool.listing(wanted):
        assert len(page) <= wanted.limit
        found += page
        wanted = replace(wanted, after=page[-1].id)
    return found


async def test_a_listing_is_what_a_look_at_every_item_gives(tmp_path: Path) -> None:
    """By domains, states, ids and all of them together, in order of ids."""
    async with filled(tmp_path, 60) as spool:
        every = await spool.listing(Filter())
        assert {item.state for item in every} == set(ItemState)
        some = every[10:40:3]
        domains = [(), (NAMES[0],), (NAMES[1], NAMES[3], NAMES[1]), (NOWHERE,), (NOWHERE, NAMES[2])]
        ids = [(), tuple(item.id for item in some), (some[0].message, some[1].id, some[2].message)]
        for limit, names, state, given in itertools.product((3, 1000), domains, (None, *ItemState), ids):
            wanted = [
                item
                for item in every
                if (not names or item.domain in names)
                and (state is None or item.state is state)
                and (not given or item.id in given or item.message in given)
            ]
            found = await paged(spool, Filter(domains=names, state=state, ids=given, limit=limit))
            assert found == wanted, (limit, names, state, given)


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(limit=10),
        Filter(domains=(NAMES[0],), limit=10),
        Filter(domains=(NAMES[0],), state=ItemState.WAITING, limit=10),
        Filter(state=ItemState.FROZEN, limit=10),
        Filter(domains=(NAMES[0],), state=ItemState.FROZEN, limit=10),
        Filter(domains=(NOWHERE,), limit=10),
    ],
    ids=lambda wanted: f"{' '.join(wanted.domains) or 'all'} {wanted.state or ''}",
)
async def test_a_page_costs_what_it_has(tmp_path: Path, wanted: Filter) -> None:
    """Counted in steps of SQLite's machine: with a hundred times as much mail it is no more than a little dearer."""
    steps = []
    for messages in (20, 2000):
        folder = tmp_path / str(messages)
        spool = await open_spool(folder)
        mailbox = Mailbox("anna", NAMES[0])
        envelope = Envelope(None, (Recipient(mailbox),))
        for _ in range(messages):
            await spool.accept(Arrival(spool.new_id(), b"x", 1, [(NAMES[0], envelope)], 1000.0))
        await spool.freeze([item.id for item in (await spool.listing(Filter()))[:10]])
        await spool.close()
        steps.append(_steps(folder, wanted))
    assert steps[1] < 2 * steps[0] + 500, steps


def _steps(folder: Path, wanted: Filter) -> int:
    connection = open_for_reading(Disk(), folder)
    counted = 0

    def count() -> bool:
        nonlocal counted
        counted += 1
        return False

    connection.set_progress_handler(count, 1)
    Reader(connection).listing(wanted, ())
    connection.close()
    return counted
