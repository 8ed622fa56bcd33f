"""Bits that flip and files that end too early: a spool is damaged in one place, opened, and emptied.

Every message comes out as it went in, or is quarantined and shown, or the spool says in one line that it is damaged.
What comes out altered, or is gone without a word, is a failure. script/test plays a few hundred of them, script/soak
10,000.
"""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.ledger import Totals
from tests.contract.engines import A, B, envelope, octets, put, whole
from tests.crash.runs import Outcome
from tests.store.faults import FaultyDisk

from restante.model import DomainName, Item, ItemId, ItemState, MessageId, Order
from restante.spool.spool import INLINE_LIMIT, ContentDamage, Filter, Settlement, Spool, SpoolBroken, SpoolUnusable
from restante.store.check import check
from restante.store.sqlite import open_spool

C = DomainName("c.example")
DOMAINS = (A, B, C)
LOOK_AT_EVERY = 3
"""Of so many damages one is looked at by fsck as well, before and after a repair."""
KINDS = ("spool.db", "spool.db-wal", "bodies")


@dataclass(frozen=True, slots=True)
class Specimen:
    """A spool in a folder, as it was before anything happened to it."""

    folder: Path
    items: dict[ItemId, Item]
    contents: dict[MessageId, bytes]


@dataclass(frozen=True, slots=True)
class Harm:
    """One bit that flips, or (bit None) the place where a file ends now."""

    file: str
    octet: int
    bit: int | None

    def do(self, folder: Path) -> None:
        """Does it."""
        path = folder / self.file
        data = bytearray(path.read_bytes())
        if self.bit is None:
            del data[self.octet :]
        else:
            data[self.octet] ^= 1 << self.bit
        path.write_bytes(data)


async def specimens(folder: Path) -> list[Specimen]:
    """A spool that was closed in order, and one whose process was killed: it has a log beside its database."""
    spool = await open_spool(folder / "open", disk=FaultyDisk())
    for number in range(24):
        await put(
            spool, *random.Random(number).sample(DOMAINS, 1 + number % 2), content=octets(600 + number * 90, number)
        )
    for number in range(3):
        await put(spool, DOMAINS[number], content=octets(INLINE_LIMIT + 5000, number), priority=number)
    gone = [await put(spool, B, content=octets(9000, number)) for number in range(5)]
    await spool.remove(gone)
    (deferred, *_) = await spool.claim([A], Order.PRIORITY, 3, 1)
    await spool.settle([Settlement(deferred.id, envelope(A, local="carol"), "451 4.3.0 later", 1.0)])
    spool.release_ended(1)
    (frozen, *_) = await spool.claim([C], Order.PRIORITY, 1, 2)
    spool.release_ended(2)
    await spool.freeze([frozen.id])
    killed = await _taken(spool, folder / "open", folder / "killed")
    await spool.close()
    closed = Specimen(folder / "open", killed.items, killed.contents)
    assert (killed.folder / "spool.db-wal").stat().st_size > 100_000
    return [closed, killed]


async def _taken(spool: Spool, folder: Path, copy: Path) -> Specimen:
    items = {item.id: item for item in await spool.listing(Filter())}
    contents = {item.message: await whole(await spool.content(item)) for item in items.values()}
    shutil.copytree(folder, copy, ignore=shutil.ignore_patterns("*-shm", "lock", "reserve"))
    return Specimen(copy, items, contents)


def harms(specimen: Specimen, chance: random.Random) -> Iterator[Harm]:
    """Damage without end: database, log and body files in turn, anywhere in them."""
    files = [str(path.relative_to(specimen.folder)) for path in specimen.folder.rglob("*") if path.is_file()]
    groups = [[name for name in files if name == kind or name.startswith(f"{kind}/")] for kind in KINDS]
    weights = [0 if not group else 1 if group[0].startswith("bodies") else 3 for group in groups]
    while True:
        file = chance.choice(*chance.choices(groups, weights))
        octet = chance.randrange((specimen.folder / file).stat().st_size)
        yield Harm(file, octet, chance.randrange(8) if chance.random() < 0.85 else None)


async def flips(count: int, folder: Path, *, seed: int = 5) -> Counter[str]:
    """So many spools with one damage each; how they ended."""
    chance = random.Random(seed)
    made = await specimens(folder)
    sources = [(specimen, harms(specimen, chance)) for specimen in made]
    ends: Counter[str] = Counter()
    for number in range(count):
        specimen, source = sources[number % len(sources)]
        harm = next(source)
        damaged = folder / "damaged"
        shutil.copytree(specimen.folder, damaged)
        harm.do(damaged)
        try:
            is_looked_at = number % LOOK_AT_EVERY == 0
            is_found = is_looked_at and _is_found(damaged)
            end = await survive(specimen, damaged)
            assert is_found or not is_looked_at or end == "unharmed", "fsck finds nothing"
            if end in {"refused", "broken"}:
                assert not harm.file.startswith("bodies"), "a body file is no reason to stop"
                if is_looked_at:
                    await _repaired(specimen, damaged)
        except Exception as error:
            error.add_note(f"{specimen.folder.name}: {harm}, number {number} of seed {seed}")
            raise
        ends[end] += 1
        shutil.rmtree(damaged)
    return ends


def _is_found(folder: Path) -> bool:
    try:
        return bool(check(folder, repair=False).problems)
    except SpoolUnusable:
        return True


async def _repaired(specimen: Specimen, folder: Path) -> None:
    """After a repair the spool is sound, and can be emptied; unless nothing could be done, and that was said."""
    try:
        problems = check(folder, repair=True).problems
    except SpoolUnusable:
        return
    assert problems
    if not all(problem.repair for problem in problems):
        return
    assert (after := check(folder, repair=False)).problems == [], f"after a repair: {after}"
    assert await survive(specimen, folder, is_repaired=True) not in {"refused", "broken"}


async def damages(count: int, folder: Path) -> Outcome:
    """The same as a run of the soak."""
    ends = await flips(count, folder)
    return Outcome(Totals(), ", ".join(f"{number:,} {end}" for end, number in ends.most_common()))


async def survive(specimen: Specimen, folder: Path, *, is_repaired: bool = False) -> str:
    """Opens a damaged spool, and sends all that can be sent; how that ended. A repaired one may lack what it lost."""
    try:
        spool = await open_spool(folder, disk=FaultyDisk())
    except SpoolUnusable as refused:
        return "refused" if str(refused).isprintable() else f"refused in lines: {refused}"
    try:
        return await _empty(specimen, spool, is_repaired=is_repaired)
    except SpoolBroken:
        return "broken"
    finally:
        await spool.close()


async def _empty(specimen: Specimen, spool: Spool, *, is_repaired: bool) -> str:
    sent: set[ItemId] = set()
    for release, domain in enumerate(DOMAINS, 1):
        for item in await spool.claim([domain], Order.PRIORITY, 1000, release):
            original = specimen.items.get(item.id)
            if original is None:  # removed in what was lost
                assert is_repaired, "nobody put it there"
                continue
            assert is_repaired or item == replace(original, state=ItemState.CLAIMED), "a row is altered"
            assert item.domain == domain, "for another domain"
            try:
                content = await whole(await spool.content(item))
            except ContentDamage:
                await spool.quarantine(item.message)
                continue
            assert content == specimen.contents[item.message], "content is altered"
            sent.add(item.id)
        spool.release_ended(release)
    shown = {item.id: item for item in await spool.listing(Filter())}
    assert {item.id for item in await spool.listing(Filter(domains=DOMAINS)) if item.is_known} <= shown.keys()
    strangers = [item for item in shown.values() if not item.is_known]
    assert all(item.state is ItemState.QUARANTINED and not item.domain for item in strangers)
    lost = []
    for identifier, original in specimen.items.items():
        if identifier not in shown:
            lost.append(identifier)
        elif (item := shown[identifier]).state is ItemState.QUARANTINED:
            assert identifier not in sent or not item.is_known
        elif not is_repaired:  # else an earlier state of it may be there
            assert item == original, "a row is altered"
            assert identifier in sent or original.state is ItemState.FROZEN, "it waits, and is not offered"
    under_other_ids = sum(item.id not in specimen.items for item in strangers)
    assert is_repaired or len(lost) <= under_other_ids, f"gone without a word: {lost}"
    await spool.settle([Settlement(identifier, None) for identifier in sent])
    left = {item.id: item.state for item in await spool.listing(Filter())}
    assert not sent & left.keys()
    quarantined = list(left.values()).count(ItemState.QUARANTINED)
    return "unharmed" if not quarantined else "one quarantined" if quarantined <= 2 else "more quarantined"
