"""What runs and what waits to: for each destination one release, and one more behind it.

Each ends with a view, whatever happens to it; what it had not carried waits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from restante.directory.entries import Entry, Held
from restante.model import Caller, DomainName, HostPort, Order, Principal, Progress, ReleaseView
from restante.release.answers import NoSuchEntry, Stopping
from restante.release.byself import ByItself
from restante.release.destinations import Destinations, domain_of, is_by_mx, leaves_by_itself
from restante.release.learning import learn_nothing
from restante.release.places import Kind, Places
from restante.release.rates import Outlook, Series
from restante.release.register import Register
from restante.release.retry import due_at, schedule_of
from restante.release.run import STOPPED, WINDOW_OVER, Means, Run, ended, explained, later
from restante.transport.outcome import Carrier

ARRIVAL = "arrival"
CUT_SECONDS = 1.0
"""What is left to a release that was cut, to write what it knows."""


class Carriers(Protocol):
    """Makes the carrier for an entry; `to` overrides the entry's own next hop."""

    def __call__(self, entry: Entry, destination: DomainName | None, to: HostPort | None) -> Carrier:
        """`destination` is the recipient domain where the entry's next hop is by MX, else None.

        Raises NoSuchEntry where there is nowhere to carry to.
        """
        ...


@dataclass(slots=True, eq=False)
class Request:
    """A release, from the question to its end. With `is_arrival` nobody has asked: only what is due leaves.

    One over a given connection has that connection's carrier; where a caller has turned it, `turned_by` is who.
    """

    waiting_view: ReleaseView
    to: HostPort | None
    until: float | None
    is_arrival: bool = False
    carrier: Carrier | None = None
    turned_by: Principal | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    entry: Entry | None = None
    run: Run | None = None
    series: Series | None = None

    @property
    def destination(self) -> str:
        """What it releases."""
        return self.waiting_view.domain

    @property
    def view(self) -> ReleaseView:
        """How it stands, and in the end, how it ended."""
        return self.waiting_view if self.run is None else self.run.view

    @property
    def outlook(self) -> Outlook:
        """What is to be expected of it."""
        return Outlook() if self.run is None else self.run.outlook

    @property
    def is_joinable(self) -> bool:
        """Whether it has not begun to carry, to where the entry's mail goes: it will see all that waits now."""
        return self.carrier is None and (self.run is None or not self.run.has_begun)

    def stop(self) -> None:
        """Lets it begin nothing more."""
        if self.run is not None:
            self.run.stop()


class Runs:
    """All releases that have not ended. `by_itself` begins those that nobody asks for."""

    def __init__(
        self,
        means: Means,
        destinations: Destinations,
        carriers: Carriers,
        *,
        at_once: int,
        chance: Callable[[], float],
    ) -> None:
        self._means = means
        self._clock = means.clock
        self._destinations = destinations
        self._carriers = carriers
        self._places = Places(at_once)
        self.register = Register(means.clock)
        self.by_itself = ByItself(means.spool, destinations, means.clock, self._begin_by_itself, chance)
        self.is_stopping = False
        self._first: dict[str, Request] = {}
        """By destination: what runs, or will when it has a place. What leaves by itself is not made before."""
        self._second: dict[str, Request] = {}
        """By destination: what waits behind it."""
        self._running: dict[asyncio.Task[None], Request] = {}

    def are_free(self, destinations: Iterable[str]) -> bool:
        """Whether nothing runs for any of them, or was asked for."""
        return self._first.keys().isdisjoint(destinations)

    def is_first(self, request: Request) -> bool:
        """Whether nothing else runs before it for its destination."""
        return self._first.get(request.destination) is request

    def running(self) -> Iterable[Request]:
        """What runs."""
        return self._running.values()

    def request(self, destination: str, requester: str, to: HostPort | None, until: float | None = None) -> Request:
        """The request that will release what waits for a destination now: a new one, or one that is to begin yet.

        Raises Stopping.
        """
        if self.is_stopping:
            raise Stopping
        first, second = self._first.get(destination), self._second.get(destination)
        if first is not None and first.to == to and first.is_joinable:
            self._join(first, until)
            return first
        if second is not None:
            second.to = to  # the last to ask says where it is now
            second.until = later(second.until, until)
            second.waiting_view = replace(second.waiting_view, requester=requester, target=str(to or ""))
            return second
        if first is None and destination in self._places:
            until = None  # it was to leave anyway
        request = Request(self.register.new(destination, requester, str(to or "")), to, until)
        self.register.add(request)
        if first is not None:
            self._second[destination] = request
        else:
            self._put_first(request)
        return request

    def begin_with(
        self,
        destination: str,
        requester: str,
        carrier: Carrier,
        *,
        until: float | None = None,
        turned_by: Principal | None = None,
    ) -> tuple[Request, asyncio.Task[None]]:
        """Begins a release over a connection that is there, whatever else runs; the destination must be free."""
        view = self.register.new(destination, requester, carrier.target)
        request = Request(view, None, until, carrier=carrier, turned_by=turned_by)
        self.register.add(request)
        self._first[destination] = request
        self._places.take(destination)
        return request, self._start(request)

    def carrier(self, entry: Entry, destination: str, to: HostPort | None = None) -> Carrier:
        """What carries an entry's mail for a destination. Raises NoSuchEntry."""
        return self._carriers(entry, domain_of(entry, destination), to)

    def _join(self, request: Request, until: float | None) -> None:
        request.is_arrival = False
        request.until = later(request.until, until)
        if request.run is not None:
            request.run.joined(until)

    def _put_first(self, request: Request) -> None:
        self._first[request.destination] = request
        self._places.wait(request.destination, self._kind(request.destination))
        self._begin()

    def _begin_by_itself(self, destination: str, is_down: bool) -> None:
        if not self.is_stopping and destination not in self._first:
            self._places.wait(destination, Kind.DOWN if is_down else self._kind(destination))
            self._begin()

    def _kind(self, destination: str) -> Kind:
        return Kind.BY_MX if is_by_mx(self._destinations.entry(destination)) else Kind.NAMED

    def _begin(self) -> None:
        """Begins what has its turn."""
        while (destination := self._places.next()) is not None:
            request = self._first.get(destination)
            if request is None and not self._destinations.waiting(destination):
                self._places.leave(destination)
                self.by_itself.forget(destination)
                continue
            if request is None:
                request = Request(self.register.new(destination, ARRIVAL, ""), None, None, is_arrival=True)
                self.register.add(request)
                self._first[destination] = request
            self._start(request)

    def _start(self, request: Request) -> asyncio.Task[None]:
        self.by_itself.begins(request.destination)
        task = asyncio.get_running_loop().create_task(self._perform(request))
        self._running[task] = request
        task.add_done_callback(self._over)
        return task

    async def _perform(self, request: Request) -> None:
        try:
            await self._carry(request)
        except Exception as error:  # noqa: BLE001 - a release that fails is a view with an error; its mail waits
            view = replace(request.view, error=explained(error))
            request.waiting_view, request.run = view, None
            self._means.announce(ended(view, self._destinations.waiting(view.domain), 0.0))

    async def _carry(self, request: Request) -> None:
        """Raises NoSuchEntry."""
        name = request.destination
        entry = request.entry = self._destinations.entry(name)
        if entry is None:
            raise NoSuchEntry(f"{name} is no longer configured")
        if request.is_arrival and not leaves_by_itself(entry):
            return  # it was changed meanwhile, and nobody has asked
        if request.until is not None and request.until <= self._clock.monotonic():
            request.waiting_view = replace(request.waiting_view, error=WINDOW_OVER)
            return
        retry = schedule_of(entry)
        is_of_site = request.to is None or (isinstance(entry, Held) and isinstance(entry.next_hop, Caller))
        request.run = Run(
            self._means if is_of_site else replace(self._means, learn=learn_nothing),
            request.waiting_view,
            request.carrier or self.carrier(entry, name, request.to),
            order=entry.order if isinstance(entry, Held) else Order.PRIORITY,
            until=request.until,
            due=due_at(self._clock.wall(), retry) if request.is_arrival else None,
            retry=retry,
        )
        request.series = request.run.series
        await request.run.run()

    def _over(self, task: asyncio.Task[None]) -> None:
        request = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            explained(error)
        destination = request.destination
        was_stopped = request.run is not None and request.run.is_stopped
        del self._first[destination]
        self._places.leave(destination)
        self._end(request)
        if (second := self._second.pop(destination, None)) is not None:
            self._put_first(second)
        elif not self.is_stopping:
            self.by_itself.over(request.view, was_stopped=was_stopped)
        self._begin()

    def _end(self, request: Request, error: str = "") -> None:
        """It is over, whether it ever began or not."""
        view, wall = request.view, self._clock.wall()
        view = replace(view, progress=Progress.ENDED, ended=view.ended or wall, error=view.error or error)
        request.waiting_view, request.run = view, None
        self._means.spool.release_ended(view.number)
        self.register.ended(request)

    async def stop(self, patience: float) -> None:
        """Begins nothing more, lets what is on its way finish for so many seconds, then cuts it."""
        self.is_stopping = True
        tasks = {*self._running, *self.by_itself.stop()}
        self._places.close()
        running = set(self._running.values())
        for request in (*self._first.values(), *self._second.values()):
            if request not in running:
                self._end(request, STOPPED)
        self._first = {request.destination: request for request in running}
        self._second.clear()
        for request in running:
            request.stop()
        await _ended(tasks, patience)
        for task in tasks:
            task.cancel()
        await _ended(tasks, CUT_SECONDS)


async def _ended(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)
