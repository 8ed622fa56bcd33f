"""`restante tls-report`: how TLS towards other domains went on a day (RFC 8460). Reads what the server wrote."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import typer

from restante.admin import protocol as p
from restante.cli import doors, screen
from restante.cli.doors import CommandFailed
from restante.cli.options import Config, Json, chosen

if TYPE_CHECKING:
    from restante.mx.tlsrpt import Row

Domain = Annotated[str | None, typer.Argument(metavar="DOMAIN", help="Only of this domain.")]
Date = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="A day of the last 30, UTC; else today.")
]
COLUMNS = ("Domain", "Policy", "Result", "MX host", "Sessions", "Reason")


def tls_report(
    context: typer.Context, domain: Domain = None, date: Date = None, config: Config = None, *, json: Json = False
) -> None:
    """Show how TLS towards other domains went, a minute late at most. --json: as RFC 8460 has it."""
    from restante.mx.book import read_rows  # noqa: PLC0415 - brings the database

    day = _day(date)
    settings = doors.load(chosen(context, config)).settings
    rows = read_rows(settings.data, day, _domain(domain))
    if json:
        reports = _reports(rows, day, settings.hostname)
        screen.write_json(reports if domain is None else next(iter(reports), None))
    elif rows:
        screen.show_table(COLUMNS, map(_cells, rows), right=("Sessions",))
    else:
        screen.say(f"nothing was counted on {day}")


def _day(text: str | None) -> str:
    if text is None:
        return dt.datetime.now(dt.UTC).date().isoformat()
    try:
        return dt.date.fromisoformat(text).isoformat()
    except ValueError:
        raise CommandFailed((f"--date {text}: YYYY-MM-DD is meant",), p.USAGE) from None


def _domain(text: str | None) -> str | None:
    from restante.smtp.address import AddressError, parse_domain  # noqa: PLC0415

    try:
        return None if text is None else parse_domain(text)
    except AddressError as error:
        raise CommandFailed((str(error),), p.USAGE) from None


def _reports(rows: Iterable[Row], day: str, hostname: str) -> list[dict[str, object]]:
    """One for each policy domain."""
    from restante.mx.tlsrpt import report  # noqa: PLC0415

    by_domain: dict[str, list[Row]] = {}
    for row in rows:
        by_domain.setdefault(row.policy.domain, []).append(row)
    return [report(each, domain=domain, day=day, hostname=hostname) for domain, each in by_domain.items()]


def _cells(row: Row) -> tuple[str, ...]:
    outcome = row.outcome
    result = "good" if outcome.result is None else outcome.result.value
    return (row.policy.domain, row.policy.type.value, result, outcome.mx_host, str(row.sessions), outcome.reason)
