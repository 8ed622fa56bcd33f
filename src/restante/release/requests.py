"""Who asked for what: one release runs for each entry of the directory, and one more may wait behind it.

ask() decides on an ETRN at once, from the directory and counters alone: rights first, then what waits, so that
neither words nor time tell a stranger anything. A flood of requests leaves at most one running and one queued
release. Mail that leaves by itself (relay, deliver) is started here too, when it arrives and when it is due again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from restante.clock import Clock
from restante.directory.entries import Directory, Entry, Held
from restante.directory.rights import match_node
from restante.directory.routing import domains_of_entry
from restante.errors import RestanteError
from restante.facts import Announce
from restante.model import Caller, DomainName, HostPort, Order, Principal, Progress, ReleaseView
from restante.release.retry import delay
from restante.release.run import Means, Run
from restante.smtp.node import Node
from restante.spool.spool import Spool
from restante.transport.outcome import Carrier

KEPT_VIEWS = 500
OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Started:
    """A release was started or joined; so many items wait, or the count is not to be told (None)."""

    waiting: int | None


@dataclass(frozen=True, slots=True)
class Queued:
    """A release waits behind one that runs."""


@dataclass(frozen=True, slots=True)
class NothingWaiting:
    """There is nothing to release. `code` is the reply code that the entry wants for it: 251, or 250 for fetchmail."""

    code: int = 251


@dataclass(frozen=True, slots=True)
class NotAllowed:
    """No such node here, or not for this principal: nobody is told which."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A passing fault."""


Answer = Started | Queued | NothingWaiting | NotAllowed | Unavailable


@dataclass(eq=False)
class NoSuchEntry(RestanteError):
    """The directory has no such entry, or it has nowhere to release to. Trying again does not help."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Carriers(Protocol):
    """Makes the carrier for an entry; `to` overrides the entry's own next hop."""

    def __call__(self, entry: Entry, to: HostPort | None) -> Carrier:
        """Raises NoSuchEntry where there is nowhere to carry to."""
        ...


@dataclass(slots=True)
class _Request:
    view: ReleaseView
    to: HostPort | None
    until: float | None
    done: asyncio.Event


class Releases:
    """All releases of this host."""

    def __init__(
        self,
        *,
        spool: Spool,
        directory: Callable[[], Directory],
        carriers: Carriers,
        announce: Announce,
        clock: Clock,
        hostname: str,
        at_once: int = 50,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._carriers = carriers
        self._clock = clock
        self._means = Means(spool, self, announce, clock, hostname)
        self._slots = asyncio.Semaphore(at_once)
        self._running: dict[str, _Request] = {}
        self._runs: dict[str, Run] = {}
        self._queued: dict[str, _Request] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._alarms: dict[str, asyncio.TimerHandle] = {}
        self._failures: dict[str, int] = {}
        self._past: dict[int, ReleaseView] = {}
        self._numbers = 0
        self._stopping = False

    # what others ask

    def ask(self, node: Node, principal: Principal) -> Answer:
        """Decides on an ETRN, and starts or queues what is granted (RFC 1985)."""
        granted = match_node(self._directory(), node, principal)
        if not granted:
            return NotAllowed()
        if self._stopping:
            return Unavailable()
        waiting = {entry.name: self.waiting_items(entry.name) for entry in granted}
        if not any(waiting.values()):
            return NothingWaiting(250 if any(entry.etrn_empty == 250 for entry in granted) else 251)
        started = False
        for entry in granted:
            if waiting[entry.name]:
                request = self._request(entry.name, str(principal), _target(entry, principal), None)
                started = started or self._is_fresh(request)
        if not started:
            return Queued()
        return Started(sum(waiting.values()) if all(entry.counts for entry in granted) else None)

    def request_by_operator(self, entry: str, to: HostPort | None = None) -> ReleaseView:
        """Starts or queues a release of an entry, whoever holds it. Raises NoSuchEntry."""
        return self._request(entry, OPERATOR, self._operators_target(entry, to), None).view

    async def release(self, entries: Sequence[str], until: float | None, requester: str = "call") -> list[ReleaseView]:
        """Releases entries of our own and waits for the ends; nothing is begun after the monotonic time `until`.

        Raises NoSuchEntry.
        """
        targets = [(entry, self._operators_target(entry, None)) for entry in entries]
        requests = [self._request(entry, requester, to, until) for entry, to in targets if self.waiting_items(entry)]
        for request in requests:
            await request.done.wait()
        return [self._past[request.view.number] for request in requests]

    async def wait(self, number: int) -> ReleaseView | None:
        """The view of a release when it has ended; None for a number that is not known."""
        for request in (*self._running.values(), *self._queued.values()):
            if request.view.number == number:
                await request.done.wait()
        return self.view(number)

    def view(self, number: int) -> ReleaseView | None:
        """A release as it stands."""
        return next((view for view in self.views() if view.number == number), None)

    def views(self) -> list[ReleaseView]:
        """What runs, what is queued, and the last that ended, newest first."""
        running = [self._runs[e].view if e in self._runs else r.view for e, r in self._running.items()]
        queued = [request.view for request in self._queued.values()]
        return sorted([*running, *queued, *self._past.values()], key=lambda view: -view.number)

    def waiting_items(self, entry: str) -> int:
        """How many items wait for an entry."""
        return sum(self._spool.waiting(domain).items for domain in self.waiting_domains(entry))

    # mail that leaves by itself

    def arrived(self, domain: DomainName) -> None:
        """Mail was accepted for a domain: it goes at once, unless it is held or its next hop was down a moment ago."""
        entry = self._directory().entry_for(domain)
        if entry is not None and not isinstance(entry, Held):
            self._wake(entry.name)

    def wake_all(self) -> None:
        """Starts what leaves by itself and waits already; at start, and after the directory has changed."""
        for domain in self._spool.domains():
            self.arrived(domain)

    def _wake(self, entry: str) -> None:
        is_down = self._failures.get(entry, 0) > 0 and entry in self._alarms
        if self._stopping or entry in self._running or is_down:
            return
        self._request(entry, "arrival", None, None)

    def _again(self, entry: str, error: str) -> None:
        """After a release of what leaves by itself: sets the alarm for what is left."""
        found = self._directory().entry(entry)
        if self._stopping or found is None or isinstance(found, Held) or entry in self._queued:
            return
        if error:
            self._failures[entry] = self._failures.get(entry, 0) + 1
            self._set_alarm(entry, delay(self._failures[entry]))
        else:
            self._failures.pop(entry, None)
            self._tasks[f"due {entry}"] = asyncio.get_running_loop().create_task(self._wait_until_due(entry))

    async def _wait_until_due(self, entry: str) -> None:
        self._tasks.pop(f"due {entry}", None)
        due = await self._spool.due(self.waiting_domains(entry), self._clock.wall())
        if due is not None and entry not in self._alarms and entry not in self._running:
            self._set_alarm(entry, max(0.0, due - self._clock.wall()))

    def _set_alarm(self, entry: str, seconds: float) -> None:
        def ring() -> None:
            self._alarms.pop(entry, None)
            self._wake(entry)

        self._alarms[entry] = asyncio.get_running_loop().call_later(seconds, ring)

    # what a run asks (run.Routes)

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """The domains with mail that belong to an entry."""
        return domains_of_entry(self._directory(), entry, self._spool.domains())

    def can_route(self, domain: DomainName) -> bool:
        """Whether the directory knows what to do with mail for a domain."""
        return self._directory().entry_for(domain) is not None

    # running

    def _is_fresh(self, request: _Request) -> bool:
        """Whether a request began now, or joined one that has not yet carried anything."""
        entry = request.view.domain
        return self._running.get(entry) is request

    def _request(self, entry: str, requester: str, to: HostPort | None, until: float | None) -> _Request:
        """The request that will release what waits for an entry now: a new one, or the one that is already queued."""
        running = self._running.get(entry)
        if running is not None and entry not in self._runs and running.to == to:
            return running  # it has not begun: it will see all that waits now
        if running is not None and entry in self._queued:
            queued = self._queued[entry]
            queued.to, queued.until = to, until  # the last to ask says where it is now
            queued.view = replace(queued.view, requester=requester, target=str(to or ""))
            return queued
        self._numbers += 1
        view = ReleaseView(self._numbers, entry, requester, str(to or ""), Progress.QUEUED, asked=self._clock.wall())
        request = _Request(view, to, until, asyncio.Event())
        if running is not None:
            self._queued[entry] = request
        else:
            self._begin(request)
        return request

    def _begin(self, request: _Request) -> None:
        entry = request.view.domain
        if alarm := self._alarms.pop(entry, None):
            alarm.cancel()
        self._running[entry] = request
        self._tasks[entry] = asyncio.get_running_loop().create_task(self._perform(request))

    async def _perform(self, request: _Request) -> None:
        entry = request.view.domain
        view = request.view
        try:
            async with self._slots:
                view = await self._carry(request)
        except Exception as error:  # noqa: BLE001 - a release that fails is a view with an error; its mail waits
            view = replace(view, error=f"{type(error).__name__}: {error}")
        finally:
            self._spool.release_ended(view.number)
            self._runs.pop(entry, None)
            self._running.pop(entry, None)
            self._tasks.pop(entry, None)
            self._keep(replace(view, progress=Progress.ENDED, ended=view.ended or self._clock.wall()))
            request.done.set()
            if (queued := self._queued.pop(entry, None)) is not None and not self._stopping:
                self._begin(queued)
        self._again(entry, view.error)

    async def _carry(self, request: _Request) -> ReleaseView:
        name = request.view.domain
        entry = self._directory().entry(name)
        if entry is None:
            raise NoSuchEntry(f"{name} is no longer configured")
        by_itself = not isinstance(entry, Held)
        run = Run(
            self._means,
            request.view,
            self._carriers(entry, request.to),
            order=entry.order if isinstance(entry, Held) else Order.PRIORITY,
            until=request.until,
            due_by=self._clock.wall() if by_itself and request.view.requester != OPERATOR else None,
        )
        self._runs[name] = run
        return await run.run()

    def _keep(self, view: ReleaseView) -> None:
        self._past[view.number] = view
        while len(self._past) > KEPT_VIEWS:
            del self._past[next(iter(self._past))]

    def _operators_target(self, entry: str, to: HostPort | None) -> HostPort | None:
        found = self._directory().entry(entry)
        if found is None:
            raise NoSuchEntry(f"{entry} is not a domain of this host")
        if to is None and isinstance(found, Held) and isinstance(found.next_hop, Caller):
            raise NoSuchEntry(f"{entry} is released to whoever calls; say where to")
        return to

    async def stop(self, patience: float) -> None:
        """Begins nothing more, lets what is on its way finish for so many seconds, then cuts it."""
        self._stopping = True
        for alarm in self._alarms.values():
            alarm.cancel()
        self._alarms.clear()
        self._queued.clear()
        for run in self._runs.values():
            run.stop_by(self._clock.monotonic())
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=1)


def _target(entry: Held, principal: Principal) -> HostPort | None:
    """Where an ETRN sends an entry's mail: its configured next hop, or the address that asked."""
    return HostPort(str(principal.address)) if isinstance(entry.next_hop, Caller) else None
