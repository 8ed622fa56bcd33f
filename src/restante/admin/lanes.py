"""What each lane of a line of time shows (timeline.py), and which lanes there are: calls, and a page of domains.

It looks at no more moments of schedules than it says, however many lanes there are; what it looks at does not change
under it, so that it may work in a thread beside the loop.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from restante.admin.domains import LastContact
from restante.admin.timeline import (
    Called,
    CallLane,
    Contact,
    Missed,
    Outcome,
    Period,
    Phase,
    SiteLane,
    Span,
    Timeline,
)
from restante.calls.plan import CallPlan
from restante.calls.schedule import Caller
from restante.calls.window import Schedule
from restante.calls.zone import local_zone
from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.model import CallView, DomainName, Progress
from restante.release.been import Been
from restante.release.past import CallDone, Past

MOST_MOMENTS = 10_000
"""Of all calls of an answer together, and of all domains, as far as LEAST_MOMENTS lets them."""
LEAST_MOMENTS = 20
Schedules = Callable[[tuple[str, ...]], Schedule]
"""Reads cron expressions in local time."""


@dataclass(frozen=True, slots=True)
class Opening:
    """The windows of one schedule: so long each, and how many moments are looked at."""

    schedule: Schedule
    seconds: float
    most: int

    def next(self, now: float) -> float | None:
        """The next one."""
        return self.schedule.next_after(now)

    def spans(self, period: Period) -> tuple[tuple[Span, ...], float | None]:
        """Those that meet a period, in order, none touching another; and from when on they are left out."""
        spans: list[Span] = []
        after = period.start - max(self.seconds, 1)
        for number, start in enumerate(self.schedule.between(after, period.until)):
            if number == self.most:
                return _phased(spans, period), start
            end = start + self.seconds
            if spans and start <= spans[-1].end:
                spans[-1] = replace(spans[-1], end=max(end, spans[-1].end), count=spans[-1].count + 1)
            elif period.meets(start, end):
                spans.append(Span(start, end, Phase.PAST))
        return _phased(spans, period), None


def _phased(spans: Iterable[Span], period: Period) -> tuple[Span, ...]:
    return tuple(replace(span, phase=period.phase(span.start, span.end)) for span in spans)


def _most_moments(schedules: int) -> int:
    """At how many moments of each of so many schedules an answer looks."""
    return max(LEAST_MOMENTS, MOST_MOMENTS // max(schedules, 1))


def call_lanes(
    plans: Sequence[CallPlan], views: Iterable[CallView], past: Past | None, period: Period
) -> tuple[CallLane, ...]:
    """A lane for each plan. `views` are calls as they stand."""
    most = _most_moments(len(plans))
    running = {view.name: _running(view) for view in views if view.progress is Progress.RUNNING}

    def lane(plan: CallPlan) -> CallLane:
        opening = Opening(plan.schedule, plan.window, most)
        windows, cut_at = opening.spans(period)
        done = [] if past is None else [_called(one) for one in past.calls(plan.name)]
        calls = [*done, running[plan.name]] if plan.name in running else done
        seen = [one for one in calls if period.meets(one.start, math.inf if one.end is None else one.end)]
        start = opening.next(period.now)
        end = None if start is None else start + plan.window
        return CallLane(plan.name, str(plan.office), windows, tuple(seen), start, end, cut_at)

    return tuple(map(lane, plans))


def _called(done: CallDone) -> Called:
    return Called(
        start=done.start,
        end=done.end,
        reason=done.reason,
        outcome=_outcome(done),
        error=done.error,
        received=done.received,
        received_octets=done.received_octets,
        sent=done.sent,
        sent_octets=done.sent_octets,
    )


def _outcome(done: CallDone) -> Outcome:
    if not done.error:
        return Outcome.OK
    return Outcome.ERROR if done.sent or done.received else Outcome.NOTHING


def _running(view: CallView) -> Called:
    assert view.started is not None, view
    return Called(
        start=view.started,
        end=None,
        reason=view.reason,
        outcome=Outcome.RUNNING,
        error=view.error,
        received=view.received,
        received_octets=view.received_octets,
        sent=view.sent,
        sent_octets=view.sent_octets,
        window_ends=view.window_ends,
    )


def site_lanes(
    entries: Sequence[Held],
    past: Past | None,
    period: Period,
    *,
    schedules: Schedules,
    last_contact: LastContact,
) -> tuple[SiteLane, ...]:
    """A lane for each entry. What is expected is reckoned once for all that expect the same."""
    kinds = {(entry.retention.contact, entry.retention.grace) for entry in entries}
    most = _most_moments(len(kinds))
    openings = {kind: Opening(schedules(kind[0]), kind[1], most) for kind in kinds}
    spans = {kind: opening.spans(period) for kind, opening in openings.items()}
    following = {kind: opening.next(period.now) for kind, opening in openings.items()}

    def lane(entry: Held) -> SiteLane:
        name, kind = entry.name, (entry.retention.contact, entry.retention.grace)
        been = () if past is None else past.contacts(name)
        misses = () if past is None else past.misses(name)
        expected, cut_at = spans[kind]
        return SiteLane(
            domain=name,
            expected=expected,
            contacts=tuple(_contact(one) for one in been if period.meets(one.first, one.last)),
            missed=tuple(one for one in _missed(misses, been) if period.meets(one.due, one.until or math.inf)),
            last_contact=last_contact(name),
            next_contact=following[kind],
            cut_at=cut_at,
        )

    return tuple(map(lane, entries))


def _contact(one: Been) -> Contact:
    return Contact(one.first, one.last, one.asked, one.reached, one.failed, one.delivered, one.octets)


def _missed(misses: Sequence[int], contacts: Sequence[Been]) -> list[Missed]:
    """With when it came after each."""
    lasts = [one.last for one in contacts]
    following = (contacts[place:][:1] for place in (bisect_left(lasts, due) for due in misses))
    return [Missed(due, max(due, came[0].first) if came else None) for due, came in zip(misses, following, strict=True)]


class Lanes:
    """All lanes of this host. Without a running server there is no `past`."""

    def __init__(self, past: Past | None, last_contact: LastContact) -> None:
        self._past = past
        self._last_contact = last_contact
        self._of: Directory | None = None
        self._expected: list[str] = []

    async def timeline(
        self,
        period: Period,
        directory: Directory,
        caller: Caller | None,
        *,
        after: str,
        limit: int,
        within: frozenset[DomainName] | None,
    ) -> Timeline:
        """The calls of a caller, and the first `limit` domains after a name: of all, or of those `within`."""
        plans, views = (caller.plans, caller.views()) if caller is not None else ((), [])
        seen = self._past.sites() if self._past is not None else frozenset[str]()

        def made() -> Timeline:
            calls = call_lanes(plans, views, self._past, period)
            names = self._names(directory, seen, after, limit + 1, within)
            entries = [entry for name in names[:limit] if isinstance(entry := directory.entry(name), Held)]
            schedules = partial(Schedule.parse, zone=local_zone())
            sites = site_lanes(entries, self._past, period, schedules=schedules, last_contact=self._last_contact)
            following = names[limit - 1] if len(names) > limit else None
            return Timeline(period.start, period.until, period.now, calls, sites, following)

        return await asyncio.to_thread(made)

    def _names(
        self,
        directory: Directory,
        seen: frozenset[str],
        after: str,
        limit: int,
        within: frozenset[DomainName] | None,
    ) -> list[str]:
        """Of held domains with an entry of their own whose sites are expected, or were seen."""
        if within is not None:
            found: Iterable[str] = (name for name in within if name in seen or _is_expected(directory, name))
        else:
            if self._of is not directory:
                names = (entry.name for entry in directory.entries())
                self._expected = sorted(name for name in names if _is_expected(directory, name))
                self._of = directory
            start = bisect_right(self._expected, after)
            found = seen.union(self._expected[start : start + limit])
        return heapq.nsmallest(limit, (n for n in found if n > after and isinstance(directory.entry(n), Held)))


def _is_expected(directory: Directory, name: str) -> bool:
    entry = directory.entry(name)
    return name != EVERY_OTHER and isinstance(entry, Held) and bool(entry.retention.contact)
