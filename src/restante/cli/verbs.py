"""The commands, and what they exit with: 0 done, 1 could not, 2 usage or configuration, 130 interrupted.

Each command reads its options, asks a door, and shows the answer; what is not loaded for `--help` is imported where it
is used. What may go wrong is told in one line each, on stderr, and never as a traceback.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from restante.admin import protocol as p
from restante.cli import (
    asking,
    changing,
    choosing,
    doctor,
    domains,
    doors,
    following,
    init,
    passwords,
    screen,
    tls_report,
    tracing,
    users,
)
from restante.cli.answers import ask, ask_once, listing
from restante.cli.doors import CommandFailed
from restante.cli.options import Config, Json, chosen
from restante.cli.verb import Verbs
from restante.errors import RestanteError

app = Verbs(
    name="restante",
    help="Mail to and from places that are not always online: an ETRN office and site in one program.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

LIMIT_HELP = f"As many items at most; without it {p.PAGE}, or all with --json."
Wait = Annotated[bool, typer.Option("--wait", help="Show how it goes until it has ended.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Does what the command line says; the exit status."""
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        app.only(words[0] if words else "")(args=words, prog_name="restante")
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


def _tell_version(*, wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version  # noqa: PLC0415 - looks at the disk

        screen.say(f"restante {version('restante')}")
        raise typer.Exit


Version = Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Show the version.")]


@app.callback()
def _before_the_verb(context: typer.Context, config: Config = None, *, version: Version = False) -> None:
    del version  # told already
    context.obj = config


app.command()(init.init)
app.command()(doctor.doctor)


# the server


@app.command()
def serve(context: typer.Context, config: Config = None) -> None:
    """Run the server in the foreground."""
    file = doors.find_file(chosen(context, config))
    gc.disable()  # it would look at all modules again and again while they come in; see run()
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
    answer = ask_once(context, config, p.Reload(), p.ReloadAnswer)
    if json:
        screen.write_json(answer)
    elif answer.problems:
        raise CommandFailed(answer.problems, p.USAGE)
    else:
        screen.say("reloaded")
    raise typer.Exit(answer.status)


@app.command()
def status(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """Show how many items wait for each domain, and the releases and calls of now."""
    answer = ask_once(context, config, p.Status(), p.StatusAnswer)
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
    sender: choosing.From = None,
    to: choosing.To = None,
    older: choosing.Older = None,
    larger: choosing.Larger = None,
    state: choosing.State = None,
    limit: Annotated[int | None, typer.Option(metavar="NUMBER", min=1, help=LIMIT_HELP)] = None,
    json: Json = False,
) -> None:
    """List what waits, each item with its domain, size, age and state, and why."""
    request = p.Queue(
        tuple(domains or ()),
        state=state,
        sender=sender,
        recipient=to,
        older=choosing.seconds(older),
        larger=choosing.octets(larger),
    )
    items, last, is_cut = listing(context, config, request, limit or (sys.maxsize if json else p.PAGE))
    if json:
        screen.write_json(items)
    else:
        screen.show_queue(items, last.now, last.quotas, is_cut=is_cut)


@app.command()
def show(
    context: typer.Context,
    identifier: Annotated[str, typer.Argument(metavar="ID", help="An item, or a message with all its items.")],
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Show a message's envelope, state and headers."""
    answer = ask_once(context, config, p.Show(identifier), p.ShowAnswer)
    if json:
        screen.write_json(answer)
    else:
        screen.show_message(answer)


app.command()(tracing.trace)

for _change in (changing.freeze, changing.thaw, changing.remove, changing.bounce, changing.redirect):
    app.command()(_change)


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
    domain: Annotated[str, typer.Argument(metavar="DOMAIN", help="A domain whose mail waits here, or `*`.")],
    to: Annotated[str | None, typer.Option("--to", metavar="HOST[:PORT]", help="There, not to its next hop.")] = None,
    config: Config = None,
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Release a domain's mail now."""
    answers = ask(context, config, p.Release(domain, to, wait), p.ReleaseAnswer)
    following.follow(answers, json=json)


@app.command()
def call(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A call of the configuration: office is [calls.office].")],
    config: Config = None,
    *,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Call an office now."""
    following.follow(ask(context, config, p.Call(name, wait), p.CallAnswer), json=json)


app.command()(asking.etrn)
app.command()(asking.atrn)


# what is known of others

app.command("tls-report")(tls_report.tls_report)
