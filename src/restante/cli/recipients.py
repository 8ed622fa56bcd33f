"""`restante domain recipients`: who exists in a domain that has its mailboxes elsewhere: by its list, or as learned."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.admin import protocol as p
from restante.admin.words import counted, span
from restante.cli import doors, keeping, screen
from restante.cli.doors import CommandFailed, Configured
from restante.cli.options import Config, Json, chosen

if TYPE_CHECKING:
    from restante.directory.entries import Held, Recipients, Relayed
    from restante.store.book import Book


class Action(StrEnum):
    """What is done with a list."""

    LIST = "list"
    SET = "set"
    ADD = "add"
    REMOVE = "remove"
    CLEAR = "clear"


_TAKES = {Action.LIST: "nothing", Action.CLEAR: "nothing", Action.SET: "one file"}
_NAME_HELP = 'A domain that is held or relayed from_anyone, or "*".'
_ACTION_HELP = "list, set (from a file), add, remove, or clear: have no list."
Values = Annotated[
    list[str] | None,
    typer.Argument(metavar="FILE|ADDRESS...", help="An address, or @domain for all of a domain; in a file one a line."),
]


def recipients(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="DOMAIN", help=_NAME_HELP)],
    action: Annotated[Action, typer.Argument(metavar="ACTION", help=_ACTION_HELP)] = Action.LIST,
    values: Values = None,
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Show or change the list of a domain's recipients; others are refused. Without one they are learned."""
    given = values or []
    if (action in _TAKES and len(given) != (action is Action.SET)) or (action not in _TAKES and not given):
        raise CommandFailed((f"{action} takes {_TAKES.get(action, 'addresses')}",), p.USAGE)
    configured = doors.load(chosen(context, config))
    plain = keeping.plain_name_of("domains", name)
    entry, in_store = _entry(configured, plain)
    if action is Action.LIST:
        _show(configured, plain, entry, is_kept=entry.recipients is in_store, json=json)
        return
    if entry.name != plain:
        raise CommandFailed((f"{plain} belongs to the entry {entry.name}, and has none of its own",))
    if entry.recipients is not in_store:
        reason = f"{configured.file} or the domain's own row names a file of recipients for {entry.name}, which wins"
        raise CommandFailed((reason,))
    if action is Action.REMOVE and in_store is None:
        raise CommandFailed((f"{entry.name} has no list",))
    count = _write(configured, entry.name, action, given)
    if json:
        screen.write_json({"done": [entry.name], "recipients": count})
    elif count is None:
        screen.say(f"{entry.name} has no list: recipients are learned")
    else:
        screen.say(f"{entry.name} has a list of {counted(count, 'recipient')}; mail for others is refused")


def _entry(configured: Configured, plain: str) -> tuple[Held | Relayed, Recipients | None]:
    """The entry of a domain, and the list that the store has for it. Raises CommandFailed."""
    from restante.directory.entries import asks_who_exists  # noqa: PLC0415
    from restante.model import DomainName  # noqa: PLC0415

    kept = configured.kept()
    entry = configured.directory(kept).entry_for(DomainName(plain))
    if not asks_who_exists(entry):
        raise CommandFailed((f"{plain} is neither held nor relayed from_anyone",))
    return entry, kept.recipients.get(entry.name)


# changing


def _write(configured: Configured, name: str, action: Action, given: Sequence[str]) -> int | None:
    """Changes the list; how long it is now. Raises CommandFailed."""
    from restante.config import recipients as lists  # noqa: PLC0415
    from restante.config.problems import ConfigError  # noqa: PLC0415
    from restante.store.book import open_book  # noqa: PLC0415

    do: Callable[[Book], int | None]
    match action:
        case Action.SET:
            file = Path(given[0])
            lines = _lines(file)
            do = lambda book: lists.replace_recipients(book, name, lines, file)  # noqa: E731
        case Action.ADD:
            do = lambda book: lists.change_recipients(book, name, add=given)  # noqa: E731
        case Action.REMOVE:
            do = lambda book: lists.change_recipients(book, name, remove=given)  # noqa: E731
        case _:
            do = lambda book: lists.clear_recipients(book, name)  # noqa: E731
    with contextlib.closing(open_book(configured.settings.data)) as book:
        try:
            return do(book)
        except ConfigError as error:
            raise keeping.failed(error) from None


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8-sig").split("\n")
    except OSError as error:
        raise CommandFailed((f"{file} cannot be read: {error.strerror}",), p.USAGE) from None
    except UnicodeDecodeError:
        raise CommandFailed((f"{file} cannot be read: it is not UTF-8",), p.USAGE) from None


# showing


def _show(configured: Configured, plain: str, entry: Held | Relayed, *, is_kept: bool, json: bool) -> None:
    rows = _rows(configured, plain, entry)
    if json:
        where = None if entry.recipients is None else "store" if is_kept else "file"
        screen.write_json({"name": plain, "where": where, "recipients": rows})
        return
    if not rows:
        has_none = f"{plain} has no list, and nothing was learned of its recipients yet"
        screen.say(has_none if entry.recipients is None else f"the list of {plain} is empty")
        return
    now = time.time()
    cells = [(row["address"], row["verdict"], _age(row["since"], now)) for row in rows]
    screen.show_table(("RECIPIENT", "VERDICT", "SINCE"), cells)


def _age(since: float | None, now: float) -> str:
    return "" if since is None else f"{span(now - since)} ago"


def _rows(configured: Configured, plain: str, entry: Held | Relayed) -> list[dict[str, Any]]:
    from restante.config.recipients import known_recipients  # noqa: PLC0415
    from restante.model import DomainName  # noqa: PLC0415

    return known_recipients(configured.settings.data, entry, DomainName(plain), time.time())
