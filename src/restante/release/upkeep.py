"""What is done by itself with what waits, every few minutes: the log of ids is kept, contacts are noted, and mail that
has waited too long, or is late, is seen to (expiry.py).

start() and stop() once each; heard() is told every fact. What it remembers is on disk at the latest a few minutes after
it was learned, contacts within seconds. A disk that does not take it costs only what a restart then forgets: mail is
younger than it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from restante.clock import Clock
from restante.directory.entries import Directory, Held
from restante.facts import (
    AlarmKind,
    AlarmRaised,
    Announce,
    CallEnded,
    CallStarted,
    Fact,
    MessageAccepted,
    ReleaseDecided,
    ReleaseEnded,
)
from restante.model import DomainName, MessageId
from restante.release.ages import MARK_SECONDS, Mark, SteadyClock
from restante.release.allowance import Allowance
from restante.release.deadlines import Deadlines
from restante.release.destinations import entry_of
from restante.release.expected import Expected
from restante.release.expiry import Sweep
from restante.release.memory import clock_row, contact_rows, mark_names, mark_rows, remembered, site_rows
from restante.release.past import Past
from restante.release.reports import Reports
from restante.release.requests import CHANGED
from restante.release.retention import Moment, Schedules
from restante.release.run import STOPPED, WINDOW_OVER, Routes, explained
from restante.spool.spool import Spool, SpoolBroken
from restante.store.history import History, HistoryUnusable, open_history

CUT_SHORT = frozenset({STOPPED, CHANGED, WINDOW_OVER})
ROUND_SECONDS = 60.0
SOON_SECONDS = 2.0
PART_OF_TIME = 0.01
"""The sweeps take no more of it: with very much mail they come less often."""
ON_ITS_WAY_SECONDS = 3600.0
"""A message has its id from MAIL on. So long before a release began it must have come to count as offered by it."""


async def open_upkeep(
    data: Path,
    *,
    spool: Spool,
    directory: Callable[[], Directory],
    routes: Routes,
    schedules: Schedules,
    allowance: Allowance,
    announce: Announce,
    clock: Clock,
    hostname: str,
) -> Upkeep:
    """The upkeep of the spool of a data folder, with what is remembered there."""
    return Upkeep(
        spool=spool,
        directory=directory,
        routes=routes,
        history=await asyncio.to_thread(open_history, data),
        schedules=schedules,
        allowance=allowance,
        announce=announce,
        clock=clock,
        hostname=hostname,
    )


class Upkeep:
    """One for a host. `schedules` reads cron expressions; `routes` are those of its releases."""

    def __init__(
        self,
        *,
        spool: Spool,
        directory: Callable[[], Directory],
        routes: Routes,
        history: History,
        schedules: Schedules,
        allowance: Allowance,
        announce: Announce,
        clock: Clock,
        hostname: str,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._history = history
        self._clock = clock
        rows = history.rows()
        known = remembered(rows)
        self._ages, self._contacts = known.ages, known.contacts
        self._expected = Expected(known.sites, schedules, announce)
        self.alarms = known.alarms
        """What was remembered of alarms; see remember()."""
        self.past = Past(rows, directory, clock)
        self._steady = SteadyClock(clock, known.ages.steady, known.wall, known.since)
        self._tried: dict[str, MessageId] = {}
        self._saving = asyncio.Lock()
        self._soon: asyncio.Task[None] | None = None
        self._rounds: asyncio.Task[None] | None = None
        self._put: dict[str, bytes] = {}
        self._gone: list[str] = []
        self.trouble = history.trouble
        """Why nothing of this outlives the process; empty where it does."""
        self.lost = history.lost
        """Why nothing is remembered of the time before, though something was; else empty."""
        reports = Reports(spool, hostname=hostname, allowance=allowance, can_route=routes.can_route)
        self._sweep = Sweep(
            spool=spool,
            directory=directory,
            contacts=self._contacts,
            reports=reports,
            routes=routes,
            announce=announce,
            schedules=schedules,
        )
        self._deadlines = Deadlines(spool, self._sweep)
        self._hearing: Mapping[type, Callable[[Any], None]] = {
            MessageAccepted: self._accepted,
            ReleaseDecided: self._asked,
            ReleaseEnded: self._ended,
            CallStarted: self.past.heard,
            CallEnded: self._called,
            AlarmRaised: self._alarm,
        }
        first = spool.new_id()
        self._put |= mark_rows(self._ages.begin_at(first))
        self._contacts.begin_at(first)

    def start(self) -> None:
        """Begins its rounds."""
        self.note()
        self._rounds = asyncio.get_running_loop().create_task(self._go_round())

    async def stop(self) -> None:
        """Ends them, and writes what is not written yet."""
        tasks = [task for task in (self._rounds, self._soon) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        while self.past.settle():
            pass
        self.note()
        await self.save()
        self._history.close()

    def heard(self, fact: Fact) -> None:
        """Notes what a release was to the mail that it was for, that a site is there, and what has come in."""
        hear = self._hearing.get(type(fact))
        if hear is not None:
            hear(fact)

    def _accepted(self, fact: MessageAccepted) -> None:
        self._deadlines.accepted(fact.message)

    def _asked(self, fact: ReleaseDecided) -> None:
        if self._expected.asked(fact, self._directory(), wall=self._clock.wall(), steady=self._steady.now()):
            self._save_soon()
        self.past.heard(fact)

    def _called(self, fact: CallEnded) -> None:
        self.past.heard(fact)
        self._keep_past()
        self._save_soon()

    def _alarm(self, fact: AlarmRaised) -> None:
        if fact.alarm is AlarmKind.CONTACT:
            self._missed(fact.subject)

    def _ended(self, fact: ReleaseEnded) -> None:
        has_reached = bool(fact.delivered or fact.deferred or fact.failed) or not fact.error
        began = self._steady.now() - fact.seconds
        upto = self._ages.last_at(began - ON_ITS_WAY_SECONDS)
        if upto is not None and (has_reached or fact.error not in CUT_SHORT):
            self._tried[fact.domain] = upto
        entry = entry_of(self._directory(), fact.domain)
        if has_reached and isinstance(entry, Held):
            self._contacts.noted(
                fact.domain,
                wall=self._clock.wall(),
                steady=self._steady.now(),
                offered=None if fact.error else upto,
                kept=entry.retention.contacts,
            )
            self._expected.seen(fact.domain, wall=self._clock.wall(), steady=self._steady.now())
            self.past.reached(fact)
            self._save_soon()

    def last_contact(self, name: str) -> float | None:
        """The wall time at which a release last reached the next hop of a destination; None where that is not known."""
        contact = self._contacts.get(name)
        return None if contact is None else contact.wall

    def note(self) -> None:
        """Marks in the log which id is the last now."""
        wall = self._steady.look()
        mark = Mark(self._steady.now(), self._spool.new_id())
        left_out = self._ages.note(mark)
        self._put |= mark_rows([mark]) | clock_row(wall, self._steady)
        self._gone += mark_names(left_out)
        self._keep_past()

    async def see_to_all(self) -> None:
        """One sweep, of all that waits. Raises SpoolBroken."""
        self._forget(self._spool.domains().__contains__)
        await self._sweep.sweep(self._moment())
        await self._deadlines.forget_gone()

    async def see_to_deadlines(self) -> None:
        """Of what is to be delivered by some time, that whose time is over. Raises SpoolBroken."""
        await self._deadlines.look(self._moment())

    async def see_to_sites(self) -> None:
        """Notes who was there, and raises an alarm for each site that should have been there by now, and was not."""
        while self.past.settle():  # noqa: ASYNC110 - a turn for the others
            await asyncio.sleep(0)
        await self._expected.look(self._directory(), self._moment())
        if self._expected.has_changed:
            self._save_soon()

    def remember(self, put: Mapping[str, bytes], gone: Iterable[str]) -> None:
        """Keeps rows that tell of alarms, whose names begin with memory.ALARM, and forgets others; soon."""
        for name in gone:
            self._put.pop(name, None)
            self._gone.append(name)
        self._put |= put
        self._save_soon()

    def _missed(self, name: str) -> None:
        if (due := self._expected.missed(name)) is not None:
            self.past.missed(name, due)

    def _keep_past(self) -> None:
        """What has been is written with the next."""
        for name, row in self.past.take_changes().items():
            if row is None:
                self._put.pop(name, None)
                self._gone.append(name)
            else:
                self._put[name] = row

    def _moment(self) -> Moment:
        wall = self._steady.look()
        return Moment(wall, self._steady.now(), self._steady.since, self._ages, self._tried)

    def _forget(self, waits: Callable[[DomainName], bool]) -> None:
        """What is known of destinations that are no more, or have no mail by MX any more."""
        directory = self._directory()

        def is_needed(name: str) -> bool:
            return directory.entry(name) is not None or waits(DomainName(name))

        self._contacts.keep(is_needed)
        self.past.forget()
        self._tried = {name: upto for name, upto in self._tried.items() if is_needed(name)}

    async def save(self) -> None:
        """Writes what has changed; what the disk does not take is tried again with the next."""
        async with self._saving:
            put, gone = contact_rows(self._contacts.take_changes())
            sites, no_sites = site_rows(self._expected.take_changes())
            self._put |= put | sites
            self._gone += [*gone, *no_sites]
            put, self._put = self._put, {}
            gone, self._gone = self._gone, []
            writing = asyncio.ensure_future(asyncio.to_thread(self._history.change, put, gone))
            try:
                await asyncio.shield(writing)
            except HistoryUnusable:
                self._put = {name: value for name, value in put.items() if name not in self._gone} | self._put
                self._gone = gone + self._gone
            finally:  # cancelled or not: no two threads write at once
                await asyncio.wait([writing])

    def _save_soon(self) -> None:
        if self._rounds is not None and (self._soon is None or self._soon.done()):
            self._soon = asyncio.get_running_loop().create_task(self._wait_and_save())

    async def _wait_and_save(self) -> None:
        await self._clock.sleep(SOON_SECONDS)
        await self.save()

    async def _go_round(self) -> None:
        marked = swept = self._clock.monotonic()
        took = 0.0
        while True:
            await self._clock.sleep(ROUND_SECONDS)
            if not (await self._goes_well(self.see_to_deadlines) and await self._goes_well(self.see_to_sites)):
                return
            began = self._clock.monotonic()
            if began - marked >= MARK_SECONDS:
                marked = began
                self.note()
                await self.save()
            if began - swept >= max(MARK_SECONDS, took / PART_OF_TIME):
                if not await self._goes_well(self.see_to_all):
                    return
                swept = self._clock.monotonic()
                took = swept - began

    async def _goes_well(self, look: Callable[[], Awaitable[None]]) -> bool:
        """Does it; whether there is any use in going on."""
        try:
            await look()
        except SpoolBroken:
            return False
        except Exception as error:  # noqa: BLE001 - the next round may go better
            explained(error)
        return True
