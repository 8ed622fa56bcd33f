"""An office with customers: ODMR sessions with CRAM-MD5 logins, real releases of a real spool, and transcripts."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress

from tests.release.host import ScriptedCarrier
from tests.server.office import HeldBack, Office, Peer

from restante.directory.entries import Entry, Grant, Held
from restante.directory.users import User
from restante.facts import ReleaseDecided
from restante.model import Caller, DomainName, Envelope, HostPort, Mailbox, MessageId, Principal, Recipient
from restante.release.requests import Releases
from restante.server.turning import Often, Turning
from restante.smtp.client import Ahead
from restante.smtp.services import Service
from restante.spool.spool import Arrival
from restante.store.sqlite import SqliteSpool

NEXT_HOP = HostPort("192.0.2.25")
SITE = Principal(ipaddress.ip_address("192.0.2.25"))
"""Who may ask for two.example by ETRN."""
SECRETS = {"tim": b"tanstaaftanstaaf", "ann": b"f00dfeedf00dfeed"}
TIM = User("tim", secret=SECRETS["tim"], domains=frozenset({DomainName("one.example"), DomainName("two.example")}))
ANN = User("ann", secret=SECRETS["ann"], domains=frozenset({DomainName("ann.example")}))
ENTRIES = (
    Held("one.example", Caller()),
    Held("two.example", NEXT_HOP, (Grant.parse("192.0.2.25"),)),
    Held("ann.example", NEXT_HOP),
    Held("nobodys.example", NEXT_HOP, (Grant.parse("0.0.0.0/0"),)),
)
CONTENT = b"Subject: Fuel\r\n\r\nTwo barrels.\r\n"
TURNING = "250 2.0.0 OK now reversing the connection"
REFUSED = "450 4.7.1 ATRN request refused"

GREETED = """
    C: 220 tim.example ESMTP
    S: EHLO office.example
    C: 250 tim.example
"""
"""How a customer begins once it is the server; it has no extension, so that each line is answered."""
TURNED = f"""
    S: {TURNING}
    {GREETED}
"""
FAREWELL = """
    S: QUIT
    C: 221 Bye
"""


def one_message(
    recipient: str = "anna@one.example", rcpt: str = "250 OK", end: str = "250 Taken", *, is_first: bool = True
) -> str:
    """The transcript of one message, which is refused or not; behind one that was refused stands RSET."""
    reset = "" if is_first else "S: RSET\n C: 250 OK\n"
    return f"""
        {reset}
        S: MAIL FROM:<carla@far.example>
        C: 250 OK
        S: RCPT TO:<{recipient}>
        C: {rcpt}
        S: DATA
        C: 354 Go on
        S: Subject: Fuel
        S:
        S: Two barrels.
        S: .
        C: {end}
    """


class OdmrOffice(Office):
    """Holds mail for two customers. What ETRN releases goes to scripted carriers; `carrier` is all of them."""

    def __init__(self, spool: SqliteSpool, held: HeldBack) -> None:
        super().__init__(spool, held)
        self.service = Service.ODMR
        self.entries: tuple[Entry, ...] = ENTRIES
        self.take_logins(TIM, ANN)
        self.carrier = ScriptedCarrier()
        self.releases = Releases(
            spool=spool,
            directory=self.directory,
            carriers=lambda *_: self.carrier,
            announce=self.facts.append,
            clock=self.clock,
            hostname="office.example",
        )
        self.turning = self.decides = Turning(
            self.releases, self.directory, self.facts.append, "office.example", Ahead, Often(self.clock)
        )

    async def mail(
        self,
        *recipients: str,
        content: bytes = CONTENT,
        sender: str = "carla@far.example",
        requiretls: bool = False,
    ) -> MessageId:
        """A message was accepted."""
        mailboxes = [Mailbox.parse(recipient) for recipient in recipients or ("anna@one.example",)]
        domains = dict.fromkeys(mailbox.domain for mailbox in mailboxes)
        path = Mailbox.parse(sender)
        named = [(domain, tuple(Recipient(m) for m in mailboxes if m.domain == domain)) for domain in domains]
        envelopes = [(domain, Envelope(path, of_it, requiretls=requiretls)) for domain, of_it in named]
        message = self.spool.new_id()
        await self.spool.accept(Arrival(message, content, len(content), envelopes, self.clock.wall()))
        return message

    async def customer(self, login: str = "tim", address: str = "203.0.113.7") -> Peer:
        """One who has logged in, wherever it may be today."""
        peer = await self.connect(address)
        await peer.hear()
        await log_in(peer, login)
        return peer

    async def left(self) -> list[str]:
        """The recipients of all that waits."""
        return [str(recipient.mailbox) for item in await self.waiting() for recipient in item.envelope.recipients]

    def decided(self) -> list[tuple[str, str, tuple[str, ...], str]]:
        """The audit log of ATRN and ETRN: who, what, what was granted, the answer."""
        told = self.told(ReleaseDecided)
        return [(fact.principal.login or "", fact.node, fact.granted, fact.reply) for fact in told]

    async def close(self) -> None:
        """Ends what a test has left open."""
        await self.releases.stop(0)
        await super().close()


async def log_in(peer: Peer, login: str = "tim") -> None:
    """EHLO and AUTH CRAM-MD5 (RFC 2195)."""
    peer.say("EHLO tim.example\r\n")
    while (await peer.hear())[0][3] == "-":
        pass
    peer.say("AUTH CRAM-MD5\r\n")
    challenge = base64.b64decode((await peer.hear())[0].removeprefix("334 "))
    digest = hmac.new(SECRETS[login], challenge, "md5").hexdigest()
    peer.say(base64.b64encode(f"{login} {digest}".encode()) + b"\r\n")
    assert (await peer.hear())[0].startswith("235 ")


async def asks(peer: Peer, command: str) -> str:
    """What it is answered."""
    peer.say(f"{command}\r\n")
    [answer] = await peer.hear()
    return answer


async def released(office: OdmrOffice) -> None:
    """Until no release runs or waits."""
    async with asyncio.timeout(60):
        while any(view.progress != "ended" for view in office.releases.views()):
            await asyncio.sleep(0.002)
