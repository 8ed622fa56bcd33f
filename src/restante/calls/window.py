"""When a site may call: cron expressions and the windows they open. Pure: time goes in, the next moment comes out.

Expressions have cron's five fields, or a nickname (`@daily`), in local time. Clock changes are taken as Debian's cron
takes them: what falls into the hour that is skipped is called right after it, and what falls into the hour that comes
twice is called once; expressions with `*` or `*/n` for the minute or hour simply follow the clock. However far the
clock has jumped, what was missed is made up once.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from functools import lru_cache

from cronsim import CronSim, CronSimError

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MAX_EXPRESSIONS = 100
BACKWARD_SECONDS = 3 * 3600.0
"""A clock set back by less repeats nothing that has an hour of its own; by more, the new time is taken as it is
(cron(8), Debian)."""
PUT_RIGHT_SECONDS = 60.0
"""A clock set back by less repeats nothing at all."""


class ScheduleError(ValueError):
    """Text that is no cron expression. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class Window:
    """When the link is up: wall times, from `start` up to `end`."""

    start: float
    end: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.end - self.start


def parse_expression(text: str) -> str:
    """A cron expression of five fields as it is kept; nicknames written out. Raises ScheduleError."""
    stripped = text.strip()
    expression = NICKNAMES.get(stripped.lower(), " ".join(stripped.split()))
    if len(expression.split()) != 5:
        raise ScheduleError(f"{text!r} is not five fields: minute, hour, day of month, month, day of week")
    try:
        CronSim(expression, datetime(2026, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError) as error:
        raise ScheduleError(f"{text!r} is not a cron expression: {str(error) or 'bad field'}") from None
    return expression


@dataclass(frozen=True, slots=True)
class Schedule:
    """Any number of expressions, each kept as parse_expression() gave it, read in one time zone."""

    expressions: tuple[str, ...]
    zone: tzinfo = UTC

    @staticmethod
    def parse(expressions: tuple[str, ...], zone: tzinfo = UTC) -> Schedule:
        """A schedule from what the configuration says. Raises ScheduleError."""
        if len(expressions) > MAX_EXPRESSIONS:
            raise ScheduleError(f"{len(expressions)} expressions; at most {MAX_EXPRESSIONS}")
        return Schedule(tuple(dict.fromkeys(map(parse_expression, expressions))), zone)

    def next_after(self, wall: float) -> float | None:
        """The first moment after `wall` that any expression names; None where there is none for 50 years."""
        moments = [moment for e in self.expressions if (moment := _next(e, self.zone, wall)) is not None]
        return min(moments, default=None)

    def last_before(self, wall: float) -> float | None:
        """The last moment before `wall` that any expression names; None where there was none for 50 years."""
        moments = [moment for e in self.expressions if (moment := _last(e, self.zone, wall)) is not None]
        return max(moments, default=None)

    def window_after(self, wall: float, seconds: float) -> Window | None:
        """The next window of so many seconds that opens after `wall`."""
        start = self.next_after(wall)
        return None if start is None else Window(start, start + seconds)

    def between(self, after: float, until: float) -> Iterator[float]:
        """The moments after one and before another that any expression names: each once, in order, as they are asked
        for.
        """
        last = after
        for moment in heapq.merge(*(_moments(e, self.zone, after, until) for e in self.expressions)):
            if moment > last:
                last = moment
                yield moment


@lru_cache(maxsize=256)
def _next(expression: str, zone: tzinfo, wall: float) -> float | None:
    try:
        for moment in CronSim(expression, datetime.fromtimestamp(wall, zone)):
            # In the hour that comes twice cronsim counts from its first pass, so what it gives may be over.
            if (found := moment.timestamp()) > wall:
                return found
    except (OverflowError, ValueError, OSError):  # the end of the calendar: nothing comes after year 9999
        return None
    return None


def _moments(expression: str, zone: tzinfo, after: float, until: float) -> Iterator[float]:
    """See Schedule.between()."""
    moment = _next(expression, zone, after)
    while moment is not None and moment < until:
        yield moment
        moment = _next(expression, zone, moment)


@lru_cache(maxsize=256)
def _last(expression: str, zone: tzinfo, wall: float) -> float | None:
    try:
        for moment in CronSim(expression, datetime.fromtimestamp(wall, zone), reverse=True):
            if (found := moment.timestamp()) < wall:
                return found
    except (OverflowError, ValueError, OSError):  # nothing comes before year 1
        return None
    return None


def served_until(served: float, now: float) -> float:
    """Up to where the schedule counts as served, read at `now`: a clock that was set far back starts afresh."""
    return now if served > now + BACKWARD_SECONDS else served


def followed_from(served: float, since: float, now: float) -> float:
    """Up to where expressions that follow the clock count as served.

    Where it was set back they go on from the time at which that was seen: `since`, which is infinite before.
    """
    is_right = served <= now + PUT_RIGHT_SECONDS and since >= served
    return served if is_right else min(since, now)


def next_due(schedule: Schedule, served: float, now: float, since: float = math.inf) -> float | None:
    """When the next call is due, read at `now`; not later than `now` if one was missed since `served`.

    However many moments have passed since then, they are one call. `since` is for followed_from().
    """
    served = served_until(served, now)
    followed = followed_from(served, since, now)
    found = [_next(e, schedule.zone, followed if _follows_the_clock(e) else served) for e in schedule.expressions]
    return min((moment for moment in found if moment is not None), default=None)


def _follows_the_clock(expression: str) -> bool:
    minute, hour, *_ = expression.split()
    return minute.startswith("*") or hour.startswith("*")
