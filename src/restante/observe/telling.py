"""Tells of alarms: each way by itself, what happened together at once, again and again until it was taken.

Nothing waits for it. What a way could not tell stays in the book (alarms.py), over a restart too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from restante.clock import Clock
from restante.errors import RestanteError
from restante.facts import AlarmsTold, Announce
from restante.model import Mailbox, MessageId
from restante.observe.alarms import Alarm, AlarmBook

GATHER_SECONDS = 2.0
"""What is raised within that time is told together."""
RETRY_SECONDS = (10.0, 60.0, 300.0, 900.0, 3600.0)
"""The waits after failures; the last again and again."""
MOST_AT_ONCE = 200
STOP_SECONDS = 1.0
"""So long a way may take to finish what it is just telling when the host ends."""


@dataclass(frozen=True, slots=True)
class AlarmRules:
    """Who is told of alarms, and from where on the disk is nearly full, in octets."""

    webhook: str | None = None
    mail: Mailbox | None = None
    free_space: int = 256 << 20

    @property
    def ways(self) -> frozenset[str]:
        """The names of the ways that are used."""
        return frozenset(name for name, to in (("webhook", self.webhook), ("mail", self.mail)) if to is not None)


@dataclass(eq=False)
class NotTold(RestanteError):
    """Nobody has taken it. Worth trying again."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class Sent:
    """What went out: how many alarms, and in which message, where it was one."""

    alarms: int
    message: MessageId | None = None


Send = Callable[[Sequence[Alarm]], Awaitable[Sent]]
"""Tells of some alarms. Raises NotTold."""


class Telling:
    """A task for each way; `news()` wakes them. start() and stop() once each."""

    def __init__(
        self,
        book: AlarmBook,
        rules: Callable[[], AlarmRules],
        ways: Mapping[str, Send],
        announce: Announce,
        clock: Clock,
    ) -> None:
        self._book = book
        self._rules = rules
        self._ways = ways
        self._announce = announce
        self._clock = clock
        self._news = {way: asyncio.Event() for way in ways}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._sending: set[str] = set()
        self._is_ending = False

    def start(self) -> None:
        """Begins; what was left untold is told."""
        loop = asyncio.get_running_loop()
        self._tasks = {way: loop.create_task(self._tell(way)) for way in self._ways}
        self.news()

    async def stop(self) -> None:
        """Ends, after STOP_SECONDS at most. What was not told by then is told, or told again, after a restart."""
        self._is_ending = True
        if under_way := [self._tasks[way] for way in self._sending]:
            await asyncio.wait(under_way, timeout=STOP_SECONDS)
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    def news(self) -> None:
        """There is something to tell, or somebody else to tell it to."""
        for each in self._news.values():
            each.set()

    async def _tell(self, way: str) -> None:
        while not self._is_ending:
            await self._news[way].wait()
            self._news[way].clear()
            await self._clock.sleep(GATHER_SECONDS)
            failures = 0
            while alarms := self._due(way):
                try:
                    sent = await self._send(way, alarms)
                except NotTold as error:
                    if not failures:
                        self._announce(AlarmsTold(way, len(alarms), None, str(error)))
                    await self._clock.sleep(RETRY_SECONDS[min(failures, len(RETRY_SECONDS) - 1)])
                    failures += 1
                else:
                    failures = 0
                    self._book.told(way, alarms)
                    if sent.alarms:
                        self._announce(AlarmsTold(way, sent.alarms, sent.message, ""))

    def _due(self, way: str) -> list[Alarm]:
        """What a way is to tell next."""
        is_used = not self._is_ending and way in self._rules().ways
        return self._book.untold(way)[:MOST_AT_ONCE] if is_used else []

    async def _send(self, way: str, alarms: Sequence[Alarm]) -> Sent:
        self._sending.add(way)
        try:
            return await self._ways[way](alarms)
        finally:
            self._sending.discard(way)
