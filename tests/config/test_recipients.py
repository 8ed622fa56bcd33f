"""Lists of recipients in the store: replaced and changed whole; the configuration wins; 100,000 are not many."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.config.written import Folder

from restante.config.build import directory_of
from restante.config.kept import KeptReader
from restante.config.problems import ConfigError
from restante.config.recipients import change_recipients, clear_recipients, listed, replace_recipients
from restante.directory.entries import Directory, Held, Recipients
from restante.model import Mailbox
from restante.store.book import Book, open_book

HOLD = json.dumps({"action": "hold", "next_hop": "192.0.2.25"})
TEST = "test.example"
IN_FILE = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\n'


@pytest.fixture
def book(folder: Folder) -> Iterator[Book]:
    """The book beside a folder's file; it has the domain."""
    opened = open_book(folder.path / "data")
    opened.put("domains", [(TEST, HOLD)])
    yield opened
    opened.close()


def directory(folder: Folder, book: Book, more: str = "") -> Directory:
    """What is in force."""
    return directory_of(folder.load(more), KeptReader(book, folder.path).read())


def known(directory: Directory, name: str = TEST) -> Recipients | None:
    """The list of a domain."""
    entry = directory.entry(name)
    assert isinstance(entry, Held)
    return entry.recipients


def test_a_list_is_in_force_as_it_was_sent(folder: Folder, book: Book) -> None:
    """In whatever spelling; lines that say nothing do not count, a second list is the whole list."""
    lines = ["# ours", "Anna@TEST.example  # the boss", "", "@sub.test.example", '"@odd"@test.example']
    assert replace_recipients(book, TEST, lines) == 3
    recipients = known(directory(folder, book))
    assert recipients is not None
    assert listed(recipients) == ["@sub.test.example", "@odd@test.example", "anna@test.example"]
    assert recipients.has(Mailbox.parse("ANNA@test.example"))
    assert recipients.has(Mailbox.parse('"@odd"@test.example'))
    assert recipients.has(Mailbox.parse("whoever@sub.test.example"))
    assert not recipients.has(Mailbox.parse("bert@test.example"))
    assert replace_recipients(book, TEST, ["bert@test.example"]) == 1
    assert known(directory(folder, book)) == Recipients(frozenset({"bert@test.example"}))


def test_a_list_that_is_not_in_order_changes_nothing(folder: Folder, book: Book) -> None:
    """Every problem is told, by its line and by where it came from."""
    replace_recipients(book, TEST, ["anna@test.example"])
    with pytest.raises(ConfigError) as caught:
        replace_recipients(book, TEST, ["bert@test.example", "carl", "@", "dora@"], Path("new.txt"))
    assert str(caught.value).splitlines() == [
        f"new.txt: line {number}: found {line!r}, allowed: an address or @domain"
        for number, line in ((2, "carl"), (3, "@"), (4, "dora@"))
    ]
    with pytest.raises(ConfigError, match="recipients: line 1: found 'carl'"):
        change_recipients(book, TEST, add=["carl"])
    assert known(directory(folder, book)) == Recipients(frozenset({"anna@test.example"}))


def test_recipients_come_and_go_one_by_one(folder: Folder, book: Book) -> None:
    """The first makes the list; what is not in it cannot leave it; without a list anybody is taken again."""
    assert change_recipients(book, TEST, add=["Anna@test.example", "@sub.test.example"]) == 2
    assert change_recipients(book, TEST, add=["bert@test.example"], remove=["ANNA@test.example", "carl@x.example"]) == 2
    recipients = known(directory(folder, book))
    assert recipients is not None
    assert listed(recipients) == ["@sub.test.example", "bert@test.example"]
    assert change_recipients(book, TEST, remove=listed(recipients)) == 0
    assert known(directory(folder, book)) == Recipients()
    clear_recipients(book, TEST)
    assert known(directory(folder, book)) is None


def test_the_configurations_list_wins(folder: Folder, book: Book) -> None:
    """Of the file, and of a domain's own row; a domain of the file without one has that of the store."""
    (folder.path / "list.txt").write_text("filed@test.example\n")
    replace_recipients(book, TEST, ["kept@test.example"])
    filed, kept = Recipients(frozenset({"filed@test.example"})), Recipients(frozenset({"kept@test.example"}))
    assert known(directory(folder, book, IN_FILE + 'recipients = "list.txt"')) == filed
    assert known(directory(folder, book, IN_FILE)) == kept
    book.put("domains", [(TEST, json.dumps(json.loads(HOLD) | {"recipients": "list.txt"}))])
    assert known(directory(folder, book)) == filed


def test_a_list_of_what_is_not_held_does_nothing(folder: Folder, book: Book) -> None:
    """It waits for a domain that is."""
    replace_recipients(book, "other.example", ["anna@other.example"])
    assert directory(folder, book).entry("other.example") is None
    more = '[domains."other.example"]\naction = "reject"'
    assert directory(folder, book, more).entry("other.example") is not None


def test_a_row_that_is_no_list_is_skipped_and_told(folder: Folder, book: Book) -> None:
    """The domain has none then; it is not taken for an empty one, not even to be added to."""
    book.put("recipients", [(TEST, '{"anna": 1}')])
    kept = KeptReader(book, folder.path).read()
    (problem,) = kept.problems
    assert str(problem).endswith('recipients."test.example": found no list, allowed: a list of addresses in JSON')
    assert known(directory(folder, book)) is None
    with pytest.raises(ConfigError, match="found no list"):
        change_recipients(book, TEST, add=["anna@test.example"])
    replace_recipients(book, TEST, ["anna@test.example"])
    assert known(directory(folder, book)) is not None


def test_a_change_costs_what_has_changed(folder: Folder, book: Book) -> None:
    """A list of 100,000 is read when it has changed, and then quickly."""
    reader = KeptReader(book, folder.path)
    addresses = [f"user.number{number}@test.example" for number in range(100_000)]
    began = time.process_time()
    assert replace_recipients(book, TEST, addresses) == 100_000
    first = reader.read()
    change_recipients(book, TEST, add=["one.more@test.example"])
    second = reader.read()
    took = time.process_time() - began
    assert (len(first.recipients[TEST].mailboxes), len(second.recipients[TEST].mailboxes)) == (100_000, 100_001)
    assert took < 30, "it takes about one second"
    book.put("domains", [("other.example", HOLD)])
    assert reader.read().recipients[TEST] is second.recipients[TEST]
    clear_recipients(book, TEST)
    assert reader.read().recipients == {}
