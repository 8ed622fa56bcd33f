"""Domains and users that are kept in the store: the same keys as in the file, read by the same settings; and lists of
recipients (recipients.py).

On the way in a row is checked as the file is, beside all that there is already; what has a problem is not written. On
the way out a row that is not in order is skipped, with its problems, and never keeps the others from being read.
Reading again costs what has changed since: what was read is remembered by its revision.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any

from pydantic import Field

from restante.config import checks, proofs, words
from restante.config.build import Kept, entry_of, user_of
from restante.config.plain import read_plain
from restante.config.problems import ConfigError, Problem, write_key
from restante.config.reading import NAMES, Reading
from restante.config.recipients import KIND as RECIPIENTS
from restante.config.recipients import not_a_list, of_row
from restante.config.settings import Domain, Section, Settings, User
from restante.config.tokens import KIND as TOKENS
from restante.config.tokens import no_tokens, tokens_of_row
from restante.directory.entries import Directory, Entry, Recipients
from restante.directory.users import Token
from restante.directory.users import User as Login
from restante.store.book import Book, Changes

AT_ONCE = 1000  # rows that are validated in one go
Tables = Mapping[str, dict[str, Any]]
"""By name, a table as TOML would have it."""
_NONE: Mapping[str, str] = MappingProxyType({})


class Rows(Section):
    """The rows of the store, as the file would have them."""

    domains: dict[Annotated[str, words.ENTRY_NAME], Annotated[Domain, Field(discriminator="action")]] = Field({})
    users: dict[Annotated[str, proofs.LOGIN_NAME], User] = Field({})


def plain_name(kind: str, name: str) -> str:
    """A domain's or a user's name as it is kept. Raises ValueError."""
    return NAMES[kind](name)


class KeptReader:
    """What a book has, as of now. Blocks: not for the event loop."""

    def __init__(self, book: Book, folder: Path) -> None:
        self._book = book
        self._folder = folder
        self._forget()

    def _forget(self) -> None:
        self._revision = 0
        self._entries: dict[str, Entry] = {}
        self._users: dict[str, Login] = {}
        self._recipients: dict[str, Recipients] = {}
        self._tokens: dict[str, tuple[Token, ...]] = {}
        self._problems: dict[tuple[str, str], list[Problem]] = {}

    def read(self, *, afresh: bool = False) -> Kept:
        """All that is in order, and the problems of the rest. Raises BookUnusable.

        `afresh`: the files that rows name may have changed, too.
        """
        if afresh:
            self._forget()
        changes = self._book.changes(self._revision)
        self._drop(changes)
        for name, text in changes.rows.get(RECIPIENTS, _NONE).items():
            self._take_recipients(name, text)
        for name, text in changes.rows.get(TOKENS, _NONE).items():
            self._take_tokens(name, text)
        rest = {**changes.rows, "domains": self._take_plain(changes.rows.get("domains", _NONE))}
        for kind in NAMES:
            rows = iter(rest.get(kind, _NONE).items())
            while chunk := dict(islice(rows, AT_ONCE)):
                self._take(kind, chunk)
        self._revision = changes.revision
        problems = (problem for key in sorted(self._problems) for problem in self._problems[key])
        return Kept(dict(self._entries), dict(self._users), tuple(problems), dict(self._recipients), dict(self._tokens))

    def _drop(self, changes: Changes) -> None:
        """Forgets what is read anew, or is gone."""
        kinds: Mapping[str, dict[str, Any]]
        kinds = {"domains": self._entries, "users": self._users, RECIPIENTS: self._recipients, TOKENS: self._tokens}
        for kind, read in kinds.items():
            rows, names = changes.rows.get(kind, _NONE), changes.names.get(kind, ())
            for name in [name for name in read if name in rows or name not in names]:
                del read[name]
        for kind, name in list(self._problems):
            if name in changes.rows.get(kind, _NONE) or name not in changes.names.get(kind, ()):
                del self._problems[kind, name]

    def _take_plain(self, rows: Mapping[str, str]) -> dict[str, str]:
        """Takes those of domains that say nothing unusual; the others."""
        plain = read_plain(rows)
        self._entries.update(plain)
        return {name: text for name, text in rows.items() if name not in plain} if len(plain) < len(rows) else {}

    def _take_recipients(self, name: str, text: str) -> None:
        try:
            self._recipients[name] = of_row(text)
        except ValueError:
            self._problems[RECIPIENTS, name] = [not_a_list(self._book.file, name)]

    def _take_tokens(self, name: str, text: str) -> None:
        try:
            self._tokens[name] = tokens_of_row(text)
        except ValueError:
            self._problems[TOKENS, name] = [no_tokens(self._book.file, name)]

    def _take(self, kind: str, rows: Mapping[str, str]) -> None:
        tables: dict[str, Any] = {}
        for name, text in rows.items():
            try:
                tables[name] = _table(kind, name, text)
            except ValueError as error:
                problem = Problem(self._book.file, write_key((kind, name)), str(error), "a table in JSON")
                self._problems[kind, name] = [problem]
        reading = Reading(Rows, {kind: tables}, file=self._book.file, folder=self._folder)
        read = reading.read()
        for finding in _findings_within(read):
            reading.add(finding.path, finding.found, finding.allowed)
        for path, problem in reading.noted:
            self._problems.setdefault((kind, str(path[1])), []).append(problem)
        for name in tables:
            if (kind, name) in self._problems:
                continue
            if kind == "domains":
                self._entries[name] = entry_of(name, read.domains[name])
            else:
                self._users[name] = user_of(name, read.users[name])


def _table(kind: str, name: str, text: str) -> dict[str, Any]:
    """What a row has. Raises ValueError, with what was found instead."""
    try:
        is_plain = plain_name(kind, name) == name
    except ValueError:
        is_plain = False
    if not is_plain:
        raise ValueError("a name that is not as it would be kept")
    try:
        table = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("what is not JSON") from None
    if not isinstance(table, dict):
        raise ValueError("no table")  # noqa: TRY004 - as the others
    return table


def _findings_within(rows: Rows) -> Iterator[checks.Finding]:
    """What does not go together within a row; grants that name nobody do no harm."""
    for name, domain in rows.domains.items():
        yield from checks.of_domain(name, domain, _always)
    for name, user in rows.users.items():
        yield from checks.of_user(name, user, _always)


def _always(*_: str | int) -> bool:
    """Nothing is left of a row that was not read whole."""
    return True


class _Known:
    """The names of all users and domains that there will be."""

    def __init__(self, directory: Directory, kind: str, tables: Tables) -> None:
        more = {kind: frozenset(tables)}
        self.users = frozenset(directory.users) | more.get("users", frozenset())
        self.domains = frozenset(entry.name for entry in directory.entries()) | more.get("domains", frozenset())


def to_rows(
    kind: str, tables: Tables, *, settings: Settings, directory: Directory, file: Path, folder: Path
) -> list[tuple[str, str]]:
    """Tables as rows to put into the book: name and JSON. Raises ConfigError with every problem in them.

    `directory` is what there is already, of file and book; `file` is what problems name.
    """
    reading = Reading(Rows, {kind: dict(tables)}, file=file, folder=folder)
    rows = reading.read()
    known = _Known(directory, kind, tables)
    found = [*checks.of_rows(rows.domains, rows.users, settings, reading.is_sound, known)]
    found += _taken_certificates(rows.users, directory)
    for finding in found:
        reading.add(finding.path, finding.found, finding.allowed)
    if reading.problems:
        raise ConfigError(reading.problems)
    return [(plain_name(kind, name), json.dumps(table, ensure_ascii=False)) for name, table in tables.items()]


def _taken_certificates(users: Mapping[str, User], directory: Directory) -> Iterator[checks.Finding]:
    for name, user in users.items():
        for certificate in user.certificates:
            for other in directory.users_of_certificate(certificate) - users.keys():
                yield checks.taken_certificate(name, certificate, other)
