"""Domains that join a host which is set up already: from the fields of a form to a plan, and what the store will keep.

read_held() is for domains that are held here for a site, read_delivered() for those whose mailboxes are here. A field
that is not right is told by its name, with what is wrong; nothing is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from restante.config import proofs, words
from restante.directory.entries import parse_certificate
from restante.model import HostPort
from restante.setup.configuration import rows
from restante.setup.joined import Here, call_named, called_by, listening
from restante.setup.plan import OfficePart, Plan, Proof, Protocol, SitePart, call_port
from restante.setup.questions import (
    parse_address,
    parse_host_or_caller,
    parse_mailbox,
    parse_pin,
    parse_schedule,
    why_not,
)

MOST_DOMAINS = 20
"""In one go: those of one site."""
NEEDED = "is needed"
IN_FILE = "the configuration has it, and is changed by hand"

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)
Wrongs = Mapping[str, str]
"""By the name of a field: what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Joining:
    """What is to be added."""

    plan: Plan
    """This host, as far as the new domains are concerned."""
    tables: Mapping[str, dict[str, dict[str, object]]]
    """By kind (`domains`, `users`) and name; a new login by password has none yet."""
    login: str | None = None
    """A new login."""
    has_password: bool = False
    """Whether one is to be made for it."""
    has_secret: bool = False
    """The same of a secret for CRAM-MD5."""

    @property
    def domains(self) -> tuple[str, ...]:
        """Those that are added."""
        return tuple(self.tables["domains"])

    def with_proofs(self, keys: Mapping[str, str]) -> Mapping[str, dict[str, dict[str, object]]]:
        """The tables, with what is kept of the login's password and secret."""
        return {
            kind: {name: {**table, **keys} if kind == "users" else table for name, table in tables.items()}
            for kind, tables in self.tables.items()
        }


class _Fields:
    """The fields of a form, and what was wrong with those that were read."""

    def __init__(self, given: Mapping[str, str]) -> None:
        self._given = given
        self.wrong: dict[str, str] = {}

    def text(self, name: str) -> str:
        """What stands there, or ""."""
        return self._given.get(name, "").strip()

    def one(self, name: str, parse: Callable[[str], T], default: str = "") -> T | None:
        """One answer; None where something is wrong with it."""
        text = self.text(name) or default
        if not text:
            self.wrong[name] = NEEDED
            return None
        try:
            return parse(text)
        except ValueError as error:
            self.wrong[name] = f"{text}: {why_not(error, text)}"
            return None

    def several(self, name: str, parse: Callable[[str], T], default: str = "") -> tuple[T, ...]:
        """Answers with spaces, commas or ends of lines between them; none where nothing stands there."""
        found = []
        for text in (self.text(name) or default).replace(",", " ").split():
            try:
                found.append(parse(text))
            except ValueError as error:
                self.wrong[name] = f"{text}: {why_not(error, text)}"
        return tuple(dict.fromkeys(found))

    def choice(self, name: str, kind: type[E], default: E) -> E:
        """One of several."""
        try:
            return kind(self.text(name) or default)
        except ValueError:
            self.wrong[name] = f"one of {', '.join(kind)} is meant"
            return default


def _domains(fields: _Fields, here: Here) -> tuple[str, ...]:
    """The domains that are to be added: new ones."""
    found = fields.several("domains", words.parse_named_domain)
    if not found:
        fields.wrong.setdefault("domains", NEEDED)
    if len(found) > MOST_DOMAINS:
        fields.wrong["domains"] = f"{MOST_DOMAINS} at the most in one go"
    if taken := [domain for domain in found if here.directory.entry(domain) is not None]:
        in_file = [domain for domain in taken if domain in here.settings.domains]
        where = IN_FILE if in_file else "it is here already"
        fields.wrong["domains"] = f"{(in_file or taken)[0]}: {where}"
    return tuple(found)


def _pairing(fields: _Fields) -> tuple[Protocol, Proof]:
    """How a site has its mail, and shows who it is."""
    protocol = fields.choice("protocol", Protocol, Protocol.ATRN)
    proof = fields.choice("proof", Proof, Proof.LOGIN)
    if (protocol, proof) == (Protocol.ATRN, Proof.ADDRESS):
        fields.wrong["proof"] = "ATRN takes a login or a certificate: an address proves nothing there"
    return protocol, proof


def _login(fields: _Fields, domains: tuple[str, ...]) -> str | None:
    """The site's name at its office; None where something is wrong, be it with the domains that it is made of."""
    if not (domains or fields.text("user")):
        return None
    return fields.one("user", proofs.parse_login_name, domains[0].partition(".")[0] if domains else "")


def read_held(given: Mapping[str, str], here: Here) -> Joining | Wrongs:
    """Domains whose mail waits here.

    Fields: `domains`, `protocol`, `proof`, `user`, `certificate`, `site`, `others` (more who may release), `contact`
    (an expression a line), `quota`, `secret` ("1": for CRAM-MD5).
    """
    fields = _Fields(given)
    domains = _domains(fields, here)
    protocol, proof = _pairing(fields)
    user = None
    if proof is not Proof.ADDRESS:
        user = _login(fields, domains)
    is_new = user is not None and here.directory.user(user) is None
    certificate = fields.one("certificate", parse_certificate) if proof is Proof.CERTIFICATE and is_new else None
    site: HostPort | None = None
    if protocol is Protocol.ETRN and proof is Proof.ADDRESS:
        site = fields.one("site", parse_address)
    elif protocol is Protocol.ETRN:
        site = fields.one("site", parse_host_or_caller, "caller")
    others = fields.several("others", lambda text: str(words.parse_grant(text)))
    if fields.wrong:
        return fields.wrong
    has_secret = is_new and proof is Proof.LOGIN and protocol is Protocol.ATRN and fields.text("secret") == "1"
    office = OfficePart(
        domains,
        protocol,
        proof,
        user=user,
        certificate=certificate,
        site=site,
        has_secret=has_secret,
        port=listening(here.settings, protocol),
    )
    plan = here.plan(office=office)
    if is_new or proof is Proof.ADDRESS:
        tables = rows(plan)
    else:  # who may have it released is known by name
        tables = rows(replace(plan, office=replace(office, user=None, proof=Proof.LOGIN)))
        others = (f"user:{user}", *others)
    more = _more(fields, others)
    for table in tables["domains"].values():
        _extend(table, more)
    has_password = is_new and proof is Proof.LOGIN
    return Joining(plan, tables, user if is_new else None, has_password=has_password, has_secret=has_secret)


def _more(fields: _Fields, others: Iterable[str]) -> dict[str, object]:
    """What a held domain's table has besides; it is checked with the whole of it."""
    contact = [line.strip() for line in fields.text("contact").splitlines() if line.strip()]
    more: dict[str, object] = {"release_from": list(others), "contact": contact, "quota": fields.text("quota")}
    return {key: value for key, value in more.items() if value}


def _extend(table: dict[str, object], more: Mapping[str, object]) -> None:
    first = table.get("release_from", [])
    assert isinstance(first, list), "it is a list of grants"
    table.update(more)
    added = more.get("release_from", [])
    assert isinstance(added, list), "it is a list of grants"
    if grants := list(dict.fromkeys([*first, *added])):
        table["release_from"] = grants


def read_delivered(given: Mapping[str, str], here: Here) -> Joining | Wrongs:
    """Domains whose mailboxes are here, fetched from an office.

    Fields: `domains`, `mailboxes`, `call` (the name of one that the configuration has); without that `protocol`,
    `proof`, `office`, `user`, `pin`, `schedule`.
    """
    fields = _Fields(given)
    domains = _domains(fields, here)
    users = fields.several("mailboxes", parse_mailbox, "postmaster")
    if "*" in users:
        users = ("*",)
    if name := fields.text("call"):
        call = here.settings.calls.get(name)
        if call is None:
            fields.wrong["call"] = f"{name}: the configuration has no such call"
        if fields.wrong or call is None:
            return fields.wrong
        site = called_by(name, call, domains, users)
    else:
        made = _new_call(fields, domains, users, here)
        if made is None:
            return fields.wrong
        site = made
    plan = here.plan(site=site)
    return Joining(plan, {"domains": rows(plan)["domains"]})


def read_call(
    given: Mapping[str, str], domains: tuple[str, ...], users: tuple[str, ...], here: Here
) -> SitePart | None:
    """The site that read_delivered() made of the same fields; None where they do not say."""
    if (call := here.settings.calls.get(given.get("call", ""))) is not None:
        return called_by(given["call"], call, domains, users)
    return _new_call(_Fields(given), domains, users, here)


def _new_call(fields: _Fields, domains: tuple[str, ...], users: tuple[str, ...], here: Here) -> SitePart | None:
    """The call that the configuration is to have; None where something is wrong."""
    protocol, proof = _pairing(fields)
    office = fields.one("office", lambda text: HostPort.parse(text, call_port(protocol)))
    user = None
    if proof is not Proof.ADDRESS:
        user = _login(fields, domains)
    pin = fields.one("pin", parse_pin, "none")
    schedule = fields.one("schedule", parse_schedule, "*/15 * * * *")
    if fields.wrong or office is None or schedule is None:
        return None
    call = call_named(here.settings, office.host)
    return SitePart(domains, users, office, protocol, proof, user=user, pin=pin, schedule=schedule, call=call)
