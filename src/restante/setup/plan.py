"""What a new host shall be: an office for some domains, a site of an office, or both; and what its other end is then.

A Plan is all that the answers to `restante init` come to. configuration.py makes the file of it, records.py what to
put into the DNS, other_end.py what the other host needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from restante.model import HostPort

ODMR_PORT, SUBMISSION_PORT, SMTP_PORT, PAGE_PORT = 366, 587, 25, 8025
CALL = "office"
"""The name of a site's call, where nothing else is said."""
PASSWORD_FILE = "office.password"  # noqa: S105 - its name
"""Beside a site's configuration."""


class Protocol(StrEnum):
    """How a site has its mail."""

    ETRN = "etrn"
    ATRN = "atrn"


class Proof(StrEnum):
    """How a site shows its office who it is."""

    LOGIN = "login"
    CERTIFICATE = "certificate"
    ADDRESS = "address"


class Outgoing(StrEnum):
    """When what a site's users write leaves."""

    CALL = "call"
    """Held until the next call."""
    NOW = "now"


class Software(StrEnum):
    """What runs at the other end."""

    RESTANTE = "restante"
    POSTFIX = "postfix"
    EXIM = "exim"
    FETCHMAIL = "fetchmail"
    """With whatever mail server behind it."""


class Role(StrEnum):
    """What a host is."""

    OFFICE = "office"
    SITE = "site"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class OfficePart:
    """A host that holds mail for a site."""

    domains: tuple[str, ...]
    protocol: Protocol
    proof: Proof
    user: str | None = None
    """The site's login, unless its address is its proof."""
    password: Mapping[str, str] = field(default_factory=dict)
    """The keys of [users.NAME] that were made of its password."""
    secret_file: str | None = None
    """The file of its secret for CRAM-MD5, which is all that fetchmail knows."""
    has_secret: bool = False
    """It has such a secret in the store."""
    certificate: str | None = None
    """The fingerprint of its certificate, or a name in it."""
    site: HostPort | None = None
    """Where its mail goes by ETRN; None: to the address that asks."""
    smarthost: HostPort | None = None
    """Where all else goes; None: as the MX records say."""
    port: int | None = None
    """Where the site calls; None: the protocol's own."""

    @property
    def is_for_fetchmail(self) -> bool:
        """Whether the site can log in by CRAM-MD5."""
        return self.has_secret or self.secret_file is not None


@dataclass(frozen=True, slots=True)
class SitePart:
    """A host that has its mail from an office."""

    domains: tuple[str, ...]
    users: tuple[str, ...]
    """Who has a mailbox, in each of the domains."""
    office: HostPort
    """Its port is the protocol's own unless another was named."""
    protocol: Protocol
    proof: Proof
    user: str | None = None
    pin: str | None = None
    """`sha256:` and the digest of the office's public key."""
    schedule: str = "*/15 * * * *"
    on_link_up: bool = True
    outgoing: Outgoing = Outgoing.CALL
    networks: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    """From where its users send without a login."""
    call: str = CALL
    """The name of its call."""

    @property
    def password_file(self) -> str:
        """Of its login; beside its configuration."""
        return f"{self.call}.password"


@dataclass(frozen=True, slots=True)
class PagePart:
    """The page for browsers, and who sees and does all there."""

    address: HostPort
    administrator: str
    password: Mapping[str, str] = field(default_factory=dict)
    """The keys of [users.NAME] that were made of the administrator's password."""

    @property
    def has_tls(self) -> bool:
        """Whether it is over TLS: it is unless it is for this very host."""
        at = self.address.address
        return at is None or not at.is_loopback


@dataclass(frozen=True, slots=True)
class Plan:
    """A host. It is an office, or a site, or both."""

    hostname: str
    data: str
    listen: tuple[HostPort, ...]
    """Where mail comes in by SMTP; the other services have the same hosts, with ports of their own."""
    office: OfficePart | None = None
    site: SitePart | None = None
    certificate: str | None = None
    key: str | None = None
    """Paths, as the file has them; without them a self-signed pair is made in the data folder."""
    page: PagePart | None = None


def call_port(protocol: Protocol) -> int:
    """Where an office is called, unless it says otherwise."""
    return ODMR_PORT if protocol is Protocol.ATRN else SMTP_PORT
