"""The options that choose items, for all verbs that take them; and the question whether very many are meant."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypedDict

import typer

from restante.admin import protocol as p
from restante.cli import answers
from restante.cli.doors import CommandFailed
from restante.model import ItemState

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Items, or messages with all their items.")]
OfDomain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="Items of a domain.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="WHO", help="Items from a sender: ADDRESS, @DOMAIN, or '<>' for reports."),
]
To = Annotated[str | None, typer.Option("--to", metavar="WHO", help="Items for a recipient: ADDRESS or @DOMAIN.")]
Older = Annotated[str | None, typer.Option("--older", metavar="TIME", help="Items that came longer ago, such as 2d.")]
Larger = Annotated[str | None, typer.Option("--larger", metavar="SIZE", help="Items with more octets, such as 5MB.")]
State = Annotated[ItemState | None, typer.Option("--state", help="Items in this state.")]
All = Annotated[bool, typer.Option("--all", help="All items.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask, however many there are.")]


def seconds(text: str | None) -> float | None:
    """What `--older` says. Raises CommandFailed."""
    from restante.config.units import UnitError, parse_duration  # noqa: PLC0415 - `--help` needs none

    try:
        return None if text is None else float(parse_duration(text))
    except UnitError as error:
        raise CommandFailed((f"--older {error}",), p.USAGE) from None


def octets(text: str | None) -> int | None:
    """What `--larger` says. Raises CommandFailed."""
    from restante.config.units import UnitError, parse_size  # noqa: PLC0415 - `--help` needs none

    try:
        return None if text is None else parse_size(text)
    except UnitError as error:
        raise CommandFailed((f"--larger {error}",), p.USAGE) from None


class Said(TypedDict):
    """What the options say, by the fields of a request."""

    domain: str | None
    state: ItemState | None
    sender: str | None
    recipient: str | None
    older: float | None
    larger: int | None
    all: bool


def said(
    domain: str | None,
    state: ItemState | None,
    sender: str | None,
    to: str | None,
    *,
    older: str | None,
    larger: str | None,
    every: bool,
) -> Said:
    """What the options say. Raises CommandFailed."""
    return Said(
        domain=domain,
        state=state,
        sender=sender,
        recipient=to,
        older=seconds(older),
        larger=octets(larger),
        all=every,
    )


def confirm(context: typer.Context, config: Path | None, request: p.AnyChange, question: Callable[[str], str]) -> None:
    """Asks at a terminal whether more than one item is meant; where nobody can be asked, only ids mean more than one.

    Raises CommandFailed.
    """
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty()
    options = (request.domain, request.state, request.sender, request.recipient, request.older, request.larger)
    if bool(request.ids) == (request.all or any(each is not None for each in options)):
        return  # a mistake, and the answer says so
    if request.ids and not is_terminal:
        return
    items, _, is_cut = answers.listing(context, config, _as_queue(request), p.PAGE)
    if len(items) < 2:
        return
    many = f"more than {len(items)}" if is_cut else str(len(items))
    if not is_terminal:
        raise CommandFailed((f"{many} items are meant: say --yes",))
    if not typer.confirm(question(many), err=True):
        raise CommandFailed(("nothing was done",))


def _as_queue(request: p.AnyChange) -> p.Queue:
    return p.Queue(
        () if request.domain is None else (request.domain,),
        request.ids,
        request.state,
        sender=request.sender,
        recipient=request.recipient,
        older=request.older,
        larger=request.larger,
    )
