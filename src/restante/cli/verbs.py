"""The commands, and what they exit with: 0 done, 1 could not, 2 usage or configuration, 130 interrupted.

Each command reads its options, asks a door, and shows the answer; what is not loaded for `--help` is imported where it
is used. What may go wrong is told in one line each, on stderr, and never as a traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from restante.admin import protocol as p
from restante.cli import asking, domains, doors, following, passwords, screen, users
from restante.cli.doors import CommandFailed
from restante.cli.options import Config, Json, chosen
from restante.errors import RestanteError
from restante.model import ItemState

app = typer.Typer(
    name="restante",
    help="Mail to and from places that are not always online: an ETRN office and site in one program.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

LIMIT_HELP = f"As many items at most; without it {p.PAGE}, or all with --json."
Wait = Annotated[bool, typer.Option("--wait", help="Show it until it has ended.")]
Ids = Annotated[list[str] | None, typer.Argument(metavar="ID...", help="Items, or messages with all their items.")]
OfDomain = Annotated[str | None, typer.Option("--domain", metavar="DOMAIN", help="All items of a domain.")]

Wanted = TypeVar("Wanted", bound=p.Answer)


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; the exit status."""
    try:
        app(args=arguments, prog_name="restante")
        status = p.DONE
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else p.DONE
    except CommandFailed as failed:
        for reason in failed.reasons:
            screen.complain(reason)
        status = failed.status
    except RestanteError as error:
        screen.complain(str(error))
        status = p.COULD_NOT
    _finish_stdout()
    return status


def _finish_stdout() -> None:
    """Writes what is left; whoever has stopped reading (`restante queue | head`) misses nothing."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@app.callback()
def _before_the_verb(context: typer.Context, config: Config = None) -> None:
    context.obj = config


def _ask(context: typer.Context, config: Path | None, request: p.AnyRequest, wanted: type[Wanted]) -> Iterable[Wanted]:
    for answer in doors.ask(doors.load(chosen(context, config)), request):
        if not isinstance(answer, wanted):
            raise CommandFailed((f"an answer of another kind: {type(answer).__name__}",))
        yield answer


def _ask_once(context: typer.Context, config: Path | None, request: p.AnyRequest, wanted: type[Wanted]) -> Wanted:
    for answer in list(_ask(context, config, request, wanted)):
        return answer
    raise CommandFailed(("no answer",))


# the server


@app.command()
def serve(context: typer.Context, config: Config = None) -> None:
    """Run the server in the foreground."""
    file = doors.find_file(chosen(context, config))
    from restante.app import run  # noqa: PLC0415 - the whole server, for this command alone

    raise typer.Exit(run(file))


@app.command()
def check(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """Read the configuration and say what is wrong with it."""
    file = doors.find_file(chosen(context, config))
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    try:
        notes = doors.load(file).notes()
    except CommandFailed as failed:
        problems = failed.reasons
    if json:
        screen.write_json({"file": str(file), "ok": not problems, "problems": problems, "notes": notes})
        raise typer.Exit(p.USAGE if problems else p.DONE)
    if problems:
        raise CommandFailed(problems, p.USAGE)
    screen.say(f"{file}: ok")
    for note in notes:
        screen.say(f"note: {note}")


@app.command()
def reload(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """Have the server read its configuration. A bad one changes nothing."""
    answer = _ask_once(context, config, p.Reload(), p.ReloadAnswer)
    if json:
        screen.write_json(answer)
    elif answer.problems:
        raise CommandFailed(answer.problems, p.USAGE)
    else:
        screen.say("reloaded")
    raise typer.Exit(answer.status)


@app.command()
def status(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """Show what waits, releases and calls."""
    answer = _ask_once(context, config, p.Status(), p.StatusAnswer)
    if json:
        screen.write_json(answer)
    else:
        screen.show_status(answer)


# what waits


@app.command()
def queue(
    context: typer.Context,
    domains: Annotated[list[str] | None, typer.Argument(metavar="DOMAIN...", help="Only of these domains.")] = None,
    config: Config = None,
    *,
    state: Annotated[ItemState | None, typer.Option(help="Only items in this state.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help=LIMIT_HELP)] = None,
    json: Json = False,
) -> None:
    """List what waits."""
    request = p.Queue(domains=tuple(domains or ()), state=state)
    items, now, is_cut = _listing(context, config, request, limit or (sys.maxsize if json else p.PAGE))
    if json:
        screen.write_json(items)
    else:
        screen.show_queue(items, now, is_cut=is_cut)


def _listing(
    context: typer.Context, config: Path | None, request: p.Queue, limit: int
) -> tuple[list[p.QueueItem], float, bool]:
    """So many items, page by page; the time of the last look, and whether there are more."""
    items: list[p.QueueItem] = []
    after: str | None = None
    while True:
        page = p.Queue(request.domains, request.ids, request.state, min(p.PAGE, limit + 1 - len(items)), after)
        answer = _ask_once(context, config, page, p.QueueAnswer)
        items += answer.items
        after = answer.after
        if after is None or len(items) > limit:
            return items[:limit], answer.now, len(items) > limit


@app.command()
def show(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="An item, or a message with all its items.")],
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Show a message's envelope, state and headers."""
    answer = _ask_once(context, config, p.Show(identifier), p.ShowAnswer)
    if json:
        screen.write_json(answer)
    else:
        screen.show_message(answer)


@app.command()
def freeze(
    context: typer.Context, ids: Ids = None, domain: OfDomain = None, config: Config = None, *, json: Json = False
) -> None:
    """Stop items: no release passes them until they are thawed."""
    _change(context, config, p.Freeze(tuple(ids or ()), domain), "frozen", json=json)


@app.command()
def thaw(
    context: typer.Context, ids: Ids = None, domain: OfDomain = None, config: Config = None, *, json: Json = False
) -> None:
    """Let frozen items wait again."""
    _change(context, config, p.Thaw(tuple(ids or ()), domain), "waits again", json=json)


@app.command()
def remove(
    context: typer.Context,
    ids: Ids = None,
    domain: OfDomain = None,
    config: Config = None,
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, however many there are.")] = False,
    json: Json = False,
) -> None:
    """Remove items. Their senders are not told."""
    request = p.Remove(tuple(ids or ()), domain)
    if not yes and sys.stdin.isatty() and sys.stderr.isatty():
        _confirm(context, config, request)
    _change(context, config, request, "removed", json=json)


def _confirm(context: typer.Context, config: Path | None, request: p.Remove) -> None:
    if bool(request.ids) == (request.domain is not None):
        return  # a mistake, and the answer says so
    domains = () if request.domain is None else (request.domain,)
    items, _, is_cut = _listing(context, config, p.Queue(domains, request.ids), p.PAGE)
    if len(items) < 2:
        return
    many = f"more than {len(items)}" if is_cut else str(len(items))
    if not typer.confirm(f"Remove {many} items for good?", err=True):
        raise CommandFailed(("nothing was removed",))


def _change(context: typer.Context, config: Path | None, request: p.AnyChange, done: str, *, json: bool) -> None:
    answer = _ask_once(context, config, request, p.ChangeAnswer)
    if json:
        screen.write_json(answer)
    else:
        screen.show_change(answer, done)
    raise typer.Exit(answer.status)


@app.command()
def fsck(
    context: typer.Context,
    config: Config = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Quarantine what is damaged, put right all else.")] = False,
    json: Json = False,
) -> None:
    """Look for damage in the store. The server must not run. Exit status 1: some was found."""
    from restante.store.check import check  # noqa: PLC0415 - brings the store

    folder = doors.spool_folder(doors.load(chosen(context, config)).settings)
    report = check(folder, repair=repair)
    if json:
        screen.write_json(report)
    else:
        screen.show_damage(report)
    raise typer.Exit(p.COULD_NOT if report.problems else p.DONE)


app.command()(passwords.password)


# users and domains in the store

app.add_typer(users.app, name="user")
app.add_typer(domains.app, name="domain")


# what moves


@app.command()
def release(
    context: typer.Context,
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain of the configuration, or `*`.")],
    to: Annotated[str | None, typer.Option("--to", metavar="HOST[:PORT]", help="Not to its own next hop.")] = None,
    config: Config = None,
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Release a domain's mail now."""
    answers = _ask(context, config, p.Release(domain, to, wait), p.ReleaseAnswer)
    following.follow(answers, json=json)


@app.command()
def call(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A call of the configuration.")],
    config: Config = None,
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Call an office now."""
    following.follow(_ask(context, config, p.Call(name, wait), p.CallAnswer), json=json)


app.command()(asking.etrn)
app.command()(asking.atrn)
