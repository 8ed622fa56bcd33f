"""Rows of held domains, read in the quick way and in the way of all rows: one must not differ from the other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restante.config import kept
from restante.config.kept import KeptReader
from restante.config.plain import are_names, read_plain
from restante.smtp.address import is_name
from restante.store.book import open_book

HOPS = ["192.0.2.25", "192.0.2.25:2525", "[2001:db8::1]:25", "caller", "site.example", "mx", "", "a b", "1.2.3.4:0"]
GRANTS = [
    "192.0.2.25",
    "192.0.2.0/24",
    "192.0.2.1/24",
    "user:test",
    "user:",
    "cert:site.example",
    "cert:ab",
    "",
    "::/0",
]
NAMES = [
    "test.example",
    "*",
    "Test.example",
    "test",
    "xn--bcher-kva.example",
    "bücher.example",
    "a..b",
    "[192.0.2.1]",
    "",
]
TABLES = st.fixed_dictionaries(
    {"action": st.sampled_from(["hold", "hold", "hold", "relay", "no"])},
    optional={
        "next_hop": st.sampled_from([*HOPS[:5], *HOPS, None, 7]),
        "release_from": st.one_of(st.lists(st.sampled_from([*GRANTS[:2], *GRANTS]), max_size=3), st.just("192.0.2.1")),
        "group": st.sampled_from(["customers", "no group", "", None, 7]),
        "tls": st.just("required"),
        "what": st.just(1),
    },
)
TEXTS = st.one_of(TABLES.map(json.dumps), st.sampled_from(["", "{", "[]", "7", '{"action": "hold"}']))


def in_both_ways(folder: Path, rows: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """What a store with these rows has: entries, and the names of those with a problem."""
    data = folder / "data"
    book = open_book(data)
    for name, _ in [*book.rows("domains").items()]:
        book.remove("domains", name)
    book.put("domains", rows.items())
    found = []
    with monkeypatch.context() as patch:
        for _ in range(2):
            read = KeptReader(book, folder).read()
            found.append((dict(read.entries), sorted(str(problem) for problem in read.problems)))
            patch.setattr(kept, "read_plain", lambda _: {})
    book.close()
    return found


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from(NAMES), TEXTS, max_size=4))
def test_both_ways_agree(tmp_path_factory: pytest.TempPathFactory, rows: dict[str, str]) -> None:
    """On what a row means, and on whether it means anything."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick, slow = in_both_ways(tmp_path_factory.mktemp("store"), rows, monkeypatch)
    assert quick == slow


def test_what_is_plain_is_read_in_the_quick_way() -> None:
    """And what several rows say is made once; what is not plain is left to others."""
    table = {"action": "hold", "next_hop": "192.0.2.25", "release_from": ["192.0.2.25", "user:test"], "group": "all"}
    more: list[dict[str, object]] = [
        {"tls": "required"},
        {"action": "relay"},
        {"quota": "1GB"},
        {"release_from": ["192.0.2.25"] * 10_001},
    ]
    rows = {f"{number}.example": json.dumps(table | other) for number, other in enumerate(more)}
    read = read_plain({"a.example": json.dumps(table), "b.example": json.dumps(table), **rows})
    assert list(read) == ["a.example", "b.example"]
    one, other = read.values()
    assert (one.name, one.group) == ("a.example", "all")
    assert one.next_hop is other.next_hop
    assert one.grants[1] is other.grants[1]
    assert list(read_plain(dict.fromkeys(("A.example", "b.example", "*"), json.dumps(table)))) == ["b.example", "*"]


@given(st.lists(st.text(st.sampled_from("aA-._\n0é"), max_size=5) | st.text("a", max_size=64), max_size=3))
def test_names_that_are_looked_at_together_are_names(texts: list[str]) -> None:
    """Each by itself; of what is not long the other way round, too."""
    if are_names(texts):
        assert all(map(is_name, texts))
    else:
        assert not all(is_name(text) and len(text) <= 63 for text in texts)
