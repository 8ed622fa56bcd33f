"""A large spool is looked at after its start: here every spool is large, and portions are small."""

from __future__ import annotations

import asyncio
import errno
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.engines import NOW, A, B, claimed, put
from tests.store.faults import FaultyDisk
from tests.store.test_check import ANOTHER_ADDRESS, change, filled

from restante.facts import Fact, ItemDamaged, SpoolMended
from restante.model import DomainName, ItemId, ItemState, Order
from restante.spool.spool import Filter, Settlement, SpoolBroken, SpoolUnusable
from restante.store import look, start
from restante.store.check import check
from restante.store.sqlite import SqliteSpool, open_spool


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every spool is a large one."""
    monkeypatch.setattr(start, "SMALL_PAGES", 0)
    monkeypatch.setattr(look, "ROWS", 2)
    monkeypatch.setattr(look, "DOMAINS", 1)


async def looked_at(folder: Path, told: list[Fact]) -> SqliteSpool:
    """The spool, opened as it was, and then looked at to the end."""
    spool = await open_spool(folder, wall=lambda: NOW, announce=told.append, disk=FaultyDisk())
    assert told == []
    assert spool._looking is not None
    await asyncio.wait_for(spool._looking, 60)
    return spool


def under_rule(folder: Path, index: str, instead_of: str, rule: str, statement: str) -> None:
    """Does something while an index has another rule, of which nothing is to be seen afterwards."""

    def write(old: str, new: str) -> None:
        database = sqlite3.connect(folder / "spool.db")
        database.execute("PRAGMA writable_schema = ON")
        replaced = "UPDATE sqlite_schema SET sql = replace(sql, ?, ?) WHERE name = ?"
        assert database.execute(replaced, (old, new, index)).rowcount == 1
        database.commit()
        database.close()

    write(instead_of, rule)
    change(folder, statement)
    write(rule, instead_of)


async def test_what_is_sound_is_left_as_it_is(tmp_path: Path) -> None:
    """Waiting, frozen and quarantined items, and domains with and without any."""
    made = await filled(tmp_path)
    spool = await looked_at(tmp_path, [])
    await spool.freeze([made[0]])
    await spool.close()
    told: list[Fact] = []
    spool = await looked_at(tmp_path, told)
    assert told == []
    assert await claimed(spool, A, B) == [made[1], ItemId(made[1] + 1), made[2]]
    await spool.close()


def _a_counter(folder: Path, _: ItemId) -> None:
    change(folder, "UPDATE counters SET items = 7 WHERE domain = 'b.example'")


def _an_age(folder: Path, _: ItemId) -> None:
    change(folder, f"UPDATE counters SET oldest = {NOW + 1} WHERE domain = 'b.example'")


def _no_counter(folder: Path, _: ItemId) -> None:
    change(folder, "DELETE FROM counters WHERE domain = 'b.example'")


def _a_counter_of_nothing(folder: Path, _: ItemId) -> None:
    change(folder, "INSERT INTO counters VALUES ('z.example', 1, 1, 1.0)")


def _a_domain(folder: Path, item: ItemId) -> None:
    change(folder, f"UPDATE items SET domain = 'c.example' WHERE id = {item}")


def _not_in_the_index(folder: Path, item: ItemId) -> None:
    under_rule(folder, "items_waiting", "state = 0", f"state = 0 AND id <> {item}", "REINDEX items_waiting")


def _in_the_index_and_gone(folder: Path, item: ItemId) -> None:
    under_rule(folder, "items_waiting", "state = 0", "state > 5", f"UPDATE items SET state = 1 WHERE id = {item}")


def _stopped_and_not_in_the_index(folder: Path, item: ItemId) -> None:
    under_rule(folder, "items_stopped", "state <> 0", "state > 5", f"UPDATE items SET state = 1 WHERE id = {item}")
    change(folder, "UPDATE counters SET items = 1, octets = 25 WHERE domain = 'a.example'")


def _in_the_index_and_not_stopped(folder: Path, item: ItemId) -> None:
    change(folder, f"UPDATE items SET state = 1 WHERE id = {item}")
    under_rule(folder, "items_stopped", "state <> 0", "state > 5", f"UPDATE items SET state = 0 WHERE id = {item}")


HARMS: dict[Callable[[Path, ItemId], None], bool] = {
    _a_counter: False,
    _an_age: False,
    _no_counter: False,
    _a_counter_of_nothing: False,
    _a_domain: True,
    _not_in_the_index: False,
    _in_the_index_and_gone: True,
    _stopped_and_not_in_the_index: True,
    _in_the_index_and_not_stopped: False,
}
"""Each with whether a row is damaged by it."""


@pytest.mark.parametrize("harm", HARMS)
async def test_each_kind_of_damage_is_found_and_mended_while_the_spool_is_open(
    tmp_path: Path, harm: Callable[[Path, ItemId], None]
) -> None:
    """As start does it with a small one: told as facts; then everything is counted and offered, or quarantined."""
    made = await filled(tmp_path)
    is_of_a_row = HARMS[harm]
    harm(tmp_path, made[0])
    told: list[Fact] = []
    spool = await looked_at(tmp_path, told)
    assert set(told) == ({ItemDamaged(made[0]), SpoolMended(1)} if is_of_a_row else {SpoolMended(0)})
    hurt = made[:1] if is_of_a_row else []
    assert [item.id for item in await spool.listing(Filter(state=ItemState.QUARANTINED))] == hurt
    everything = [made[0], made[1], ItemId(made[1] + 1), made[2]]
    assert spool.waiting(A).items + spool.waiting(B).items == 4 - len(hurt)
    assert set(spool.domains()) == {A, B}
    assert sorted(await claimed(spool, A, B)) == sorted(set(everything) - set(hurt))
    await spool.close()
    assert check(tmp_path, repair=False).problems == []


async def test_counters_that_are_no_numbers_are_mended_before_anybody_sees_them(tmp_path: Path) -> None:
    """Whatever the size: a server could not start with them."""
    await filled(tmp_path)
    strict = "counters (domain TEXT PRIMARY KEY, items ANY, octets ANY, oldest ANY) STRICT, WITHOUT ROWID"
    with sqlite3.connect(tmp_path / "spool.db") as database:
        [(sql,)] = database.execute("SELECT sql FROM sqlite_schema WHERE name = 'counters'").fetchall()
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'counters'", (f"CREATE TABLE {strict}",))
    database.close()
    change(tmp_path, "UPDATE counters SET items = x'07' WHERE domain = 'b.example'")
    with sqlite3.connect(tmp_path / "spool.db") as database:
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'counters'", (sql,))
    database.close()
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append)
    assert told == [SpoolMended(0)]
    assert spool.waiting(B).items == 2
    await spool.close()


async def test_mail_comes_and_goes_during_the_look_and_nothing_of_it_looks_wrong(tmp_path: Path) -> None:
    """Every question of it sees a commit whole, or not at all."""
    names = [DomainName(f"{letter}.example") for letter in "abcdefgh"]
    spool = await open_spool(tmp_path, disk=FaultyDisk())
    for number in range(200):
        await put(spool, names[number % 8], names[(number + 3) % 8])
    await spool.close()
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append, disk=FaultyDisk())
    assert spool._looking is not None
    turns = 0
    while turns < 10 or not spool._looking.done():
        turns += 1
        await put(spool, *names[turns % 3 :: 3])
        [item] = await spool.claim([names[turns % 8]], Order.PRIORITY, 1, turns)
        await spool.settle([Settlement(item.id, None)] if turns % 2 else [Settlement(item.id, item.envelope, "later")])
        spool.release_ended(turns)
    assert told == []
    await spool.close()
    assert check(tmp_path, repair=False).problems == []


async def test_a_spool_that_is_closed_during_the_look_is_closed_at_once(tmp_path: Path) -> None:
    """And its log is written back, as always; the next start looks again."""
    await filled(tmp_path)
    change(tmp_path, "UPDATE counters SET items = 7 WHERE domain = 'b.example'")
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append)
    await spool.close()
    assert not (tmp_path / "spool.db-wal").exists()
    if told == []:
        await (await looked_at(tmp_path, told)).close()
    assert told == [SpoolMended(0)]


async def test_after_the_store_broke_the_next_start_looks_first(tmp_path: Path) -> None:
    """However large it is; and the one after that does not."""
    await filled(tmp_path)
    disk = FaultyDisk()
    spool = await open_spool(tmp_path, disk=disk)
    disk.fault = errno.EIO
    with pytest.raises(SpoolBroken):
        await put(spool, A)
    await spool.close()
    change(tmp_path, "UPDATE counters SET items = 7 WHERE domain = 'b.example'")
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append)
    assert told == [SpoolMended(0)]
    assert spool._looking is None
    await spool.close()
    await (await looked_at(tmp_path, [])).close()


async def test_a_counter_that_is_too_low_breaks_the_store_once_at_the_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deliveries that nobody could record are made again; after the next start they are recorded."""
    made = await filled(tmp_path)
    monkeypatch.setattr(start, "SMALL_PAGES", 0)
    change(tmp_path, "UPDATE counters SET items = 1 WHERE domain = 'a.example'")
    monkeypatch.setattr(SqliteSpool, "_look_at_all", lambda _: asyncio.sleep(0))  # it has not come so far
    spool = await open_spool(tmp_path)
    assert await claimed(spool, A) == made[:2]
    with pytest.raises(SpoolBroken):
        await spool.settle([Settlement(item, None) for item in made[:2]])
    await spool.close()
    spool = await open_spool(tmp_path)
    assert await claimed(spool, A) == made[:2]
    await spool.settle([Settlement(item, None) for item in made[:2]])
    assert spool.waiting(A).items == 0
    await spool.close()
    assert check(tmp_path, repair=False).problems == []


async def test_what_cannot_be_mended_ends_the_taking_of_mail_and_the_next_start(tmp_path: Path) -> None:
    """As a small one would have been refused at once."""
    spool = await open_spool(tmp_path, disk=FaultyDisk())
    for _ in range(200):
        await put(spool, A)
    await spool.close()
    data = bytearray((tmp_path / "spool.db").read_bytes())
    database = sqlite3.connect(tmp_path / "spool.db")
    [(root,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'items_waiting'")
    database.close()
    data[(root - 1) * 4096 : (root - 1) * 4096 + 100] = bytes(100)
    (tmp_path / "spool.db").write_bytes(data)
    spool = await looked_at(tmp_path, [])
    with pytest.raises(SpoolBroken):
        await put(spool, A)
    await spool.close()
    with pytest.raises(SpoolUnusable, match="restante fsck tells more"):
        await open_spool(tmp_path)


async def test_a_row_that_is_damaged_within_is_found_by_who_reads_it(tmp_path: Path) -> None:
    """Seals are looked at whenever a row is read, and by fsck: not here."""
    made = await filled(tmp_path)
    change(tmp_path, ANOTHER_ADDRESS.format(made[0]))
    told: list[Fact] = []
    spool = await looked_at(tmp_path, told)
    assert told == []
    assert await claimed(spool, A) == [made[1]]
    assert told == [ItemDamaged(made[0])]
    await spool.close()
