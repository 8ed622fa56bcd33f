"""Users and domains in the store: checked as the file is on the way in; on the way out what is bad is skipped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.config.written import Folder

from restante.config import proofs
from restante.config.build import directory_of
from restante.config.kept import AT_ONCE, KeptReader, plain_name, to_rows
from restante.config.load import ConfigError
from restante.directory.entries import Delivered, Grant, Held, Rejected
from restante.model import DomainName, HostPort
from restante.store.book import Book, open_book

HOLD = {"action": "hold", "next_hop": "192.0.2.25"}
LOGIN = {"password": proofs.HASH.example, "domains": ["test.example"]}
FINGERPRINT = "ab" * 32
DATABASE = "directory.db"


@pytest.fixture
def book(folder: Folder) -> Iterator[Book]:
    """The book beside a folder's file."""
    opened = open_book(folder.path / "data")
    yield opened
    opened.close()


def put(book: Book, kind: str, **tables: Any) -> None:
    """Writes what nobody has checked; a text is a row as it stands."""
    rows = {name.replace("_", "."): table for name, table in tables.items()}
    book.put(kind, [(name, row if isinstance(row, str) else json.dumps(row)) for name, row in rows.items()])


def rows(folder: Folder, book: Book, kind: str, tables: dict[str, Any], more: str = "") -> dict[str, Any]:
    """What would be written of tables beside a file and what is in the book. Raises ConfigError."""
    settings = folder.load(more)
    directory = directory_of(settings, KeptReader(book, folder.path).read())
    how: dict[str, Any] = {"settings": settings, "directory": directory, "file": Path(DATABASE), "folder": folder.path}
    return {name: json.loads(text) for name, text in to_rows(kind, tables, **how)}


def problems(folder: Folder, book: Book, kind: str, tables: dict[str, Any], more: str = "") -> list[str]:
    """Why tables are not written."""
    with pytest.raises(ConfigError) as caught:
        rows(folder, book, kind, tables, more)
    return str(caught.value).splitlines()


# out


def test_rows_become_what_the_file_would_make_of_them(folder: Folder, book: Book) -> None:
    """Paths are relative to the file's folder."""
    (folder.path / "list.txt").write_text("anna@test.example\n")
    put(book, "domains", test_example=HOLD | {"recipients": "list.txt", "release_from": ["user:test"], "group": "A"})
    put(book, "domains", local_example={"action": "deliver", "users": ["anna"], "aliases": {"info": ["anna"]}})
    put(book, "users", test=LOGIN)
    kept = KeptReader(book, folder.path).read()
    assert kept.problems == ()
    held = kept.entries["test.example"]
    assert isinstance(held, Held)
    assert (held.next_hop, held.group, held.grants) == (HostPort("192.0.2.25"), "a", (Grant(login="test"),))
    assert held.recipients is not None
    assert held.recipients.mailboxes == {"anna@test.example"}
    assert kept.entries["local.example"] == Delivered("local.example", frozenset({"anna"}), {"info": ("anna",)}, "anna")
    assert kept.users["test"].password == LOGIN["password"]
    assert kept.users["test"].domains == {"test.example"}


def test_the_file_wins_where_both_name_one(folder: Folder, book: Book) -> None:
    """A user and a domain; all the rest is of both."""
    put(book, "domains", test_example=HOLD, other_example=HOLD)
    put(book, "users", test=LOGIN, other=LOGIN)
    settings = folder.load(
        f'[domains."Test.example"]\naction = "reject"\n[users.TEST]\ncertificates = ["{FINGERPRINT}"]'
    )
    directory = directory_of(settings, KeptReader(book, folder.path).read())
    assert isinstance(directory.entry("test.example"), Rejected)
    assert isinstance(directory.entry("other.example"), Held)
    assert directory.users["test"].password is None
    assert directory.users["other"].password is not None


BAD = {
    "no JSON": ("domains", '{"action":', 'domains."bad.example": found what is not JSON, allowed: a table in JSON'),
    "no table": ("domains", "[]", 'domains."bad.example": found no table, allowed: a table in JSON'),
    "deep": ("domains", "[" * 100_000, 'domains."bad.example": found what is not JSON, allowed: a table in JSON'),
    "unknown key": (
        "domains",
        {"action": "reject", "texd": ""},
        'domains."bad.example".texd: found an unknown key (did you mean text?), allowed: action, text',
    ),
    "one bad value": (
        "domains",
        HOLD | {"release_from": ["192.0.2.25", "all"]},
        """domains."bad.example".release_from[1]: found 'all', allowed: an address, a network, """,
    ),
    "keys that do not go together": (
        "domains",
        {"action": "deliver", "users": ["anna"], "aliases": {"a": ["b"], "b": ["a"]}},
        'domains."bad.example".aliases: found a loop: ',
    ),
    "a login without a proof": (
        "users",
        {"domains": ["test.example"]},
        'users."bad.example".password: found nothing, allowed: one of password, scram',
    ),
}


@pytest.mark.parametrize(("kind", "row", "line"), BAD.values(), ids=BAD)
def test_a_bad_row_is_told_and_skipped_whole(folder: Folder, book: Book, kind: str, row: Any, line: str) -> None:
    """Nothing of it is in force, not even what could be read; all others are."""
    put(book, kind, bad_example=row)
    put(book, "domains", test_example=HOLD)
    put(book, "users", test=LOGIN)
    kept = KeptReader(book, folder.path).read()
    assert (set(kept.entries), set(kept.users)) == ({"test.example"}, {"test"})
    (problem,) = kept.problems
    assert str(problem).startswith(f"{book.file}: {line}")


def test_a_row_under_a_name_that_it_could_not_have_is_skipped(folder: Folder, book: Book) -> None:
    """It would shadow another, or never be found."""
    put(book, "domains", **{"Test_example": HOLD, "b\u00fccher_example": HOLD, "a b": HOLD, "test_example": HOLD})
    put(book, "users", Test=LOGIN)
    kept = KeptReader(book, folder.path).read()
    assert (set(kept.entries), set(kept.users)) == ({"test.example"}, set())
    assert len(kept.problems) == 4


def test_reading_again_sees_what_was_changed(folder: Folder, book: Book) -> None:
    """New, other, mended, spoilt and removed rows; the rest stays as it was read, to the very object."""
    put(book, "domains", a_example=HOLD, b_example=HOLD, c_example=HOLD, bad_example={}, worse_example={})
    reader = KeptReader(book, folder.path)
    first = reader.read()
    assert set(first.entries) == {"a.example", "b.example", "c.example"}
    assert len(first.problems) == 2
    put(book, "domains", b_example={"action": "reject"}, bad_example=HOLD, c_example={}, new_example=HOLD)
    book.remove("domains", "worse.example")
    second = reader.read()
    assert set(second.entries) == {"a.example", "b.example", "bad.example", "new.example"}
    assert second.entries["a.example"] is first.entries["a.example"]
    assert isinstance(second.entries["b.example"], Rejected)
    assert len(second.problems) == 1
    book.remove("domains", "a.example")
    assert set(reader.read().entries) == {"b.example", "bad.example", "new.example"}
    assert set(first.entries) == {"a.example", "b.example", "c.example"}


def test_reading_afresh_reads_the_files_that_rows_name(folder: Folder, book: Book) -> None:
    """As a reload does; a row whose file is gone is skipped, and comes back with it."""
    file = folder.path / "list.txt"
    file.write_text("anna@test.example\n")
    put(book, "domains", test_example=HOLD | {"recipients": "list.txt"})
    reader = KeptReader(book, folder.path)
    assert len(reader.read().entries) == 1
    file.unlink()
    assert len(reader.read().entries) == 1
    kept = reader.read(afresh=True)
    assert (len(kept.entries), len(kept.problems)) == (0, 1)
    file.write_text("anna@test.example\nno such\n")
    kept = reader.read(afresh=True)
    assert len(kept.entries) == 0
    assert str(kept.problems[0]).startswith(f"{file}: line 2: found 'no such'")
    file.write_text("anna@test.example\n")
    assert len(reader.read(afresh=True).entries) == 1


def test_many_rows_are_read_with_a_bad_one_among_them(folder: Folder, book: Book) -> None:
    """However they are cut into pieces."""
    count = 2 * AT_ONCE + 1
    put(book, "domains", **{f"d{number}_example": HOLD for number in range(count)})
    put(book, "domains", d7_example={"action": "hold"}, **{f"d{AT_ONCE}_example": "no"})
    kept = KeptReader(book, folder.path).read()
    assert len(kept.entries) == count - 2
    assert len(kept.problems) == 2


# in


def test_what_is_in_order_is_written_as_it_was_given(folder: Folder, book: Book) -> None:
    """Under the name that it has everywhere else."""
    tables = {"B\u00fccher.Example": HOLD | {"release_from": ["192.0.2.25"]}}
    assert rows(folder, book, "domains", tables) == {"xn--bcher-kva.example": tables["B\u00fccher.Example"]}
    assert rows(folder, book, "users", {"Test": LOGIN}) == {"test": LOGIN}


def test_all_that_is_wrong_is_told_at_once(folder: Folder, book: Book) -> None:
    """Of values, of keys that do not go together, of names."""
    tables = {"a b": HOLD, "x.example": HOLD | {"next_hop": "a b", "colour": 1}, "y.example": HOLD | {"tls_pin": "x"}}
    assert [line.split(": found")[0] for line in problems(folder, book, "domains", tables)] == [
        f'{DATABASE}: domains."a b"',
        f'{DATABASE}: domains."x.example".next_hop',
        f'{DATABASE}: domains."x.example".colour',
        f'{DATABASE}: domains."y.example".tls_pin',
    ]


def test_two_spellings_of_one_name_are_refused(folder: Folder, book: Book) -> None:
    """Which of them is meant?"""
    assert problems(folder, book, "users", {"test": LOGIN, "TEST": LOGIN}) == [
        f"{DATABASE}: users.TEST: found another spelling of 'test', allowed: each user once"
    ]


def test_a_grant_names_a_user_of_the_file_or_of_the_store(folder: Folder, book: Book) -> None:
    """Nobody else's name can be written."""
    put(book, "users", kept=LOGIN)
    more = f'[users.filed]\npassword = "{LOGIN["password"]}"'
    table = HOLD | {"release_from": ["user:kept", "user:Filed", "user:nobody"]}
    (line,) = problems(folder, book, "domains", {"test.example": table}, more)
    assert line.startswith(
        f"""{DATABASE}: domains."test.example".release_from: found 'user:nobody', allowed: users of """
    )


def test_a_name_in_certificates_takes_an_authority(folder: Folder, book: Book) -> None:
    """The file's `tls.client_ca`."""
    tables = {"test": {"certificates": ["site.example"]}}
    assert len(problems(folder, book, "users", tables)) == 1
    (folder.path / "ca.pem").touch()
    assert rows(folder, book, "users", tables, '[tls]\nclient_ca = "ca.pem"') == tables


def test_a_certificate_is_one_user_s_alone(folder: Folder, book: Book) -> None:
    """In the store, in the file and in one import; a user may keep his own, and two may change theirs at once."""
    put(book, "users", kept={"certificates": [FINGERPRINT]}, second={"certificates": ["cd" * 32]})
    line = f"{DATABASE}: users.new.certificates: found {FINGERPRINT[:60]!r}…, which users.kept has"
    (found,) = problems(folder, book, "users", {"new": {"certificates": [FINGERPRINT]}})
    assert found.startswith(line)
    (found,) = problems(folder, book, "users", {n: {"certificates": ["ef" * 32]} for n in ("new", "newer")})
    assert found.startswith(f"{DATABASE}: users.newer.certificates: ")
    assert rows(folder, book, "users", {"kept": {"certificates": [FINGERPRINT, "01" * 32]}})
    assert rows(folder, book, "users", {"kept": {"certificates": ["cd" * 32]}, "second": LOGIN})
    more = f'[users.filed]\ncertificates = ["{"12" * 32}"]'
    (found,) = problems(folder, book, "users", {"new": {"certificates": ["12" * 32]}}, more)
    assert "which users.filed has" in found


def test_a_secret_is_in_no_problem(folder: Folder, book: Book) -> None:
    """Neither a password in clear nor what was nearly a hash."""
    for table in (
        {"password": "hunter2"},
        {"secret": "hunter2"},
        {"scram": "hunter2"},
        "hunter2",
        {"secret": ["hunter2"]},
    ):
        assert not any("hunter2" in line for line in problems(folder, book, "users", {"test": table}))


# the file's view


def test_a_file_may_name_what_is_in_the_store(folder: Folder, book: Book) -> None:
    """A user in release_from, a held domain in flush, a delivered one of an ATRN call; and nobody who is not there."""
    held = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\nrelease_from = ["user:kept"]\n'
    flush = '[calls.a]\nhost = "office.example"\nflush = ["kept.example"]\n'
    atrn = '[calls.b]\nhost = "office.example"\nprotocol = "atrn"\nuser = "a"\npassword_file = "p"\n'
    assert len(folder.problems(held + flush + atrn)) == 3
    put(book, "users", kept=LOGIN)
    put(book, "domains", kept_example=HOLD)
    folder.load(held + flush + atrn)
    assert len(folder.problems(held.replace("user:kept", "user:other"))) == 1


def test_a_store_that_cannot_be_read_is_a_problem_where_it_matters(folder: Folder) -> None:
    """Not for a file that names nothing of it."""
    (folder.path / "data").mkdir()
    (folder.path / "data/directory.db").write_text("no database")
    folder.load()
    more = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\nrelease_from = ["user:kept"]\n'
    assert any("directory.db: found users that cannot be read" in line for line in folder.problems(more))


def test_names_are_kept_in_one_form() -> None:
    """As the directory compares them."""
    assert plain_name("users", "Test") == "test"
    assert plain_name("domains", "B\u00dcCHER.example") == DomainName("xn--bcher-kva.example")
    assert plain_name("domains", "*") == "*"
    for kind, name in (("users", "a b"), ("users", ""), ("domains", "a b"), ("domains", "[192.0.2.1]")):
        with pytest.raises(ValueError):
            plain_name(kind, name)
