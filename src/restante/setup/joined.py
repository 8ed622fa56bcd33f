"""A domain that is here, with its site or its office: the plan that it comes to, and what this host lacks for it.

What a configuration does not say (by which protocol a site asks that may use both) is chosen by who looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from restante.config.problems import write_key, write_value
from restante.config.settings import Call, Listen, Settings
from restante.directory.entries import Directory, Held
from restante.directory.users import User
from restante.model import Caller, HostPort
from restante.setup.configuration import fragment
from restante.setup.plan import (
    CALL,
    OfficePart,
    Outgoing,
    Plan,
    Proof,
    Protocol,
    SitePart,
    call_port,
)

MOST_DOMAINS = 20
"""Of a site: so many are told with one of them."""
SERVICES = {Protocol.ATRN: "odmr", Protocol.ETRN: "mx"}
"""Where a site calls its office."""


@dataclass(frozen=True, slots=True)
class Here:
    """This host as it is."""

    settings: Settings
    directory: Directory

    def plan(self, office: OfficePart | None = None, site: SitePart | None = None) -> Plan:
        """Of this host, as one of a pair."""
        listen = tuple(each.address for each in self.settings.listen if each.service == "mx")
        data = str(self.settings.data) if site is not None else "data"  # an office's is no business of its sites
        return Plan(self.settings.hostname, data, listen, office, site)


def listening(settings: Settings, protocol: Protocol) -> int | None:
    """The port where a site calls; None: the protocol's own."""
    ports = [listen.address.port for listen in settings.listen if listen.service == SERVICES[protocol]]
    return None if not ports or call_port(protocol) in ports else ports[0]


def call_named(settings: Settings, host: str) -> str:
    """A name for a new call."""
    if CALL not in settings.calls:
        return CALL
    name = host.partition(".")[0] if HostPort(host).address is None else "another"
    return next(
        each
        for each in (name, *(f"{name}{n}" for n in range(2, len(settings.calls) + 3)))
        if each not in settings.calls
    )


def called_by(name: str, call: Call, domains: Sequence[str], users: Sequence[str]) -> SitePart:
    """What this host is for the office of a call."""
    proof = Proof.ADDRESS
    if call.certificate is not None and call.password_file is None:
        proof = Proof.CERTIFICATE
    elif call.user is not None:
        proof = Proof.LOGIN
    return SitePart(
        tuple(domains),
        tuple(users),
        call.host,
        Protocol(call.protocol),
        proof,
        user=call.user,
        pin=f"sha256:{call.tls_pin[0]}" if call.tls_pin else None,
        on_link_up="link-up" in call.on,
        outgoing=Outgoing.CALL if call.flush else Outgoing.NOW,
        call=name,
    )


def office_of(entry: Held, here: Here, also: Sequence[str] = (), protocol: Protocol | None = None) -> OfficePart:
    """What this host is for a held domain's site. `also`: other domains of the site; else those of its login."""
    user = _login_of(entry, here.directory)
    certificate = next((grant.certificate for grant in entry.grants if grant.certificate is not None), None)
    if user is not None and user.certificates:
        certificate = certificate or min(user.certificates)
    is_by_password = user is not None and bool(user.password or user.scram or user.secret)
    proof = Proof.LOGIN if is_by_password else Proof.CERTIFICATE if certificate is not None else Proof.ADDRESS
    site = entry.next_hop if isinstance(entry.next_hop, HostPort) else None
    if protocol is None:
        protocol = Protocol.ATRN if isinstance(entry.next_hop, Caller) else Protocol.ETRN
    if proof is Proof.ADDRESS:
        protocol = Protocol.ETRN
    more = also or (_held_of(user, here.directory) if user is not None else ())
    return OfficePart(
        tuple(dict.fromkeys([entry.name, *more]))[:MOST_DOMAINS],
        protocol,
        proof,
        user=user.name if user is not None and proof is not Proof.ADDRESS else None,
        certificate=certificate if proof is Proof.CERTIFICATE else None,
        site=site,
        has_secret=user is not None and user.secret is not None,
        port=listening(here.settings, protocol),
    )


def _login_of(entry: Held, directory: Directory) -> User | None:
    named = [*sorted(entry.owners), *(grant.login for grant in entry.grants if grant.login is not None)]
    return next(filter(None, map(directory.user, named)), None)


def _held_of(user: User, directory: Directory) -> list[str]:
    return sorted(domain for domain in user.domains if isinstance(directory.entry(domain), Held))


def site_of(here: Here, domains: Sequence[str], users: Sequence[str]) -> SitePart | None:
    """What this host is for the office of domains whose mailboxes are here; None: no call fetches the first of them."""
    calls = here.settings.calls
    named = [name for name, call in calls.items() if domains[0] in call.domains]
    named += [name for name, call in calls.items() if call.protocol == "atrn" and not call.domains]
    return called_by(named[0], calls[named[0]], domains, users) if named else None


def certificate_of_call(here: Here, site: SitePart) -> Path | None:
    """The file of what a call shows; None: nothing, or the call is not there yet."""
    call = here.settings.calls.get(site.call)
    return call.certificate if call is not None else None


def lacking(plan: Plan, here: Here) -> str:
    """What the configuration of this host lacks for a pair, as lines of it; "" where that is nothing."""
    return "\n".join([*_lacking_office(plan, here), *_lacking_site(plan, here)])


def _lacking_office(plan: Plan, here: Here) -> Iterator[str]:
    office, settings = plan.office, here.settings
    if office is None:
        return
    there = {listen.service for listen in settings.listen}
    if tables := fragment(plan, lambda table: table.section is Listen and table.values["service"] not in there):
        yield tables
    if office.proof is Proof.ADDRESS and office.site is not None and (at := office.site.address) is not None:
        networks = settings.relay.networks
        if not any(at in network for network in networks):
            yield "# so that the site may send to the world by this host"
            yield f"[relay]\nfrom = {write_value([*map(str, networks), str(at)])}"


def _lacking_site(plan: Plan, here: Here) -> Iterator[str]:
    site = plan.site
    if site is None:
        return
    call = here.settings.calls.get(site.call)
    if call is None:
        yield fragment(plan, lambda table: table.section is Call)
        if site.proof is Proof.LOGIN:
            yield f"# and the password on the first line of {site.password_file}, chmod 600"
        return
    domains: list[str] = list(dict.fromkeys([*call.domains, *site.domains]))
    is_every_one = call.protocol == "atrn" and not call.domains
    if not is_every_one and len(domains) > len(call.domains):
        yield f"[{write_key(('calls', site.call))}]\ndomains = {write_value(domains)}"
