"""A release or a call while it runs: a live line with a bar on a terminal, a plain line a second elsewhere.

Both end with the same line that tells how it went; it is the only one where nothing happened in between.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn, TypeVar

import typer

from restante.admin.protocol import CallAnswer, ReleaseAnswer
from restante.admin.words import rate, size, span
from restante.cli.doors import CommandFailed
from restante.cli.screen import call_line, complain, release_line, say, write_json

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

Followed = TypeVar("Followed", ReleaseAnswer, CallAnswer)
PLAIN_SECONDS = 1.0
"""Between two plain lines at least."""


def follow(answers: Iterable[Followed], *, json: bool) -> NoReturn:
    """Shows how it goes and how it went, and ends the command with its status. Raises CommandFailed."""
    last = last_of(answers, quiet=json)
    if last is None:
        raise CommandFailed(("no answer",))
    if json:
        write_json(last.view)
    else:
        replies: tuple[str, ...] = last.view.replies if isinstance(last, CallAnswer) else ()
        for reply in replies:
            say(reply)
        if last.view.error:
            complain(last.view.error)
    raise typer.Exit(last.status)


def last_of(answers: Iterable[Followed], *, quiet: bool) -> Followed | None:
    """Shows answers as they come, unless `quiet`; the last of them."""
    if quiet:
        last = None
        for last in answers:  # noqa: B007 - the last is what is wanted
            pass
        return last
    return _on_terminal(answers) if sys.stdout.isatty() else _in_lines(answers)


def line(answer: ReleaseAnswer | CallAnswer) -> str:
    """An answer in one line."""
    if isinstance(answer, ReleaseAnswer):
        return release_line(answer.view, answer.now)
    return call_line(answer.view, answer.now)


def _in_lines(answers: Iterable[Followed]) -> Followed | None:
    last: Followed | None = None
    shown, shown_at = None, float("-inf")
    for last in answers:
        now = time.monotonic()
        if last.view != shown and now - shown_at >= PLAIN_SECONDS:
            shown, shown_at = last.view, now
            say(line(last))
            sys.stdout.flush()
    if last is not None and last.view != shown:
        say(line(last))
    return last


def _on_terminal(answers: Iterable[Followed]) -> Followed | None:
    last: Followed | None = None
    with _bar() as (progress, task):
        for last in answers:
            total, done, octets, started = _figures(last)
            seconds = last.now - started if started is not None else 0.0
            progress.update(
                task,
                total=total,
                completed=done,
                counts=f"{done}/{total}" if total is not None else str(done),
                octets=f"{size(octets)}  {rate(octets, seconds)}",
                elapsed=span(seconds),
                what=_what(last),
            )
    if last is not None:
        say(line(last))
    return last


def _figures(answer: ReleaseAnswer | CallAnswer) -> tuple[int | None, int, int, float | None]:
    """Messages to come, messages so far, octets so far, the wall time of the start."""
    view = answer.view
    if isinstance(answer, ReleaseAnswer):
        release = answer.view
        return release.items, release.delivered + release.failed, release.octets_sent, release.started
    call = answer.view
    return call.expected, call.received, call.received_octets + call.sent_octets, view.started


def _what(answer: ReleaseAnswer | CallAnswer) -> str:
    if isinstance(answer, ReleaseAnswer):
        return f"{answer.view.domain} {answer.view.progress}"
    view = answer.view
    left = f", {span(view.window_ends - answer.now)} left" if view.window_ends is not None else ""
    return f"{view.name} {view.step or view.progress}, {view.sent} sent{left}"


@contextmanager
def _bar() -> Iterator[tuple[Progress, TaskID]]:
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn  # noqa: PLC0415 - only on a terminal

    texts = [TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in ("counts", "octets", "elapsed", "what")]
    with Progress(SpinnerColumn(), BarColumn(bar_width=24), *texts, transient=True) as progress:
        yield progress, progress.add_task("", total=None, counts="", octets="", elapsed="", what="")
