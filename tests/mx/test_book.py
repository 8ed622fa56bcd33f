"""restante.mx.book and restante.mx.counts: what is there after a restart, and what damage does."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from restante.clock import TurnedClock
from restante.mx import book as books
from restante.mx import counts as counting
from restante.mx.book import FILE, BookUnusable, Fetched, TlsBook, open_book, read_rows
from restante.mx.counts import TlsCounts
from restante.mx.sts import Mode, StsPolicy
from restante.mx.tlsrpt import PolicyShown, PolicyType, Row, TlsOutcome
from restante.net.stream import ResultType

DAY = "2026-11-25"
POLICY = Fetched("20261125", StsPolicy(Mode.ENFORCE, ("*.test.example",), 86_400), 1000.5)
NONE = PolicyShown(PolicyType.NONE, "test.example")
OTHER = PolicyShown(PolicyType.TLSA, "other.example", ("3 1 1 ab",), ("mx1.other.example",))
GOOD = TlsOutcome(None, "mx1.test.example", "192.0.2.1", "192.0.2.7")
BAD = replace(GOOD, result=ResultType.EXPIRED, reason="expired")


@pytest.fixture
def book(tmp_path: Path) -> Iterator[TlsBook]:
    """A new one."""
    with contextlib.closing(open_book(tmp_path)) as book:
        yield book


def test_policies_are_there_after_a_restart(tmp_path: Path) -> None:
    """As they were put last; those that were removed are gone."""
    with contextlib.closing(open_book(tmp_path)) as book:
        book.put_policy("test.example", replace(POLICY, id="old"))
        book.put_policy("test.example", POLICY)
        book.put_policy("gone.example", POLICY)
        book.remove_policies(["gone.example", "never.example"])
    with contextlib.closing(open_book(tmp_path)) as book:
        assert book.lost == ""
        assert book.policies() == {"test.example": POLICY}
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_a_policy_is_in_force_for_its_time() -> None:
    """From when it was fetched, and not at its end any more."""
    assert POLICY.is_in_force(1000.5)
    assert POLICY.is_in_force(87_400.4)
    assert not POLICY.is_in_force(87_400.5)


def test_a_row_that_cannot_be_read_is_passed_over(book: TlsBook, tmp_path: Path) -> None:
    """Those beside it count."""
    book.put_policy("test.example", POLICY)
    other = apsw.Connection(str(tmp_path / FILE))
    other.execute("INSERT INTO policies VALUES ('bad.example', '1', 1.0, '{\"mode\": \"later\"}')")
    other.execute("INSERT INTO sessions VALUES (?, 'bad.example', '{}', '{', 1)", (DAY,))
    other.close()
    assert book.policies() == {"test.example": POLICY}
    assert book.rows(DAY) == []


def test_counts_of_one_kind_add_up(book: TlsBook, tmp_path: Path) -> None:
    """Over a restart too; by day and by domain, and for who reads while the server has it open."""
    book.add([Row(DAY, NONE, GOOD, 2), Row(DAY, OTHER, GOOD, 1)])
    book.add([Row(DAY, NONE, GOOD, 3), Row(DAY, NONE, BAD, 1), Row("2026-11-26", NONE, GOOD, 1)])
    ours = [Row(DAY, NONE, BAD, 1), Row(DAY, NONE, GOOD, 5)]
    assert read_rows(tmp_path, DAY, "test.example") == ours
    assert read_rows(tmp_path, DAY) == [Row(DAY, OTHER, GOOD, 1), *ours]
    assert read_rows(tmp_path, "2026-11-24") == []


def test_nothing_was_counted_where_there_is_no_book(tmp_path: Path) -> None:
    """And reading makes none."""
    assert read_rows(tmp_path, DAY) == []
    assert list(tmp_path.iterdir()) == []


def test_days_and_rows_have_an_end(book: TlsBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest days go; a full day takes no further kinds."""
    monkeypatch.setattr(books, "MOST_ROWS_A_DAY", 3)
    for day in range(40):
        book.add([Row(f"2026-{1 + day // 28:02}-{1 + day % 28:02}", NONE, GOOD, 1)])
    assert book.rows("2026-01-10") == []
    assert len(book.rows("2026-01-11")) == 1
    book.add([Row(DAY, NONE, replace(GOOD, reason=str(number)), 1) for number in range(5)])
    assert len(book.rows(DAY)) == 3


@pytest.mark.parametrize("damage", ["no database", "damaged"])
def test_a_damaged_book_is_put_aside(damage: str, tmp_path: Path) -> None:
    """It was a help, not a duty: a new one is begun."""
    with contextlib.closing(open_book(tmp_path)) as book:
        for number in range(500):
            book.put_policy(f"d{number}.example", POLICY)
    file = tmp_path / FILE
    content = bytearray(file.read_bytes())
    if damage == "damaged":
        content[4096:20_480] = b"\xff" * 16_384
    else:
        content[:] = b"This is no database" * 1000
    file.write_bytes(content)
    with contextlib.closing(open_book(tmp_path)) as book:
        assert book.lost
        assert book.policies() == {}
        book.put_policy("test.example", POLICY)
    assert (tmp_path / "tls.db.damaged").read_bytes() == content


def test_a_book_of_another_version_is_begun_anew(tmp_path: Path) -> None:
    """What a later restante has written is not guessed at."""
    with contextlib.closing(open_book(tmp_path)) as book:
        book.put_policy("test.example", POLICY)
    other = apsw.Connection(str(tmp_path / FILE))
    other.pragma("user_version", 99)
    other.close()
    with contextlib.closing(open_book(tmp_path)) as book:
        assert book.lost == "it has version 99; this restante knows 1"
        assert book.policies() == {}


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Is told."""
    with pytest.raises(BookUnusable):
        open_book(tmp_path / "nowhere")


async def test_counts_are_written_together(book: TlsBook) -> None:
    """By the day on which each was counted; what is written is not written again."""
    clock = TurnedClock(1_764_028_800.0)
    counts = TlsCounts(book, clock.wall)
    counts.count(NONE, GOOD)
    counts.count(NONE, GOOD)
    clock.jump(86_400)
    counts.count(NONE, GOOD)
    assert book.rows("2025-11-25") == []
    counts.write()
    counts.write()
    assert [row.sessions for day in ("2025-11-25", "2025-11-26") for row in book.rows(day)] == [2, 1]


async def test_counts_wait_for_a_book_that_is_busy(book: TlsBook, tmp_path: Path) -> None:
    """They are written with the next."""
    other = apsw.Connection(str(tmp_path / FILE))
    counts = TlsCounts(book, lambda: 1_764_028_800.0)
    counts.count(NONE, GOOD)
    book._connection.set_busy_timeout(0)
    with other:
        other.execute("DELETE FROM policies")
        counts.write()
    counts.write()
    other.close()
    assert [row.sessions for row in book.rows("2025-11-25")] == [1]


async def test_counts_are_bounded(book: TlsBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many kinds are written before their time; they are dropped where that fails."""
    monkeypatch.setattr(counting, "MOST_KINDS", 3)
    counts = TlsCounts(book, lambda: 1_764_028_800.0)
    for number in range(4):
        counts.count(NONE, replace(GOOD, reason=str(number)))
    assert len(book.rows("2025-11-25")) == 3
    book.close()
    for number in range(10):
        counts.count(NONE, replace(GOOD, reason=str(number)))
    assert len(counts._counts) < 3


async def test_without_a_book_nothing_is_counted() -> None:
    """Nobody could read it."""
    counts = TlsCounts(None, lambda: 0.0)
    counts.count(NONE, GOOD)
    counts.write()
    assert not counts._counts
