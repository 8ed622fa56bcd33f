"""Asking a door, for answers of the kind that a command shows."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

import typer
from msgspec import structs

from restante.admin import protocol as p
from restante.cli import doors
from restante.cli.doors import CommandFailed
from restante.cli.options import chosen

Wanted = TypeVar("Wanted", bound=p.Answer)


def ask(context: typer.Context, config: Path | None, request: p.AnyRequest, wanted: type[Wanted]) -> Iterable[Wanted]:
    """The answers as they come. Raises CommandFailed."""
    for answer in doors.ask(doors.load(chosen(context, config)), request):
        if not isinstance(answer, wanted):
            raise CommandFailed((f"an answer of another kind: {type(answer).__name__}",))
        yield answer


def ask_once(context: typer.Context, config: Path | None, request: p.AnyRequest, wanted: type[Wanted]) -> Wanted:
    """The one answer. Raises CommandFailed."""
    for answer in list(ask(context, config, request, wanted)):
        return answer
    raise CommandFailed(("no answer",))


def listing(
    context: typer.Context, config: Path | None, request: p.Queue, limit: int
) -> tuple[list[p.QueueItem], p.QueueAnswer, bool]:
    """So many items, page by page; the last answer with the quotas of all, and whether there are more."""
    items: list[p.QueueItem] = []
    quotas: dict[str, p.QuotaUse] = {}
    after: str | None = None
    while True:
        page = structs.replace(request, limit=min(p.PAGE, limit + 1 - len(items)), after=after)
        answer = ask_once(context, config, page, p.QueueAnswer)
        items += answer.items
        quotas |= answer.quotas
        after = answer.after
        if after is None or len(items) > limit:
            last = p.QueueAnswer((), answer.now, after, quotas)
            return items[:limit], last, len(items) > limit
