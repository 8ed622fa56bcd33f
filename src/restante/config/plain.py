"""Rows of held domains that say nothing unusual, read without the settings' models: a store may have very many.

What is not plain, or not right, is left to who reads all kinds (config/kept.py), and says what is wrong. The parsers
are the settings' own, and what several rows say is parsed once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from typing import TypeVar

import msgspec

from restante.config import words
from restante.config.forms import MAX_LIST
from restante.directory.entries import EVERY_OTHER, Grant, Held
from restante.model import NextHop
from restante.smtp.address import is_name

_K = TypeVar("_K")
_T = TypeVar("_T")


class _Row(msgspec.Struct, forbid_unknown_fields=True, gc=False, tag_field="action", tag="hold"):
    next_hop: str
    release_from: list[str] = []
    group: str | None = None


_Said = tuple[NextHop, tuple[Grant, ...], str | None]
"""What Held has behind its name."""
_CHARACTERS = re.compile(r"[a-z0-9_.\n-]*")
_NO_LABELS = ("\n\n", "..", "\n.", ".\n", "\n-", "-\n", ".-", "-.")
_MOST = 63
"""Characters of a label, and so of a name that is surely of few enough."""


def read_plain(rows: Mapping[str, str]) -> dict[str, Held]:
    """The entries of rows, by name; without those that are not plain."""
    read = _Reader().read
    said = {text: read(text) for text in set(rows.values())}
    if not are_names(rows):
        rows = {name: text for name, text in rows.items() if is_name(name) or name == EVERY_OTHER}
    return {name: Held(name, *its) for name, text in rows.items() if (its := said[text]) is not None}


def are_names(texts: Collection[str]) -> bool:
    """Whether is_name() is surely true of each; all at once, which takes a fourth of the time."""
    lines = "\n".join(["", *texts, ""])
    is_short = max(map(len, texts), default=0) <= _MOST
    return is_short and _CHARACTERS.fullmatch(lines) is not None and not any(part in lines for part in _NO_LABELS)


class _Reader:
    """Reads what rows say; for one time, as it remembers all that it has parsed."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Row).decode
        grant: Callable[[str], Grant] = _once(words.GRANT.parse)
        self._next_hop: Callable[[str], NextHop] = _once(words.HELD_HOP.parse)
        self._grants: Callable[[tuple[str, ...]], tuple[Grant, ...]]
        self._grants = _once(lambda texts: tuple(dict.fromkeys(map(grant, texts))))
        self._group: Callable[[str], str] = _once(words.GROUP.parse)

    def read(self, text: str) -> _Said | None:
        """What a row says; None where it is not plain."""
        try:
            row = self._decode(text)
            if len(row.release_from) > MAX_LIST:
                return None
            group = None if row.group is None else self._group(row.group)
            return self._next_hop(row.next_hop), self._grants(tuple(row.release_from)), group
        except (ValueError, RecursionError):  # msgspec's own errors are of the first kind
            return None


def _once(parse: Callable[[_K], _T]) -> Callable[[_K], _T]:
    """The same, and what is the same is parsed once."""
    known: dict[_K, _T] = {}

    def look_up(key: _K) -> _T:
        if (value := known.get(key)) is None:
            value = known[key] = parse(key)
        return value

    return look_up
