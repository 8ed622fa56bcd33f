"""An office with its API on a real socket of loopback, and clients: one of HTTP, and one that writes octets.

Three users: `test`, whose domains are test.example, listed.example (with a list in the configuration), other.example,
which has no entry of its own, localtest.example, which has its mailboxes here, and sends.example, which it only sends
from; `stranger`, whose is theirs.example; and `root`, an administrator. Its spool and releases are real, the carrier is
a script. A call is configured, to an office at which nobody answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from argon2 import PasswordHasher
from tests.admin.desk import ScriptedCarrier
from tests.calls.played import REFUSES, Feed, PlayedOffices, means
from tests.stories.ports import free_port

from restante.admin.steering import Process, Steering
from restante.calls.schedule import Caller
from restante.clock import SystemClock
from restante.config.build import directory_of, plans_of
from restante.config.kept import KeptReader
from restante.config.load import load
from restante.config.settings import Settings
from restante.directory.entries import Directory, Entry
from restante.facts import Fact
from restante.logins.check import Logins
from restante.logins.guesses import GuessLimits
from restante.model import DomainName, Envelope, HostPort, Mailbox, MessageId, Recipient
from restante.net.door import Door, Rules
from restante.net.renewal import Renewed, ServerFiles
from restante.net.tls import Pair, ServerContext
from restante.observe.feed import FactFeed
from restante.observe.observing import ObserveMeans, Observing
from restante.observe.telling import AlarmRules
from restante.release.past import Past
from restante.release.requests import Releases
from restante.spool.spool import Arrival, Spool
from restante.store.book import open_book
from restante.store.sqlite import open_spool
from restante.web.web import Web, WebMeans

PASSWORD = "tanstaaf"
HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
"""A cheap one: these tests are not about hashing."""
CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.25"
[domains."listed.example"]
action = "hold"
next_hop = "192.0.2.25"
recipients = "listed.txt"
[domains."theirs.example"]
action = "hold"
next_hop = "192.0.2.26"
[domains."localtest.example"]
action = "deliver"
users = ["anna"]
[domains."sends.example"]
action = "relay"
next_hop = "192.0.2.28"
[calls.office]
host = "127.0.0.1:9"
domains = ["localtest.example"]
schedule = "0 3 * * *"
window = "1s"
[domains."*"]
action = "hold"
next_hop = "192.0.2.27"
"""
OWN = ("test.example", "listed.example", "other.example", "localtest.example", "sends.example")
CONTENT = b"Subject: Fuel\r\nFrom: carla@far.example\r\n\r\nTwo barrels.\r\n"
PATH = "/api/domains/test.example/recipients"
LOGIN = ("test", PASSWORD)
STRANGER = ("stranger", PASSWORD)
ROOT = ("root", PASSWORD)


@dataclass
class Office:
    """The office as it runs."""

    folder: Path
    settings: Settings
    spool: Spool
    feed: FactFeed = field(default_factory=FactFeed)
    facts: list[Fact] = field(default_factory=list)
    carrier: ScriptedCarrier = field(default_factory=ScriptedCarrier)
    clock: SystemClock = field(default_factory=SystemClock)
    totals: dict[tuple[str, ...], float] = field(default_factory=dict)

    web: Web = field(init=False)
    directory: Directory = field(init=False)
    releases: Releases = field(init=False)
    caller: Caller = field(init=False)
    past: Past = field(init=False)
    observing: Observing = field(init=False)
    is_stopping: bool = False

    def read_store(self) -> None:
        """What the store has is in force, as a running server would see within a second."""
        with contextlib.closing(open_book(self.data)) as book:
            self.directory = directory_of(self.settings, KeptReader(book, self.folder).read())

    async def mail(self, *recipients: str, sender: str = "carla@far.example", content: bytes = CONTENT) -> MessageId:
        """A message for recipients of any domains, accepted an hour ago."""
        mailboxes = [Mailbox.parse(recipient) for recipient in recipients or ("anna@test.example",)]
        envelopes = [
            (domain, Envelope(Mailbox.parse(sender), tuple(Recipient(m) for m in mailboxes if m.domain == domain)))
            for domain in dict.fromkeys(mailbox.domain for mailbox in mailboxes)
        ]
        message = self.spool.new_id()
        await self.spool.accept(Arrival(message, content, len(content), envelopes, self.clock.wall() - 3600))
        return message

    @property
    def address(self) -> str:
        """Of its API."""
        assert self.settings.admin is not None
        return str(self.settings.admin.address)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.settings.data

    def client(self, login: tuple[str, str] | None = LOGIN, *, ca: Path | None = None) -> httpx2.AsyncClient:
        """A client of its API, with a login; over TLS where it trusts an authority."""
        verify = ssl.create_default_context(cafile=ca) if ca is not None else False
        url = f"http{'s' if ca is not None else ''}://{self.address}"
        return httpx2.AsyncClient(base_url=url, auth=login, trust_env=False, verify=verify, timeout=90)

    async def says(self, octets: bytes, *, closes: bool = False) -> bytes:
        """What comes for these octets: all of it until the office hangs up, or the first piece."""
        reader, writer = await asyncio.open_connection(*self.address.split(":"))
        try:
            writer.write(octets)
            async with asyncio.timeout(60):
                return await (reader.read() if closes else reader.read(65536))
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def settings_of(folder: Path, admin: str | None = None) -> Settings:
    """The settings, as a file has them; `admin` is that table."""
    users = "".join(
        f'[users.{name}]\npassword = "{HASH}"\ndomains = {list(domains)}\n'
        for name, domains in (("test", OWN), ("stranger", ("theirs.example",)))
    )
    users += f'[users.root]\npassword = "{HASH}"\nadmin = true\n'
    admin = f'address = "127.0.0.1:{free_port()}"' if admin is None else admin
    (folder / "listed.txt").write_text("bert@listed.example\n")
    (folder / "restante.toml").write_text(f"{CONFIG}{users}" + (f"[admin]\n{admin}\n" if admin else ""))
    return load(folder / "restante.toml")


@contextlib.asynccontextmanager
async def serving(
    folder: Path, admin: str | None = None, *, pair: Pair | None = None, limits: GuessLimits | None = None
) -> AsyncIterator[Office]:
    """An office, with the certificate of a pair."""
    settings = settings_of(folder, admin)
    settings.data.mkdir(exist_ok=True)
    spool = await open_spool(settings.data / "spool")
    office = Office(folder, settings, spool)
    office.directory = directory_of(settings)
    office.feed.subscribe(office.facts.append)
    clock = office.clock
    logins = Logins(lambda: office.directory, clock, b"k" * 32, limits or GuessLimits())
    tls = Renewed(ServerFiles(pair.certificate, pair.key), no_complaint) if pair is not None else None

    def context() -> ServerContext:
        assert tls is not None, "no certificate"
        return tls.context()

    def carry(entry: Entry, destination: DomainName | None, to: HostPort | None) -> ScriptedCarrier:
        del entry, destination
        office.carrier.to = to
        return office.carrier

    office.releases = Releases(
        spool=spool,
        directory=lambda: office.directory,
        carriers=carry,
        announce=office.feed.announce,
        clock=clock,
        hostname="office.example",
    )
    office.past = Past({}, lambda: office.directory, clock)
    calls = means(PlayedOffices(REFUSES), clock, Feed())
    office.caller = Caller(plans_of(settings, office.directory), calls)
    steering = Steering(
        spool=spool,
        directory=lambda: office.directory,
        releases=office.releases,
        caller=office.caller,
        reload=None,
        clock=clock,
        announce=office.feed.announce,
        process=lambda: Process(clock.wall() - 60),
        last_contact={"test.example": 1_000_000.0}.get,
        past=office.past,
    )
    office.observing = Observing(office.feed.announce, clock)
    office.feed.subscribe(office.observing.heard)
    office.observing.start(
        ObserveMeans(
            spool=spool,
            directory=lambda: office.directory,
            rules=AlarmRules,
            arrived=office.releases.arrived,
            releases=office.releases.counts,
            connections=lambda: 1,
            sessions=lambda: 0,
            certificate=lambda: None,
            is_stopping=lambda: office.is_stopping,
            rows={},
            remember=lambda _put, _gone: None,
        )
    )
    office.web = Web(
        WebMeans(
            settings=lambda: office.settings,
            directory=lambda: office.directory,
            logins=lambda: logins,
            announce=office.feed.announce,
            clock=clock,
            door=Door(Rules()),
            tls=context,
            folder=folder,
            steering=lambda: steering,
            subscribe=office.feed.subscribe,
            totals=lambda: office.totals,
            observing=office.observing,
        )
    )
    try:
        async with office.web.changing(settings):
            pass
        yield office
    finally:
        office.carrier.open.set()
        await office.web.close_door()
        await office.web.end(5)
        await office.caller.stop(1)
        await office.releases.stop(1)
        await office.observing.stop()
        await spool.close()
        logins.close()


def no_complaint(text: str) -> None:
    """A certificate that cannot be renewed would be the test's own mistake."""
    assert "is in force now" in text, text
