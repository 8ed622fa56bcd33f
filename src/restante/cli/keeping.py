"""What `restante user` and `restante domain` have in common: changing what is kept in the store, server or not.

They write to the store themselves; a server that runs sees it within a second. The configuration wins: what it names
cannot be changed here. What is not in order is not written, and of an import either everything or nothing.
"""

from __future__ import annotations

import contextlib
import json as json_format
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.admin import protocol as p
from restante.admin.words import counted
from restante.cli import screen
from restante.cli.doors import CommandFailed, Configured

if TYPE_CHECKING:
    from restante.config.problems import ConfigError
    from restante.directory.entries import Directory

MOST_PROBLEMS = 50

Unset = Annotated[list[str] | None, typer.Option("--unset", metavar="KEY", help="Have its default again.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a heading, or JSON lines: name, and keys.")]


def given(**values: Any) -> dict[str, Any]:
    """The keys that the command line has."""
    return {key: value for key, value in values.items() if value is not None}


def pairs(kind: str, written: Sequence[str]) -> dict[str, Any]:
    """The keys of `--set KEY=VALUE`. Raises CommandFailed."""
    from restante.config.tables import form_of, from_text  # noqa: PLC0415

    found: dict[str, Any] = {}
    for pair in written:
        key, equals, value = pair.partition("=")
        if not equals:
            raise CommandFailed((f"--set {pair}: KEY=VALUE is meant",), p.USAGE)
        found[key.strip()] = from_text(form_of(kind, key.strip()), value.strip())
    return found


def directory_of_all(configured: Configured) -> Directory:
    """All that is in order, of file and store; what is skipped is complained of."""
    kept = configured.kept()
    for problem in kept.problems:
        screen.complain(f"skipped: {problem}")
    return configured.directory(kept)


def where(in_file: Mapping[str, object], name: str) -> str:
    """Which of the two a user or a domain is in force from."""
    return "file" if name in in_file else "store"


def plain_name_of(kind: str, name: str) -> str:
    """A name as it is kept. Raises CommandFailed."""
    from restante.config.kept import plain_name  # noqa: PLC0415

    try:
        return plain_name(kind, name)
    except ValueError:
        raise CommandFailed((f"{name!r} is not the name of a {kind[:-1]}",), p.USAGE) from None


def refuse_taken(configured: Configured, kind: str, name: str, *, is_new: bool) -> None:
    """The file wins, so that a row of its name would do nothing. A new one must not be there. Raises CommandFailed."""
    plain = plain_name_of(kind, name)
    if plain in getattr(configured.settings, kind):
        raise CommandFailed((f"{configured.file} has {kind}.{plain}, and wins over the store: change it there",))
    if is_new and _row(configured, kind, plain) is not None:
        raise CommandFailed((f"{kind[:-1]} {plain} is there already: `restante {kind[:-1]} set` changes it",))


def _row(configured: Configured, kind: str, plain: str) -> str | None:
    from restante.store.book import has_book, open_book  # noqa: PLC0415

    if not has_book(configured.settings.data):
        return None
    with contextlib.closing(open_book(configured.settings.data)) as book:
        return book.row(kind, plain)


def change(configured: Configured, kind: str, name: str, changes: dict[str, Any], unset: Sequence[str]) -> None:
    """Sets some keys of a row, and forgets others. Raises CommandFailed."""
    refuse_taken(configured, kind, name, is_new=False)
    row = _row(configured, kind, plain_name_of(kind, name))
    if row is None:
        raise CommandFailed((f"no {kind[:-1]} {name} in the store",))
    try:
        table = json_format.loads(row)
    except ValueError:
        table = None
    if not isinstance(table, dict):
        raise CommandFailed((f"what the store has for {kind[:-1]} {name} cannot be read: remove it, and add it anew",))
    left = {key: value for key, value in table.items() if key not in unset}
    put(configured, kind, {name: left | changes})


def remove(configured: Configured, kind: str, name: str) -> None:
    """Removes a row. Raises CommandFailed."""
    from restante.config.keeping import NotKept, remove_row  # noqa: PLC0415
    from restante.store.book import open_book  # noqa: PLC0415

    plain = plain_name_of(kind, name)
    if _row(configured, kind, plain) is None:
        raise CommandFailed((str(NotKept(kind, name)),))
    with contextlib.closing(open_book(configured.settings.data)) as book:
        remove_row(book, kind, plain, configured.settings)


def put(configured: Configured, kind: str, tables: Mapping[str, dict[str, Any]], source: Path | None = None) -> None:
    """Checks tables beside all that there is, and writes them. Raises CommandFailed with every problem."""
    from restante.config.keeping import InFile, put_tables  # noqa: PLC0415
    from restante.config.problems import ConfigError  # noqa: PLC0415
    from restante.store.book import open_book  # noqa: PLC0415

    directory = configured.directory()
    with contextlib.closing(open_book(configured.settings.data)) as book:
        try:
            put_tables(
                book,
                kind,
                tables,
                settings=configured.settings,
                directory=directory,
                folder=configured.folder,
                source=source,
            )
        except ConfigError as error:
            raise failed(error) from None
        except InFile as error:
            hidden = ", ".join(error.names[:10])
            raise CommandFailed((f"{configured.file} has {hidden}, and wins over the store",)) from None


def failed(error: ConfigError) -> CommandFailed:
    """What is wrong with what the user gave, not more than can be read."""
    lines = tuple(map(str, error.problems))
    left = len(lines) - MOST_PROBLEMS
    return CommandFailed((*lines[:MOST_PROBLEMS], *([f"and {left} more"] if left > 0 else [])), p.USAGE)


def import_all(configured: Configured, kind: str, file: Path, *, json: bool) -> None:
    """Writes all that is in a file. Raises CommandFailed."""
    from restante.config.problems import ConfigError  # noqa: PLC0415
    from restante.config.tables import read_tables  # noqa: PLC0415

    try:
        tables = read_tables(kind, file)
    except ConfigError as error:
        raise failed(error) from None
    except OSError as error:
        raise CommandFailed((f"{file} cannot be read: {error.strerror}",), p.USAGE) from None
    put(configured, kind, tables, file)
    say_done(f"{counted(len(tables), kind[:-1])} imported", list(tables), json=json)


def say_done(text: str, names: list[str], secret: str | None = None, *, json: bool) -> None:
    """What was done."""
    if json:
        screen.write_json({"done": names} | ({"secret": secret} if secret else {}))
        return
    screen.say(text)
    if secret:
        screen.say(f"secret for CRAM-MD5: {secret}")
