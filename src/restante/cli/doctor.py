"""`restante doctor`: looks at a host from all sides, says what is wrong and what to do. Exit status 1: something is."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from restante.admin import protocol as p
from restante.admin.control import ControlClient, NoServer
from restante.cli import doors, screen
from restante.cli.doors import CommandFailed, Configured
from restante.cli.options import Config, Json, chosen
from restante.errors import RestanteError
from restante.observe.lines import escape

if TYPE_CHECKING:
    from restante.model import DomainName
    from restante.setup.finding import Finding, Host

CONFIGURATION = "configuration"
_COLOURS = {"ok": "green", "warning": "yellow", "wrong": "red"}
_WIDTH = max(map(len, _COLOURS))


def doctor(
    context: typer.Context,
    to: Annotated[
        list[str] | None, typer.Option("--to", metavar="DOMAIN", help="Try the mail hosts of this domain, too.")
    ] = None,
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Look whether this host works: files, ports, TLS, DNS, peers. Exit status 1: something is wrong.

    Nothing is changed, and no mail is sent. It may run beside the server, as the user that the server runs as.
    """
    from restante.setup.finding import Mark, wrong  # noqa: PLC0415 - `--help` needs none of it

    also_to = tuple(map(_domain, to or ()))
    try:
        configured = doors.load(chosen(context, config))
    except CommandFailed as failed:
        remedy = "mend it; docs/configuration.md has every key"
        found: Sequence[Finding] = [wrong(CONFIGURATION, reason, remedy) for reason in failed.reasons]
    else:
        found = _look(configured, also_to)
    if json:
        screen.write_json(found)
    else:
        _show(found)
    raise typer.Exit(p.COULD_NOT if any(finding.mark is Mark.WRONG for finding in found) else p.DONE)


def _domain(text: str) -> DomainName:
    from restante.config.words import parse_named_domain  # noqa: PLC0415

    try:
        return parse_named_domain(text)
    except ValueError:
        raise CommandFailed((f"--to {text}: not a domain",), p.USAGE) from None


def _look(configured: Configured, also_to: tuple[DomainName, ...]) -> list[Finding]:
    import uvloop  # noqa: PLC0415 - as the server: its words for what goes wrong are the system's

    from restante.setup.doctor import look  # noqa: PLC0415

    return [*_of_configuration(configured), *uvloop.run(look(_host(configured, also_to)))]


def _of_configuration(configured: Configured) -> list[Finding]:
    from restante.setup.finding import ok, warning, wrong  # noqa: PLC0415

    try:
        notes = configured.notes()
    except RestanteError as error:
        return [wrong(CONFIGURATION, str(error), "restore the store's directory.db, or remove it")]
    if not notes:
        return [ok(CONFIGURATION, f"{configured.file} is in order")]
    return [warning(CONFIGURATION, note, "right, if it is meant so") for note in notes]


def _host(configured: Configured, also_to: tuple[DomainName, ...]) -> Host:
    from restante.config.build import NOTHING_KEPT  # noqa: PLC0415
    from restante.mx.lookup import Resolver  # noqa: PLC0415
    from restante.setup.finding import Host  # noqa: PLC0415
    from restante.store.book import BookUnusable  # noqa: PLC0415

    settings = configured.settings
    try:
        directory = configured.directory()
    except BookUnusable:
        directory = configured.directory(NOTHING_KEPT)
    status, trouble = _status(configured)
    names = Resolver(settings.dns.servers, validates=settings.dns.validates, timeout=settings.dns.timeout)
    return Host(configured.file, settings, directory, status, trouble, names, time.time(), also_to)


def _status(configured: Configured) -> tuple[p.StatusAnswer | None, str]:
    """What the server, or the store, says of itself; and why neither does. Another user's store is not opened."""
    from restante.setup.machine import may_open  # noqa: PLC0415

    data = configured.settings.data
    try:
        if not _runs(data) and not may_open(data):
            return None, ""
        answers = [answer for answer in doors.ask(configured, p.Status()) if isinstance(answer, p.StatusAnswer)]
    except RestanteError as error:
        return None, str(error)
    return answers[0] if answers else None, ""


def _runs(data: Path) -> bool:
    """Whether a server answers, or cannot be asked."""
    try:
        return any(ControlClient(data / p.SOCKET).ask(p.Status()))
    except NoServer:
        return False


def _show(found: Sequence[Finding]) -> None:
    is_plain = not sys.stdout.isatty()
    for finding in found:
        mark = finding.mark.ljust(_WIDTH)
        if not is_plain:
            mark = typer.style(mark, fg=_COLOURS[finding.mark], bold=True)
        line = escape(f"{finding.subject}: {finding.text}")
        remedy = escape(f" -> {finding.remedy}") if finding.remedy else ""
        sys.stdout.write(f"{mark}  {line}{remedy}\n")
