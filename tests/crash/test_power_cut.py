"""The power is cut after every single operation on the disk, and a spool is opened on what is left.

What was acknowledged is there, whole and once; nothing is there that was not tried; what is one commit is there
together or not at all; counters agree with the items; and mail is taken again.
"""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.contract.engines import NOW, A, B, arrival, claimed, envelope, octets, put, whole
from tests.crash.simulated import Platter, RecordingDisk, ways_to_survive
from tests.store.faults import FaultyDisk

from restante.model import DomainName, ItemId, ItemState, MessageId, Waiting, item_id
from restante.spool.spool import INLINE_LIMIT, Filter, Settlement, Spool
from restante.store.sqlite import open_spool

C = DomainName("c.example")
LARGE = octets(INLINE_LIMIT * 2 + 11)
As = tuple[ItemState, int, str] | None
"""What of an item a cut may show: state, attempts, the recipient's local part; None where it is gone."""
FRESH: As = (ItemState.WAITING, 0, "bob")


@dataclass
class History:
    """What was tried and acknowledged, and after how many operations of the disk."""

    disk: RecordingDisk
    changes: list[_Change] = field(default_factory=list)
    contents: dict[MessageId, bytes] = field(default_factory=dict)

    @asynccontextmanager
    async def trying(self, **to: As) -> AsyncIterator[None]:
        """For the time of a call that changes these items, in one commit."""
        change = _Change({ItemId(int(name[1:])): what for name, what in to.items()}, len(self.disk.operations))
        self.changes.append(change)
        yield
        change.acknowledged = len(self.disk.operations)

    def states_after(self, cut: int) -> list[dict[ItemId, As]]:
        """Everything that a cut after so many operations may leave: all acknowledged, and perhaps the one under way."""
        state: dict[ItemId, As] = {}
        possible = [state]
        for change in self.changes:
            if change.tried >= cut:
                break
            following = [{**before, **change.to} for before in possible]
            is_safe = change.acknowledged is not None and change.acknowledged <= cut
            possible = following if is_safe else possible + following
        return [{item: what for item, what in each.items() if what is not None} for each in possible]


@dataclass
class _Change:
    to: dict[ItemId, As]
    tried: int
    acknowledged: int | None = None


async def accept(history: History, spool: Spool, *domains: DomainName, content: bytes) -> ItemId:
    """Spools a message, with its history."""
    made = await arrival(spool, *domains, content=content)
    history.contents[made.id] = content
    async with history.trying(**{f"i{item_id(made.id, n + 1)}": FRESH for n in range(len(domains))}):
        await spool.accept(made)
    return item_id(made.id, 1)


async def run(history: History, folder: Path) -> None:
    """A spool's life in short: first mail, small and large, all kinds of outcomes, an orderly end, another start."""
    spool: Spool = await open_spool(folder, disk=history.disk)
    first = await accept(history, spool, A, content=b"first\r\n")
    both = await accept(history, spool, A, B, content=octets(5000))
    large = await accept(history, spool, C, content=LARGE)
    dropped = await spool.writer(spool.new_id(), None)
    await dropped.write(LARGE * 3)
    await dropped.discard()
    assert await claimed(spool, A) == [first, both]
    async with history.trying(**{f"i{first}": (ItemState.WAITING, 1, "carol"), f"i{both}": None}):
        await spool.settle([Settlement(first, envelope(A, local="carol"), "450 later", NOW), Settlement(both, None)])
    await claimed(spool, A, B, release=2)
    report = await arrival(spool, C, content=b"report\r\n")
    history.contents[report.id] = b"report\r\n"
    async with history.trying(**{f"i{both + 1}": None, f"i{item_id(report.id, 1)}": FRESH}):
        await spool.settle([Settlement(ItemId(both + 1), None, dsn=report)])
    async with history.trying(**{f"i{large}": (ItemState.FROZEN, 0, "bob")}):
        await spool.freeze([large])
    async with history.trying(**{f"i{large}": FRESH}):
        await spool.thaw([large])
    async with history.trying(**{f"i{large}": None}):
        await spool.remove([large])
    again = await accept(history, spool, C, content=LARGE)
    await spool.close()
    spool = await open_spool(folder, disk=history.disk)
    await accept(history, spool, B, content=b"second life\r\n")
    async with history.trying(**{f"i{again}": None}):
        await claimed(spool, C)
        await spool.settle([Settlement(again, None)])
    await spool.close()


async def look(folder: Path) -> tuple[dict[ItemId, As], dict[MessageId, bytes]]:
    """What a spool finds on what a cut has left; its counters and files agree with it, and it works."""
    spool = await open_spool(folder, disk=FaultyDisk())
    items = await spool.listing(Filter())
    found = {item.id: (item.state, item.attempts, item.envelope.recipients[0].mailbox.local) for item in items}
    contents = {item.message: await whole(await spool.content(item)) for item in items}
    counters: dict[DomainName, Waiting] = {}
    for item in items:
        if item.state is ItemState.WAITING:
            now = counters.get(item.domain, Waiting())
            counters[item.domain] = Waiting(now.items + 1, now.octets + item.size, NOW)
    assert spool.domains() == counters
    files = {path.name for path in (folder / "bodies").rglob("*") if path.is_file()}
    assert len(files) == sum(len(content) > INLINE_LIMIT for content in contents.values())
    new = await put(spool, A)
    assert new > max(found, default=0)
    await spool.close()
    return dict(found), contents


async def test_a_power_cut_at_any_moment_loses_nothing_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does it bring back what has left, or show what was never accepted."""
    monkeypatch.setattr("restante.store.schema.CHECKPOINT_PAGES", 12)
    root = tmp_path / "root"
    root.mkdir()
    disk = RecordingDisk(root)
    history = History(disk)
    await run(history, root / "data" / "spool")
    platter = Platter(root)
    tried = 0
    for cut, operation in enumerate(disk.operations, 1):
        made_safe = platter.do(operation)
        for way, keep in ways_to_survive(cut).items():
            if way == "synced" and not made_safe:
                continue
            left = tmp_path / "left"
            platter.leave(keep, left)
            found, contents = await look(left / "data" / "spool")
            assert found in history.states_after(cut), f"{way}, after {cut} operations, the last of them {operation}"
            assert all(contents[message] == history.contents[message] for message in contents)
            shutil.rmtree(left)
            tried += 1
    assert tried > 2 * len(disk.operations)
