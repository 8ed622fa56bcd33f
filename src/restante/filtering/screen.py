"""What stands between a message that has come and the spool: asks the filter, within limits, and never fails.

No verdict (nobody answers, not in time, not to be understood) is 451: nothing is let through unseen but what is longer
than `message_size`. At most AT_ONCE messages are judged at once; the others wait, and their time runs. What the filter
cannot is told to the log at once, and then no more often than every TELL_SECONDS.

The rules may be replaced at any time (a reload); who is being judged keeps his.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path

from restante.clock import Clock
from restante.facts import Announce, FilterFailed, FilterJudged, FilterPassedOver
from restante.filtering.filter import Accept, Filter, FilterError, Refuse, Shown, Verdict
from restante.filtering.scratch import Scratch
from restante.model import MessageId
from restante.smtp.reply import Reply

AT_ONCE = 64
"""Messages that a filter has in hand at most; each of them is in memory, or in a file."""
TELL_SECONDS = 60.0
NO_VERDICT = Reply(451, "The mail filter does not answer, try again later", "4.7.1")

MakeFilter = Callable[[str, str, int], Filter]
"""Makes the filter at a URL, for our host's name and so many messages at once."""


@dataclass(frozen=True, slots=True)
class FilterRules:
    """Where the filter is, the seconds that it has for one message, and the longest one that it is shown in octets."""

    url: str
    timeout: float
    message_size: int


class Screen:
    """One for the process. `folder` is where what is too long for memory waits for its verdict."""

    def __init__(
        self, hostname: str, folder: Path, announce: Announce, clock: Clock, make: MakeFilter | None = None
    ) -> None:
        self.rules: FilterRules | None = None
        """None: no filter is asked."""
        self._hostname = hostname
        self._folder = folder
        self._announce = announce
        self._clock = clock
        self._make = make if make is not None else _rspamd
        self._filters: dict[str, Filter] = {}
        self._in_hand: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._deadlines: set[asyncio.Timeout] = set()
        self._ends_at: float | None = None
        self._tell_at = float("-inf")
        self._untold = 0

    def use(self, rules: FilterRules | None) -> None:
        """From now on messages are judged so. A filter that is asked no more keeps its connections until close()."""
        if rules is not None and rules.url not in self._filters:
            self._filters[rules.url] = self._make(rules.url, self._hostname, AT_ONCE)
        self.rules = rules

    @property
    def is_full(self) -> bool:
        """Whether the next one would wait."""
        return len(self._in_hand) >= AT_ONCE

    def take_in_hand(self, judging: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Begins what leads to judge() and on from there; it counts from now on."""
        task = asyncio.get_running_loop().create_task(judging)
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)
        return task

    def scratch(self) -> Scratch:
        """A place for what is too long for memory."""
        return Scratch(self._folder)

    async def judge(self, rules: FilterRules, shown: Shown) -> Verdict:
        """The verdict on a message; without one, to come again."""
        began = self._clock.monotonic()
        try:
            verdict = await self._asked(rules, shown)
        except TimeoutError:
            return self._failed(f"no verdict within {self._clock.monotonic() - began:.0f} s")
        except (FilterError, OSError) as error:
            return self._failed(str(error))
        seconds = self._clock.monotonic() - began
        self._announce(FilterJudged(shown.message, isinstance(verdict, Accept), verdict.remark, seconds))
        return verdict

    async def _asked(self, rules: FilterRules, shown: Shown) -> Verdict:
        end = asyncio.get_running_loop().time() + rules.timeout
        async with asyncio.timeout_at(end if self._ends_at is None else min(end, self._ends_at)) as deadline:
            self._deadlines.add(deadline)
            try:
                async with self._places:
                    return await self._filters[rules.url].judge(shown)
            finally:
                self._deadlines.discard(deadline)

    def pass_over(self, message: MessageId, octets: int) -> None:
        """Notes that a message is too long for the filter, and is taken unseen."""
        self._announce(FilterPassedOver(message, octets))

    def _failed(self, why: str) -> Verdict:
        now = self._clock.monotonic()
        self._untold += 1
        if now >= self._tell_at:
            times, self._untold = self._untold, 0
            self._tell_at = now + TELL_SECONDS
            self._announce(FilterFailed(why, times))
        return Refuse(why, NO_VERDICT)

    def stop(self, patience: float) -> None:
        """What is being judged has so many seconds left, and what comes after has no more."""
        end = asyncio.get_running_loop().time() + patience
        self._ends_at = end
        for deadline in self._deadlines:
            when = deadline.when()
            assert when is not None, "each has an end"
            if not deadline.expired():
                deadline.reschedule(min(when, end))

    async def close(self) -> None:
        """Lets go of all connections to filters."""
        for each in self._filters.values():
            await each.close()
        self._filters.clear()


def _rspamd(url: str, hostname: str, at_once: int) -> Filter:
    from restante.filtering.rspamd import Rspamd  # noqa: PLC0415 - a client of HTTP, which only few need

    return Rspamd(url, hostname, at_once)
