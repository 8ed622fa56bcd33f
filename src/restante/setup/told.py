"""What is told of a domain that is here: lines for the other end, what this host lacks, what ought to be in the DNS."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from restante.directory.entries import EVERY_OTHER, Delivered, Entry, Held
from restante.setup.addresses import seen
from restante.setup.certificates import shown
from restante.setup.finding import certificate_of
from restante.setup.joined import MOST_DOMAINS, Here, certificate_of_call, lacking, office_of, site_of
from restante.setup.joining import read_call
from restante.setup.other_end import at_office, at_site
from restante.setup.plan import OfficePart, Plan, Proof, Protocol, Software
from restante.setup.records import UNKNOWN_ADDRESS, Record, records

NAMES = {
    Software.RESTANTE: "restante",
    Software.POSTFIX: "Postfix",
    Software.EXIM: "Exim",
    Software.FETCHMAIL: "fetchmail",
}


@dataclass(frozen=True, slots=True)
class Told:
    """All of it."""

    domains: tuple[str, ...]
    """The one that was asked for, and others of the same site."""
    plan: Plan
    is_fetched: bool
    """Whether this host has their mail from an office."""
    may_be_released: bool
    lacking: str
    """Lines for the configuration of this host; "": it lacks nothing."""
    lines: tuple[tuple[str, str], ...]
    """For the other end: by the name of what runs there."""
    records: tuple[Record, ...]


def tell(
    entry: Entry,
    here: Here,
    also: Sequence[str] = (),
    protocol: Protocol | None = None,
    call: Mapping[str, str] | None = None,
) -> Told | None:
    """None where there is nothing to tell: there is no other end. Blocks, for it reads certificates.

    `also`: other domains of the same site; `protocol`: see office_of(); `call`: the fields of one that the
    configuration is still to have, see read_call().
    """
    others = [name for name in also if isinstance(here.directory.entry(name), type(entry))]
    if isinstance(entry, Held) and entry.name != EVERY_OTHER:
        return _of_held(entry, here, others, protocol)
    return _of_delivered(entry, here, others, call or {}) if isinstance(entry, Delivered) else None


def _of_held(entry: Held, here: Here, others: Sequence[str], protocol: Protocol | None) -> Told:
    plan = here.plan(office=office_of(entry, here, others, protocol))
    own = shown(certificate_of(here.settings)[0])
    lines = [(NAMES[each], at_site(plan, own.pin if own is not None else None, each)) for each in Software]
    assert plan.office is not None, "it was made so"
    return Told(
        plan.office.domains,
        plan,
        is_fetched=False,
        may_be_released=bool(entry.grants or entry.owners),
        lacking=lacking(plan, here),
        lines=tuple(lines),
        records=records(plan, tuple(seen(plan.listen)), own.tlsa if own is not None else None),
    )


def _of_delivered(entry: Delivered, here: Here, others: Sequence[str], call: Mapping[str, str]) -> Told:
    domains = tuple(dict.fromkeys([entry.name, *others]))[:MOST_DOMAINS]
    users = ("*",) if entry.users is None else tuple(sorted(entry.users))
    site = site_of(here, domains, users) or read_call(call, domains, users, here)
    if site is None:  # the world brings it here, as it would to an office
        plan = here.plan(office=OfficePart(domains, Protocol.ETRN, Proof.ADDRESS))
        lines: list[tuple[str, str]] = []
    else:
        plan = here.plan(site=site)
        file = certificate_of_call(here, site)
        own = shown(file) if file is not None else None
        address = next((str(each) for each in seen(plan.listen)), UNKNOWN_ADDRESS)
        fingerprint = own.fingerprint if own is not None else None
        software = [each for each in Software if each is not Software.FETCHMAIL]
        lines = [(NAMES[each], at_office(plan, address, fingerprint, each)) for each in software]
    return Told(
        domains,
        plan,
        is_fetched=site is not None,
        may_be_released=True,
        lacking=lacking(plan, here) if site is not None else "",
        lines=tuple(lines),
        records=records(plan, tuple(seen(plan.listen))),
    )
