"""`/api/timeline`: windows and calls on a line of time, and when each site was there and will be.

Site users see their own domains; calls are for administrators.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request

from restante.admin.timeline import Outcome, Phase
from restante.web.common import MOST_AT_ONCE, Common, Shape

MOST_TIME = 2**33
"""A wall time, in the year 2242."""

Time = Annotated[float | None, Query(ge=0, le=MOST_TIME, allow_inf_nan=False)]


class Span(Shape):
    """So many windows that touch each other, as one."""

    start: float
    end: float
    phase: Phase
    count: int


class Called(Shape):
    """A call as it was made, with messages and octets each way."""

    start: float
    end: float | None
    """Null while it runs."""
    window_ends: float | None
    """Of a call that runs, how long it may."""
    reason: str
    """Why it was made: `schedule`, `operator`, `link-up`."""
    outcome: Outcome
    """`error`: mail was carried all the same; `nothing`: none was."""
    error: str
    received: int
    received_octets: int
    sent: int
    sent_octets: int


class CallLane(Shape):
    """A configured call."""

    name: str
    office: str
    windows: list[Span]
    """Those that are over are what its schedule of now would have had."""
    calls: list[Called]
    next_start: float | None
    next_end: float | None
    cut_at: float | None
    """Windows that open from then on are left out, for they are too many."""


class Contact(Shape):
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


class Missed(Shape):
    """A site was expected and did not come."""

    due: float
    until: float | None
    """When it came again."""


class SiteLane(Shape):
    """A held domain whose site is expected, or was there."""

    domain: str
    expected: list[Span]
    """From when it is expected until its grace is over; as for windows."""
    contacts: list[Contact]
    missed: list[Missed]
    last_contact: float | None
    """When a release last reached its next hop."""
    next_contact: float | None
    cut_at: float | None
    """What is expected from then on is left out, for it is too much."""


class Timeline(Shape):
    """A page of domains, in order of names. Times are seconds since 1970."""

    start: float
    until: float
    now: float
    calls: list[CallLane]
    """On the first page, for administrators; empty for others."""
    domains: list[SiteLane]
    next: str | None
    """Where there are more: `after` for the next page."""


def timeline_router(common: Common) -> APIRouter:
    """Its routes."""
    router = common.router("timeline")

    @router.get("", summary="Windows, calls and contacts over time")
    async def show(
        request: Request,
        start: Annotated[Time, Query(alias="from", description="A day ago where nothing is said.")] = None,
        until: Annotated[Time, Query(description="In two days where nothing is said; 31 days in all at most.")] = None,
        after: Annotated[str, Query(description="The last name of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
    ) -> Timeline:
        steering = common.steering_for(request)
        line = await steering.timeline(start, until, after=after, limit=limit)
        return Timeline(
            start=line.start,
            until=line.until,
            now=line.now,
            calls=[CallLane.model_validate(lane) for lane in line.calls],
            domains=[SiteLane.model_validate(lane) for lane in line.domains],
            next=line.after,
        )

    return router
