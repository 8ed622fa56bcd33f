"""Rows of held domains that say nothing unusual, read without the settings' models: a store may have very many.

What is not plain, or not right, is left to who reads all kinds (config/kept.py), and says what is wrong. The parsers
are the settings' own, and what several rows say is parsed once.
"""

from __future__ import annotations

from collections.abc import Callable
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


class PlainReader:
    """Reads rows; for one time, as it remembers all that it has parsed."""

    def __init__(self) -> None:
        self._decode = msgspec.json.Decoder(_Row).decode
        grant: Callable[[str], Grant] = _once(words.GRANT.parse)
        self._next_hop: Callable[[str], NextHop] = _once(words.HELD_HOP.parse)
        self._grants: Callable[[tuple[str, ...]], tuple[Grant, ...]]
        self._grants = _once(lambda texts: tuple(dict.fromkeys(map(grant, texts))))
        self._group: Callable[[str], str] = _once(words.GROUP.parse)
        self._said: Callable[[str], _Said] = _once(self._read)

    def read(self, name: str, text: str) -> Held | None:
        """The entry of a row; None where it is not plain."""
        try:
            if not is_name(name) and name != EVERY_OTHER:
                return None
            return Held(name, *self._said(text))
        except (ValueError, RecursionError):  # msgspec's own errors are of the first kind
            return None

    def _read(self, text: str) -> _Said:
        """What a row says. Raises ValueError, RecursionError where it is not plain."""
        row = self._decode(text)
        if len(row.release_from) > MAX_LIST:
            raise ValueError(text)
        group = None if row.group is None else self._group(row.group)
        return self._next_hop(row.next_hop), self._grants(tuple(row.release_from)), group


def _once(parse: Callable[[_K], _T]) -> Callable[[_K], _T]:
    """The same, and what is the same is parsed once."""
    known: dict[_K, _T] = {}

    def look_up(key: _K) -> _T:
        if (value := known.get(key)) is None:
            value = known[key] = parse(key)
        return value

    return look_up
