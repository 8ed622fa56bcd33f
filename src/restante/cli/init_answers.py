"""What `restante init` asks, and the plan that the answers come to."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from restante.admin.protocol import USAGE
from restante.cli.doors import CommandFailed
from restante.cli.interview import Interview
from restante.config import proofs, words
from restante.directory.entries import parse_certificate
from restante.model import HostPort
from restante.setup.plan import (
    PAGE_PORT,
    OfficePart,
    Outgoing,
    PagePart,
    Plan,
    Proof,
    Protocol,
    Role,
    SitePart,
    Software,
    call_port,
)
from restante.setup.questions import (
    OUTGOING,
    PROOFS,
    PROTOCOLS,
    ROLES,
    SOFTWARE,
    parse_address,
    parse_host_or_caller,
    parse_mailbox,
    parse_network,
    parse_own_address,
    parse_page_address,
    parse_pin,
    parse_schedule,
    parse_text,
)


@dataclass(frozen=True, slots=True)
class Options:
    """The answers that stand on the command line; None: not there."""

    role: Role | None = None
    hostname: str | None = None
    data: str | None = None
    listen: Sequence[str] | None = None
    domains: Sequence[str] | None = None
    own_domains: Sequence[str] | None = None
    protocol: Protocol | None = None
    proof: Proof | None = None
    user: str | None = None
    own_user: str | None = None
    certificate: str | None = None
    site_address: str | None = None
    smarthost: str | None = None
    mailboxes: Sequence[str] | None = None
    office_host: str | None = None
    pin: str | None = None
    schedule: str | None = None
    link_up: bool | None = None
    outgoing: Outgoing | None = None
    networks: Sequence[str] | None = None
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    other: Software | None = None
    page: str | None = None
    administrator: str | None = None
    no_page: bool = False


@dataclass(frozen=True, slots=True)
class Answers:
    """A plan, whose passwords are still to be asked for, and what runs at the other end."""

    plan: Plan
    other: Software


def ask(options: Options, interview: Interview, folder: Path) -> Answers:
    """All questions; the file is for `folder`. Raises CommandFailed."""
    if options.role is None and not interview.asks:
        raise CommandFailed(("--office, --site or --both is needed",), USAGE)
    role = interview.choice("--office", options.role, "What this host shall be", Role.OFFICE, ROLES)
    office, site = role is not Role.SITE, role is not Role.OFFICE
    if (options.tls_certificate is None) != (options.tls_key is None):
        raise CommandFailed(("--tls-certificate and --tls-key go together",), USAGE)
    held = _domains(interview, "--domain", options.domains, "Domains whose mail is held for a site") if office else ()
    if office and site:
        own = _domains(interview, "--own-domain", options.own_domains, "Domains whose mailboxes are here")
    else:
        own = () if office else _domains(interview, "--domain", options.domains, "Domains whose mailboxes are here")
    hostname = interview.one(
        *("--hostname", options.hostname, "The name of this host", words.parse_named_domain),
        default=_hostname((*own, *held)[0], is_office=office),
    )
    default_data = "/var/lib/restante" if folder == Path("/etc/restante") else "data"
    data = interview.one("--data", options.data, "Where mail is kept", parse_text, default=default_data)
    protocol = interview.choice("--protocol", options.protocol, "How mail is fetched", Protocol.ATRN, PROTOCOLS)
    proof = interview.choice("--proof", options.proof, "How the site shows who it is", Proof.LOGIN, PROOFS)
    if proof is Proof.ADDRESS and protocol is Protocol.ATRN:
        raise CommandFailed(("--protocol atrn takes a login or a certificate: an address proves nothing there",), USAGE)
    default_listen = "127.0.0.1" if protocol is Protocol.ATRN and not office else _everywhere()
    listen = interview.several(
        "--listen", options.listen, "Addresses for SMTP, port 25", parse_own_address, default=default_listen
    )
    other = interview.choice("--other", options.other, "What runs at the other end", Software.RESTANTE, SOFTWARE)
    questions, pairing = _Questions(options, interview), _Pairing(protocol, proof)
    office_part = _office(questions, held, pairing, other) if office else None
    plan = Plan(
        hostname,
        data,
        listen,
        office_part,
        _site(questions, own, pairing, is_both=office) if site else None,
        None if options.tls_certificate is None else str(options.tls_certificate.absolute()),
        None if options.tls_key is None else str(options.tls_key.absolute()),
        _page(questions, office_part.user if office_part is not None else None),
    )
    return Answers(plan, other)


def _domains(interview: Interview, option: str, given: Sequence[str] | None, question: str) -> tuple[str, ...]:
    return interview.several(option, given, question, words.parse_named_domain, default=None)


def _hostname(domain: str, *, is_office: bool) -> str:
    """This machine's own name where it has a whole one."""
    try:
        name = words.parse_named_domain(socket.getfqdn().rstrip("."))
    except ValueError:
        name = words.parse_named_domain("localhost")
    if "." in name and not name.startswith("localhost."):
        return name
    return f"{'office' if is_office else 'mail'}.{domain}"


def _everywhere() -> str:
    """All addresses, by the families that this machine has."""
    return "0.0.0.0 [::]" if Path("/proc/net/if_inet6").exists() else "0.0.0.0"  # noqa: S104 - what a mail server does


@dataclass(frozen=True, slots=True)
class _Questions:
    options: Options
    interview: Interview


@dataclass(frozen=True, slots=True)
class _Pairing:
    """What an office and its site have in common."""

    protocol: Protocol
    proof: Proof

    def login(self, questions: _Questions, domain: str, *, is_ours: bool) -> str | None:
        """The site's name; None: it has none."""
        if self.proof is Proof.ADDRESS:
            return None
        option, given = ("--own-user", questions.options.own_user) if is_ours else ("--user", questions.options.user)
        question = f"The login at the office, of who reads {domain}"
        parse = proofs.parse_login_name
        return questions.interview.one(option, given, question, parse, default=domain.partition(".")[0])


def _office(questions: _Questions, domains: tuple[str, ...], pairing: _Pairing, other: Software) -> OfficePart:
    options, interview = questions.options, questions.interview
    protocol, proof = pairing.protocol, pairing.proof
    user = pairing.login(questions, domains[0], is_ours=False)
    site = certificate = None
    if proof is Proof.ADDRESS:
        question = "The address of the site"
        site = interview.one("--site-address", options.site_address, question, parse_address)
    elif protocol is Protocol.ETRN:
        question = "Where the site is, host or host:port (caller: at the address that it calls from)"
        site = interview.one("--site-address", options.site_address, question, parse_host_or_caller, default="caller")
    if proof is Proof.CERTIFICATE:
        question = "The SHA-256 fingerprint of the site's certificate"
        certificate = interview.one("--certificate", options.certificate, question, parse_certificate)
    smarthost = None
    if options.smarthost is not None:
        smarthost = interview.one("--smarthost", options.smarthost, "", HostPort.parse)
    has_secret = other is Software.FETCHMAIL and protocol is Protocol.ATRN and proof is Proof.LOGIN
    return OfficePart(
        domains,
        protocol,
        proof,
        user=user,
        secret_file=f"{user}.secret" if has_secret else None,
        certificate=certificate,
        site=site,
        smarthost=smarthost,
    )


def _site(questions: _Questions, domains: tuple[str, ...], pairing: _Pairing, *, is_both: bool) -> SitePart:
    options, interview = questions.options, questions.interview
    protocol, proof = pairing.protocol, pairing.proof
    user = pairing.login(questions, domains[0], is_ours=is_both)
    users = interview.several(
        "--mailbox",
        options.mailboxes,
        "Who has a mailbox (*: whoever is written to)",
        parse_mailbox,
        default="postmaster",
    )
    question = "The office, host or host:port"
    office = interview.one(
        "--office-host", options.office_host, question, lambda text: HostPort.parse(text, call_port(protocol))
    )
    pin = None
    if proof is not Proof.ADDRESS or options.pin is not None:
        question = "The pin of the office's key, which its own init has printed (none: its certificate is trusted here)"
        pin = interview.one("--pin", options.pin, question, parse_pin, default="none")
    schedule = interview.one(
        "--schedule", options.schedule, "When to call, as in crontab", parse_schedule, default="*/15 * * * *"
    )
    on_link_up = interview.yes(options.link_up, "Call also when a link has come up", default=True)
    outgoing = interview.choice(
        "--outgoing", options.outgoing, "What is written here for elsewhere", Outgoing.CALL, OUTGOING
    )
    networks = interview.several(
        *("--network", options.networks, "Networks from which mail is taken for elsewhere", parse_network),
        default="127.0.0.0/8 ::1/128",
    )
    return SitePart(domains, users, office, protocol, proof, user, pin, schedule, on_link_up, outgoing, networks)


def _page(questions: _Questions, taken: str | None) -> PagePart | None:
    """The page, unless none is wanted. `taken`: the name of another user of this host."""
    options, interview = questions.options, questions.interview
    is_told = options.page is not None or options.administrator is not None
    if options.no_page and is_told:
        raise CommandFailed(("--no-page goes with neither --page nor --administrator",), USAGE)
    is_wanted = is_told if is_told or options.no_page else None
    if not interview.yes(is_wanted, "A page for browsers, where what waits is seen and can be handled", default=True):
        return None
    address = interview.one(
        *("--page", options.page, "Its address (beyond 127.0.0.1 and [::1] it is over TLS)", parse_page_address),
        default=f"127.0.0.1:{PAGE_PORT}",
    )

    def parse(text: str) -> str:
        name = proofs.parse_login_name(text)
        if name == taken:
            raise ValueError("the site logs in by that name")
        return name

    question = "The name of its administrator; a password is made up"
    default = "admin" if taken != "admin" else "administrator"
    return PagePart(address, interview.one("--administrator", options.administrator, question, parse, default=default))
