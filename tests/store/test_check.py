"""`restante fsck`'s look at a store: what it finds, what a repair does about it, what start does by itself."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.contract.engines import NOW, A, B, claimed, ids, octets, put
from tests.store.faults import FaultyDisk

from restante.facts import Fact, ItemDamaged, SpoolMended
from restante.model import ItemId, ItemState, Waiting, arrival_of, message_of, write_item_id, write_message_id
from restante.spool.spool import INLINE_LIMIT, Filter, SpoolInUse, SpoolUnusable
from restante.store.check import Kind, Report, check
from restante.store.mark import Mark
from restante.store.sqlite import open_spool

LARGE = octets(INLINE_LIMIT + 1)
OF_B = 25 + len(LARGE)
ANOTHER_ADDRESS = "UPDATE items SET envelope = CAST(replace(envelope, 'bob', 'bab') AS BLOB) WHERE id = {}"


async def filled(folder: Path) -> list[ItemId]:
    """A small message, one for two domains, and a large one; closed."""
    spool = await open_spool(folder, wall=lambda: NOW, disk=FaultyDisk())
    made = [await put(spool, A), await put(spool, A, B), await put(spool, B, content=LARGE)]
    await spool.close()
    return made


def change(folder: Path, *statements: str) -> None:
    """Does something to the database that restante never does."""
    database = sqlite3.connect(folder / "spool.db")
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()


def body(folder: Path) -> Path:
    """The one body file."""
    [found] = [path for path in (folder / "bodies").rglob("*") if path.is_file()]
    return found


def found(report: Report) -> list[tuple[str, str, str]]:
    """The problems of a report, without what was done."""
    return [(problem.kind.value, problem.name, problem.text) for problem in report.problems]


async def test_a_sound_store_has_no_problems(tmp_path: Path) -> None:
    """Everything is counted, nothing is changed."""
    await filled(tmp_path)
    report = check(tmp_path, repair=False)
    assert (report.messages, report.items, report.octets, report.body_files) == (3, 4, 50 + len(LARGE), 1)
    assert report.problems == []
    assert check(tmp_path, repair=True).problems == []


async def test_a_store_that_somebody_has_is_left_alone(tmp_path: Path) -> None:
    """Whoever it is."""
    spool = await open_spool(tmp_path)
    with pytest.raises(SpoolInUse):
        check(tmp_path, repair=True)
    await spool.close()


Trouble = tuple[Callable[[Path, list[ItemId]], object], Callable[[list[ItemId]], list[tuple[str, str, str]]]]
TROUBLES: dict[str, Trouble] = {
    "an address": (
        lambda at, made: change(at, ANOTHER_ADDRESS.format(made[0])),
        lambda made: [(Kind.ITEM, write_item_id(made[0]), "its row is damaged")],
    ),
    "a domain": (
        lambda at, made: change(at, f"UPDATE items SET domain = 'b.example' WHERE id = {made[0]}"),
        lambda made: [(Kind.ITEM, write_item_id(made[0]), "its row is damaged")],
    ),
    "a state": (
        lambda at, made: change(at, f"UPDATE items SET state = 1 WHERE id = {made[0]}"),
        lambda made: [(Kind.ITEM, write_item_id(made[0]), "its row is damaged")],
    ),
    "a content": (
        lambda at, made: change(at, f"UPDATE messages SET content = x'00' WHERE id = {message_of(made[1])}"),
        lambda made: [(Kind.CONTENT, write_message_id(message_of(made[1])), "its content does not have its hash")],
    ),
    "no message": (
        lambda at, made: change(at, f"DELETE FROM messages WHERE id = {message_of(made[0])}"),
        lambda made: [(Kind.ITEM, write_item_id(made[0]), "its message is missing")],
    ),
    "no item": (
        lambda at, made: change(
            at,
            f"DELETE FROM items WHERE id = {made[0]}",
            "UPDATE counters SET items = 1, octets = 25 WHERE domain = 'a.example'",
        ),
        lambda made: [(Kind.MESSAGE, write_message_id(message_of(made[0])), "no item needs it")],
    ),
    "a counter": (
        lambda at, _: change(at, "UPDATE counters SET items = 7 WHERE domain = 'b.example'"),
        lambda _: [(Kind.COUNTER, "b.example", f"7 items of {OF_B} octets are written, 2 of {OF_B} wait")],
    ),
    "a cut body file": (
        lambda at, _: body(at).write_bytes(LARGE[:-7]),
        lambda made: [
            (
                Kind.CONTENT,
                write_message_id(message_of(made[2])),
                f"its body file has {len(LARGE) - 7} octets, not {len(LARGE)}",
            )
        ],
    ),
    "a flipped body file": (
        lambda at, _: body(at).write_bytes(LARGE[:-1] + b"\0"),
        lambda made: [(Kind.CONTENT, write_message_id(message_of(made[2])), "its content does not have its hash")],
    ),
    "no body file": (
        lambda at, _: body(at).unlink(),
        lambda made: [(Kind.CONTENT, write_message_id(message_of(made[2])), "its body file is missing")],
    ),
    "an orphan": (
        lambda at, _: body(at).with_name("0QJ3K5W7T9A").write_bytes(b"?"),
        lambda _: [(Kind.BODY, "bodies/00/0QJ3K5W7T9A", "no message needs it")],
    ),
}


@pytest.mark.parametrize("what", TROUBLES)
async def test_each_kind_of_damage_is_found_repaired_and_gone(tmp_path: Path, what: str) -> None:
    """A look changes nothing; a repair says what it did; after it all is sound, and the store opens as it is."""
    made = await filled(tmp_path)
    harm, expected = TROUBLES[what]
    harm(tmp_path, made)
    for _ in range(2):
        report = check(tmp_path, repair=False)
        assert found(report) == expected(made)
        assert not any(problem.repair for problem in report.problems)
    repaired = check(tmp_path, repair=True)
    assert found(repaired) == found(report)
    assert all(problem.repair for problem in repaired.problems)
    again = check(tmp_path, repair=False)
    assert again.problems == []
    assert again.quarantined == repaired.quarantined
    spool = await open_spool(tmp_path)
    aside = await spool.listing(Filter(state=ItemState.QUARANTINED))
    assert len(aside) == repaired.quarantined == (await spool.stopped()).get(ItemState.QUARANTINED, 0)
    assert len(await claimed(spool, A, B)) + len(aside) == again.items
    await spool.close()


async def test_a_damaged_row_is_set_aside_when_it_is_looked_at(tmp_path: Path) -> None:
    """Shown with its id and its time alone; counted no more; told once; removed like any other."""
    made = await filled(tmp_path)
    change(tmp_path, ANOTHER_ADDRESS.format(made[0]))
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append)
    assert told == []
    assert await claimed(spool, A) == [made[1]]
    assert told == [ItemDamaged(made[0])]
    spool.release_ended(1)
    (shown, *_) = await spool.listing(Filter())
    assert (shown.id, shown.domain, shown.state, shown.is_known) == (made[0], "", ItemState.QUARANTINED, False)
    assert shown.arrived == arrival_of(message_of(made[0])) == pytest.approx(NOW, abs=1)
    assert spool.domains()[A] == Waiting(1, 25, NOW)
    assert await claimed(spool, A, release=2) == [made[1]]
    assert await spool.thaw([made[0]]) == []
    assert await spool.remove([made[0]]) == [made[0]]
    assert await spool.listing(Filter(state=ItemState.QUARANTINED)) == []
    assert told == [ItemDamaged(made[0])]
    await spool.close()
    assert check(tmp_path, repair=False).problems == []


async def test_start_sets_right_what_follows_from_the_items(tmp_path: Path) -> None:
    """A counter that is wrong; an item whose row does not match its index is quarantined, and told."""
    made = await filled(tmp_path)
    change(tmp_path, "UPDATE counters SET items = 7 WHERE domain = 'b.example'")
    told: list[Fact] = []
    spool = await open_spool(tmp_path, announce=told.append)
    assert spool.waiting(B).items == 2
    assert told == [SpoolMended(0)]
    await spool.close()
    change(tmp_path, f"UPDATE items SET domain = 'c.example' WHERE id = {made[0]}")
    spool = await open_spool(tmp_path, announce=told.append)
    assert told[1:] == [SpoolMended(1), ItemDamaged(made[0])]
    assert ids(await spool.listing(Filter(state=ItemState.QUARANTINED))) == [made[0]]
    await spool.close()


async def test_commits_that_are_missing_are_missed(tmp_path: Path) -> None:
    """A log that lost its end, or a database from yesterday: start refuses, until somebody takes it as it is."""
    await filled(tmp_path)
    yesterday = (tmp_path / "spool.db").read_bytes()
    spool = await open_spool(tmp_path)
    await put(spool, B)
    await spool.close()
    (tmp_path / "spool.db").write_bytes(yesterday)
    for _ in range(2):
        with pytest.raises(SpoolUnusable, match="the last 1 of 4 commits that were acknowledged are missing"):
            await open_spool(tmp_path)
    assert [text[:45] for _, _, text in found(check(tmp_path, repair=False))] == [
        "the last 1 of 4 commits that were acknowledge"
    ]
    assert check(tmp_path, repair=True).problems[0].repair == "what is there is taken as it is"
    await (await open_spool(tmp_path)).close()


def test_a_mark_that_is_lost_or_damaged_claims_nothing(tmp_path: Path) -> None:
    """It is a witness, not a judge."""
    mark = Mark(FaultyDisk(), tmp_path)
    assert mark.read() == 0
    mark.start(7)
    mark.write(8)
    assert mark.read() == 8
    mark.close()
    written = (tmp_path / "mark").read_bytes()
    for octet in range(len(written)):
        (tmp_path / "mark").write_bytes(written[:octet] + bytes([written[octet] ^ 4]) + written[octet + 1 :])
        assert mark.read() == 0
        (tmp_path / "mark").write_bytes(written[:octet])
        assert mark.read() == 0


async def test_a_database_that_is_corrupt_is_made_anew(tmp_path: Path) -> None:
    """From what can be read; the old one is kept."""
    spool = await open_spool(tmp_path, disk=FaultyDisk())
    made = [await put(spool, content=octets(3000, number)) for number in range(200)]
    await spool.close()
    data = bytearray((tmp_path / "spool.db").read_bytes())
    database = sqlite3.connect(tmp_path / "spool.db")
    [(root,)] = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'items_waiting'")
    database.close()
    page = root - 1
    data[page * 4096 : page * 4096 + 100] = bytes(100)
    (tmp_path / "spool.db").write_bytes(data)
    with pytest.raises(SpoolUnusable, match="restante fsck tells more"):
        await open_spool(tmp_path)
    assert check(tmp_path, repair=False).problems != []
    [problem] = check(tmp_path, repair=True).problems
    assert "made anew from 200 items and 200 messages that could be read" in problem.repair
    assert (tmp_path / "spool.db.damaged").exists()
    assert check(tmp_path, repair=False).problems == []
    spool = await open_spool(tmp_path)
    assert await claimed(spool) == made
    await spool.close()


async def test_a_file_that_is_no_database_is_not_replaced(tmp_path: Path) -> None:
    """A repair does not make mail out of nothing, nor nothing out of somebody's file."""
    (tmp_path / "spool.db").write_bytes(b"precious" * 1000)
    for repair in (False, True):
        report = check(tmp_path, repair=repair)
        assert [problem.repair for problem in report.problems][:1] == [""]
    assert (tmp_path / "spool.db").read_bytes() == b"precious" * 1000
