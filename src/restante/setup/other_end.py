"""What the other host of a pair needs: the lines to paste there, for restante, Postfix, Exim and fetchmail.

other_plan() turns a plan round: an office's becomes its site's, and a site's its office's. What the lines cannot know
(the password, which its owner was shown once) stands in capitals.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

from restante.model import HostPort
from restante.setup.configuration import fragment
from restante.setup.plan import (
    PASSWORD_FILE,
    SMTP_PORT,
    OfficePart,
    Outgoing,
    Plan,
    Proof,
    Protocol,
    SitePart,
    Software,
    call_port,
)

PASSWORD = "PASSWORD"  # noqa: S105 - what stands for it


def of_site(plan: Plan, pin: str | None) -> Plan:
    """The site of an office's plan. `pin`: of the office's key, unless its certificate is one that others trust."""
    office = plan.office
    assert office is not None, "it is an office's plan"
    site = SitePart(
        office.domains,
        ("postmaster",),
        HostPort(plan.hostname, office.port or call_port(office.protocol)),
        office.protocol,
        office.proof,
        user=office.user,
        pin=pin,
        outgoing=Outgoing.CALL,
    )
    listen = (HostPort("127.0.0.1" if office.protocol is Protocol.ATRN else "0.0.0.0", SMTP_PORT),)  # noqa: S104
    return Plan(f"mail.{office.domains[0]}", plan.data, listen, site=site)


def of_office(plan: Plan, address: str, certificate: str | None) -> Plan:
    """The office of a site's plan. `address`: where the site is; `certificate`: the fingerprint of what it shows."""
    site = plan.site
    assert site is not None, "it is a site's plan"
    there = address if site.proof is Proof.ADDRESS else plan.hostname
    office = OfficePart(
        site.domains,
        site.protocol,
        site.proof,
        user=site.user,
        certificate=certificate if site.proof is Proof.CERTIFICATE else None,
        site=HostPort(there, SMTP_PORT) if site.protocol is Protocol.ETRN else None,
    )
    return Plan(site.office.host, plan.data, (HostPort("0.0.0.0", SMTP_PORT),), office=office)  # noqa: S104


def command(plan: Plan) -> str:
    """The `restante init` that sets such a host up. The password is asked for there."""
    words = ["restante", "init"]
    if plan.office is not None:
        words += ["--office", *_office_options(plan.office)]
        if not _is_address(plan.hostname):
            words += ["--hostname", plan.hostname]
    if plan.site is not None:
        words += ["--site", *_site_options(plan.site)]
    return shlex.join(words)


def _is_address(host: str) -> bool:
    return HostPort(host).address is not None


def _office_options(office: OfficePart) -> Iterator[str]:
    yield from _shared_options(office)
    if office.certificate is not None:
        yield from ("--certificate", office.certificate)
    if office.site is not None:
        yield from ("--site-address", str(office.site))


def _site_options(site: SitePart) -> Iterator[str]:
    yield from _shared_options(site)
    yield from ("--office-host", site.office.host if site.office.port == call_port(site.protocol) else str(site.office))
    if site.pin is not None:
        yield from ("--pin", site.pin)


def _shared_options(part: OfficePart | SitePart) -> Iterator[str]:
    for domain in part.domains:
        yield from ("--domain", domain)
    yield from ("--protocol", str(part.protocol), "--proof", str(part.proof))
    if part.user is not None:
        yield from ("--user", part.user)


def at_site(plan: Plan, pin: str | None, software: Software) -> str:
    """What to do at the site of an office, in lines to paste."""
    other = of_site(plan, pin)
    assert other.site is not None, "it was made so"
    assert plan.office is not None, "it is an office's plan"
    match software:
        case Software.RESTANTE:
            return _for_restante(other)
        case Software.POSTFIX:
            return "\n".join([*_postfix_site(other.site), "", *_fetching(other.site, plan.office)])
        case Software.EXIM:
            return "\n".join([*_exim_site(other.site), "", *_fetching(other.site, plan.office)])
        case Software.FETCHMAIL:
            return "\n".join(_fetching(other.site, plan.office))


def at_office(plan: Plan, address: str, certificate: str | None, software: Software) -> str:
    """What to do at the office of a site, in lines to paste; see of_office()."""
    other = of_office(plan, address, certificate)
    assert other.office is not None, "it was made so"
    if software is Software.RESTANTE:
        return _for_restante(other)
    if software is Software.FETCHMAIL:
        return "# fetchmail only fetches: it is no office."
    if other.office.protocol is Protocol.ATRN or other.office.proof is not Proof.ADDRESS:
        return (
            f"# {software.capitalize()} knows no ATRN, and no logins for ETRN: choose --protocol etrn --proof address."
        )
    return "\n".join(_postfix_office(other.office) if software is Software.POSTFIX else _exim_office(other.office))


def _for_restante(other: Plan) -> str:
    lines = [command(other), "", "# Or, into the restante.toml of a host that runs already:"]
    office = other.office
    if office is None or office.proof is not Proof.LOGIN:
        return "\n".join([*lines, fragment(other)])
    domains = " ".join(f"--domain {domain}" for domain in office.domains)
    user = ["# and this, which asks for the password that the site has:", f"restante user add {office.user} {domains}"]
    return "\n".join([*lines, fragment(replace(other, office=replace(office, user=None))), *user])


# Postfix


def _postfix_site(site: SitePart) -> Iterator[str]:
    domains = ", ".join(site.domains)
    yield "# main.cf: our domains' mailboxes are here, all else leaves by the office when it is called"
    yield f"mydestination = $myhostname, localhost, {domains}"
    yield from _postfix_out(site)
    yield "defer_transports = smtp"


def _postfix_out(site: SitePart) -> Iterator[str]:
    if site.proof is Proof.CERTIFICATE:
        return
    relay = f"[{site.office.host}]:{587 if site.proof is Proof.LOGIN else SMTP_PORT}"
    yield f"relayhost = {relay}"
    if site.pin is not None:
        digest = site.pin.removeprefix("sha256:").upper()
        yield "smtp_tls_security_level = fingerprint"
        yield "smtp_tls_fingerprint_digest = sha256"
        yield f"smtp_tls_fingerprint_cert_match = {':'.join(digest[at : at + 2] for at in range(0, len(digest), 2))}"
    elif site.proof is Proof.LOGIN:
        yield "smtp_tls_security_level = secure"
    if site.proof is Proof.LOGIN:
        yield "smtp_sasl_auth_enable = yes"
        yield "smtp_sasl_tls_security_options = noanonymous"
        yield f"smtp_sasl_password_maps = inline:{{{relay}={site.user}:{PASSWORD}}}"


def _postfix_office(office: OfficePart) -> Iterator[str]:
    assert office.site is not None, "ETRN goes to an address"
    to = f"[{office.site.host}]" + ("" if office.site.port == SMTP_PORT else f":{office.site.port}")
    moved = ", ".join(f"{domain}=hold:{to}" for domain in office.domains)
    yield "# main.cf"
    yield f"relay_domains = {', '.join(office.domains)}"
    yield "fast_flush_domains = $relay_domains"
    yield f"transport_maps = inline:{{{moved}}}"
    yield "defer_transports = hold"
    yield f"smtpd_etrn_restrictions = check_client_access inline:{{{office.site.host}=OK}}, reject"
    yield "smtp_line_length_limit = 0"
    yield ""
    yield "# master.cf"
    yield "hold unix - - n - - smtp"


# Exim


def _exim_site(site: SitePart) -> Iterator[str]:
    yield "# exim.conf, the main section: our domains' mailboxes are here"
    yield f"domainlist local_domains = @ : {' : '.join(site.domains)}"
    yield "queue_smtp_domains = !+local_domains"
    if site.proof is Proof.CERTIFICATE:
        return
    yield "# routers: all else leaves by the office when it is called"
    yield from ("office:", "  driver = manualroute", "  domains = !+local_domains", "  transport = office")
    yield f"  route_list = * {site.office.host}::{587 if site.proof is Proof.LOGIN else SMTP_PORT}"
    yield "# transports"
    yield from ("office:", "  driver = smtp")
    if site.proof is Proof.LOGIN:
        yield from ("  hosts_require_tls = *", "  hosts_require_auth = *")
        yield "# authenticators"
        yield from ("office:", "  driver = plaintext", "  public_name = PLAIN")
        yield f"  client_send = ^{site.user}^{PASSWORD}"


def _exim_office(office: OfficePart) -> Iterator[str]:
    assert office.site is not None, "ETRN goes to an address"
    held = "/etc/exim4/held"
    yield f"# {held}: what was typed is tainted, and only a value out of a file may stand in a command"
    yield from (f"{domain}: {domain}" for domain in office.domains)
    yield "# exim.conf, the main section"
    yield f"domainlist held = {' : '.join(office.domains)}"
    yield "queue_smtp_domains = +held"
    yield "acl_smtp_etrn = etrn"
    yield f"smtp_etrn_command = /usr/sbin/exim4 -R ${{lookup{{$domain}}lsearch{{{held}}}{{$value}}fail}}"
    yield "# acl; and in the one for RCPT: accept domains = +held"
    yield from ("etrn:", "  deny message = 459 not a domain that is held here")
    yield "       condition = ${if !match_domain{$smtp_command_argument}{+held}}"
    yield f"  accept hosts = {office.site.host}"
    yield "# routers, the first"
    yield from ("site:", "  driver = manualroute", "  domains = +held", "  transport = site")
    yield f"  route_data = {office.site.host}"
    yield "# transports"
    yield from ("site:", "  driver = smtp", f"  port = {office.site.port}")


# what fetches, where the mail server does not


def _fetching(site: SitePart, office: OfficePart) -> Iterator[str]:
    """The site's crontab, and what it needs."""
    domains, host = ",".join(site.domains), site.office.host
    called = host if site.office.port == call_port(site.protocol) else str(site.office)
    if site.protocol is Protocol.ETRN:
        yield "# crontab; behind it, what waits here leaves too: postqueue -f, exim -qf"
        if site.proof is Proof.ADDRESS:
            service = "" if called == host else f" --service {site.office.port}"
            yield f"{site.schedule} fetchmail --nodetach --protocol ETRN{service} --fetchdomains {domains} {host}"
        else:
            yield f"{site.schedule} restante etrn {called} {' '.join(site.domains)} {_login_options(site)}"
        return
    if not office.is_for_fetchmail:
        yield "# crontab; fetchmail would do, where the office has a secret for it: it takes CRAM-MD5 alone"
        atrn = f"restante atrn {called} {' '.join(site.domains)} --deliver-to smtp:127.0.0.1:25"
        yield f"{site.schedule} {atrn} {_login_options(site)}"
        return
    kept = f"is on the first line of the office's {office.secret_file}" if office.secret_file else "was shown once"
    yield f"# ~/.fetchmailrc, mode 0700; the secret {kept}"
    yield f"poll {host} proto ODMR service {site.office.port}"
    yield f'  user "{site.user}" password "SECRET"'
    yield f"  fetchdomains {domains} smtphost 127.0.0.1/25"
    yield "# crontab"
    yield f"{site.schedule} fetchmail --nodetach"


def _login_options(site: SitePart) -> str:
    if site.proof is Proof.CERTIFICATE:
        login = "--certificate site.pem --key site.key"
    else:
        login = f"--user {site.user} --password-file {PASSWORD_FILE}"
    return login + (f" --tls required --tls-pin {site.pin}" if site.pin is not None else " --tls verify")
