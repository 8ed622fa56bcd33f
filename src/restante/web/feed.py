"""The facts of the last while, numbered, for who follows them over HTTP: one ring, and a place in it for each client.

A fact costs an entry in the ring, and its words only once somebody wants them. Nothing else is kept for a client: one
that is so slow that what it has not seen has left the ring is cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, deque
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from restante import facts
from restante.clock import Clock
from restante.facts import Fact
from restante.model import DomainName
from restante.observe.log import words_of

RING = 5000
"""Facts that are kept."""
AT_ONCE = 200
MOST_CLIENTS = 50
MOST_OF_ONE = 5
HEARTBEAT_SECONDS = 15.0
MOST_SECONDS = 3600.0
"""Then the client is let go, and comes again with what it has to show then."""
HEARTBEAT = b": still here\n\n"
OWN_FACTS = (
    facts.ReleaseStarted,
    facts.ReleaseEnded,
    facts.ItemDelivered,
    facts.ItemDeferred,
    facts.ItemFailed,
    facts.ItemExpired,
    facts.ItemLate,
    facts.ItemChanged,
    facts.ItemReturned,
    facts.ItemRedirected,
    facts.ItemHeldBack,
    facts.RecipientsSent,
)
"""Each is of one domain: who sees that domain sees it."""
NOT_FOR_OTHERS = ("principal", "recipients")
"""Of an accepted message who has sent it, and how many recipients it has in all."""


class TooManyClients(Exception):
    """As many follow as may."""


@dataclass(slots=True)
class _Heard:
    number: int
    when: float
    fact: Fact
    whole: bytes | None = None
    """As an administrator sees it, once one has."""


class Feed:
    """All of it. Used in the event loop."""

    def __init__(self, clock: Clock, *, ring: int = RING, heartbeat: float = HEARTBEAT_SECONDS) -> None:
        self._clock = clock
        self._ring: deque[_Heard] = deque(maxlen=ring)
        self._heartbeat = heartbeat
        self._epoch = f"{int(clock.wall() * 1000):x}"
        """Of this process: numbers of another one mean nothing."""
        self._last = 0
        self._news = asyncio.Event()
        self._clients: Counter[str] = Counter()
        self._cut = object()

    def heard(self, fact: Fact) -> None:
        """Takes a fact; a listener for the feed of facts."""
        self._last += 1
        self._ring.append(_Heard(self._last, self._clock.wall(), fact))
        self._news.set()

    def cut_all(self) -> None:
        """Everybody who follows now is let go."""
        self._cut = object()
        self._news.set()

    @contextlib.contextmanager
    def place(self, who: str) -> Iterator[None]:
        """Room for one client. Raises TooManyClients."""
        if self._clients.total() >= MOST_CLIENTS or self._clients[who] >= MOST_OF_ONE:
            raise TooManyClients
        self._clients[who] += 1
        try:
            yield
        finally:
            self._clients[who] -= 1

    async def follow(
        self, within: frozenset[DomainName] | None, last_id: str, may_stay: Callable[[], bool] = lambda: True
    ) -> AsyncIterator[bytes]:
        """Events as they are sent (HTML, 9.2.6 "Interpreting an event stream"), for who sees these domains, or all.

        Goes on behind `last_id`, where that is still known; else an event `reset` comes first. Ends when the client
        was too slow, or may not stay, or all are let go.
        """
        seen, is_known = self._place_of(last_id)
        cut, until = self._cut, self._clock.monotonic() + MOST_SECONDS
        yield HEARTBEAT if is_known else self._event(f"{self._epoch}-{seen}", "reset", {})
        while cut is self._cut and may_stay() and self._clock.monotonic() < until:
            if self._last == seen:
                yield await self._wait()
                continue
            if self._ring[0].number > seen + 1:
                return
            some = list(islice(self._ring, seen + 1 - self._ring[0].number, seen + 1 - self._ring[0].number + AT_ONCE))
            seen = some[-1].number
            if said := b"".join(self._said(heard, within) for heard in some):
                yield said
            else:
                await asyncio.sleep(0)

    def kept(self) -> Iterator[tuple[float, Fact]]:
        """What is kept, the oldest first, with the wall time of each."""
        return ((heard.when, heard.fact) for heard in self._ring)

    async def _wait(self) -> bytes:
        """Nothing once there is news, else a sign of life after a while."""
        self._news.clear()
        try:
            async with asyncio.timeout(self._heartbeat):
                await self._news.wait()
        except TimeoutError:
            return HEARTBEAT
        return b""

    def _place_of(self, last_id: str) -> tuple[int, bool]:
        """Behind which number to go on, and whether nothing was missed."""
        if not last_id:
            return self._last, True
        epoch, _, number = last_id.partition("-")
        is_number = number.isascii() and number.isdigit() and len(number) < 20
        first = self._ring[0].number if self._ring else self._last + 1
        if epoch != self._epoch or not is_number or not first - 1 <= int(number) <= self._last:
            return self._last, False
        return int(number), True

    def _said(self, heard: _Heard, within: frozenset[DomainName] | None) -> bytes:
        if within is None:
            if heard.whole is None:
                heard.whole = self._words(heard)
            return heard.whole
        return self._words(heard, within) if is_seen(heard.fact, within) else b""

    def _words(self, heard: _Heard, within: frozenset[DomainName] | None = None) -> bytes:
        event, fields = words_for(heard.fact, within)
        name = event.replace(" ", "-")
        return self._event(f"{self._epoch}-{heard.number}", name, {"time": heard.when, "event": event, **fields})

    @staticmethod
    def _event(identifier: str, name: str, data: dict[str, object]) -> bytes:
        """ASCII on one line each: what a peer has said cannot be a field or an event of its own."""
        return f"id: {identifier}\nevent: {name}\ndata: {json.dumps(data, default=str)}\n\n".encode("ascii")


def words_for(fact: Fact, within: frozenset[DomainName] | None) -> tuple[str, dict[str, object]]:
    """A fact's event and fields, for who sees it: all, or what is of these domains."""
    event, fields = words_of(fact)
    if within is not None and isinstance(fact, facts.MessageAccepted):
        fields = {key: value for key, value in fields.items() if key not in NOT_FOR_OTHERS}
        fields["domains"] = [domain for domain in fact.domains if domain in within]
    return event, fields


def is_seen(fact: Fact, within: frozenset[DomainName]) -> bool:
    """Whether a fact is of these domains, and may be told to who sees them alone."""
    if isinstance(fact, facts.MessageAccepted):
        return not within.isdisjoint(fact.domains)
    return isinstance(fact, OWN_FACTS) and fact.domain in within
