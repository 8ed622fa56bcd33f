"""Users and domains in the store: what was written is there, for every process, at once and after a crash."""

from __future__ import annotations

import multiprocessing
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from restante.store import book as module
from restante.store.book import Book, BookUnusable, has_book, names_in, open_book


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """An empty one."""
    opened = open_book(tmp_path / "data")
    yield opened
    opened.close()


def test_rows_are_kept_by_kind_and_name(book: Book) -> None:
    """A user and a domain of one name are two; what is written again is replaced."""
    book.put("users", [("test", "{}"), ("b", "1")])
    book.put("domains", [("test", "[]")])
    book.put("users", [("test", '{"a": 1}'), ("a", "2")])
    assert book.rows("users") == {"a": "2", "b": "1", "test": '{"a": 1}'}
    assert list(book.rows("users")) == ["a", "b", "test"]
    assert (book.row("users", "test"), book.row("domains", "test"), book.row("users", "c")) == ('{"a": 1}', "[]", None)
    book.remove("users", "test")
    book.remove("users", "nobody")
    assert set(book.rows("users")) == {"a", "b"}
    assert set(book.rows("domains")) == {"test"}


def test_an_import_is_written_whole_or_not_at_all(book: Book) -> None:
    """An error in the midst of it leaves all as it was, and the book usable."""

    def failing() -> Iterator[tuple[str, str]]:
        yield "a", "1"
        raise KeyError

    book.put("users", [("a", "0")])
    with pytest.raises(KeyError):
        book.put("users", failing())
    assert book.rows("users") == {"a": "0"}
    book.put("users", [("b", "1")])
    assert set(book.rows("users")) == {"a", "b"}


def test_what_is_added_replaces_nothing(book: Book) -> None:
    """Rows of several kinds are written together; where one of them is there already, none is."""
    assert book.add([("users", "a", "1"), ("domains", "a", "2")]) == ()
    assert book.add([("users", "b", "1"), ("domains", "a", "3")]) == ("a",)
    assert book.rows("users") == {"a": "1"}
    assert book.rows("domains") == {"a": "2"}


def test_a_row_is_changed_in_one_go(book: Book) -> None:
    """What it becomes is made of what it is; an error in the making leaves it so."""

    def failing(_: str | None) -> str:
        raise KeyError

    book.change("recipients", "test", lambda row: f"{row}!")
    book.change("recipients", "test", lambda row: f"{row}!")
    with pytest.raises(KeyError):
        book.change("recipients", "test", failing)
    assert book.rows("recipients") == {"test": "None!!"}
    book.remove("recipients", "test")
    assert book.row("recipients", "test") is None


def test_another_connection_sees_that_something_has_changed(tmp_path: Path, book: Book) -> None:
    """Once for each look, whatever the change was; not its own, and not where nothing has changed."""
    other = open_book(tmp_path / "data")
    assert not book.has_changed()
    other.put("users", [("a", "1")])
    other.put("users", [("b", "1")])
    assert book.has_changed()
    assert not book.has_changed()
    assert not other.has_changed()
    other.remove("users", "a")
    assert book.has_changed()
    other.close()
    assert not book.has_changed()


def test_what_has_changed_is_told_since_a_revision(book: Book) -> None:
    """Later rows, and all names, so that what is gone is known; a name that comes back is a change."""
    first = book.changes(0)
    assert (first.rows, first.names) == ({}, {})
    book.put("users", [("a", "1"), ("b", "1")])
    second = book.changes(first.revision)
    assert second.rows == {"users": {"a": "1", "b": "1"}}
    book.remove("users", "b")
    third = book.changes(second.revision)
    assert (third.rows, third.names) == ({}, {"users": {"a"}})
    book.put("users", [("b", "1")])
    fourth = book.changes(third.revision)
    assert fourth.rows == {"users": {"b": "1"}}
    book.put("domains", [("c.example", "1")])
    assert book.changes(0).rows == {"domains": {"c.example": "1"}, "users": {"a": "1", "b": "1"}}


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    """Secrets are in it, and in what SQLite keeps beside it; whatever the umask is."""
    before = os.umask(0)
    try:
        book = open_book(tmp_path / "data")
        book.put("users", [("a", "1")])
        modes = [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "data").iterdir()]
        book.close()
    finally:
        os.umask(before)
    assert len(modes) == 3
    assert set(modes) == {0o600}
    assert stat.S_IMODE((tmp_path / "data").stat().st_mode) == 0o700


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_is_the_data_folder_s_owner_s(tmp_path: Path) -> None:
    """`restante user add` as root, before the server has run as somebody else."""
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 12345, 12346)
    book = open_book(data)
    book.put("users", [("a", "1")])
    owners = {(file.stat().st_uid, file.stat().st_gid) for file in data.iterdir()}
    book.close()
    assert owners == {(12345, 12346)}


def test_a_book_that_is_not_there_is_not_made_by_asking(tmp_path: Path) -> None:
    """Nor is its folder."""
    assert not has_book(tmp_path / "data")
    assert names_in(tmp_path / "data", "users") == frozenset()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no database at all, but a text", b"SQLite format 3\0" + b"x" * 4096])
def test_a_book_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    """With its file; nothing is made in its place."""
    (tmp_path / module.DATABASE).write_bytes(content)
    for attempt in (open_book, lambda data: names_in(data, "users")):
        with pytest.raises(BookUnusable) as caught:
            attempt(tmp_path)
        assert str(caught.value).startswith(f"{tmp_path / module.DATABASE} cannot be used: ")
    assert (tmp_path / module.DATABASE).read_bytes() == content


def test_a_book_of_a_newer_restante_is_left_alone(tmp_path: Path, book: Book) -> None:
    """Its tables may mean something else."""
    book._connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BookUnusable, match="a newer restante wrote it"):
        open_book(tmp_path / "data")


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    """In the system's words, without a traceback."""
    (tmp_path / module.DATABASE).mkdir()
    with pytest.raises(BookUnusable):
        open_book(tmp_path)


def test_who_waits_too_long_for_his_turn_is_told(tmp_path: Path, book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """And reading goes on meanwhile."""
    book.put("users", [("a", "1")])
    book._connection.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(module, "BUSY_MILLISECONDS", 20)
    other = open_book(tmp_path / "data")
    with pytest.raises(BookUnusable, match="another process is writing to it"):
        other.put("users", [("b", "1")])
    assert other.rows("users") == {"a": "1"}
    book._connection.execute("COMMIT")
    other.put("users", [("b", "1")])
    other.close()


def _write(data: Path, name: str, count: int) -> None:
    book = open_book(data)
    for number in range(count):
        book.put("users", [(f"{name}{number}", "1")])
    book.close()


def test_many_processes_write_one_after_another(tmp_path: Path) -> None:
    """The first of them makes it, and none loses a row."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(tmp_path / "data", name, 10)) for name in "abcd"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(names_in(tmp_path / "data", "users")) == 40


def test_what_was_written_is_there_after_kill_9(tmp_path: Path) -> None:
    """Each row that was told to be written."""
    code = (
        "import sys; from pathlib import Path; from restante.store.book import open_book\n"
        "book = open_book(Path(sys.argv[1]))\n"
        "for number in range(100000):\n"
        "    book.put('users', [(f'u{number}', '1')]); print(number, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "data")], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) == 20:
            break
    writer.send_signal(signal.SIGKILL)
    told = [20, *map(int, writer.stdout.read().split())]
    writer.wait()
    writer.stdout.close()
    assert names_in(tmp_path / "data", "users") >= {f"u{number}" for number in range(told[-1] + 1)}
