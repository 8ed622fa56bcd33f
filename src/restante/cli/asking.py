"""`restante etrn` and `restante atrn`: an office is asked once, with no configuration."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from restante.admin.protocol import USAGE
from restante.cli import following, office, screen
from restante.cli.doors import CommandFailed
from restante.cli.options import Json, chosen

if TYPE_CHECKING:
    from restante.calls.oneshot import EtrnResult
    from restante.model import DomainName

ETRN_PORT, ATRN_PORT = 25, 366
NODES_HELP = "What to ask for: a domain, @domain for all below it, #group, or an address."
DELIVER_HELP = (
    "Who has each message before it is acknowledged: lmtp:HOST:PORT, lmtp:/path.sock, maildir:FOLDER (with a Maildir "
    "DOMAIN/USER for each), or smtp:HOST[:PORT]."
)


def etrn(
    context: typer.Context,
    host: office.Office,
    nodes: Annotated[list[str], typer.Argument(metavar="NODE...", help=NODES_HELP)],
    *,
    user: office.User = None,
    password_file: office.PasswordFile = None,
    tls: office.Tls = "opportunistic",
    tls_pin: office.Pins = None,
    certificate: office.Certificate = None,
    key: office.Key = None,
    hostname: office.Hostname = None,
    config: office.Config = None,
    timeout: office.Timeout = 120,
    json: Json = False,
) -> None:
    """Ask an office once for our mail (RFC 1985). Needs no configuration."""
    from restante.calls import oneshot  # noqa: PLC0415 - brings the whole site's side

    at = office.host_of(host, ETRN_PORT)
    asker = oneshot.Asker(
        office.name_for_ehlo(hostname, chosen(context, config)),
        office.policy_of(tls, tls_pin),
        office.login_of(user, password_file, certificate, key),
        timeout,
    )
    result = asyncio.run(oneshot.etrn(at, nodes, asker))
    _show_etrn(str(at), result, json=json)
    raise typer.Exit(result.status)


def _show_etrn(host: str, result: EtrnResult, *, json: bool) -> None:
    if json:
        replies = [{"node": node, "code": reply.code, "reply": str(reply)} for node, reply in result.replies]
        screen.write_json({"office": host, "replies": replies, "messages": result.messages, "problem": result.problem})
        return
    for node, reply in result.replies:
        screen.say(f"{node}: {reply}")
    if result.problem:
        screen.complain(result.problem)


def atrn(
    context: typer.Context,
    host: office.Office,
    domains: Annotated[
        list[str] | None, typer.Argument(metavar="DOMAIN...", help="Ours; without any, all that the office has for us.")
    ] = None,
    *,
    deliver_to: Annotated[str, typer.Option("--deliver-to", metavar="WHERE", help=DELIVER_HELP)],
    user: office.User = None,
    password_file: office.PasswordFile = None,
    tls: office.Tls = "opportunistic",
    tls_pin: office.Pins = None,
    certificate: office.Certificate = None,
    key: office.Key = None,
    hostname: office.Hostname = None,
    config: office.Config = None,
    timeout: office.Timeout = 120,
    json: Json = False,
) -> None:
    """Fetch our mail from an office once, over our own connection (RFC 2645). Needs no configuration."""
    from restante.calls import oneshot  # noqa: PLC0415 - brings the whole site's side
    from restante.cli import fetching  # noqa: PLC0415 - and a server's session

    at = office.host_of(host, ATRN_PORT)
    name = office.name_for_ehlo(hostname, chosen(context, config))
    asker = oneshot.Asker(
        name, office.policy_of(tls, tls_pin), office.login_of(user, password_file, certificate, key), timeout
    )
    ours = _domains(domains or [])
    if not ours and deliver_to.startswith("smtp:"):
        raise CommandFailed(("name the domains: without any, smtp: would relay whatever the office sends",), USAGE)
    carrier = fetching.carrier_of(deliver_to, name)
    following.follow(fetching.fetched(at, ours, asker, carrier), json=json)


def _domains(texts: list[str]) -> tuple[DomainName, ...]:
    from restante.smtp.address import AddressError, parse_domain  # noqa: PLC0415

    try:
        domains = tuple(map(parse_domain, texts))
    except AddressError as error:
        raise CommandFailed((str(error),), USAGE) from None
    for domain in domains:
        if "." not in domain or domain.startswith("["):
            raise CommandFailed((f"{domain!r} is not a domain with a dot (RFC 2645 §5.2.1)",), USAGE)
    return domains
