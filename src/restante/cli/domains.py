"""`restante domain`: the domains that are kept in the store (keeping.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from restante.admin import protocol as p
from restante.cli import doors, keeping, recipients, screen
from restante.cli.options import Config, Json, chosen
from restante.cli.verb import Verbs

if TYPE_CHECKING:
    from restante.directory.entries import Entry

app = Verbs(help="Keep domains in the store, beside those of the configuration.", no_args_is_help=True)

DomainName = Annotated[str, typer.Argument(metavar="DOMAIN", help='The domain, or "*".')]
Action = Annotated[str | None, typer.Option(metavar="ACTION", help="hold, relay, deliver or reject.")]
NextHop = Annotated[str | None, typer.Option(metavar="HOST[:PORT]", help="Where its mail goes when it is released.")]
ReleaseFrom = Annotated[
    list[str] | None, typer.Option(metavar="GRANT", help="Who may release it: a network, user:NAME, cert:SHA256|NAME.")
]
Group = Annotated[str | None, typer.Option(metavar="NAME", help="The group in which `ETRN #NAME` finds it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Any other key; a list has spaces in between.")
]


@app.command("add")
def add_domain(  # noqa: PLR0917 - options
    context: typer.Context,
    name: DomainName,
    action: Action = "hold",
    next_hop: NextHop = None,
    release_from: ReleaseFrom = None,
    group: Group = None,
    set_: Set = None,
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Add a domain."""
    configured = doors.load(chosen(context, config))
    keeping.refuse_taken(configured, "domains", name, is_new=True)
    table = keeping.given(action=action, next_hop=next_hop, release_from=release_from, group=group)
    keeping.put(configured, "domains", {name: table | keeping.pairs("domains", set_ or ())})
    keeping.say_done(f"domain {name} added", [name], json=json)


@app.command("set")
def set_domain(  # noqa: PLR0917 - options
    context: typer.Context,
    name: DomainName,
    action: Action = None,
    next_hop: NextHop = None,
    release_from: ReleaseFrom = None,
    group: Group = None,
    set_: Set = None,
    unset: keeping.Unset = None,
    config: Config = None,
    *,
    json: Json = False,
) -> None:
    """Change a domain. What is not named stays; lists are replaced."""
    changes = keeping.given(action=action, next_hop=next_hop, release_from=release_from, group=group)
    changes |= keeping.pairs("domains", set_ or ())
    keeping.change(doors.load(chosen(context, config)), "domains", name, changes, unset or ())
    keeping.say_done(f"domain {name} changed", [name], json=json)


@app.command("remove")
def remove_domain(context: typer.Context, name: DomainName, config: Config = None, *, json: Json = False) -> None:
    """Remove a domain, and its list of recipients. Mail that waits for it stays, and is the business of `*`."""
    configured = doors.load(chosen(context, config))
    keeping.remove(configured, "domains", name)
    keeping.say_done(f"domain {name} removed", [name], json=json)


@app.command("list")
def list_domains(context: typer.Context, config: Config = None, *, json: Json = False) -> None:
    """List all domains, those of the configuration too, and who may release them."""
    configured = doors.load(chosen(context, config))
    found = sorted(keeping.directory_of_all(configured).entries(), key=lambda entry: entry.name)
    quotas = _quotas(configured, found)
    rows = [
        _described(entry)
        | {"quota": quotas.get(entry.name), "where": keeping.where(configured.settings.domains, entry.name)}
        for entry in found
    ]
    if json:
        screen.write_json(rows)
        return
    columns = ("DOMAIN", "ACTION", "NEXT HOP", "GROUP", "MAY RELEASE", *(("FULL",) if quotas else ()), "WHERE")
    keys = ("name", "action", "next_hop", "group")
    cells = [
        (
            *(str(row[key] or "") for key in keys),
            " ".join(row["may_release"]),
            *((screen.full(row["quota"]),) if quotas else ()),
            row["where"],
        )
        for row in rows
    ]
    screen.show_table(columns, cells)


def _quotas(configured: doors.Configured, found: list[Entry]) -> dict[str, p.QuotaUse]:
    """How full those domains are that have a quota; that of `*` is for each of its domains, and shown by `status`."""
    from restante.directory.entries import EVERY_OTHER, NO_QUOTA, Held  # noqa: PLC0415

    limits = {
        entry.name: p.QuotaUse(0, 0, entry.quota.items, entry.quota.octets)
        for entry in found
        if isinstance(entry, Held) and entry.quota != NO_QUOTA and entry.name != EVERY_OTHER
    }
    if not limits or not doors.has_spool(configured.settings):
        return limits
    for answer in doors.ask(configured, p.Status()):
        assert isinstance(answer, p.StatusAnswer), answer
        limits |= {row.domain: row.quota for row in answer.domains if row.quota is not None and row.domain in limits}
    return limits


def _described(entry: Entry) -> dict[str, Any]:
    from restante.directory.entries import Delivered, Grant, Held, Relayed  # noqa: PLC0415

    described: dict[str, Any] = {"name": entry.name, "action": "reject", "next_hop": None, "group": None}
    described["may_release"] = []
    if isinstance(entry, Held):
        owners = (Grant(login=owner) for owner in sorted(entry.owners))
        may_release = list(dict.fromkeys(map(str, (*entry.grants, *owners))))
        described |= {"action": "hold", "group": entry.group, "may_release": may_release}
    if isinstance(entry, Held | Relayed):
        described["next_hop"] = str(entry.next_hop)
    if isinstance(entry, Relayed):
        described["action"] = "relay"
    elif isinstance(entry, Delivered):
        described["action"] = "deliver"
    return described


app.command("recipients")(recipients.recipients)


@app.command("import")
def import_domains(context: typer.Context, file: keeping.File, config: Config = None, *, json: Json = False) -> None:
    """Add or replace many domains: all of them, or none where one is not in order."""
    keeping.import_all(doors.load(chosen(context, config)), "domains", file, json=json)
