"""`restante freeze`, `thaw`, `remove`, `bounce` and `redirect`: for items by their ids, or by what they are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from restante.admin import protocol as p
from restante.cli import answers, screen
from restante.cli.choosing import All, From, Ids, Larger, OfDomain, Older, State, To, Yes, confirm, said
from restante.cli.options import Config, Json

Text = Annotated[str, typer.Option("--text", metavar="TEXT", help="What the sender is told of the reason.")]
Where = Annotated[
    str, typer.Argument(metavar="WHERE", help="An address; or a domain, for the same local parts of that domain.")
]


def freeze(
    context: typer.Context,
    ids: Ids = None,
    *,
    domain: OfDomain = None,
    sender: From = None,
    to: To = None,
    older: Older = None,
    larger: Larger = None,
    state: State = None,
    every: All = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Stop items: no release passes them until they are thawed."""
    which = said(domain, state, sender, to, older=older, larger=larger, every=every)
    request = p.Freeze(tuple(ids or ()), **which)
    _change(context, config, request, "frozen", json=json)


def thaw(
    context: typer.Context,
    ids: Ids = None,
    *,
    domain: OfDomain = None,
    sender: From = None,
    to: To = None,
    older: Older = None,
    larger: Larger = None,
    state: State = None,
    every: All = False,
    config: Config = None,
    json: Json = False,
) -> None:
    """Let frozen items wait again."""
    which = said(domain, state, sender, to, older=older, larger=larger, every=every)
    request = p.Thaw(tuple(ids or ()), **which)
    _change(context, config, request, "waits again", json=json)


def remove(
    context: typer.Context,
    ids: Ids = None,
    *,
    domain: OfDomain = None,
    sender: From = None,
    to: To = None,
    older: Older = None,
    larger: Larger = None,
    state: State = None,
    every: All = False,
    config: Config = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove items. Their senders are not told."""
    which = said(domain, state, sender, to, older=older, larger=larger, every=every)
    request = p.Remove(tuple(ids or ()), **which)
    if not yes:
        confirm(context, config, request, lambda many: f"Remove {many} items for good?")
    _change(context, config, request, "removed", json=json)


def bounce(
    context: typer.Context,
    ids: Ids = None,
    *,
    domain: OfDomain = None,
    sender: From = None,
    to: To = None,
    older: Older = None,
    larger: Larger = None,
    state: State = None,
    every: All = False,
    text: Text = "",
    config: Config = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Send items back: their senders get a notice, and the items are gone."""
    which = said(domain, state, sender, to, older=older, larger=larger, every=every)
    request = p.Bounce(tuple(ids or ()), text=text, **which)
    if not yes:
        confirm(context, config, request, lambda many: f"Send {many} items back?")
    _change(context, config, request, "sent back", json=json)


def redirect(
    context: typer.Context,
    where: Where,
    ids: Ids = None,
    *,
    domain: OfDomain = None,
    sender: From = None,
    to: To = None,
    older: Older = None,
    larger: Larger = None,
    state: State = None,
    every: All = False,
    config: Config = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Send items elsewhere: to one address, or to another domain. What is frozen stays frozen."""
    which = said(domain, state, sender, to, older=older, larger=larger, every=every)
    request = p.Redirect(tuple(ids or ()), where=where, **which)
    if not yes:
        confirm(context, config, request, lambda many: f"Send {many} items to {where}?")
    _change(context, config, request, f"redirected to {where}", json=json)


def _change(context: typer.Context, config: Path | None, request: p.AnyChange, done: str, *, json: bool) -> None:
    answer = answers.ask_once(context, config, request, p.ChangeAnswer)
    if json:
        screen.write_json(answer)
    else:
        screen.show_change(answer, done)
    raise typer.Exit(answer.status)
