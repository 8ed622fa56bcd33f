"""Who asked for what: one release runs for each entry of the directory, and one more may wait behind it.

ask() decides on an ETRN at once, from the directory and counters alone: rights first, then what waits, so that
neither words nor time tell a stranger anything. A flood of requests leaves at most one running and one queued
release. turn() decides on an ATRN in the same way. Mail that leaves by itself (relay, deliver) is started here too,
when it arrives and when it is due again.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol, TypeGuard

from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.directory.rights import match_node, matching, may_release_by_proof
from restante.directory.routing import domains_of_entry
from restante.facts import Announce
from restante.model import Caller, DomainName, HostPort, Order, Principal, Progress, ReleaseView
from restante.release.alarms import Alarms
from restante.release.answers import (
    Answer,
    Busy,
    NoSuchEntry,
    NotAllowed,
    NothingWaiting,
    Queued,
    Started,
    Stopping,
    TurnAnswer,
    Unavailable,
)
from restante.release.retry import FIRST_SECONDS
from restante.release.run import STOPPED, WINDOW_OVER, Means, Run, ended, explained, later
from restante.release.turn import Begun, Turn
from restante.smtp.node import Node
from restante.spool.spool import Spool
from restante.transport.lent import LentLine
from restante.transport.outcome import Carrier
from restante.transport.smtp import policy_of

KEPT_VIEWS = 500
LOOKED_AT_A_TURN = 2000
ENTRIES_A_TURN = 200
"""At so many one ETRN looks, and for so many it starts releases, before all others have their turn: milliseconds."""
OPERATOR = "operator"
ARRIVAL = "arrival"
CHANGED = "the configuration has changed"
EARLY_SECONDS = 1.0
"""What is due so soon goes along: the wall clock and the one that alarms ring by do not run as one."""
CUT_SECONDS = 1.0
"""What is left to a release that was cut, to write what it knows."""


class Carriers(Protocol):
    """Makes the carrier for an entry; `to` overrides the entry's own next hop."""

    def __call__(self, entry: Entry, to: HostPort | None) -> Carrier:
        """Raises NoSuchEntry where there is nowhere to carry to."""
        ...


@dataclass(slots=True, eq=False)
class _Request:
    """A release, from the question to its end. With `is_arrival` nobody has asked: only what is due leaves.

    One over a given connection has that connection's carrier; where a caller has turned it, `turned_by` is who.
    """

    waiting_view: ReleaseView
    to: HostPort | None
    until: float | None
    is_arrival: bool
    carrier: Carrier | None = None
    turned_by: Principal | None = None
    done: asyncio.Event = field(default_factory=asyncio.Event)
    entry: Entry | None = None
    run: Run | None = None

    @property
    def view(self) -> ReleaseView:
        """How it stands, and in the end, how it ended."""
        return self.waiting_view if self.run is None else self.run.view

    @property
    def is_joinable(self) -> bool:
        """Whether it has not begun to carry, to where the entry's mail goes: it will see all that waits now."""
        return self.carrier is None and (self.run is None or not self.run.has_begun)

    def stop(self) -> None:
        """Lets it begin nothing more."""
        if self.run is not None:
            self.run.stop()


@dataclass(slots=True)
class _Asked:
    """What one ETRN has come to: how many items wait for what it means, and whether a release of some was begun."""

    items: int = 0
    is_begun: bool = False


class Releases:
    """All releases of this host. Call wake_all() when the directory is there, and whenever it has changed."""

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
        self._alarms = Alarms(clock, self._ring)
        self._at_once = at_once
        self._first: dict[str, _Request] = {}
        """By entry: what runs, or will as soon as fewer than `at_once` do."""
        self._second: dict[str, _Request] = {}
        """By entry: what waits behind it."""
        self._numbered: dict[int, _Request] = {}
        self._ready: deque[_Request] = deque()
        self._running: dict[asyncio.Task[None], _Request] = {}
        self._looking: set[asyncio.Task[None]] = set()
        self._others: set[DomainName] = set()
        """Domains of `*` with mail that leaves by itself; some may have none any more."""
        self._past: dict[int, ReleaseView] = {}
        self._numbers = 0
        self._stopping = False

    # what others ask

    def ask(self, node: Node, principal: Principal) -> Answer:
        """Decides on an ETRN, and starts or queues what is granted (RFC 1985)."""
        granted = match_node(self._directory(), node, principal)
        asked = _Asked()
        if granted and not self._stopping:
            self._ask_for(granted, principal, asked)
        return self._answer(granted, asked)

    async def ask_in_turns(self, node: Node, principal: Principal) -> Answer:
        """The same; where it means very many entries, the loop turns meanwhile."""
        granted: list[Held] = []
        for number, entry in enumerate(matching(self._directory(), node, principal), 1):
            if entry is not None:
                granted.append(entry)
            if number % LOOKED_AT_A_TURN == 0:
                await asyncio.sleep(0)
        asked = _Asked()
        for start in range(0, len(granted), ENTRIES_A_TURN):
            if start:
                await asyncio.sleep(0)
            if not self._stopping:
                self._ask_for(granted[start : start + ENTRIES_A_TURN], principal, asked)
        return self._answer(granted, asked)

    def _ask_for(self, granted: Sequence[Held], principal: Principal, asked: _Asked) -> None:
        for entry in granted:
            if items := self.waiting_items(entry.name):
                asked.items += items
                request = self._request(entry.name, str(principal), _target(entry, principal))
                asked.is_begun |= self._first.get(entry.name) is request

    def _answer(self, granted: Sequence[Held], asked: _Asked) -> Answer:
        if not granted:
            return NotAllowed()
        if self._stopping:
            return Unavailable()
        if not asked.items:
            return NothingWaiting(250 if any(entry.etrn_empty == 250 for entry in granted) else 251)
        if not asked.is_begun:
            return Queued()
        return Started(asked.items if all(entry.counts for entry in granted) else None)

    def turn(self, entries: Sequence[Held], principal: Principal) -> TurnAnswer:
        """What an ATRN gets that was granted these entries (rights.may_turn), over its own connection (RFC 2645)."""
        if self._stopping:
            return Unavailable()
        waiting = [entry.name for entry in entries if self.waiting_items(entry.name)]
        if not waiting:
            return NothingWaiting()
        if not self._first.keys().isdisjoint(waiting):
            return Busy()
        return Turn(waiting, partial(self._begin_turned, principal))

    def request_by_operator(self, entry: str, to: HostPort | None = None) -> ReleaseView:
        """Starts or queues a release of an entry, whoever holds it. Raises NoSuchEntry, Stopping."""
        return self._request(entry, OPERATOR, self._operators_target(entry, to)).view

    async def release(
        self, entries: Sequence[str], until: float | None, requester: str = "call", line: LentLine | None = None
    ) -> list[ReleaseView]:
        """Releases entries of our own and waits for the ends; nothing is begun after the monotonic time `until`.

        What suits `line` goes over it, when it is lent. Raises NoSuchEntry, Stopping.
        """
        targets = [(entry, self._operators_target(entry, None)) for entry in entries]
        requests = [
            self._begin_over(line, entry, requester, until) or self._request(entry, requester, to, until)
            for entry, to in targets
            if self.waiting_items(entry)
        ]
        for request in requests:
            await request.done.wait()
        return [request.view for request in requests]

    async def wait(self, number: int) -> ReleaseView | None:
        """The view of a release when it has ended; None for a number that is not known."""
        request = self._numbered.get(number)
        if request is None:
            return self._past.get(number)
        await request.done.wait()
        return request.view

    def view(self, number: int) -> ReleaseView | None:
        """A release as it stands."""
        request = self._numbered.get(number)
        return self._past.get(number) if request is None else request.view

    def views(self) -> list[ReleaseView]:
        """What runs, what waits to, and what has ended, newest first; of each the last KEPT_VIEWS at the most."""
        running = self._running.values()
        waiting = [request for request in self._numbered.values() if request.run is None]
        last = heapq.nlargest(KEPT_VIEWS, waiting, key=lambda request: request.waiting_view.number)
        views = {request.view.number: request.view for request in (*running, *last)}
        return sorted((self._past | views).values(), key=lambda view: -view.number)

    def waiting_items(self, entry: str) -> int:
        """How many items wait for an entry."""
        return sum(self._spool.waiting(domain).items for domain in self.waiting_domains(entry))

    # mail that leaves by itself

    def arrived(self, domain: DomainName) -> None:
        """Mail was accepted for a domain: it goes at once, unless it is held or its next hop was down a moment ago."""
        entry = self._directory().entry_for(domain)
        if _leaves_by_itself(entry):
            if entry.name == EVERY_OTHER:
                self._others.add(domain)
            self._wake(entry.name)

    def wake_all(self) -> None:
        """Starts what leaves by itself and waits already; at start, and after the directory has changed.

        What runs on what the directory said before is stopped: mail must not leave by a way that is no longer its own.
        """
        for request in self._running.values():
            if request.run is not None and not self._is_current(request, request.run):
                request.run.stop(CHANGED)
        for domain in self._spool.domains():
            self.arrived(domain)

    def _is_current(self, request: _Request, run: Run) -> bool:
        directory = self._directory()
        name = request.waiting_view.domain
        if request.turned_by is not None:
            if not _is_proven(directory.entry(name), request.turned_by):
                return False
        elif _way(directory.entry(name)) != _way(request.entry):
            return False
        return name != EVERY_OTHER or all(directory.entry(domain) is None for domain in run.domains)

    def _wake(self, entry: str) -> None:
        if not self._stopping and entry not in self._first and not self._alarms.is_down(entry):
            self._request(entry, ARRIVAL, None, is_arrival=True)

    def _ring(self, entry: str) -> None:
        """An alarm: what was left is due."""
        if _leaves_by_itself(self._directory().entry(entry)):
            self._wake(entry)

    def _again(self, request: _Request, *, was_stopped: bool) -> None:
        """After a release of what leaves by itself: sees to what is left, and to what the release had passed."""
        view = request.view
        if self._stopping or not _leaves_by_itself(self._directory().entry(view.domain)):
            return
        if view.error and not was_stopped:
            self._alarms.failed(view.domain, moved=view.delivered > 0)
            return
        self._alarms.worked(view.domain)
        if self.waiting_items(view.domain):
            looking = asyncio.get_running_loop().create_task(self._look(view.domain))
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look(self, entry: str) -> None:
        """Finds out when what waits may be tried again; what has just come may be at once."""
        try:
            due = await self._spool.due(self.waiting_domains(entry), self._clock.wall())
        except Exception as error:  # noqa: BLE001 - nobody waits for this, and the mail must not be forgotten
            explained(error)
            due = self._clock.wall() + FIRST_SECONDS
        if due is not None and entry not in self._first and not self._stopping:
            self._alarms.set(entry, max(0.0, due - self._clock.wall()))

    # what a run asks (run.Routes)

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """The domains that belong to an entry, at least all of those with mail."""
        if entry != EVERY_OTHER:
            return (DomainName(entry),)
        directory = self._directory()
        if not _leaves_by_itself(directory.entry(entry)):
            return domains_of_entry(directory, entry, self._spool.domains())
        self._others = {domain for domain in self._others if self._spool.waiting(domain).items}
        return domains_of_entry(directory, entry, self._others)

    def can_route(self, domain: DomainName) -> bool:
        """Whether the directory knows what to do with mail for a domain."""
        return not isinstance(self._directory().entry_for(domain), Rejected | None)

    # running

    def _request(
        self,
        entry: str,
        requester: str,
        to: HostPort | None,
        until: float | None = None,
        *,
        is_arrival: bool = False,
    ) -> _Request:
        """The request that will release what waits for an entry now: a new one, or one that is to begin yet.

        Raises Stopping.
        """
        if self._stopping:
            raise Stopping
        first, second = self._first.get(entry), self._second.get(entry)
        if first is not None and first.to == to and first.is_joinable:
            self._join(first, until)
            return first
        if second is not None:
            second.to = to  # the last to ask says where it is now
            second.until = later(second.until, until)
            second.waiting_view = replace(second.waiting_view, requester=requester, target=str(to or ""))
            return second
        request = _Request(self._numbered_view(entry, requester, str(to or "")), to, until, is_arrival)
        self._numbered[request.waiting_view.number] = request
        if first is not None:
            self._second[entry] = request
        else:
            self._put_first(request)
        return request

    def _numbered_view(self, entry: str, requester: str, target: str) -> ReleaseView:
        self._numbers += 1
        return ReleaseView(self._numbers, entry, requester, target, Progress.QUEUED, asked=self._clock.wall())

    def _begin_turned(self, principal: Principal, entry: str, carrier: Carrier) -> Begun | None:
        """Begins a release over a turned connection, whatever else runs: the connection is there, and one of few."""
        is_granted = _is_proven(self._directory().entry(entry), principal)
        if self._stopping or entry in self._first or not is_granted or not self.waiting_items(entry):
            return None
        view = self._numbered_view(entry, f"{principal} by ATRN", carrier.target)
        request = _Request(view, None, None, is_arrival=False, carrier=carrier, turned_by=principal)
        return Begun(self._start_now(request), request.stop)

    def _begin_over(self, line: LentLine | None, entry: str, requester: str, until: float | None) -> _Request | None:
        """Begins a release over a lent connection, in the same way; None where none may go over it."""
        found = self._directory().entry(entry)
        if line is None or self._stopping or entry in self._first or not _suits(found, line):
            return None
        carrier = line.carrier(self._carriers(found, None))
        view = self._numbered_view(entry, requester, carrier.target)
        request = _Request(view, None, until, is_arrival=False, carrier=carrier)
        self._start_now(request).add_done_callback(lambda _task: carrier.let_go())
        return request

    def _start_now(self, request: _Request) -> asyncio.Task[None]:
        view = request.waiting_view
        self._numbered[view.number] = self._first[view.domain] = request
        return self._start(request)

    def _join(self, request: _Request, until: float | None) -> None:
        request.is_arrival = False
        request.until = later(request.until, until)
        if request.run is not None:
            request.run.joined(until)

    def _put_first(self, request: _Request) -> None:
        entry = request.waiting_view.domain
        self._alarms.cancel(entry)
        self._first[entry] = request
        self._ready.append(request)
        self._begin()

    def _begin(self) -> None:
        """Begins what is ready, as many at once as may run."""
        while self._ready and len(self._running) < self._at_once:
            self._start(self._ready.popleft())

    def _start(self, request: _Request) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(self._perform(request))
        self._running[task] = request
        task.add_done_callback(self._over)
        return task

    async def _perform(self, request: _Request) -> None:
        try:
            await self._carry(request)
        except Exception as error:  # noqa: BLE001 - a release that fails is a view with an error; its mail waits
            view = replace(request.view, error=explained(error))
            request.waiting_view, request.run = view, None
            self._means.announce(ended(view, self.waiting_items(view.domain), 0.0))

    async def _carry(self, request: _Request) -> None:
        """Raises NoSuchEntry."""
        name = request.waiting_view.domain
        entry = request.entry = self._directory().entry(name)
        if entry is None:
            raise NoSuchEntry(f"{name} is no longer configured")
        if request.is_arrival and not _leaves_by_itself(entry):
            return  # it was changed meanwhile, and nobody has asked
        if request.until is not None and request.until <= self._clock.monotonic():
            request.waiting_view = replace(request.waiting_view, error=WINDOW_OVER)
            return
        request.run = Run(
            self._means,
            request.waiting_view,
            request.carrier or self._carriers(entry, request.to),
            order=entry.order if isinstance(entry, Held) else Order.PRIORITY,
            until=request.until,
            due_by=self._clock.wall() + EARLY_SECONDS if request.is_arrival else None,
        )
        await request.run.run()

    def _over(self, task: asyncio.Task[None]) -> None:
        request = self._running.pop(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            explained(error)
        entry = request.waiting_view.domain
        was_stopped = request.run is not None and request.run.is_stopped
        del self._first[entry]
        self._end(request)
        if (second := self._second.pop(entry, None)) is not None:
            self._put_first(second)
        else:
            self._again(request, was_stopped=was_stopped)
        self._begin()

    def _end(self, request: _Request, error: str = "") -> None:
        """It is over, whether it ever began or not."""
        view, wall = request.view, self._clock.wall()
        view = replace(view, progress=Progress.ENDED, ended=view.ended or wall, error=view.error or error)
        request.waiting_view, request.run = view, None
        self._spool.release_ended(view.number)
        del self._numbered[view.number]
        self._past[view.number] = view
        while len(self._past) > KEPT_VIEWS:
            del self._past[next(iter(self._past))]
        request.done.set()

    def _operators_target(self, entry: str, to: HostPort | None) -> HostPort | None:
        found = self._directory().entry(entry)
        if found is None:
            raise NoSuchEntry(f"{entry} is not a domain of this host")
        if isinstance(found, Rejected):
            raise NoSuchEntry(f"mail for {entry} is refused, not sent on")
        if to is None and isinstance(found, Held) and isinstance(found.next_hop, Caller):
            raise NoSuchEntry(f"{entry} is released to whoever calls; say where to")
        return to

    async def stop(self, patience: float) -> None:
        """Begins nothing more, lets what is on its way finish for so many seconds, then cuts it."""
        self._stopping = True
        self._alarms.cancel_all()
        for request in (*self._ready, *self._second.values()):
            self._end(request, STOPPED)
        for request in self._ready:
            del self._first[request.waiting_view.domain]
        self._ready.clear()
        self._second.clear()
        for request in self._running.values():
            request.stop()
        await _ended({*self._running, *self._looking}, patience)
        for task in (*self._running, *self._looking):
            task.cancel()
        await _ended({*self._running, *self._looking}, CUT_SECONDS)


async def _ended(tasks: set[asyncio.Task[None]], seconds: float) -> None:
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


def _leaves_by_itself(entry: Entry | None) -> TypeGuard[Relayed | Delivered]:
    return isinstance(entry, Relayed | Delivered)


def _way(entry: Entry | None) -> tuple[object, ...]:
    """By which way an entry's mail leaves; who may ask for it and whom it is for is not part of it."""
    return (type(entry), entry.next_hop, policy_of(entry)) if isinstance(entry, Held | Relayed) else (type(entry),)


def _suits(entry: Entry | None, line: LentLine) -> TypeGuard[Held]:
    """Whether an entry's mail may go over a connection that was made for something else."""
    if not isinstance(entry, Held) or not isinstance(entry.next_hop, HostPort):
        return False
    return line.suits(entry.next_hop, policy_of(entry))


def _is_proven(entry: Entry | None, principal: Principal) -> bool:
    return isinstance(entry, Held) and may_release_by_proof(entry, principal)


def _target(entry: Held, principal: Principal) -> HostPort | None:
    """Where an ETRN sends an entry's mail: its configured next hop, or the address that asked."""
    return HostPort(str(principal.address)) if isinstance(entry.next_hop, Caller) else None
