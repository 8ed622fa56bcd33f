"""Lists of recipients, read and replaced where they are kept: of the configuration, of the store, or as learned.

All of it blocks, and is to be run in a thread.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from msgspec.structs import replace

from restante.config.problems import ConfigError, Problem, shown
from restante.config.recipients import (
    KIND,
    change_recipients,
    clear_recipients,
    known_recipients,
    of_row,
    replace_recipients,
)
from restante.config.settings import Hold, Relay, Settings
from restante.directory.entries import Directory, Held, Recipients, Relayed, asks_who_exists
from restante.errors import RestanteError
from restante.model import DomainName
from restante.store.book import Book, open_book

_REMARK = re.compile(r"(?:\A|\s)#")
_NO_RECIPIENT = "\0"
_LINE = "line "


class Where(StrEnum):
    """Where it comes from who exists in a domain."""

    FILE = "file"
    """A list that the configuration names, or the domain's own row in the store."""
    STORE = "store"
    """A list that was sent here, by the site or by `restante domain recipients`."""
    LEARNED = "learned"
    """What the site has said in releases."""


class NotHeld(RestanteError):
    """The domain has no list of its own here. Trying again helps when the configuration has changed."""


class ListedElsewhere(RestanteError):
    """The configuration has a list of its own, which wins. Trying again helps when it has no more."""


@dataclass(eq=False)
class BadLines(RestanteError):
    """Lines that are no recipients: for each where it stands, from 0, and what is wrong. Sent again they are again."""

    problems: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one recipient; `since` is a wall time, for what was learned."""

    address: str
    verdict: str
    since: float | None


@dataclass(frozen=True, slots=True)
class Lists:
    """The lists of this host."""

    data: Path
    settings: Callable[[], Settings]
    directory: Callable[[], Directory]

    def known(self, domain: DomainName, now: float) -> tuple[Where, list[Known]]:
        """Who exists in a domain, in order, and how that is known. Raises NotHeld, BookUnusable."""
        entry = self._entry(domain)
        where = Where.FILE
        with contextlib.closing(open_book(self.data)) as book:
            if not self._names_its_own(book, entry.name):  # then what is kept, though it may not be in force yet
                entry = replace(entry, recipients=_kept(book, entry.name))
                where = Where.LEARNED if entry.recipients is None else Where.STORE
        rows = (Known(**row) for row in known_recipients(self.data, entry, domain, now))
        if entry.name != domain:  # the list of `*` has the recipients of others, too
            rows = (row for row in rows if row.address.rpartition("@")[2] == domain)
        return where, sorted(rows, key=lambda row: row.address)

    def where(self, domain: DomainName) -> tuple[Where, int]:
        """How it is known who exists in a domain, and how many are listed, as far as it is in force.

        Raises NotHeld, BookUnusable.
        """
        entry = self._entry(domain)
        if entry.recipients is None:
            return Where.LEARNED, 0
        with contextlib.closing(open_book(self.data)) as book:
            where = Where.FILE if self._names_its_own(book, entry.name) else Where.STORE
        return where, len(entry.recipients.mailboxes) + len(entry.recipients.domains)

    def may_change(self, domain: DomainName) -> bool:
        """Whether the store may have a list for a domain. Raises BookUnusable."""
        try:
            with self._changing(domain, ()):
                return True
        except (NotHeld, ListedElsewhere):
            return False

    def replace(self, domain: DomainName, lines: Sequence[str]) -> int:
        """Makes lines the list of a domain; how many there are now.

        Raises NotHeld, ListedElsewhere, BadLines, BookUnusable; then nothing has changed.
        """
        with self._changing(domain, lines) as book:
            return replace_recipients(book, domain, _sent(lines))

    def add(self, domain: DomainName, lines: Sequence[str]) -> int:
        """Adds lines to the list of a domain, which begins empty where there is none; the same."""
        with self._changing(domain, lines) as book:
            return change_recipients(book, domain, add=_sent(lines))

    def remove(self, domain: DomainName, lines: Sequence[str]) -> int:
        """Takes lines out of it, as far as they are there; the same."""
        with self._changing(domain, lines) as book:
            return change_recipients(book, domain, remove=_sent(lines))

    def clear(self, domain: DomainName) -> None:
        """The domain has no list any more. Raises NotHeld, ListedElsewhere, BookUnusable."""
        with self._changing(domain, ()) as book:
            clear_recipients(book, domain)

    def _entry(self, domain: DomainName) -> Held | Relayed:
        entry = self.directory().entry_for(domain)
        if not asks_who_exists(entry):
            raise NotHeld(f"{domain} is not held here")
        return entry

    @contextlib.contextmanager
    def _changing(self, domain: DomainName, lines: Sequence[str]) -> Iterator[Book]:
        """The store, in which the list of a domain may be changed by these lines."""
        entry = self.directory().entry_for(domain)
        if not asks_who_exists(entry) or entry.name != domain:
            raise NotHeld(f"{domain} is not held here by an entry of its own")
        with contextlib.closing(open_book(self.data)) as book:
            if self._names_its_own(book, entry.name):
                raise ListedElsewhere(f"the configuration names a list of recipients for {domain}, which wins")
            try:
                yield book
            except ConfigError as error:
                if not all(problem.key.startswith(_LINE) for problem in error.problems):
                    raise  # the list that is there is damaged
                raise BadLines(tuple(_bad(problem, lines) for problem in error.problems)) from None

    def _names_its_own(self, book: Book, name: str) -> bool:
        """Whether the domain's table, in the file or in the store, names a file of recipients."""
        if (domain := self.settings().domains.get(name)) is not None:
            return isinstance(domain, Hold | Relay) and domain.recipients is not None
        row = book.row("domains", name)
        return row is not None and KIND in json.loads(row)


def _kept(book: Book, name: str) -> Recipients | None:
    """The list that the store has; one that is damaged counts for as little as where the directory is made."""
    row = book.row(KIND, name)
    try:
        return None if row is None else of_row(row)
    except ValueError:
        return None


def _sent(lines: Sequence[str]) -> list[str]:
    return [line if _is_one(line) else _NO_RECIPIENT for line in lines]


def _is_one(line: str) -> bool:
    """Whether it is one recipient, and nothing else that a file may have in a line."""
    return line != "" and line == line.strip() and line.isprintable() and not _REMARK.search(line)


def _bad(problem: Problem, lines: Sequence[str]) -> tuple[int, str]:
    number = int(problem.key.removeprefix(_LINE)) - 1
    is_line = problem.found in (shown(_NO_RECIPIENT), shown(lines[number]))
    return number, f"found {shown(lines[number]) if is_line else problem.found}, allowed: {problem.allowed}"
