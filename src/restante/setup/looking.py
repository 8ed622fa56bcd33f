"""What the DNS says of records that ought to be there, looked up beside all else: what hangs keeps nobody waiting.

Each look has SECONDS, its wait for a turn included; AT_ONCE of them run at the same time. A record that is being looked
up is not looked up twice, and what was found is remembered for a while, for those who ask again.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

import dns.name
import dns.reversename

from restante.clock import Clock
from restante.config.settings import Settings
from restante.mx.lookup import LookupFailed, Resolver
from restante.setup.names import hosts_of, is_ours, leads_here
from restante.setup.records import UNKNOWN_ADDRESS, Record

SECONDS = 8.0
AT_ONCE = 10
MOST_PENDING = 200
"""Looks that run or wait; further ones are not begun."""
MOST_REMEMBERED = 1000
NOTHING = "nothing"
SPF = "v=spf1"


class State(StrEnum):
    """How what was found is to what ought to be there."""

    RIGHT = "right"
    OTHER = "other"
    """Something else is there."""
    MISSING = "missing"
    UNKNOWN = "unknown"
    """The DNS has not said."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What the DNS says of a record."""

    state: State
    found: str
    """What is there, or why that is not known."""


def _judged(found: Sequence[str], is_right: Callable[[str], bool]) -> Seen:
    if not found:
        return Seen(State.MISSING, NOTHING)
    return Seen(State.RIGHT if any(map(is_right, found)) else State.OTHER, ", ".join(found))


async def look_up(record: Record, names: Resolver, settings: Settings) -> Seen:
    """What is there now. Raises LookupFailed."""
    match record.kind:
        case "MX":
            return await _mail_hosts(record, names, settings)
        case "A" | "AAAA":
            return await _addresses(record, names, settings)
        case "PTR":
            address = dns.reversename.to_address(dns.name.from_text(record.name))
            found = await names.reverse(ipaddress.ip_address(address))
            return _judged(found.records, lambda name: name == record.value)
        case "TXT":
            texts = [text for text in (await names.txt(record.name)).records if text.lower().startswith(SPF)]
            return _judged(texts, lambda text: text == record.value.strip('"'))
        case "TLSA":
            return await _keys(record, names)
    assert_never(record.kind)


async def _mail_hosts(record: Record, names: Resolver, settings: Settings) -> Seen:
    wanted = record.value.partition(" ")[2]
    found = await names.mx(record.name)
    if not found.exists:
        return Seen(State.MISSING, "there is no such domain")
    if not found.records:
        return Seen(State.MISSING, "no MX record: mail goes to the domain's own address, if it has one")
    shown = [f"{each.preference} {each.host}" for each in sorted(found.records, key=lambda each: each.preference)]
    hosts = hosts_of(record.name, found)
    is_right = wanted in hosts or await leads_here(names, settings, hosts, wanted)
    return Seen(State.RIGHT if is_right else State.OTHER, ", ".join(shown))


async def _addresses(record: Record, names: Resolver, settings: Settings) -> Seen:
    found = (await names.addresses(record.name)).records
    if record.value == UNKNOWN_ADDRESS:
        ours = {str(address) for address in found if is_ours(settings, address)}
        return _judged([str(address) for address in found], ours.__contains__)
    version = 6 if record.kind == "AAAA" else 4
    return _judged([str(one) for one in found if one.version == version], lambda text: text == record.value)


async def _keys(record: Record, names: Resolver) -> Seen:
    found = await names.tlsa(record.name)
    seen = _judged([str(each) for each in found.records], lambda text: text == record.value)
    if seen.state is State.RIGHT and not found.is_secure:
        return Seen(State.OTHER, f"{seen.found}, which DNSSEC does not prove: nobody heeds it")
    return seen


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen, and when: a wall time."""

    seen: Seen
    at: float
    monotonic: float


class Looks:
    """All that are looked up, for one event loop. `look` looks one record up, and raises LookupFailed."""

    def __init__(
        self,
        look: Callable[[Record], Awaitable[Seen]],
        clock: Clock,
        *,
        seconds: float = SECONDS,
        at_once: int = AT_ONCE,
    ) -> None:
        self._look = look
        self._clock = clock
        self._seconds = seconds
        self._turns = asyncio.Semaphore(at_once)
        self._known: OrderedDict[Record, Look] = OrderedDict()
        self._running: dict[Record, asyncio.Task[None]] = {}

    def last(self, record: Record) -> Look | None:
        """What was seen of it last."""
        return self._known.get(record)

    def is_looking(self, records: Iterable[Record]) -> bool:
        """Whether one of them is being looked up."""
        return any(record in self._running for record in records)

    def begin(self, records: Iterable[Record], *, older_than: float = 0.0) -> None:
        """Has those looked up that were not in so many seconds; returns at once."""
        now = self._clock.monotonic()
        for record in records:
            known = self._known.get(record)
            is_fresh = known is not None and now - known.monotonic < older_than
            if not is_fresh and record not in self._running and len(self._running) < MOST_PENDING:
                self._running[record] = asyncio.create_task(self._one(record))

    async def wait(self, records: Iterable[Record]) -> None:
        """Until none of them is being looked up: for the time that one look may take, at the most."""
        if running := [self._running[record] for record in records if record in self._running]:
            await asyncio.wait(running, timeout=self._seconds)

    async def _one(self, record: Record) -> None:
        try:
            seen = await self._in_time(record)
            self._known[record] = Look(seen, self._clock.wall(), self._clock.monotonic())
            self._known.move_to_end(record)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
        finally:
            del self._running[record]

    async def _in_time(self, record: Record) -> Seen:
        try:
            async with asyncio.timeout(self._seconds), self._turns:
                return await self._look(record)
        except TimeoutError:
            return Seen(State.UNKNOWN, f"the DNS has not answered in {self._seconds:g} s")
        except LookupFailed as error:
            return Seen(State.UNKNOWN, str(error))
