"""Every key of the configuration: its type, its default, and under it what it means, as the manual has it.

A section is a frozen pydantic model that forbids unknown keys; the form in a field's annotation reads the value
(config/forms.py). Each action of a domain has keys of its own, so that a mailbox domain with a next hop cannot be
written. Durations are seconds, sizes octets, paths absolute. What keys must be true of each other is in
config/checks.py; load() in config/load.py is the door.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ModelWrapValidatorHandler, model_validator

from restante.config import proofs, words
from restante.config.forms import BOOLEAN, Form, Table, choice, duration, many, size, whole
from restante.directory.entries import RETRY_SECONDS, Grant, Network, Recipients
from restante.model import MAX_ITEMS_PER_MESSAGE, ByMx, DomainName, HostPort, Mailbox, NextHop, Order
from restante.net.tls import TlsLevel
from restante.smtp.scram import ScramKeys

_PEER_TLS = choice("opportunistic", "required", "verify", "dane")
_PINS = many(proofs.PIN, most=100, may_be_one=True)
_LOOPBACK: tuple[Network, ...] = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
_STARTTLS, _IMPLICIT = "starttls", "implicit"
PORTS: Mapping[tuple[str, str], int] = {
    ("mx", _IMPLICIT): 25,
    ("mx", _STARTTLS): 25,
    ("submission", _IMPLICIT): 465,
    ("submission", _STARTTLS): 587,
    ("odmr", _IMPLICIT): 366,
    ("odmr", _STARTTLS): 366,
}
"""The port of each service that has one, where none is written (RFC 5321, 6409, 8314, 2645)."""
CALL_PORTS: Mapping[str, int] = {"etrn": 25, "atrn": 366}
"""The same of each protocol of a call."""


class Section(BaseModel):
    """A table of the file. Validation needs a context with the `folder` that paths are relative to."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, validate_default=False)

    @classmethod
    def by_key(cls) -> dict[str, str]:
        """The keys as the file has them, each with the name of its field."""
        return {field.alias or name: name for name, field in cls.model_fields.items()}

    @classmethod
    def form_of(cls, key: str) -> Form | None:
        """The form of a key's value; None where that is a section, or several."""
        metadata = cls.model_fields[cls.by_key()[key]].metadata
        return next((form for form in metadata if isinstance(form, Form)), None)


class Listen(Section):
    """An address that is listened on. There must be one at least; write `[[listen]]` once for each."""

    address: Annotated[HostPort, words.ADDRESS.like("0.0.0.0:25")]
    """An address of this host and a port; where none is written the service's own: 25, 587 (465 with implicit TLS), or
    366; `lmtp` has none. `0.0.0.0` is all of IPv4, `[::]` all of IPv6."""
    service: Annotated[str, choice("mx", "submission", "odmr", "lmtp")] = "mx"
    """What is spoken there. `mx`: mail from other servers, and ETRN. `submission`: mail from users, who log in first
    and send from their own domains only. `odmr`: ATRN for customers, who log in first (RFC 2645). `lmtp`: mail from a
    server beside this one, which is answered for each recipient (RFC 2033), with the rights of `mx`."""
    tls: Annotated[str, choice("starttls", "implicit", "off")] = "starttls"
    """Whether STARTTLS is offered, or TLS comes before the greeting, or there is none."""
    require_tls: Annotated[bool, BOOLEAN] = False
    """Whether TLS must come before anything that matters."""
    auth_in_clear: Annotated[bool, BOOLEAN] = False
    """Whether passwords may be shown before TLS. Without it they may on loopback only; CRAM-MD5, which shows none, is
    offered at `odmr` in any case (RFC 2645 §5.1.1)."""
    proxy_from: Annotated[tuple[Network, ...], many(words.NETWORK, ["192.0.2.10"])] = ()
    """Load balancers that say with the PROXY protocol, version 2, for whom they connect: their connections must begin
    with it, and no others may."""

    @model_validator(mode="wrap")
    @classmethod
    def _with_port(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        listen = handler(data)
        if listen.address.port != words.NO_PORT or listen.service == "lmtp":
            return listen
        port = PORTS[listen.service, _IMPLICIT if listen.tls == _IMPLICIT else _STARTTLS]
        return listen.model_copy(update={"address": replace(listen.address, port=port)})

    @property
    def takes_logins(self) -> bool:
        """Whether it is for those who log in."""
        return self.service in ("submission", "odmr")


class Tls(Section):
    """The certificate that this host shows, and who vouches for others'."""

    certificate: Annotated[Path | None, words.PEM] = None
    """The certificate and its chain. Without it a self-signed pair is made in the data folder at first start."""
    key: Annotated[Path | None, words.PEM.like("key.pem")] = None
    """The certificate's private key. Set both or none."""
    client_ca: Annotated[Path | None, words.PEM.like("clients.pem")] = None
    """Which authorities may vouch for the names in client certificates. Fingerprints need none."""


class LimitsSettings(Section):
    """What this host takes and does at most."""

    message_size: Annotated[int, size("1KB", "2GB")] = 50 << 20
    """The longest message that is taken. RFC 5321 §4.5.3.1.7 asks for 64 KB at least."""
    header_size: Annotated[int, size("1KB", "64MB", "256KB")] = 256 << 10
    """The longest header section of a message that is taken; a longer one is refused with 552 5.6.0."""
    recipients: Annotated[int, whole(1, MAX_ITEMS_PER_MESSAGE, 1000)] = 1000
    """How many recipients one message may have. RFC 5321 §4.5.3.1.8 asks for 100 at least."""
    hops: Annotated[int, whole(1, 1000, 50)] = 50
    """How many Received fields a message may have before it is taken to be in a loop."""
    connections: Annotated[int, whole(1, 100_000, 2000)] = 2000
    """How many connections there may be at once, at all listeners together; further ones are told to come again
    later."""
    reserved: Annotated[int, whole(0, 100_000, 100)] = 100
    """How many of these are kept for networks from which sites come: those in `release_from`, and those from which
    somebody has logged in lately. Half of them at most are kept, whatever this says."""
    connections_per_address: Annotated[int, whole(1, 100_000, 50)] = 50
    """How many of these one IPv4 address, or one IPv6 network of 64 bits, may have."""
    connection_rate: Annotated[int, whole(1, 100_000, 20)] = 20
    """How many connections a second it may begin; three times as many at once."""
    command_timeout: Annotated[float, duration("1s", "1h", "5m")] = 300.0
    """How long a peer may be silent before the connection is closed (RFC 5321 §4.5.3.2.7: 5 minutes)."""
    min_rate: Annotated[int, size("1", "1MB", "500")] = 500
    """How many octets a second must come, inside a command or a message, for that time to go on."""
    auth_failures: Annotated[int, whole(1, 10_000, 10)] = 10
    """How many wrong logins in ten minutes an address, or a name, may have before each further one is refused."""
    ahead_messages: Annotated[int, whole(1, 100_000, 500)] = 500
    """How many messages a release sends ahead of their replies: as many may arrive twice when a link is cut."""
    ahead_octets: Annotated[int, size("1KB", "1GB", "4MB")] = 4 << 20
    """The same, counted in octets; one message is always sent, however long."""
    delivery_connections: Annotated[int, whole(1, 1000, 200)] = 200
    """How many connections are made at most to one next hop that has no CHUNKING, as far as its path has room for them;
    one is enough for those that have."""
    releases: Annotated[int, whole(1, 10_000, 50)] = 50
    """How many releases run at once; others wait for their turn. Those by MX leave a fifth of the places to all others;
    those to where the last try has failed take half at the most."""
    notices: Annotated[int, whole(1, 100_000, 100)] = 100
    """How many notices (delivery status notifications, RFC 3464) one address is sent in an hour; further ones wait,
    and what they are about waits with them. Those that mail was delivered are left out instead."""


class Hold(Section):
    """A domain whose mail waits here until somebody with the right to it asks."""

    action: Literal["hold"]
    """Says which of the four kinds of domain this is."""
    next_hop: Annotated[NextHop, words.HELD_HOP]
    """Where released mail goes. `caller`: to the address that asked, which takes a login or a certificate as proof."""
    release_from: Annotated[tuple[Grant, ...], many(words.GRANT, ["192.0.2.25", "user:test", "cert:site.example"])] = ()
    """Who may have the mail released by ETRN, and by ATRN those who log in or show a certificate: addresses, networks,
    users, and client certificates by fingerprint or by a name that an authority of `tls.client_ca` has put there.
    Without it nobody may but the operator, and users whose own domain it is."""
    group: Annotated[str | None, words.GROUP] = None
    """`ETRN #customers` releases all held domains of this group that the caller may release."""
    order: Annotated[Order, choice(*Order, into=Order)] = Order.PRIORITY
    """In which order mail leaves; priority (RFC 6710) comes first in each, and after it arrival, or the smallest."""
    expire: Annotated[float, duration("1h", "3650d", "30d")] = 2_592_000.0
    """How long mail may wait before it goes back to its sender. Only time in which this host runs is counted."""
    expire_contacts: Annotated[int, whole(0, 100, 3)] = 3
    """How many times mail must have been offered besides, in a release that was not cut, before it goes back to its
    sender."""
    contact: Annotated[tuple[str, ...], many(words.EXPRESSION, most=100, may_be_one=True)] = ()
    """When the site is expected to ask for its mail, in local time. After a contact that was missed an alarm is raised
    (`[alarms]`), and those whose mail waits are told that it is late, if they want to know (RFC 3461)."""
    contact_grace: Annotated[float, duration("1m", "365d", "1h")] = 3600.0
    """How much later than expected a contact may come before it was missed."""
    quota: Annotated[int | None, size("1MB", "100000GB", "2GB")] = None
    """How much may be here for this domain, frozen mail too; when it is full, further mail gets 452 4.2.2. What comes
    at once, or does not say how large it is, may overrun it. That of `*` is for each of its domains."""
    quota_items: Annotated[int | None, whole(1, 1_000_000_000, 100_000)] = None
    """How many items may be here for this domain, in the same way."""
    largest: Annotated[int | None, size("1KB", "2GB", "5MB")] = None
    """The longest message that the domain's link is for. A longer one is taken, and frozen; its recipients get a notice
    in its stead, which says how to get it (`restante thaw`)."""
    recipients: Annotated[Recipients | None, words.RECIPIENTS] = None
    """A file of the recipients that exist there: one address or `@domain` a line, `#` begins a remark; mail for others
    is refused with 550 5.1.1, mail for postmaster never. Without it there may be a list in the store (`restante domain
    recipients`); without both, mail for any local part is taken, but for those whom the site has refused."""
    unknown_for: Annotated[float, duration("0s", "365d", "1d")] = 86_400.0
    """Without a list: how long mail for a recipient whom the site has refused with 550 5.1.1 is refused here too."""
    user: Annotated[str | None, words.LOGIN] = None
    """The name to log in with at the next hop, a host that takes logins."""
    password_file: Annotated[Path | None, words.FILE.like("smarthost.password")] = None
    """A file whose first line is the password. It is read for each connection."""
    tls: Annotated[str, _PEER_TLS] = "opportunistic"
    """Encryption towards the next hop: where offered; always; always and with a certificate that is trusted; or as
    DANE has it, and nothing without (RFC 7672), which is for `mx`. By `mx`, each of them heeds DANE and MTA-STS where
    the other side has published them: what DANE's records say of a certificate counts then, and no authority's word."""
    tls_pin: Annotated[tuple[str, ...], _PINS] = ()
    """The SHA-256 of the public key that the next hop must show, or several of which it must show one. `tls` has to be
    `required` then, for which the key is enough, or `verify`, which asks for a trusted certificate besides."""
    counts: Annotated[bool, BOOLEAN] = True
    """Whether the answer to ETRN says how many messages wait (253), or only that some do (252)."""
    etrn_empty: Annotated[int, choice(251, 250)] = 251
    """The answer to ETRN where nothing waits. fetchmail asks for no further domain after 251; 250 is for its sake."""


class Relay(Section):
    """A domain whose mail goes on at once, for those who may relay (`[relay]`), or for anyone."""

    action: Literal["relay"]
    """Says which of the four kinds of domain this is."""
    next_hop: Annotated[NextHop, words.RELAY_HOP] = ByMx()
    """Where it goes: to a smart host, or as the MX records say (RFC 5321 §5.1)."""
    from_anyone: Annotated[bool, BOOLEAN] = False
    """Whether mail for this domain is taken from anybody, as for a held one: this host stands in front of the one that
    has its mailboxes. Not for `*`."""
    recipients: Annotated[Recipients | None, words.RECIPIENTS] = None
    """A file of the recipients that exist there, as for held domains; mail for others is refused with 550 5.1.1. With
    `from_anyone` there may be a list in the store instead; without both, those whom the next hop has refused are."""
    unknown_for: Annotated[float, duration("0s", "365d", "1d")] = 86_400.0
    """With `from_anyone` and without a list: how long mail for a recipient whom the next hop has refused with 550 5.1.1
    is refused here too."""
    retry: Annotated[
        tuple[float, ...], many(duration("10s", "7d"), ["1m", "5m", "15m", "1h"], least=1, most=100, is_set=False)
    ] = RETRY_SECONDS
    """The waits between attempts; the last is used again and again (RFC 5321 §4.5.4.1)."""
    expire: Annotated[float, duration("1h", "3650d", "5d")] = 432_000.0
    """How long mail may wait before it goes back to its sender. Only time in which this host runs is counted."""
    warn_after: Annotated[float, duration("1m", "3650d", "4h")] = 14_400.0
    """How long mail may wait before its sender is told that it is late, once, if he wants to know (RFC 3461)."""
    connections: Annotated[int, whole(1, 1000, 20)] = 20
    """How many connections are made at most to the hosts of one destination of `mx`; to a smart host the limit is
    `limits.delivery_connections`."""
    rate: Annotated[int | None, whole(1, 1_000_000, 600)] = None
    """How many messages a minute one destination is sent at most."""
    user: Annotated[str | None, words.LOGIN] = None
    """The name to log in with at a smart host."""
    password_file: Annotated[Path | None, words.FILE.like("smarthost.password")] = None
    """A file whose first line is the password. It is read for each connection."""
    tls: Annotated[str, _PEER_TLS] = "opportunistic"
    """Encryption towards the next hop: where offered; always; always and with a certificate that is trusted; or as
    DANE has it, and nothing without (RFC 7672), which is for `mx`. By `mx`, each of them heeds DANE and MTA-STS where
    the other side has published them: what DANE's records say of a certificate counts then, and no authority's word."""
    tls_pin: Annotated[tuple[str, ...], _PINS] = ()
    """The SHA-256 of the public key that the next hop must show, or several of which it must show one. `tls` has to be
    `required` then, for which the key is enough, or `verify`, which asks for a trusted certificate besides."""


class Deliver(Section):
    """A domain whose users have their mailboxes here."""

    action: Literal["deliver"]
    """Says which of the four kinds of domain this is."""
    mailboxes: Annotated[str, words.MAILBOXES] = "maildir"
    """Where mail is put: `maildir` is a Maildir for each user, under `mailboxes/DOMAIN/USER` in the data folder;
    `lmtp:HOST:PORT` and `lmtp:/path.sock` hand it to another mail store (RFC 2033)."""
    quota: Annotated[int | None, size("1KB", "100000GB", "1GB")] = None
    """How much each Maildir may hold; what does not fit waits."""
    tag_folders: Annotated[bool, BOOLEAN] = False
    """Whether mail for `anna+lists` is put into anna's Maildir folder `.lists`, where she has one."""
    users: Annotated[
        tuple[str, ...] | None, many(words.USER, ["anna", "bert", "postmaster"], least=1, most=1_000_000, has_star=True)
    ]
    """Who has a mailbox, compared without case; others are refused with 550 5.1.1. `*`: whoever is written to."""
    aliases: Annotated[
        dict[str, tuple[str, ...]],
        Table(
            kind="table of lists of users",
            allowed='a table such as { info = ["anna"] }',
            example={"info": ["anna", "bert"]},
            name=words.ALIAS,
            item=many(words.USER, least=1),
        ),
    ] = {}
    """Other names, and the users or aliases of this domain who read what is sent to them. `*` is for every name that is
    not known."""
    postmaster: Annotated[str | None, words.USER] = None
    """The user who reads what is sent to postmaster, where no user or alias is called so. Default: the first user."""


class Reject(Section):
    """A domain whose mail is refused."""

    action: Literal["reject"]
    """Says which of the four kinds of domain this is."""
    text: Annotated[str, words.REPLY_TEXT] = ""
    """What the refusal says after its code, 550 5.7.1."""


class User(Section):
    """A login, by its name, which is compared without case. `restante user` keeps others in the store."""

    password: Annotated[str | None, proofs.HASH] = None
    """The password's hash, for PLAIN and LOGIN; `restante password` makes it."""
    scram: Annotated[ScramKeys | None, proofs.SCRAM] = None
    """The password's keys for SCRAM-SHA-256; `restante password` makes them."""
    secret: Annotated[str | None, proofs.SECRET] = None
    """A secret for CRAM-MD5, which is generated, and is not the password."""
    secret_file: Annotated[proofs.SecretFile | None, proofs.SECRET_FILE] = None
    """The same, on the first line of a file."""
    certificates: Annotated[tuple[str, ...], many(proofs.CERTIFICATE)] = ()
    """Client certificates with which EXTERNAL logs in as this user: fingerprints, or names in certificates that an
    authority of `tls.client_ca` has issued. Each is one user's alone."""
    domains: Annotated[tuple[DomainName, ...], many(words.DOMAIN)] = ()
    """The domains that this user may send from, and may release where they are held here, as if `release_from` of each
    named the user."""
    admin: Annotated[bool, BOOLEAN] = False
    """Whether the user is an administrator of the API (`[admin]`), who sees and does all. Others see and change what
    concerns their own domains. It gives no rights over SMTP."""


class MayRelay(Section):
    """Who may send to any domain without a login."""

    networks: Annotated[tuple[Network, ...], many(words.NETWORK)] = Field(default=(), alias="from")
    """Their networks. Without it nobody may."""


class Call(Section):
    """An office to call, where this host is online only at times. The table's name is the call's."""

    host: Annotated[HostPort, words.ADDRESS]
    """The office; the port is 25, or 366 for `atrn`, where none is written."""
    protocol: Annotated[str, choice("etrn", "atrn")] = "etrn"
    """How its mail is asked for. `etrn`: the office sends it to where it knows that we are. `atrn`: over the connection
    that we have made (RFC 2645), which works from behind a NAT too, and takes a login."""
    domains: Annotated[tuple[DomainName, ...], many(words.DOMAIN)] = ()
    """Our domains that the office holds, to be released towards us. With `atrn` none means all that are ours there."""
    schedule: Annotated[tuple[str, ...], many(words.EXPRESSION, most=100, may_be_one=True)] = ()
    """When to call, in local time. A call that was missed while this host was off is made up once."""
    on: Annotated[tuple[str, ...], many(choice("link-up"), may_be_one=True)] = ()
    """`link-up`: also whenever there is a route to the office again."""
    window: Annotated[float, duration("1s", "1w", "10m")] = 600.0
    """How long the link is up; nothing is begun after that."""
    idle: Annotated[float, duration("1s", "1d", "30s")] = 30.0
    """When nothing has moved for so long, and nothing is known to wait, the call ends."""
    before: Annotated[tuple[str, ...], many(words.ARGUMENT, ["pon", "provider"], most=1000, is_set=False)] = ()
    """A program and its arguments that is run first, to bring the link up. No shell is involved."""
    after: Annotated[tuple[str, ...], many(words.ARGUMENT, ["poff", "provider"], most=1000, is_set=False)] = ()
    """A program and its arguments that is run last."""
    hook_timeout: Annotated[float, duration("1s", "1d", "2m")] = 120.0
    """How long each of these programs may take."""
    flush: Annotated[tuple[str, ...], many(words.HELD_ENTRY)] = ()
    """Domains held here whose mail goes out while the link is up; `*` is all of them, the entry `*` included."""
    tls: Annotated[
        TlsLevel, choice("off", "opportunistic", "required", "verify", into=TlsLevel, example="opportunistic")
    ] = TlsLevel.OPPORTUNISTIC
    """Encryption towards the office: never; where offered; always; always and with a certificate that is trusted."""
    tls_pin: Annotated[tuple[str, ...], _PINS] = ()
    """The SHA-256 of the public key that the office must show, or several of which it must show one. `tls` has to be
    `required` then, for which the key is enough, or `verify`, which asks for a trusted certificate besides."""
    user: Annotated[str | None, words.LOGIN] = None
    """The name to log in with."""
    password_file: Annotated[Path | None, words.FILE.like("office.password")] = None
    """A file whose first line is the password. It is read at each call."""
    certificate: Annotated[Path | None, words.PEM.like("site.pem")] = None
    """The certificate that we show the office, which may take it as a login."""
    key: Annotated[Path | None, words.PEM.like("site.key")] = None
    """The certificate's private key. Set both or none."""
    recipients_to: Annotated[str | None, words.URL.like("https://office.example:8025")] = None
    """The office's API, where its `[admin]` is. When the link is up, it is told there which recipients our `domains`
    have, if that has changed since it was told last; then it refuses mail for others while we are away. The login is
    `user` with `password_file`, and the domains must be that user's own there."""
    recipients_ca: Annotated[Path | None, words.PEM.like("office-ca.pem")] = None
    """Who vouches for the certificate of `recipients_to`: authorities, or the certificate itself. Without it those that
    this system trusts."""

    @model_validator(mode="wrap")
    @classmethod
    def _with_port(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        call = handler(data)
        if call.host.port != words.NO_PORT:
            return call
        return call.model_copy(update={"host": replace(call.host, port=CALL_PORTS[call.protocol])})


class Admin(Section):
    """The page for browsers, at `/`, and the API for programs: `/api/openapi.json` describes it, and `/healthz` answers
    200. Users log in with their passwords, or, as programs, with a token that `restante user token` makes;
    administrators see and do all, others what concerns their own domains.
    """

    address: Annotated[HostPort, words.ADMIN_ADDRESS]
    """Where it is served; the port is 8025 where none is written. It answers to this name, to `hostname`, to
    `localhost` and to the address that was asked, and to no others."""
    tls: Annotated[bool | None, BOOLEAN] = None
    """Whether it is served over TLS, with the certificate of `[tls]`. Without it that is so unless the address is on
    loopback. Passwords and tokens are taken over TLS, and from this very host."""

    metrics_from: Annotated[tuple[Network, ...], many(words.NETWORK)] = _LOOPBACK
    """Who may read `/metrics` without a login; administrators may with theirs. The metrics name 20 held
    domains at the most. What a proxy on this host passes on comes from this host."""

    @property
    def has_tls(self) -> bool:
        """Whether it is served over TLS."""
        return not words.is_loopback(self.address.host) if self.tls is None else self.tls


class Alarms(Section):
    """Who is told of alarms, once, and once more when all is well again: a held domain's site has missed its `contact`,
    the spool is broken, its disk nearly full, mail in it damaged, the certificate good for less than 14 days. All of
    them are in the log in any case.
    """

    webhook: Annotated[str | None, words.WEBHOOK] = None
    """Where they are posted as JSON. What is not answered with a status of 2xx is posted again."""
    mail: Annotated[Mailbox | None, words.MAILBOX] = None
    """To whom they are written. A letter is not sent to a held domain about its own site, which would not come for
    it."""
    free_space: Annotated[int, size("1MB", "100000GB", "256MB")] = 256 << 20
    """With less free space than that the disk of the spool is nearly full. Mail is refused when it is."""


class Dns(Section):
    """How this host looks up names, for next hops by `mx`. Held domains with a next hop of their own need none."""

    servers: Annotated[tuple[HostPort, ...], many(words.RESOLVER, ["127.0.0.1"], most=10)] = ()
    """The resolvers, by address. Without it those of /etc/resolv.conf."""
    validates: Annotated[bool | None, BOOLEAN] = None
    """Whether they validate DNSSEC and nobody is on the way to them, so that their word is enough for DANE. Without it
    that is taken to be so where all of them are on this host's loopback."""
    timeout: Annotated[float, duration("1s", "2m", "10s")] = 10.0
    """How long one question may take in all."""
    mta_sts: Annotated[bool, BOOLEAN] = True
    """Whether the policies of MTA-STS are asked for and heeded (RFC 8461)."""


class Filter(Section):
    """A filter that sees mail before it is taken in."""

    rspamd: Annotated[str, words.URL]
    """The address of an rspamd's worker for scans. When it does not answer, mail is answered 451 4.7.1."""
    timeout: Annotated[float, duration("1s", "4m", "30s")] = 30.0
    """How long it may take over one message."""
    message_size: Annotated[int, size("1KB", "2GB", "10MB")] = 10 << 20
    """The longest message that it is shown; a longer one is taken unseen."""


Domain = Hold | Relay | Deliver | Reject
"""What is done with a domain's mail: an entry of `[domains]`."""
ACTIONS: Mapping[str, type[Hold | Relay | Deliver | Reject]] = {
    "hold": Hold,
    "relay": Relay,
    "deliver": Deliver,
    "reject": Reject,
}


class Settings(Section):
    """The whole file."""

    hostname: Annotated[DomainName, words.HOST_NAME]
    """The name of this host: in its greeting, in EHLO and in Received fields."""
    data: Annotated[Path, words.FOLDER]
    """The folder of the spool, the mailboxes and the control socket; made at first start, for its owner alone."""
    store: Annotated[str, choice("sqlite", later=("postgresql:", "postgres:"))] = "sqlite"
    """What keeps the spool: `sqlite` is built in."""
    listen: tuple[Listen, ...] = ()
    tls: Tls = Tls()
    limits: LimitsSettings = LimitsSettings()
    domains: dict[Annotated[str, words.ENTRY_NAME], Annotated[Domain, Field(discriminator="action")]] = {}
    users: dict[Annotated[str, proofs.LOGIN_NAME], User] = {}
    relay: MayRelay = MayRelay()
    calls: dict[Annotated[str, words.NAME], Call] = {}
    dns: Dns = Dns()
    filter: Filter | None = None
    alarms: Alarms = Alarms()
    admin: Admin | None = None

    @property
    def held(self) -> dict[str, Hold]:
        """The held entries, `*` among them, in the file's order."""
        return {name: domain for name, domain in self.domains.items() if isinstance(domain, Hold)}


SECTIONS: Mapping[str, type[Section]] = {
    "listen": Listen,
    "tls": Tls,
    "limits": LimitsSettings,
    "users": User,
    "relay": MayRelay,
    "calls": Call,
    "dns": Dns,
    "filter": Filter,
    "alarms": Alarms,
    "admin": Admin,
}
"""The model of each table, but for `domains`: ACTIONS has those."""
