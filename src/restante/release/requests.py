"""Who asked for what: one release runs for each destination, and one more may wait behind it.

ask() decides on an ETRN at once, from the directory and counters alone: rights first, then what waits, so that
neither words nor time tell a stranger anything. A flood of requests leaves at most one running and one queued
release. turn() decides on an ATRN in the same way. Mail that leaves by itself (relay, deliver) is started here too,
when byself.py says so.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeGuard

from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed
from restante.directory.rights import match_node, matching, may_release_by_proof
from restante.facts import Announce
from restante.model import ByMx, Caller, DomainName, HostPort, Principal, ReleaseView
from restante.release.allowance import Allowance
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
from restante.release.destinations import Destinations
from restante.release.learning import Learn, learn_nothing
from restante.release.rates import ReleaseRate
from restante.release.run import STOPPED, Means, Run
from restante.release.runs import Carriers, Request, Runs
from restante.release.several import Several
from restante.release.turn import Begun, Turn
from restante.smtp.node import Node
from restante.spool.spool import Spool
from restante.transport.lent import LentLine
from restante.transport.outcome import Carrier
from restante.transport.smtp import policy_of

LOOKED_AT_A_TURN = 2000
ASKED_A_TURN = 200
"""At so many entries one ETRN looks, and for so many destinations releases are asked for, before all others have their
turn: milliseconds."""
OPERATOR = "operator"
CHANGED = "the configuration has changed"


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
        allowance: Allowance | None = None,
        chance: Callable[[], float] = random.random,
        learn: Learn = learn_nothing,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._clock = clock
        self._destinations = Destinations(spool, directory)
        allowance = allowance or Allowance(clock.monotonic)
        means = Means(spool, self, announce, clock, hostname, allowance, learn)
        self._runs = Runs(means, self._destinations, carriers, at_once=at_once, chance=chance)
        self._asking: set[asyncio.Task[None]] = set()

    # what others ask

    def ask(self, node: Node, principal: Principal) -> Answer:
        """Decides on an ETRN, and starts or queues what is granted (RFC 1985)."""
        granted = match_node(self._directory(), node, principal)
        asked = _Asked()
        for entry, destination in self._destinations_of(granted):
            self._ask_for(entry, destination, principal, asked)
        return self._answer(granted, asked)

    async def ask_in_turns(self, node: Node, principal: Principal) -> Answer:
        """The same; where it means very many, the loop turns meanwhile."""
        granted: list[Held] = []
        for number, entry in enumerate(matching(self._directory(), node, principal), 1):
            if entry is not None:
                granted.append(entry)
            if number % LOOKED_AT_A_TURN == 0:
                await asyncio.sleep(0)
        asked = _Asked()
        for number, (entry, destination) in enumerate(self._destinations_of(granted), 1):
            self._ask_for(entry, destination, principal, asked)
            if number % ASKED_A_TURN == 0:
                await asyncio.sleep(0)
        return self._answer(granted, asked)

    def _destinations_of(self, granted: Sequence[Held]) -> Iterator[tuple[Held, str]]:
        return ((entry, destination) for entry in granted for destination in self._destinations.of_entry(entry.name))

    def _ask_for(self, entry: Held, destination: str, principal: Principal, asked: _Asked) -> None:
        if not self._runs.is_stopping and (items := self.waiting_items(destination)):
            asked.items += items
            request = self._runs.request(destination, str(principal), _target(entry, principal))
            asked.is_begun |= self._runs.is_first(request)

    def _answer(self, granted: Sequence[Held], asked: _Asked) -> Answer:
        if not granted:
            return NotAllowed()
        if self._runs.is_stopping:
            return Unavailable()
        if not asked.items:
            return NothingWaiting(250 if any(entry.etrn_empty == 250 for entry in granted) else 251)
        if not asked.is_begun:
            return Queued()
        return Started(asked.items if all(entry.counts for entry in granted) else None)

    def turn(self, entries: Sequence[Held], principal: Principal) -> TurnAnswer:
        """What an ATRN gets that was granted these entries (rights.may_turn), over its own connection (RFC 2645)."""
        if self._runs.is_stopping:
            return Unavailable()
        waiting = [name for _, name in self._destinations_of(entries) if self.waiting_items(name)]
        if not waiting:
            return NothingWaiting()
        if not self._runs.are_free(waiting):
            return Busy()
        return Turn(waiting, partial(self._begin_turned, principal))

    def request_by_operator(self, name: str, to: HostPort | None = None, requester: str = OPERATOR) -> ReleaseView:
        """Starts or queues a release of an entry, or of one destination, whoever holds it.

        For `*` by MX the view sums up those of its destinations. Raises NoSuchEntry, Stopping.
        """
        self.check_target(name, to)
        if self._destinations.entry(name) is not None:
            return self._runs.request(name, requester, to).view
        if self._runs.is_stopping:
            raise Stopping
        domains, register = self._destinations.domains(name), self._runs.register
        waiting = self._spool.domains()
        items = sum(waiting[domain].items for domain in domains)
        octets = sum(waiting[domain].octets for domain in domains)
        several = Several(replace(register.new(name, requester, str(to or ByMx())), items=items, octets=octets))
        register.add(several)
        asking = asyncio.get_running_loop().create_task(self._request_all(several, domains, to, requester))
        self._asking.add(asking)
        asking.add_done_callback(self._asking.discard)
        return several.view

    def check_target(self, name: str, to: HostPort | None) -> None:
        """Whether an operator may release that. Raises NoSuchEntry."""
        directory = self._directory()
        found = self._destinations.entry(name) or directory.entry(name)
        if found is None and isinstance(directory.entry(EVERY_OTHER), Held | Relayed | Delivered):
            raise NoSuchEntry(f"{name} has no entry of its own: its mail is released with *")
        if found is None:
            raise NoSuchEntry(f"{name} is not a domain of this host")
        if isinstance(found, Rejected):
            raise NoSuchEntry(f"mail for {name} is refused, not sent on")
        if to is None and isinstance(found, Held) and isinstance(found.next_hop, Caller):
            raise NoSuchEntry(f"{name} is released to whoever calls; say where to")

    async def _request_all(
        self, several: Several, destinations: Sequence[str], to: HostPort | None, requester: str
    ) -> None:
        error = ""
        try:
            for number, destination in enumerate(destinations, 1):
                several.add(self._runs.request(destination, requester, to))
                if number % ASKED_A_TURN == 0:
                    await asyncio.sleep(0)
            await several.wait()
        except Stopping:
            error = STOPPED
        finally:
            several.end(self._clock.wall(), error)
            self._runs.register.ended(several)

    async def release(
        self, entries: Sequence[str], until: float | None, requester: str = "call", line: LentLine | None = None
    ) -> list[ReleaseView]:
        """Releases entries of our own and waits for the ends; nothing is begun after the monotonic time `until`.

        What suits `line` goes over it, when it is lent. Raises NoSuchEntry, Stopping.
        """
        for entry in entries:
            self.check_target(entry, None)
        requests: list[Request] = []
        for number, destination in enumerate([d for entry in entries for d in self._destinations.of_entry(entry)], 1):
            if self.waiting_items(destination):
                begun = self._begin_over(line, destination, requester, until)
                requests.append(begun or self._runs.request(destination, requester, None, until))
            if number % ASKED_A_TURN == 0:
                await asyncio.sleep(0)
        for request in requests:
            await request.done.wait()
        return [request.view for request in requests]

    async def wait(self, number: int) -> ReleaseView | None:
        """The view of a release when it has ended; None for a number that is not known."""
        return await self._runs.register.wait(number)

    def view(self, number: int) -> ReleaseView | None:
        """A release as it stands."""
        return self._runs.register.view(number)

    def rate(self, number: int) -> ReleaseRate | None:
        """How fast a release went; None for a number that is not known."""
        return self._runs.register.rate(number)

    def views(self) -> list[ReleaseView]:
        """What runs, what waits to, and what has ended, newest first."""
        return self._runs.register.views()

    def counts(self) -> tuple[int, int]:
        """How many run, and how many wait to."""
        running = len(list(self._runs.running()))
        return running, max(0, len(self._runs.register) - running)

    def waiting_items(self, name: str) -> int:
        """How many items wait for an entry, or for a destination."""
        return self._destinations.waiting(name)

    def arrived(self, domain: DomainName) -> None:
        """Mail was accepted for a domain: it goes at once, unless it is held or its next hop was down a moment ago."""
        self._runs.by_itself.arrived(domain)

    def wake_all(self) -> None:
        """Starts what leaves by itself and waits already; at start, and after the directory has changed.

        What runs on what the directory said before is stopped: mail must not leave by a way that is no longer its own.
        """
        for request in self._runs.running():
            if request.run is not None and not self._is_current(request, request.run):
                request.run.stop(CHANGED)
        self._runs.by_itself.wake_all()

    def _is_current(self, request: Request, run: Run) -> bool:
        name = request.destination
        entry = self._destinations.entry(name)
        if request.turned_by is not None:
            if not _is_proven(entry, request.turned_by):
                return False
        elif _way(entry) != _way(request.entry):
            return False
        return all(self._destinations.of(domain) == name for domain in run.domains)

    # what a run asks (run.Routes)

    def waiting_domains(self, name: str) -> Sequence[DomainName]:
        """The domains of a destination, or of `*`, at least all of those with mail."""
        return self._destinations.domains(name)

    def can_route(self, domain: DomainName) -> bool:
        """Whether the directory knows what to do with mail for a domain."""
        return self._destinations.of(domain) is not None

    # running

    def _begin_turned(self, principal: Principal, destination: str, carrier: Carrier) -> Begun | None:
        """Begins a release over a turned connection, whatever else runs: the connection is there, and one of few."""
        is_granted = _is_proven(self._destinations.entry(destination), principal)
        if not self._may_begin(destination) or not is_granted or not self.waiting_items(destination):
            return None
        requester = f"{principal} by ATRN"
        request, task = self._runs.begin_with(destination, requester, carrier, turned_by=principal)
        return Begun(task, request.stop)

    def _begin_over(
        self, line: LentLine | None, destination: str, requester: str, until: float | None
    ) -> Request | None:
        """Begins a release over a lent connection, in the same way; None where none may go over it."""
        entry = self._destinations.entry(destination)
        if line is None or not self._may_begin(destination) or not _suits(entry, line):
            return None
        carrier = line.carrier(self._runs.carrier(entry, destination))
        request, task = self._runs.begin_with(destination, requester, carrier, until=until)
        task.add_done_callback(lambda _task: carrier.let_go())
        return request

    def _may_begin(self, destination: str) -> bool:
        return not self._runs.is_stopping and self._runs.are_free([destination])

    async def stop(self, patience: float) -> None:
        """Begins nothing more, lets what is on its way finish for so many seconds, then cuts it."""
        await self._runs.stop(patience)
        for asking in self._asking:
            asking.cancel()
        await asyncio.gather(*self._asking, return_exceptions=True)


def _way(entry: Entry | None) -> tuple[object, ...]:
    """By which way an entry's mail leaves; who may ask for it and whom it is for is not part of it."""
    match entry:
        case Held() | Relayed():
            return (type(entry), entry.next_hop, policy_of(entry), entry.login)
        case Delivered():
            return (type(entry), entry.lmtp)
        case _:
            return (type(entry),)


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
