"""The configuration file of a new host: short, only what matters to it, each key with what it means on one line.

What a remark says is the first sentence of the key's own documentation, unless there is something better to say here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from restante.config.meanings import meaning_of
from restante.config.problems import write_key, write_value
from restante.config.settings import Admin, Call, Deliver, Hold, Listen, MayRelay, Relay, Section, Settings, Tls, User
from restante.model import HostPort
from restante.setup.plan import (
    ODMR_PORT,
    SMTP_PORT,
    SUBMISSION_PORT,
    OfficePart,
    Outgoing,
    PagePart,
    Plan,
    Proof,
    Protocol,
    SitePart,
    call_port,
)

HEAD = """\
# The configuration of restante, made by `restante init`. `restante check` says whether it is in order, and `restante
# doctor` whether it works. Every other key is in docs/configuration.md; what is not written here has its default.
"""
SELF_SIGNED = "self-signed.pem", "self-signed.key"
"""What the pair in the data folder is called (net/tls.py)."""


@dataclass(frozen=True, slots=True)
class Table:
    """One table of the file: its path (empty for the top), what it is for, its keys, and remarks of our own on them."""

    path: tuple[str, ...]
    section: type[Section]
    what: str
    values: Mapping[str, object]
    remarks: Mapping[str, str] = field(default_factory=dict)

    @property
    def header(self) -> str:
        """As it stands in the file."""
        header = f"[{write_key(self.path)}]" if self.path else ""
        return f"[{header}]" if self.section is Listen else header


def configuration(plan: Plan) -> str:
    """The whole file."""
    return "\n".join([HEAD, *map(_written, tables(plan))])


def fragment(plan: Plan, only: Callable[[Table], bool] = lambda _: True) -> str:
    """The tables that make an office or a site of a host which is set up already, without remarks."""
    return "\n".join(_bare(table) for table in tables(plan) if _is_of_pair(table) and only(table))


def rows(plan: Plan) -> dict[str, dict[str, dict[str, object]]]:
    """What of it the store can keep: the tables of domains and users, by kind and then by name."""
    kept: dict[str, dict[str, dict[str, object]]] = {"domains": {}, "users": {}}
    for table in tables(plan):
        if table.section in (Hold, Deliver, User) and _is_of_pair(table):
            kind, name = table.path
            kept[kind][name] = dict(table.values)
    return kept


def _is_of_pair(table: Table) -> bool:
    """Whether a table is about the two hosts; what a host has besides, it has already."""
    if table.section is Listen:
        return "service" in table.values
    is_of_host = table.section in (Settings, Tls, MayRelay, Admin) or "admin" in table.values
    return not is_of_host and table.path != ("domains", "*")


def tables(plan: Plan) -> Iterator[Table]:
    """The tables of a host's file."""
    yield Table((), Settings, "", {"hostname": plan.hostname, "data": plan.data})
    yield from _listeners(plan)
    if plan.certificate is not None:
        values = {"certificate": plan.certificate, "key": plan.key}
        remarks = {"certificate": "The certificate, and behind it those that lead to the authority."}
        yield Table(("tls",), Tls, "The certificate that this host shows.", values, remarks)
    if plan.office is not None:
        yield from _of_office(plan.office)
    if networks := _relay_networks(plan):
        yield Table(("relay",), MayRelay, "Who may send to any domain without a login.", {"from": networks})
    if plan.site is not None:
        yield from _of_site(plan.site, plan.data)
    yield _all_else(plan)
    if plan.page is not None:
        yield from _of_page(plan.page)


def _written(table: Table) -> str:
    lines = [f"# {table.what}", table.header] if table.header else []
    for key, value in table.values.items():
        lines += [f"# {table.remarks.get(key) or _first_sentence(table.section, key)}"]
        lines += [f"{write_key([key])} = {write_value(value)}"]
    return "\n".join(lines) + "\n"


def _bare(table: Table) -> str:
    return "\n".join([table.header, *(f"{write_key([k])} = {write_value(v)}" for k, v in table.values.items())]) + "\n"


def _first_sentence(section: type[Section], key: str) -> str:
    return meaning_of(section, key).partition(". ")[0].removesuffix(".") + "."


def _listeners(plan: Plan) -> Iterator[Table]:
    office = plan.office
    is_asked = office is not None or (plan.site is not None and plan.site.protocol is Protocol.ETRN)
    takes = "Mail from other servers, and ETRN." if is_asked else "Mail from the programs here."
    for at in plan.listen:
        yield Table(("listen",), Listen, takes, {"address": str(at)}, _LISTEN)
    if office is None or office.proof is Proof.ADDRESS:
        return
    for at in plan.listen:
        if office.protocol is Protocol.ATRN:
            values: dict[str, object] = {"address": str(HostPort(at.host, ODMR_PORT)), "service": "odmr"}
            if not office.is_for_fetchmail:
                values["require_tls"] = True
            yield Table(
                ("listen",), Listen, "The site logs in here, and has its mail (ATRN, RFC 2645).", values, _LISTEN
            )
        if office.proof is Proof.LOGIN:
            values = {"address": str(HostPort(at.host, SUBMISSION_PORT)), "service": "submission", "require_tls": True}
            yield Table(("listen",), Listen, "The site logs in here, and sends its own mail.", values, _LISTEN)


_LISTEN = {
    "address": "An address of this host and a port; `0.0.0.0` is all of IPv4, `[::]` all of IPv6.",
    "service": "What is spoken there.",
    "require_tls": "No password is shown in clear.",
}


def _of_office(office: OfficePart) -> Iterator[Table]:
    for domain in office.domains:
        values: dict[str, object] = {"action": "hold", "next_hop": _next_hop(office)}
        remarks = {"action": "Mail for it waits here until its site asks."}
        if office.proof is Proof.ADDRESS:
            assert office.site is not None, "the address is the proof"
            values["release_from"] = [office.site.host]
            remarks["release_from"] = "Who may have the mail released by ETRN, besides the operator."
        elif office.proof is Proof.CERTIFICATE and office.protocol is Protocol.ETRN:
            values["release_from"] = [f"cert:{office.certificate}"]
            remarks["release_from"] = "Who may have the mail released: who shows this certificate."
        if office.site is None:
            remarks["next_hop"] = "Released mail goes to who has asked, and has proven who he is."
        yield Table(("domains", domain), Hold, "A domain that is held.", values, remarks)
    if office.user is not None:
        yield _user(office, office.user)


def _next_hop(office: OfficePart) -> str:
    return "caller" if office.site is None else _short(office.site, SMTP_PORT)


def _short(at: HostPort, default: int) -> str:
    """A host as people write it: without the port that goes without saying."""
    return at.host if at.port == default else str(at)


def _user(office: OfficePart, name: str) -> Table:
    values: dict[str, object] = dict(office.password)
    if office.secret_file is not None:
        values["secret_file"] = office.secret_file
    if office.proof is Proof.CERTIFICATE:
        values["certificates"] = [office.certificate]
    values["domains"] = list(office.domains)
    remarks = {
        "certificates": "Who shows one of these is this user.",
        "domains": "Whose mail it may have, and send from.",
    }
    return Table(("users", name), User, "The site's login.", values, remarks)


def _of_page(page: PagePart) -> Iterator[Table]:
    by = "over TLS, with this host's certificate" if page.has_tls else "for browsers on this host"
    remarks = {"address": f"Where it is, {by}."}
    yield Table(("admin",), Admin, "The page for browsers, and the API.", {"address": str(page.address)}, remarks)
    values: dict[str, object] = {**page.password, "admin": True}
    remarks = {"admin": "Sees and does all there; other users see what concerns their own domains."}
    yield Table(("users", page.administrator), User, "The administrator.", values, remarks)


def _relay_networks(plan: Plan) -> list[str]:
    networks = list(plan.site.networks) if plan.site is not None else []
    if plan.office is not None and plan.office.proof is Proof.ADDRESS and plan.office.site is not None:
        networks.append(plan.office.site.host)
    return networks


def _of_site(site: SitePart, data: str) -> Iterator[Table]:
    for domain in site.domains:
        users = "*" if site.users == ("*",) else list(site.users)
        values: dict[str, object] = {"action": "deliver", "users": users}
        remarks = {
            "action": f"Its mailboxes are here: Maildirs, {data}/mailboxes/{domain}/USER.",
            "users": "Who has a mailbox; others are refused.",
        }
        yield Table(("domains", domain), Deliver, "Our own domain.", values, remarks)
    yield _call(site, data)


def _call(site: SitePart, data: str) -> Table:
    values: dict[str, object] = {"host": _short(site.office, call_port(site.protocol)), "protocol": str(site.protocol)}
    values["domains"] = list(site.domains)
    values["schedule"] = site.schedule
    if site.on_link_up:
        values["on"] = "link-up"
    if site.outgoing is Outgoing.CALL:
        values["flush"] = ["*"]
    values |= _safely(site) | _credentials(site)
    if site.proof is Proof.CERTIFICATE:
        values |= {key: f"{data}/{name}" for key, name in zip(("certificate", "key"), SELF_SIGNED, strict=True)}
    remarks = {
        "protocol": "How its mail is asked for: atrn over our own connection, etrn at the address where we listen.",
        "flush": "What is held here and goes out at the same time: all.",
        "on": "Call also when there is a route to the office again.",
        "window": "How long the link is up.",
        "tls": "How far the connection must be encrypted.",
        "tls_pin": "The SHA-256 of the key that the office must show; nobody else hears our password.",
    }
    return Table(("calls", site.call), Call, "When the office is called, and how.", values, remarks)


def _safely(site: SitePart) -> dict[str, object]:
    if site.pin is not None:
        return {"tls": "required", "tls_pin": site.pin}
    return {"tls": "opportunistic" if site.proof is Proof.ADDRESS else "verify"}


def _credentials(site: SitePart) -> dict[str, object]:
    if site.proof is not Proof.LOGIN:
        return {}
    return {"user": site.user, "password_file": site.password_file}


def _all_else(plan: Plan) -> Table:
    """What becomes of mail for all other domains."""
    if plan.site is not None:
        return _outgoing(plan.site)
    assert plan.office is not None, "it is one of both"
    smarthost = plan.office.smarthost
    next_hop = "mx" if smarthost is None else _short(smarthost, SMTP_PORT)
    what = "All other domains: mail of those who may relay, and reports, goes on at once."
    return Table(("domains", "*"), Relay, what, {"action": "relay", "next_hop": next_hop}, _ACTION)


def _outgoing(site: SitePart) -> Table:
    values: dict[str, object] = {"action": "hold" if site.outgoing is Outgoing.CALL else "relay"}
    if site.proof is Proof.CERTIFICATE:  # a next hop takes passwords alone
        values["next_hop"] = "mx"
    else:
        port = SUBMISSION_PORT if site.proof is Proof.LOGIN else SMTP_PORT
        values |= {"next_hop": _short(HostPort(site.office.host, port), SMTP_PORT)} | _credentials(site) | _safely(site)
    section = Hold if site.outgoing is Outgoing.CALL else Relay
    remarks = {
        "action": "It waits for the next call." if section is Hold else "It goes on at once.",
        "next_hop": "Where it goes.",
        "tls": "How far the connection must be encrypted.",
        "tls_pin": "The SHA-256 of the key that must be shown there.",
    }
    return Table(("domains", "*"), section, "What we write to all other domains.", values, remarks)


_ACTION = {"action": "It goes on at once.", "next_hop": "Where it goes: `mx` is as the MX records say."}
