"""What the store keeps of domains and users, as the API reads and changes it. All of it blocks: for a thread."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from restante.config.forms import Form, Many, Value
from restante.config.keeping import InFile, check_tables, put_tables, remove_row
from restante.config.settings import Settings
from restante.config.tables import form_of
from restante.directory.entries import Directory
from restante.store.book import has_book, open_book
from restante.web.problems import Problem, Wrong

IN_FILE = "a key that names a file of this host: the configuration or `restante domain set` can have it"

PROOFS = ("password", "scram", "secret", "secret_file")
"""Of a user's keys those that it logs in with, but for certificates, which are no secrets."""
Kinds = Mapping[str, Mapping[str, dict[str, Any]]]
"""Tables by kind (`domains`, `users`) and name."""


@dataclass(frozen=True, slots=True)
class Keeper:
    """`folder`: what paths in the configuration are relative to."""

    settings: Callable[[], Settings]
    directory: Callable[[], Directory]
    folder: Path

    def where(self, domain: str) -> Literal["file", "store", "other"]:
        """Where a domain is configured, as far as it is in force."""
        if domain in self.settings().domains:
            return "file"
        return "store" if self.directory().entry(domain) is not None else "other"

    def table(self, kind: str, name: str) -> dict[str, Any] | None:
        """What the store has of a name; None where that is nothing, or cannot be read. Raises BookUnusable."""
        data = self.settings().data
        if not has_book(data):
            return None
        with contextlib.closing(open_book(data)) as book:
            return _table(book.row(kind, name))

    def put(self, kind: str, name: str, table: Mapping[str, Any]) -> bool:
        """Writes a table; whether it is new. Raises Problem, ConfigError, InFile, BookUnusable."""
        _check(kind, table)
        return self._put(kind, name, lambda _: dict(table))

    def put_user(self, name: str, table: Mapping[str, Any]) -> bool:
        """The same for a user: of what it logs in with, that stays of which the table says nothing.

        `name`: as it is kept. Not for two threads at once.
        """
        _check("users", table)
        return self._put("users", name, lambda old: {key: old[key] for key in PROOFS if key in old} | dict(table))

    def _put(self, kind: str, name: str, make: Callable[[dict[str, Any]], dict[str, Any]]) -> bool:
        """Writes what is made of the table that is there, which is empty where there is none that can be read."""
        settings = self.settings()
        with contextlib.closing(open_book(settings.data)) as book:
            row = book.row(kind, name)
            put_tables(
                book,
                kind,
                {name: make(_table(row) or {})},
                settings=settings,
                directory=self.directory(),
                folder=self.folder,
                source=Path("body"),
            )
        return row is None

    def check(self, kinds: Kinds) -> list[tuple[str, str, str]]:
        """Tables that are to be added, as rows. Raises Problem, ConfigError, InFile."""
        for kind, tables in kinds.items():
            for table in tables.values():
                _check(kind, table)
        return check_tables(
            kinds,
            settings=self.settings(),
            directory=self.directory(),
            folder=self.folder,
            source=Path("body"),
        )

    def add(self, kinds: Kinds) -> tuple[str, ...]:
        """Writes tables, all at once, if the store has none of these names; those that it has.

        Raises Problem, ConfigError, InFile, BookUnusable.
        """
        rows = self.check(kinds)
        with contextlib.closing(open_book(self.settings().data)) as book:
            return book.add(rows)

    def remove(self, kind: str, name: str) -> None:
        """Removes what is kept. Raises InFile, NotKept, BookUnusable."""
        settings = self.settings()
        if name in getattr(settings, kind):
            raise InFile(kind, (name,))
        with contextlib.closing(open_book(settings.data)) as book:
            remove_row(book, kind, name, settings)


def _table(row: str | None) -> dict[str, Any] | None:
    """What a row has; None where that is no table."""
    try:
        table = json.loads(row) if row is not None else None
    except ValueError:
        return None
    return table if isinstance(table, dict) else None


def _check(kind: str, table: Mapping[str, Any]) -> None:
    """What may come from far: text that can be written down, and nothing that has this host read a file for somebody.

    Raises Problem.
    """
    try:
        json.dumps(table, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError):
        raise Problem(422, "text that is not Unicode, or a number that is none") from None
    if wrong := [Wrong(f"{key}: {IN_FILE}") for key in table if _names_a_file(form_of(kind, key))]:
        raise Problem(422, "not in order; nothing has changed", wrong)


def _names_a_file(form: Form | None) -> bool:
    if isinstance(form, Many):
        return _names_a_file(form.item)
    return isinstance(form, Value) and form.is_file
