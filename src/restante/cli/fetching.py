"""What `restante atrn` is made of: one ATRN, a session for what comes, and a carrier that has it before it is ours.

Loaded for that command alone: it brings the session and the transports, and no store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from ipaddress import ip_network
from pathlib import Path

from restante.admin.protocol import USAGE, CallAnswer
from restante.calls.handing import HandingOn
from restante.calls.oneshot import Asker, AtrnOnce
from restante.cli.doors import CommandFailed
from restante.clock import Clock, SystemClock
from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Relayed
from restante.directory.routing import Reader
from restante.facts import Announce
from restante.model import ByMx, DomainName, HostPort, Mailbox, NextHopError, Principal, parse_lmtp
from restante.net.dial import dial
from restante.net.stream import Stream
from restante.release.answers import Answer
from restante.server.services import Limits, Services
from restante.server.session import Session
from restante.smtp.node import Node
from restante.smtp.services import Service
from restante.transport.lmtp import LmtpCarrier
from restante.transport.maildir import MaildirCarrier
from restante.transport.outcome import Carrier
from restante.transport.smtp import SmtpCarrier, SmtpMeans

LOOK_SECONDS = 0.2
"""How often what is shown is looked at."""
EVERYBODY = (ip_network("0.0.0.0/0"), ip_network("::/0"))


def carrier_of(text: str, hostname: str) -> Carrier:
    """Who has the messages, as --deliver-to says. Raises CommandFailed."""
    kind, _, where = text.partition(":")
    means = SmtpMeans(dial, hostname, time.monotonic)
    try:
        if kind == "lmtp":
            return LmtpCarrier(parse_lmtp(text), means)
        if kind == "smtp":
            return SmtpCarrier(HostPort.parse(where), means)
    except NextHopError as error:
        raise CommandFailed((f"--deliver-to: {error}",), USAGE) from None
    if kind == "maildir" and where:
        return MaildirCarrier(Path(where).absolute(), _reader, hostname=hostname)
    raise CommandFailed((f"--deliver-to: {text!r} is not lmtp:..., maildir:FOLDER or smtp:HOST",), USAGE)


def _reader(mailbox: Mailbox) -> tuple[Reader, ...]:
    """Whose Maildir it is, where nothing is known of users: `user+detail` is `user` (RFC 5233)."""
    return (Reader(mailbox.key.partition("+")[0] or mailbox.key),)


def fetched(office: HostPort, domains: Sequence[DomainName], asker: Asker, carrier: Carrier) -> Iterator[CallAnswer]:
    """Does it; how it stands meanwhile, and how it went."""
    clock = SystemClock()
    with asyncio.Runner() as runner:
        inbox = HandingOn(carrier, wall=clock.wall)
        fetching = Fetching(domains, asker.hostname, inbox, clock)
        once = AtrnOnce(office, domains, asker, fetching.serve, failure=lambda: inbox.failure, clock=clock)
        task = runner.get_loop().create_task(once.run())
        while not task.done():
            runner.run(asyncio.wait([task], timeout=LOOK_SECONDS))
            yield CallAnswer(once.view, clock.wall())
        task.result()


class Fetching:
    """Takes mail for these domains, or whatever comes, into an inbox."""

    def __init__(self, domains: Sequence[DomainName], hostname: str, inbox: HandingOn, clock: Clock) -> None:
        if domains:
            self._directory = Directory(hostname, [Delivered(domain, None) for domain in domains])
        else:
            self._directory = Directory(hostname, [Relayed(EVERY_OTHER, ByMx())], EVERYBODY)
        self._hostname = hostname
        self._inbox = inbox
        self._clock = clock

    def serve(self, stream: Stream, domains: frozenset[DomainName], announce: Announce) -> Session:
        """See calls/turn.py."""
        del domains  # they are the directory's
        services = Services(
            hostname=self._hostname,
            spool=self._inbox,
            directory=lambda: self._directory,
            ask=_nobody,
            arrived=_nothing,
            announce=announce,
            clock=self._clock,
            limits=Limits(),
            tls=None,  # what protects the connection was agreed before it was turned round
            service=Service.TURNED,
        )
        return Session(stream, services)


async def _nobody(node: Node, principal: Principal) -> Answer:
    raise AssertionError(f"{principal} asks for {node}, and there is no ETRN here")


def _nothing(domain: DomainName) -> None:
    """What has come was handed on already."""
    del domain
