"""Lists where they are kept: what a domain's own row in the store names is the configuration's word as well."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from tests.web.office import settings_of

from restante.directory.entries import Directory, Held
from restante.model import DomainName, HostPort
from restante.store.book import open_book
from restante.web.lists import ListedElsewhere, Lists, Where

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
