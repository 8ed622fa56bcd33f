"""Lists of a held domain's recipients that are kept in the store: one row for each domain, changed as a whole.

The lines are those of a file of recipients (words.py): an address or `@domain` each. A list that the configuration
names, in the file or in the domain's own row, wins over one that is kept here. Who may change a list is not asked here.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from restante.config.forms import UnfitFile
from restante.config.problems import ConfigError, Problem, write_key
from restante.config.words import parse_recipients
from restante.directory.entries import Held, Recipients, Relayed
from restante.model import DomainName, Mailbox

if TYPE_CHECKING:
    from restante.store.book import Book

KIND = "recipients"
SENT = Path("recipients")
"""What problems call lines that come from no file."""

_decode = msgspec.json.Decoder(list[str]).decode
_encode = msgspec.json.Encoder().encode


def replace_recipients(book: Book, domain: str, lines: Iterable[str], source: Path = SENT) -> int:
    """Makes lines the list of a domain; how many recipients it has now. None at all: only postmaster's mail is taken.

    `domain` is an entry's name. Raises ConfigError, with every problem, and BookUnusable; then nothing has changed.
    """
    listed = _parsed(lines, source)
    row = _row(listed)
    if book.row(KIND, domain) != row:  # else whoever watches would read all anew, for nothing
        book.put(KIND, [(domain, row)])
    return _count(listed)


def change_recipients(book: Book, domain: str, *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Adds lines to a domain's list, which begins empty where there is none, and takes others out; the same."""
    more, less = _parsed(add, SENT), _parsed(remove, SENT)
    left = 0

    def changed(row: str | None) -> str:
        nonlocal left
        try:
            old = Recipients() if row is None else of_row(row)
        except ValueError:
            raise ConfigError((not_a_list(book.file, domain),)) from None
        new = Recipients((old.mailboxes | more.mailboxes) - less.mailboxes, (old.domains | more.domains) - less.domains)
        left = _count(new)
        return _row(new)

    book.change(KIND, domain, changed)
    return left


def clear_recipients(book: Book, domain: str) -> None:
    """The domain has no list: mail for anybody is taken, but for whom its site has refused. Raises BookUnusable."""
    book.remove(KIND, domain)


def listed(recipients: Recipients) -> list[str]:
    """A list as lines."""
    return sorted(f"@{domain}" for domain in recipients.domains) + sorted(recipients.mailboxes)


def known_recipients(data: Path, entry: Held | Relayed, domain: DomainName, now: float) -> list[dict[str, Any]]:
    """Who exists in an entry's domain, for people and programs: of each the `address`, the `verdict` (`listed`, or
    what was learned and is in force: `known`, `unknown`) and `since` when, a wall time. Of `*` nothing is learned, but
    of each of its domains. Raises BookUnusable.
    """
    from restante.store.learned import learned_of  # noqa: PLC0415 - SQLite, which few commands need

    if entry.recipients is not None:
        return [{"address": line, "verdict": "listed", "since": None} for line in listed(entry.recipients)]
    return [
        {
            "address": str(Mailbox(local, domain)),
            "verdict": "unknown" if verdict.is_unknown else "known",
            "since": verdict.since,
        }
        for local, verdict in learned_of(data, domain).items()
        if verdict.since <= now and not (verdict.is_unknown and now >= verdict.since + entry.unknown_for)
    ]


def of_row(text: str) -> Recipients:
    """The list in a row. Raises ValueError."""
    lines = _decode(text)
    domains = [line for line in lines if line.rfind("@") == 0]  # `"@x"@test.example` is a mailbox
    return Recipients(frozenset(lines).difference(domains), frozenset(DomainName(line[1:]) for line in domains))


def not_a_list(file: Path, domain: str) -> Problem:
    """What is wrong with a row that of_row() cannot read."""
    return Problem(file, write_key((KIND, domain)), "no list", "a list of addresses in JSON")


def _row(recipients: Recipients) -> str:
    return _encode(listed(recipients)).decode()


def _count(recipients: Recipients) -> int:
    return len(recipients.mailboxes) + len(recipients.domains)


def _parsed(lines: Iterable[str], source: Path) -> Recipients:
    try:
        return parse_recipients(lines, source)
    except UnfitFile as error:
        raise ConfigError(error.problems) from None
