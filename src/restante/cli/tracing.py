"""`restante trace`: the life of one message, out of a log, and where it stands now."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from restante.admin import protocol as p
from restante.cli import screen
from restante.cli.answers import listing
from restante.cli.doors import CommandFailed
from restante.cli.options import Config, Json
from restante.model import IdError, parse_id

STDIN = "-"
Log = Annotated[
    Path | None, typer.Option("--log", metavar="FILE", help="The server's log, as text or JSON; `-` is standard input.")
]


def trace(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="A message with all its items, or one item.")],
    log: Log = None,
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Show what became of a message, from its arrival on, out of a log.

    With systemd: `journalctl -u restante -o cat | restante trace ID --log -`.
    """
    from restante.observe.tracing import Line, trace as traced  # noqa: I001, PLC0415 - for this command alone

    try:
        wanted = parse_id(identifier)
    except IdError as error:
        raise CommandFailed((str(error),), p.USAGE) from None
    lines: list[Line] = []
    for line in traced(_lines_of(log), wanted) if log is not None else ():
        lines.append(line)
        if not json:
            screen.say(line.text)
    items, last, _ = listing(context, config, p.Queue(ids=(identifier,)), p.PAGE)
    if json:
        told = [{"time": one.time, "level": one.level, "event": one.event, **one.fields} for one in lines]
        screen.write_json({"lines": told, "items": items})
    elif items:
        screen.show_queue(items, last.now, last.quotas, is_cut=False)
    else:
        screen.say(f"{identifier}: not here now")
    raise typer.Exit(p.DONE if lines or items else p.COULD_NOT)


def _lines_of(log: Path) -> Iterator[str]:
    """The lines of a file, or of standard input. Raises CommandFailed."""
    if str(log) == STDIN:
        sys.stdin.reconfigure(errors="replace")  # type: ignore[union-attr]
        yield from sys.stdin
        return
    try:
        with log.open(errors="replace") as opened:
            yield from opened
    except OSError as error:
        raise CommandFailed((f"{log} cannot be read: {error.strerror}",), p.USAGE) from None
