"""Builds the rooms from the settings, starts them in order, and stops them in the opposite one.

The only module that knows every room. run() is the process: it reads the configuration, serves until SIGTERM or
SIGINT, and gives the exit status. SIGHUP, or `restante reload`, reads the configuration again: what can change in a
running server (domains, limits, listeners, calls, certificates) changes at once; a bad file changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import uvloop

from restante.admin.control import ControlServer
from restante.admin.protocol import SOCKET
from restante.admin.steering import Process, Steering
from restante.calls.plan import CallMeans
from restante.calls.schedule import Caller
from restante.calls.window import Schedule
from restante.calls.zone import local_zone
from restante.clock import SystemClock
from restante.config.load import ConfigError, Problem, folder_of, load, plans_of
from restante.config.notes import notes_of
from restante.config.rules import alarm_rules, door_rules, filter_rules
from restante.config.settings import Listen, Settings
from restante.config.watch import StoreWatch
from restante.directory.entries import Delivered, Directory, Entry, Rejected
from restante.directory.learned import Learned
from restante.directory.local import delivered_here, who_exists
from restante.directory.routing import Reader, readers_for
from restante.errors import RestanteError
from restante.facts import Announce, ConfigurationReloaded
from restante.filtering.screen import Screen
from restante.logins.check import Logins
from restante.logins.disguise import load_disguise
from restante.logins.guesses import GuessLimits
from restante.model import Caller as ToCaller
from restante.model import DomainName, HostPort, Mailbox
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.door import Door, Guest, Rules
from restante.net.listen import Listener
from restante.net.networks import Networks
from restante.net.renewal import Renewed, ServerFiles
from restante.net.stream import Stream, StreamClosed, StreamTimeout
from restante.net.tls import ServerContext, self_signed
from restante.net.tuning import allow_many_files
from restante.observe import log
from restante.observe.feed import FactFeed
from restante.observe.observing import ObserveMeans, Observing
from restante.release.allowance import Allowance
from restante.release.answers import NoSuchEntry
from restante.release.learning import learns
from restante.release.requests import Releases
from restante.release.upkeep import Upkeep, open_upkeep
from restante.server.admission import Admission
from restante.server.over import Over
from restante.server.services import Limits, Services
from restante.server.session import Session
from restante.server.turning import Often, Turning
from restante.smtp.client import Ahead
from restante.smtp.services import Service
from restante.spool.spool import Spool
from restante.store.learned import LearnedKeeper
from restante.store.private import make_private
from restante.store.sqlite import open_spool_apart
from restante.transport.delivery import final_carrier
from restante.transport.outcome import Carrier
from restante.transport.outward import Outward
from restante.transport.smtp import SmtpMeans
from restante.web.web import Web, WebMeans

STOP_SECONDS = 8.0
FIXED = ("data", "store", "hostname")
"""Settings that a running server keeps until it is started again."""


def run(file: Path) -> int:
    """Serves what the configuration file says, in the foreground; the exit status."""
    log.configure()
    gc.disable()  # until all is made: with a hundred thousand domains each collection would look at all again
    try:
        settings = load(file)
    except ConfigError as error:
        for problem in error.problems:
            log.say("configuration problem", level="error", problem=str(problem))
        return 2
    with contextlib.suppress(KeyboardInterrupt):
        return uvloop.run(_serve(file, settings))
    return 0


async def _serve(file: Path, settings: Settings) -> int:
    app = App(file, settings)
    try:
        await app.start()
    except RestanteError as error:
        log.say("cannot start", level="error", reason=str(error))
        await app.stop()
        return 1
    log.say("ready", hostname=settings.hostname, pid=os.getpid())
    log.notify("READY=1")
    await app.until_stopped()
    log.say("stopping")
    log.notify("STOPPING=1")
    await app.stop()
    log.say("stopped")
    return 0


class App:
    """One server process. start(), until_stopped(), stop(), once each."""

    def __init__(self, file: Path, settings: Settings) -> None:
        self._file = file
        self._settings = settings
        self._directory = Directory(settings.hostname, ())
        self._clock = SystemClock()
        self._facts = FactFeed()
        self._observing = Observing(self._facts.announce, self._clock)
        self._door = Door(Rules())
        self._listeners: dict[Listen, Listener] = {}
        self._sessions: dict[Session, AsyncioStream] = {}
        self._octets_of_ended = 0
        self._tls: Renewed | None = None
        self._started = self._clock.wall()
        self._stopped = asyncio.Event()
        self._logins: Logins | None = None
        self._spool: Spool | None = None
        self._releases: Releases | None = None
        self._allowance = Allowance(self._clock.monotonic, settings.limits.notices)
        self._upkeep: Upkeep | None = None
        self._turning: Turning | None = None
        self._caller: Caller | None = None
        self._learned = Learned()
        self._keeper = LearnedKeeper(self._learned, settings.data, self._clock, _note)
        self._admission: Admission | None = None
        self._screen = Screen(settings.hostname, settings.data, self._facts.announce, self._clock)
        self._outward = Outward(settings.data, self._clock, _note)
        self._web = Web(self._web_means())
        self._control: ControlServer | None = None
        self._watch: StoreWatch | None = None
        self._reloading: asyncio.Task[tuple[str, ...]] | None = None  # kept, for the loop does not

    async def start(self) -> None:
        """Everything, in order; on return mail can come in. Raises RestanteError."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log.unexpected)
        self._facts.subscribe(log.log_fact)
        self._facts.subscribe(self._observing.heard)
        allow_many_files()
        make_private(self._settings.data)
        self._watch = StoreWatch(self._settings.data, folder_of(self._file))
        reading = ThreadPoolExecutor(1)  # of two threads that read rows each waits for the other at each row
        loop.set_default_executor(reading)
        opening = loop.create_task(self._open_spool())
        await asyncio.sleep(0)  # what it reads comes first: then its process reads while the directory is made
        try:
            self._directory = await self._watch.build(self._settings)
        finally:
            await asyncio.wait([opening])
            loop.set_default_executor(ThreadPoolExecutor())
            reading.shutdown(wait=False)
            self._spool = await opening
        self._admission = self._make_admission(self._spool)
        self._keeper.start()
        self._door.rules = door_rules(self._settings, self._directory)
        if self._watch.lost:
            log.say("users and domains that were kept in the store are gone", reason=self._watch.lost)
        for problem in self._watch.problems:
            log.say("configuration problem", level="error", problem=str(problem))
        for note in notes_of(self._settings, self._directory):
            log.say("note", text=note)
        self._tls = self._server_context(self._settings)
        self._outward.use(self._settings.dns, [listen.address for listen in self._settings.listen])
        guesses = GuessLimits.of(self._settings.limits.auth_failures)
        self._logins = Logins(lambda: self._directory, self._clock, load_disguise(self._settings.data), guesses)
        self._releases = self._make_releases(self._spool)
        self._upkeep = await self._make_upkeep(self._spool, self._releases)
        self._turning = self._make_turning(self._releases)
        self._caller = Caller(
            plans_of(self._settings, self._directory),
            self._call_means(self._releases),
            state=self._settings.data / "calls.json",
            note=_note,
        )
        self._screen.use(filter_rules(self._settings))
        self._observing.start(self._observe_means(self._spool, self._releases, self._upkeep))
        async with self._web.changing(self._settings):
            await self._listen(self._settings)
        self._control = ControlServer(self._settings.data / SOCKET, self._steering())
        await self._control.start()
        for number, do in (
            (signal.SIGTERM, self._stopped.set),
            (signal.SIGINT, self._stopped.set),
            (signal.SIGHUP, self._reload_soon),
        ):
            loop.add_signal_handler(number, do)
        self._caller.start()
        self._watch.start(self._store_changed, self._clock)
        self._releases.wake_all()
        self._upkeep.start()
        gc.set_threshold(25_000, 20, 50)
        gc.freeze()  # what was made at start stays: no collection need look at it again
        gc.enable()

    async def until_stopped(self) -> None:
        """Returns at SIGTERM or SIGINT."""
        await self._stopped.wait()

    async def stop(self) -> None:
        """Takes nothing more, lets what is on its way finish for STOP_SECONDS, and closes the spool."""
        if self._watch is not None:
            await self._watch.stop()
        for listener in self._listeners.values():
            await listener.close_door()
        await self._web.close_door()
        for session in list(self._sessions):
            session.stop()
        self._screen.stop(STOP_SECONDS / 2)
        ends = [listener.end_sessions(STOP_SECONDS) for listener in self._listeners.values()]
        ends.append(self._web.end(STOP_SECONDS))
        if self._caller is not None:
            ends.append(self._caller.stop(STOP_SECONDS))
        if self._releases is not None:
            ends.append(self._releases.stop(STOP_SECONDS))
        await asyncio.gather(*ends)
        await self._observing.stop()
        if self._upkeep is not None:
            await self._upkeep.stop()
        await self._keeper.stop()
        await self._screen.close()
        self._outward.close()
        if self._control is not None:
            await self._control.stop()
        if self._logins is not None:
            self._logins.close()
        if self._spool is not None:
            await self._spool.close()

    # rooms

    async def _open_spool(self) -> Spool:
        folder = self._settings.data / "spool"
        return await open_spool_apart(folder, wall=self._clock.wall, announce=self._facts.announce)

    def _make_releases(self, spool: Spool) -> Releases:
        return Releases(
            spool=spool,
            directory=lambda: self._directory,
            carriers=self._carrier,
            announce=self._facts.announce,
            clock=self._clock,
            hostname=self._settings.hostname,
            at_once=self._settings.limits.releases,
            allowance=self._allowance,
            learn=learns(self._learned, lambda: self._directory, self._clock),
        )

    def _make_admission(self, spool: Spool) -> Admission:
        return Admission(
            directory=lambda: self._directory,
            spool=spool,
            learned=self._learned,
            clock=self._clock,
            hostname=self._settings.hostname,
            announce=self._facts.announce,
        )

    async def _make_upkeep(self, spool: Spool, releases: Releases) -> Upkeep:
        upkeep = await open_upkeep(
            self._settings.data,
            spool=spool,
            directory=lambda: self._directory,
            routes=releases,
            schedules=partial(Schedule, zone=local_zone()),
            allowance=self._allowance,
            announce=self._facts.announce,
            clock=self._clock,
            hostname=self._settings.hostname,
        )
        if upkeep.trouble:
            log.say("the history is in memory alone: after a restart all mail is young", reason=upkeep.trouble)
        if upkeep.lost:
            log.say("the history is begun anew: all mail is young", reason=upkeep.lost)
        self._facts.subscribe(upkeep.heard)
        return upkeep

    def _make_turning(self, releases: Releases) -> Turning:
        return Turning(
            releases=releases,
            directory=lambda: self._directory,
            announce=self._facts.announce,
            hostname=self._settings.hostname,
            ahead=self._ahead,
            often=Often(self._clock),
        )

    def _ahead(self) -> Ahead:
        return Ahead(self._settings.limits.ahead_messages, self._settings.limits.ahead_octets)

    def _call_means(self, releases: Releases) -> CallMeans:
        return CallMeans(
            dial=dial,
            releaser=releases,
            subscribe=self._facts.subscribe,
            announce=self._facts.announce,
            clock=self._clock,
            hostname=self._settings.hostname,
            serve=self._turned_session,
            octets_in=self._octets_in,
            ahead=self._ahead,
            who_exists=lambda domains: who_exists(self._directory, frozenset(domains)),
        )

    def _observe_means(self, spool: Spool, releases: Releases, upkeep: Upkeep) -> ObserveMeans:
        return ObserveMeans(
            spool=spool,
            directory=lambda: self._directory,
            rules=lambda: alarm_rules(self._settings),
            arrived=releases.arrived,
            releases=releases.counts,
            connections=lambda: len(self._door),
            sessions=lambda: len(self._sessions),
            certificate=lambda: self._tls_context().ends,
            is_stopping=self._stopped.is_set,
            rows=upkeep.alarms,
            remember=upkeep.remember,
        )

    def _web_means(self) -> WebMeans:
        return WebMeans(
            settings=lambda: self._settings,
            directory=lambda: self._directory,
            logins=lambda: self._logins,
            announce=self._facts.announce,
            clock=self._clock,
            door=self._door,
            tls=self._tls_context,
            folder=folder_of(self._file),
            steering=self._steering,
            subscribe=self._facts.subscribe,
            totals=self._observing.totals,
            observing=self._observing,
        )

    def _steering(self) -> Steering:
        assert self._spool is not None
        assert self._upkeep is not None
        return Steering(
            spool=self._spool,
            directory=lambda: self._directory,
            releases=self._releases,
            caller=self._caller,
            reload=self.reload,
            clock=self._clock,
            announce=self._facts.announce,
            process=self._process,
            last_contact=self._upkeep.last_contact,
            past=self._upkeep.past,
        )

    def _process(self) -> Process:
        return Process(
            started=self._started,
            listening=tuple(str(listener.address) for listener in self._listeners.values()),
            connections=len(self._sessions),
        )

    def _carrier(self, entry: Entry, destination: DomainName | None, to: HostPort | None) -> Carrier:
        """How an entry's items leave. Raises NoSuchEntry where there is nowhere to."""
        if isinstance(entry, Delivered):
            return final_carrier(entry, self._settings.data / "mailboxes", self._readers, self._means())
        if isinstance(entry, Rejected):
            raise NoSuchEntry(f"mail for {entry.name} is refused, not sent on")
        target = to or entry.next_hop
        if isinstance(target, ToCaller):
            raise NoSuchEntry(f"{entry.name} is released to whoever calls; say where to")
        return self._outward.carrier(entry, destination, target, self._means())

    def _means(self) -> SmtpMeans:
        most = self._settings.limits.delivery_connections
        return SmtpMeans(dial, self._settings.hostname, self._clock.monotonic, self._ahead(), most)

    def _readers(self, mailbox: Mailbox) -> tuple[Reader, ...]:
        return readers_for(self._directory, mailbox)

    # mail coming in

    def _server_context(self, settings: Settings) -> Renewed:
        """What our certificate's files make, now and when they are renewed. Raises CertificateError."""
        certificate, key = settings.tls.certificate, settings.tls.key
        if certificate is None or key is None:
            certificate, key, is_new = self_signed(settings.data, settings.hostname)
            if is_new:
                log.say("made a self-signed certificate", file=str(certificate))
        return Renewed(ServerFiles(certificate, key, settings.tls.client_ca), _note)

    def _tls_context(self) -> ServerContext:
        assert self._tls is not None, "not before start()"
        return self._tls.context()

    async def _listen(self, settings: Settings) -> None:
        """Opens the doors that are new, and closes those that are gone. Raises CannotListen: then none was opened."""
        opened: dict[Listen, Listener] = {}
        gone = {listen: door for listen, door in self._listeners.items() if listen not in settings.listen}
        kept_addresses = {listen.address: listen for listen in gone}
        try:
            for listen in settings.listen:
                if listen in self._listeners:
                    continue
                if listen.address in kept_addresses:  # the same door with other manners
                    await gone[kept_addresses[listen.address]].close_door()
                door = Listener(
                    listen.address,
                    partial(self._session, listen, self._services(listen, settings)),
                    self._door,
                    proxies=Networks(listen.proxy_from),
                    announce=self._facts.announce,
                )
                await door.start()
                opened[listen] = door
                log.say("listening", address=str(listen.address), service=listen.service)
        except RestanteError:
            for door in opened.values():
                await door.close_door()
            raise
        for listen, door in gone.items():
            await door.close_door()
            del self._listeners[listen]
        for listen, door in self._listeners.items():
            door.handler = partial(self._session, listen, self._services(listen, settings))
        self._listeners |= opened

    def _session(self, listen: Listen, services: Services, stream: AsyncioStream, guest: Guest) -> Awaitable[None]:
        return (self._secured if listen.tls == "implicit" else self._begun)(services, stream, guest)

    async def _secured(self, services: Services, stream: AsyncioStream, guest: Guest) -> None:
        guest.waiting_since = self._clock.monotonic()
        with contextlib.suppress(StreamClosed, StreamTimeout):
            await stream.begin_tls(self._tls_context())
            await self._begun(services, stream, guest)

    def _begun(self, services: Services, stream: AsyncioStream, guest: Guest) -> Over:
        session = Session(stream, services, guest)
        self._sessions[session] = stream
        over = session.begin()
        over.add_done_callback(lambda _: self._ended(session))
        return over

    def _ended(self, session: Session) -> None:
        self._octets_of_ended += self._sessions.pop(session).received

    def _services(self, listen: Listen, settings: Settings) -> Services:
        """What all sessions of one listener have, made once: it takes longer than to greet."""
        assert self._spool is not None
        assert self._releases is not None
        return Services(
            hostname=settings.hostname,
            spool=self._spool,
            directory=lambda: self._directory,
            ask=self._releases.ask_in_turns,
            arrived=self._releases.arrived,
            announce=self._facts.announce,
            clock=self._clock,
            limits=_limits(settings),
            tls=self._tls_context if listen.tls == "starttls" else None,
            service=Service(listen.service),
            logins=self._logins,
            tls_first=listen.require_tls,
            passwords_in_clear=listen.auth_in_clear,
            turning=self._turning,
            screen=self._screen,
            admission=self._admission,
        )

    def _turned_session(self, stream: Stream, domains: frozenset[DomainName], announce: Announce) -> Session:
        """Takes what an office sends over a connection of ours: for these domains of ours, or all, and no others."""
        assert self._spool is not None
        assert self._releases is not None
        ours = delivered_here(self._directory, domains)
        services = Services(
            hostname=self._settings.hostname,
            spool=self._spool,
            directory=lambda: ours,
            ask=self._releases.ask_in_turns,
            arrived=self._releases.arrived,
            announce=announce,
            clock=self._clock,
            limits=_limits(self._settings),
            tls=self._tls_context,
            service=Service.TURNED,
        )
        return Session(stream, services)

    def _octets_in(self) -> int:
        return self._octets_of_ended + sum(stream.received for stream in self._sessions.values())

    # reload

    def _reload_soon(self) -> None:
        self._reloading = asyncio.get_running_loop().create_task(self.reload())

    async def reload(self) -> tuple[str, ...]:
        """Reads the configuration again; the problems, or none when it is in force."""
        log.notify(log.reloading())
        try:
            return await self._reload()
        finally:
            log.notify("READY=1")

    async def _reload(self) -> tuple[str, ...]:
        assert self._watch is not None
        try:
            settings = load(self._file)
            self._check_fixed(settings)
            context = self._server_context(settings)
            directory = await self._watch.build(settings, afresh=True)
            async with self._web.changing(settings):
                await self._listen(settings)
        except ConfigError as error:
            return self._reloaded(tuple(str(problem) for problem in error.problems))
        except RestanteError as error:
            return self._reloaded((str(error),))
        self._settings = settings
        self._outward.use(settings.dns, [listen.address for listen in settings.listen])
        self._allowance.per_hour = settings.limits.notices
        self._observing.rules_changed()
        self._screen.use(filter_rules(settings))
        self._tls = context
        assert self._logins is not None
        self._logins.guesses.limits = GuessLimits.of(settings.limits.auth_failures)
        self._use(directory)
        if self._watch.problems:
            self._store_read()
        return self._reloaded(())

    def _use(self, directory: Directory) -> None:
        """From now on this is what is known of domains and users."""
        assert self._releases is not None
        assert self._caller is not None
        self._directory = directory
        self._door.rules = door_rules(self._settings, directory)
        self._caller.replace_plans(plans_of(self._settings, directory))
        self._releases.wake_all()

    async def _store_changed(self) -> None:
        """Reads what has changed of the users and domains in the store. Raises BookUnusable."""
        assert self._watch is not None
        settings = None
        while settings is not self._settings:  # else a reload has come between
            settings = self._settings
            directory = await self._watch.build(settings)
        self._use(directory)
        self._store_read()

    def _store_read(self) -> None:
        assert self._watch is not None
        problems = tuple(str(problem) for problem in self._watch.problems)
        self._facts.announce(ConfigurationReloaded(str(self._watch.file), problems))

    def _check_fixed(self, settings: Settings) -> None:
        """What cannot change in a running server has not changed. Raises ConfigError."""
        allowed = "what is in force, until a restart"
        problems = tuple(
            Problem(self._file, name, str(getattr(settings, name)), allowed)
            for name in FIXED
            if getattr(settings, name) != getattr(self._settings, name)
        )
        if problems:
            raise ConfigError(problems)

    def _reloaded(self, problems: tuple[str, ...]) -> tuple[str, ...]:
        self._facts.announce(ConfigurationReloaded(str(self._file), problems))
        return problems


def _note(text: str) -> None:
    log.say("note", text=text)


def _limits(settings: Settings) -> Limits:
    limits = settings.limits
    return Limits(
        limits.message_size,
        limits.recipients,
        limits.command_timeout,
        limits.hops,
        limits.min_rate,
        limits.header_size,
    )
