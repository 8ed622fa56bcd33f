"""What to do once a host's files are written, in words for people: its checks, the DNS, the other end, the hooks."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from restante.model import IPAddress
from restante.net.dane import TlsaRecord
from restante.setup.hooks import Hook
from restante.setup.other_end import at_office, at_site
from restante.setup.plan import Plan, Protocol, Software
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
    run_as: str | None = None
    """Whom the server runs as, where that is not who has made all this."""
    hooks: Sequence[Hook] = ()
    hooks_folder: str = ""


def steps(plan: Plan, made: Made, software: Software) -> str:
    """All that is left to do."""
    return "\n".join(_all(plan, made, software)) + "\n"


def _all(plan: Plan, made: Made, software: Software) -> Iterator[str]:
    if made.password is not None:
        yield "The password, which is kept nowhere in clear but at the site:"
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
    yield from _dns(plan, made)
    yield from _other_end(plan, made, software)
    if made.hooks:
        yield from ("", "To call whenever a link comes up, that of these which brings your links up, as root:", "")
        yield from (f"    {hook.install(made.hooks_folder)}" for hook in made.hooks)


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
