"""A host with a real spool, releases and calls, and the desk from which it is steered; only its carrier is a script."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.calls.played import Feed, PlayedOffices, means

from restante.admin.control import ControlClient, ControlServer
from restante.admin.protocol import AnyAnswer, AnyRequest
from restante.admin.steering import Process, Steering
from restante.calls.plan import CallPlan
from restante.calls.schedule import Caller
from restante.calls.window import Schedule
from restante.clock import SystemClock
from restante.directory.entries import Directory, Entry, Held, Quota, Relayed
from restante.model import Caller as ToCaller
from restante.model import DomainName, Envelope, HostPort, Mailbox, MessageId, Notify, Recipient
from restante.release.requests import Releases
from restante.spool.spool import INLINE_LIMIT, Arrival, ContentWriter, Spool
from restante.store.sqlite import open_spool
from restante.transport.outcome import CarryEnd, Deferred, Delivered, ItemOutcome, Outcome, Report
from restante.transport.outcome import Feed as Parcels

TEST = DomainName("test.example")
CONTENT = b"Subject: Fuel\r\nFrom: carla@far.example\r\n\r\nTwo barrels.\r\n"
OFFICE = HostPort("office.example")


class ScriptedCarrier:
    """Reports every parcel with `outcome`, once `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.outcome: Outcome = Delivered("250 2.0.0 OK")
        self.error = ""
        self.to: HostPort | None = None

    @property
    def target(self) -> str:
        """Where to."""
        return str(self.to or "192.0.2.25:25")

    async def carry(self, feed: Parcels, report: Report) -> CarryEnd:
        """As told."""
        while parcel := await feed.next():
            await self.open.wait()
            recipients = parcel.item.envelope.recipients
            report(ItemOutcome(parcel.item, [(recipient.mailbox, self.outcome) for recipient in recipients]))
        return CarryEnd(error=self.error)


class Desk:
    """What a test takes in its hands."""

    def __init__(self, spool: Spool, offices: PlayedOffices) -> None:
        self.spool = spool
        self.carrier = ScriptedCarrier()
        self.feed = Feed()
        self.problems: tuple[str, ...] = ()
        self.quota = Quota(items=4, octets=10 * len(CONTENT))
        clock = SystemClock()
        entries: Sequence[Entry] = (
            Held("test.example", HostPort("192.0.2.25"), quota=self.quota),
            Held("caller.example", ToCaller()),
            Relayed("fast.example", HostPort("192.0.2.26")),
        )
        self.directory = Directory("office.example", entries)
        self.releases = Releases(
            spool=spool,
            directory=lambda: self.directory,
            carriers=self._carry,
            announce=self.feed.announce,
            clock=clock,
            hostname="office.example",
        )
        plan = CallPlan("office", OFFICE, (TEST,), schedule=Schedule.parse(("0 3 * * *",)), window=60, idle=0.2)
        self.caller = Caller([plan], means(offices, clock, self.feed))
        self.steering = Steering(
            spool=spool,
            directory=lambda: self.directory,
            releases=self.releases,
            caller=self.caller,
            reload=self._reload,
            clock=clock,
            announce=self.feed.announce,
            process=lambda: Process(clock.wall() - 60, ("127.0.0.1:25",), 2),
        )
        self.alone = Steering(
            spool=spool,
            directory=lambda: self.directory,
            releases=None,
            caller=None,
            reload=None,
            clock=clock,
            announce=self.feed.announce,
            process=None,
        )

    def _carry(self, entry: Entry, destination: DomainName | None, to: HostPort | None) -> ScriptedCarrier:
        del entry, destination
        self.carrier.to = to
        return self.carrier

    async def _reload(self) -> tuple[str, ...]:
        return self.problems

    async def mail(
        self,
        *recipients: str,
        content: bytes = CONTENT,
        sender: str = "carla@far.example",
        notify: tuple[Notify, ...] | None = None,
    ) -> MessageId:
        """A message for recipients of any domains, accepted a minute ago."""
        mailboxes = [Mailbox.parse(recipient) for recipient in recipients or ("anna@test.example",)]
        message = self.spool.new_id()
        path = Mailbox.parse(sender) if sender else None
        envelopes = [
            (domain, Envelope(path, tuple(Recipient(m, notify) for m in mailboxes if m.domain == domain)))
            for domain in dict.fromkeys(mailbox.domain for mailbox in mailboxes)
        ]
        arrived = SystemClock().wall() - 60
        where: bytes | ContentWriter = content
        if len(content) > INLINE_LIMIT:
            where = await self.spool.writer(message, len(content))
            await where.write(content)
        await self.spool.accept(Arrival(message, where, len(content), envelopes, arrived))
        return message

    async def ask(self, request: AnyRequest, *, alone: bool = False) -> AnyAnswer:
        """The one answer to a request."""
        (answer,) = await self.ask_all(request, alone=alone)
        return answer

    async def ask_all(self, request: AnyRequest, *, alone: bool = False) -> list[AnyAnswer]:
        """All answers to a request."""
        steering = self.alone if alone else self.steering
        return [answer async for answer in steering.answers(request)]


@asynccontextmanager
async def desk(folder: Path, *scripts: str) -> AsyncIterator[Desk]:
    """A host whose spool lies in `folder`; the office that it calls plays `scripts`."""
    offices = PlayedOffices(*scripts)
    spool = await open_spool(folder / "spool")
    made = Desk(spool, offices)
    try:
        yield made
    finally:
        made.carrier.open.set()
        await made.caller.stop(1)
        await made.releases.stop(1)
        await offices.closed()
        await spool.close()


@asynccontextmanager
async def controlled(folder: Path, *scripts: str) -> AsyncIterator[tuple[Desk, Path]]:
    """The same with its control socket."""
    path = folder / "control.sock"
    async with desk(folder, *scripts) as made:
        server = ControlServer(path, made.steering)
        await server.start()
        try:
            yield made, path
        finally:
            await server.stop()


async def ask(path: Path, request: AnyRequest) -> list[AnyAnswer]:
    """All answers to a request, as another process would get them."""
    return await asyncio.to_thread(lambda: list(ControlClient(path, patience=90).ask(request)))


def deferred() -> Deferred:
    """What a full site says."""
    return Deferred("452 4.3.1 no space")
