"""Lists where they are kept: what a domain's own row in the store names is the configuration's word as well."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.web.office import settings_of

from restante.config.problems import ConfigError
from restante.directory.entries import Directory, Held, Recipients
from restante.model import DomainName, HostPort
from restante.store.book import open_book
from restante.web.lists import BadLines, ListedElsewhere, Lists, Where

KEPT = DomainName("kept.example")


def lists(folder: Path, row: str) -> Lists:
    """Of a host whose store has a domain, with this row."""
    settings = settings_of(folder)
    directory = Directory("office.example", [Held(KEPT, HostPort("192.0.2.25"))])
    with contextlib.closing(open_book(settings.data)) as book:
        book.put("domains", [(KEPT, row)])
    return Lists(settings.data, lambda: settings, lambda: directory)


def test_a_row_that_names_a_file_of_recipients_wins(tmp_path: Path) -> None:
    """What is sent is refused."""
    with pytest.raises(ListedElsewhere):
        lists(tmp_path, '{"action": "hold", "recipients": "listed.txt"}').replace(KEPT, ["anna@kept.example"])


def test_a_row_that_names_none_takes_what_is_sent(tmp_path: Path) -> None:
    """It is seen at once, before it is in force."""
    made = lists(tmp_path, '{"action": "hold", "next_hop": "192.0.2.25"}')
    assert made.known(KEPT, 0.0) == (Where.LEARNED, [])
    assert made.replace(KEPT, ["anna@kept.example"]) == 1
    where, [known] = made.known(KEPT, 0.0)
    assert (where, known.address) == (Where.STORE, "anna@kept.example")


def test_a_list_that_is_damaged_counts_as_none(tmp_path: Path) -> None:
    """As where the directory is made; and it can be replaced."""
    made = lists(tmp_path, "{}")
    with contextlib.closing(open_book(made.data)) as book:
        book.put("recipients", [(KEPT, "{")])
    assert made.known(KEPT, 0.0) == (Where.LEARNED, [])
    assert made.replace(KEPT, ["@kept.example"]) == 1


def test_a_list_is_changed_line_by_line_and_cleared(tmp_path: Path) -> None:
    """What is there already, or is not, makes no difference."""
    made = lists(tmp_path, "{}")
    assert made.add(KEPT, ["Anna@kept.example", "bert@kept.example"]) == 2
    assert made.add(KEPT, ["anna@kept.example"]) == 2
    assert made.remove(KEPT, ["bert@kept.example", "emil@kept.example"]) == 1
    where, known = made.known(KEPT, 0.0)
    assert (where, [one.address for one in known]) == (Where.STORE, ["anna@kept.example"])
    for _ in range(2):
        made.clear(KEPT)
    assert made.known(KEPT, 0.0) == (Where.LEARNED, [])


def test_a_line_that_is_no_recipient_is_neither_added_nor_removed(tmp_path: Path) -> None:
    """A remark is none, nor is half of one; nothing has changed."""
    made = lists(tmp_path, "{}")
    for change in (made.add, made.remove):
        with pytest.raises(BadLines) as caught:
            change(KEPT, ["anna@kept.example", "#bert@kept.example"])
        assert [number for number, _ in caught.value.problems] == [1]
    assert made.known(KEPT, 0.0) == (Where.LEARNED, [])


def test_a_list_that_is_damaged_is_not_added_to(tmp_path: Path) -> None:
    """Nobody knows whom it had; it can be cleared."""
    made = lists(tmp_path, "{}")
    with contextlib.closing(open_book(made.data)) as book:
        book.put("recipients", [(KEPT, "{")])
    with pytest.raises(ConfigError):
        made.add(KEPT, ["anna@kept.example"])
    made.clear(KEPT)
    assert made.add(KEPT, ["anna@kept.example"]) == 1


def test_what_a_list_is_and_whether_it_may_be_changed(tmp_path: Path) -> None:
    """As far as it is in force; a file of recipients wins."""
    made = lists(tmp_path, "{}")
    assert made.where(KEPT) == (Where.LEARNED, 0)
    assert made.may_change(KEPT)
    assert not made.may_change(DomainName("unknown.example"))
    some = Recipients(frozenset({"anna@kept.example"}), frozenset({KEPT}))
    directory = Directory("office.example", [Held(KEPT, HostPort("192.0.2.25"), recipients=some)])
    assert replace(made, directory=lambda: directory).where(KEPT) == (Where.STORE, 2)
    named = lists(tmp_path, '{"action": "hold", "recipients": "listed.txt"}')
    assert replace(named, directory=lambda: directory).where(KEPT) == (Where.FILE, 2)
    assert not named.may_change(KEPT)


def test_of_the_list_of_all_others_a_domain_is_told_its_own(tmp_path: Path) -> None:
    """The rest is none of its users' business."""
    made = lists(tmp_path, "{}")
    listed = ["@test.example", "anna@test.example", "bert@far.example", "emil@sub.test.example"]
    with contextlib.closing(open_book(made.data)) as book:
        book.put("recipients", [("*", json.dumps(listed))])
    settings = made.settings()
    del settings.domains["*"], settings.domains["test.example"]
    directory = Directory("office.example", [Held("*", HostPort("192.0.2.25"))])
    made = replace(made, directory=lambda: directory)
    _, known = made.known(DomainName("test.example"), 0.0)
    assert [one.address for one in known] == ["@test.example", "anna@test.example"]
    _, known = made.known(DomainName("*"), 0.0)
    assert [one.address for one in known] == listed
