"""Windows and calls on a line of time, and when each site was there and will be, as values (lanes.py makes them).

A lane is one configured call, or one held domain. Windows that touch are one, with a count. What has been is what was
noted of it; windows that are over are those that the schedule of now would have had. All is in order of its beginnings.
Times are wall seconds, sizes octets.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from restante.errors import RestanteError

BACK_SECONDS = 24 * 3600.0
AHEAD_SECONDS = 48 * 3600.0
MOST_SECONDS = 31 * 86400.0


class NoSpan(RestanteError):
    """No span of time, or one that is too long. Trying again does not help."""


class Phase(StrEnum):
    """Where a window stands."""

    PAST = "past"
    NOW = "now"
    PLANNED = "planned"


class Outcome(StrEnum):
    """How a call went."""

    OK = "ok"
    ERROR = "error"
    """Something went wrong; mail was carried all the same."""
    NOTHING = "nothing"
    """Something went wrong, and nothing was carried."""
    RUNNING = "running"


@dataclass(frozen=True, slots=True)
class Period:
    """From `start` up to `until`, wall times; and what time it is."""

    start: float
    until: float
    now: float

    @staticmethod
    def of(start: float | None, until: float | None, now: float) -> Period:
        """What is asked for; where it is not said, from a day back to two days ahead. Raises NoSpan."""
        start = now - BACK_SECONDS if start is None else start
        until = now + AHEAD_SECONDS if until is None else until
        if not 0 < until - start <= MOST_SECONDS:
            raise NoSpan(f"the end comes after the beginning, and {MOST_SECONDS / 86400:.0f} days later at the most")
        return Period(start, until, now)

    def meets(self, start: float, end: float) -> bool:
        """Whether something that lasted from `start` to `end` falls into it."""
        return start < self.until and (end > self.start or start >= self.start)

    def phase(self, start: float, end: float) -> Phase:
        """Where a window stands."""
        if start > self.now:
            return Phase.PLANNED
        return Phase.PAST if end <= self.now else Phase.NOW


@dataclass(frozen=True, slots=True)
class Span:
    """So many windows that touch each other, as one."""

    start: float
    end: float
    phase: Phase
    count: int = 1


@dataclass(frozen=True, slots=True)
class Called:
    """A call as it was made. `end` None: it runs, and `window_ends` says how long it may."""

    start: float
    end: float | None
    reason: str
    outcome: Outcome
    error: str
    received: int
    received_octets: int
    sent: int
    sent_octets: int
    window_ends: float | None = None


@dataclass(frozen=True, slots=True)
class Contact:
    """A site was there. Contacts that begin within an hour are one."""

    start: float
    end: float
    asked: int
    """So many ETRN or ATRN were granted."""
    releases: int
    """So many releases reached its next hop."""
    failed: int
    """So many of them have ended with an error."""
    delivered: int
    octets: int


@dataclass(frozen=True, slots=True)
class Missed:
    """A site should have been there at `due`, and was not; it came again at `until`, or has not come since."""

    due: float
    until: float | None


@dataclass(frozen=True, slots=True)
class CallLane:
    """A configured call."""

    name: str
    office: str
    windows: tuple[Span, ...]
    calls: tuple[Called, ...]
    next_start: float | None
    next_end: float | None
    cut_at: float | None
    """There are too many windows: those that open from then on are left out. None: none are."""


@dataclass(frozen=True, slots=True)
class SiteLane:
    """A held domain whose site is expected, or was there."""

    domain: str
    expected: tuple[Span, ...]
    """From when it is expected until its grace is over."""
    contacts: tuple[Contact, ...]
    missed: tuple[Missed, ...]
    last_contact: float | None
    """When a release last reached its next hop."""
    next_contact: float | None
    cut_at: float | None
    """As for calls."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """All lanes, or a page of them: calls by name, domains by name; `after` asks for the next page."""

    start: float
    until: float
    now: float
    calls: tuple[CallLane, ...] = ()
    domains: tuple[SiteLane, ...] = ()
    after: str | None = None
