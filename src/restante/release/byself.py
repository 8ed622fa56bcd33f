"""Mail that leaves by itself (relay, deliver): at once when it arrives, and again when it is due.

What is known of a destination here, its alarm and its failures in a row, goes when nothing waits for it any more.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator, Sequence

from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER
from restante.model import DomainName, ReleaseView
from restante.release.alarms import Alarms
from restante.release.destinations import Destinations, leaves_by_itself
from restante.release.retry import FIRST_SECONDS, due_at, schedule_of
from restante.release.run import explained
from restante.spool.spool import Spool

WOKEN_A_TURN = 1000


class ByItself:
    """When which destination is to be released: `begin` is told, unless it is too soon.

    `begin` is called with the destination and whether its last release failed; it may be running already.
    """

    def __init__(
        self,
        spool: Spool,
        destinations: Destinations,
        clock: Clock,
        begin: Callable[[str, bool], None],
        chance: Callable[[], float],
    ) -> None:
        self._spool = spool
        self._destinations = destinations
        self._clock = clock
        self._begin = begin
        self._alarms = Alarms(clock, self._ring, chance)
        self._looking: dict[str, asyncio.Task[None]] = {}
        self._waking: asyncio.Task[None] | None = None

    def arrived(self, domain: DomainName) -> None:
        """Mail was accepted for a domain: it goes at once, unless it is held or its next hop was down a moment ago."""
        if (destination := self._destinations.arrived(domain)) is not None:
            self._wake(destination)

    def wake_all(self) -> None:
        """Begins what leaves by itself and waits already; at start, and after the directory has changed."""
        self._destinations.renew()
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        domains = iter(self._spool.domains())
        if self._wake_some(domains):
            self._waking = asyncio.get_running_loop().create_task(self._wake_rest(domains))

    async def _wake_rest(self, domains: Iterator[DomainName]) -> None:
        is_more = True
        while is_more:
            await asyncio.sleep(0)
            is_more = self._wake_some(domains)

    def _wake_some(self, domains: Iterator[DomainName]) -> bool:
        """Begins the next of them; whether there may be more."""
        some = list(itertools.islice(domains, WOKEN_A_TURN))
        for domain in some:
            destination = self._destinations.arrived(domain)
            if destination is not None and (destination == EVERY_OTHER or not self._alarms.is_set(destination)):
                self._wake(destination)
        return len(some) == WOKEN_A_TURN

    def begins(self, destination: str) -> None:
        """A release of it begins now, whoever has asked: over() tells when it has ended."""
        self._alarms.cancel(destination)
        if (looking := self._looking.pop(destination, None)) is not None:
            looking.cancel()

    def forget(self, destination: str) -> None:
        """Nothing waits for it."""
        self._alarms.forget(destination)

    def over(self, view: ReleaseView, *, was_stopped: bool) -> None:
        """A release has ended: sees to what is left, and to what the release had passed."""
        destination = view.domain
        entry = self._destinations.entry(destination)
        if not leaves_by_itself(entry) or not self._destinations.waiting(destination):
            self.forget(destination)
        elif view.error and not was_stopped:
            self._alarms.failed(destination, schedule_of(entry), moved=view.delivered > 0)
        else:
            self._alarms.worked(destination)
            looking = self._look(destination, self._clock.wall(), schedule_of(entry))
            self._looking[destination] = asyncio.get_running_loop().create_task(looking)

    def stop(self) -> set[asyncio.Task[None]]:
        """Begins nothing more. What is still under way ends soon."""
        self._alarms.cancel_all()
        tasks = {*self._looking.values(), *([self._waking] if self._waking is not None else [])}
        for task in tasks:
            task.cancel()
        return tasks

    def _wake(self, destination: str) -> None:
        if not self._alarms.is_down(destination):
            self._begin(destination, self._alarms.has_failed(destination))

    def _ring(self, destination: str) -> None:
        """An alarm: what was left is due."""
        if leaves_by_itself(self._destinations.entry(destination)):
            self._wake(destination)
        else:
            self.forget(destination)

    async def _look(self, destination: str, wall: float, schedule: Sequence[float]) -> None:
        """Finds out when what waits may be tried again; what has just come may be at once."""
        try:
            due = await self._spool.due(self._destinations.domains(destination), due_at(wall, schedule).beyond)
        except Exception as error:  # noqa: BLE001 - nobody waits for this, and the mail must not be forgotten
            explained(error)
            due = wall + FIRST_SECONDS
        del self._looking[destination]
        if due is not None:
            self._alarms.set(destination, max(0.0, due - wall))
