"""Changing the users and domains in the store: for the command line and for the API, with the checks of the file.

All of it blocks. A server that runs sees a change within a second. What the configuration names is changed there, for
it wins; what is not in order is not written, and of several tables all or none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restante.config.kept import to_rows
from restante.config.recipients import KIND as RECIPIENTS
from restante.config.settings import Settings
from restante.config.tokens import KIND as TOKENS
from restante.directory.entries import Directory, Grant, Held
from restante.errors import RestanteError
from restante.store.book import Book

_BELONGS: Mapping[str, str] = {"domains": RECIPIENTS, "users": TOKENS}
"""What has no use without its domain or user, and must not come to a later one of that name."""


@dataclass(eq=False)
class InFile(RestanteError):
    """The configuration has these, and wins. Trying again helps when it has them no more."""

    kind: str
    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"the configuration has {', '.join(self.names[:10])}, and wins over the store"


@dataclass(eq=False)
class NotKept(RestanteError):
    """The store has no such row. Trying again does not help."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"no {self.kind[:-1]} {self.name} in the store"


def put_tables(
    book: Book,
    kind: str,
    tables: Mapping[str, dict[str, Any]],
    *,
    settings: Settings,
    directory: Directory,
    folder: Path,
    source: Path | None = None,
) -> None:
    """Checks tables, as TOML would have them, beside all that there is (`directory`), and writes them.

    `folder`: of relative paths; `source`: what problems name. Raises ConfigError, InFile, BookUnusable.
    """
    file = source or book.file
    rows = check_tables({kind: tables}, settings=settings, directory=directory, folder=folder, source=file)
    book.put(kind, [(name, text) for _, name, text in rows])


def check_tables(
    kinds: Mapping[str, Mapping[str, dict[str, Any]]],
    *,
    settings: Settings,
    directory: Directory,
    folder: Path,
    source: Path,
) -> list[tuple[str, str, str]]:
    """Tables of several kinds as rows to add: kind, name and JSON. See put_tables(). Raises ConfigError, InFile."""
    found = []
    for kind, tables in kinds.items():
        rows = to_rows(kind, tables, settings=settings, directory=directory, file=source, folder=folder)
        in_file = getattr(settings, kind)
        if hidden := tuple(name for name, _ in rows if name in in_file):
            raise InFile(kind, hidden)
        found += [(kind, name, text) for name, text in rows]
    return found


def released_by(directory: Directory, user: str) -> list[str]:
    """The held entries that name a user in `release_from`, and would not be in order without it."""
    grant = Grant(login=user.casefold())
    return [entry.name for entry in directory.entries() if isinstance(entry, Held) and grant in entry.grants]


def remove_row(book: Book, kind: str, name: str, settings: Settings) -> None:
    """Removes a domain with its list of recipients, or a user with its tokens; `name` as it is kept.

    Where the configuration has one of that name, that one keeps them. Raises NotKept, BookUnusable.
    """
    if book.row(kind, name) is None:
        raise NotKept(kind, name)
    if name not in getattr(settings, kind):
        book.remove(_BELONGS[kind], name)
    book.remove(kind, name)
