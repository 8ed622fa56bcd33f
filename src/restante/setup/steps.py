"""What to do once a host's files are written, in words for people: its checks, the DNS, the other end, the hooks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from restante.model import IPAddress
from restante.net.dane import TlsaRecord
from restante.setup.hooks import Hook
from restante.setup.other_end import at_office, at_site
from restante.setup.plan import PagePart, Plan, Protocol, Software
from restante.setup.records import UNKNOWN_ADDRESS, records

SERVICE_CONFIG = "/etc/restante/restante.toml"
"""What the unit names."""


@dataclass(frozen=True, slots=True)
class Made:
    """What was made for a plan."""

    config: str
    """The absolute path of the configuration."""
    pin: str | None
    """Of our key, where our certificate is self-signed."""
    fingerprint: str | None
    """Of the certificate that a site shows."""
    tlsa: TlsaRecord | None
    addresses: Sequence[IPAddress]
    """Where others reach us, as far as known."""
    password: str | None
    """One that was made up: it is shown this once."""
    page_password: str | None = None
    """The administrator's, of the page: the same."""
    run_as: str | None = None
    """Whom the server runs as, where that is not who has made all this."""
    hooks: Sequence[Hook] = ()
    hooks_folder: str = ""


def steps(plan: Plan, made: Made, software: Software) -> str:
    """All that is left to do."""
    return "\n".join(_all(plan, made, software)) + "\n"


def _all(plan: Plan, made: Made, software: Software) -> Iterator[str]:
    if made.password is not None and plan.office is not None:
        yield f"The password of {plan.office.user}, which is kept nowhere in clear but at the site:"
        yield from ("", f"    {made.password}", "")
    yield from ("Next, here:", "")
    config = shlex.quote(made.config)
    as_user = f"runuser -u {made.run_as} -- " if made.run_as is not None else ""
    if made.config == SERVICE_CONFIG:
        yield "    systemctl enable --now restante"
    else:
        yield f"    {as_user}restante serve --config {config}"
    yield f"    {as_user}restante doctor --config {config}"
    yield from ("", f"As a service it reads {SERVICE_CONFIG} (--out /etc/restante); docs/install.md has the unit,")
    yield "which goes to /etc/systemd/system/restante.service."
    if plan.page is not None:
        yield from _page(plan, plan.page, made)
    yield from _dns(plan, made)
    yield from _other_end(plan, made, software)
    if made.hooks:
        yield from ("", "To call whenever a link comes up, that of these which brings your links up, as root:", "")
        yield from (f"    {hook.install(made.hooks_folder)}" for hook in made.hooks)


def _page(plan: Plan, page: PagePart, made: Made) -> Iterator[str]:
    """Where the page is, and the password for it."""
    yield from ("", "Then, in a browser, the page:", "")
    yield f"    {_url(plan, page)}"
    yield f"    user {page.administrator}, password {made.page_password}"
    yield from ("", "This password is shown this once; its hash is in the configuration.")
    if not page.has_tls:
        yield "To see it from another machine, run this there first; then the same address works there:"
        near = page.address.port if page.address.host in ("127.0.0.1", "::1") else page.address
        yield from ("", f"    ssh -L {near}:{page.address} {plan.hostname}")
    elif made.pin is not None:
        yield "The browser warns of the certificate, for it is self-signed. Compare its SHA-256 fingerprint:"
        yield from ("", f"    {made.fingerprint}")


def _url(plan: Plan, page: PagePart) -> str:
    """What a browser is to be told: with our name, where others can check it or all addresses are meant."""
    at = page.address.address
    is_by_name = page.has_tls and (plan.certificate is not None or at is None or at.is_unspecified)
    where = str(replace(page.address, host=plan.hostname) if is_by_name else page.address)
    scheme, port = ("https", ":443") if page.has_tls else ("http", ":80")
    return f"{scheme}://{where.removesuffix(port)}/"


def _dns(plan: Plan, made: Made) -> Iterator[str]:
    found = records(plan, made.addresses, made.tlsa)
    if not found:
        return
    yield from ("", "In the DNS:", "")
    for record in found:
        yield f"    {record}"
        yield f"        {record.why}"


def _other_end(plan: Plan, made: Made, software: Software) -> Iterator[str]:
    if plan.office is not None:
        yield from ("", f"At the site, for {software}:", "")
        yield from _indented(at_site(plan, made.pin, software))
    if plan.site is not None:
        address = str(made.addresses[0]) if made.addresses else UNKNOWN_ADDRESS
        what = software if software is not Software.FETCHMAIL else Software.RESTANTE
        yield from ("", f"At the office, for {what}:", "")
        yield from _indented(at_office(plan, address, made.fingerprint, what))
        if plan.site.protocol is Protocol.ETRN:
            yield from ("", f"The office connects to {plan.hostname}, port 25: let it through.")


def _indented(text: str) -> Iterator[str]:
    return (f"    {line}" if line else "" for line in text.splitlines())
