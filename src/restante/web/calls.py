"""`/api/calls`: the offices that this host calls, when it did and when it will; and now. For administrators."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request, Response

from restante.admin import protocol as p
from restante.calls.schedule import NoSuchCall
from restante.model import Progress
from restante.web.common import Common, Shape
from restante.web.problems import problems
from restante.web.rates import Point, Rate


class Call(Shape):
    """A call as it stands, or as the last one ended; `queued`: it was never made. Times are seconds since 1970."""

    name: str
    office: str
    progress: Progress
    reason: str
    """Why it was made: `schedule`, `operator`, `link-up`."""
    step: str
    """What it is doing."""
    expected: int | None
    """Messages that the office said it would send, as far as known."""
    received: int
    received_octets: int
    sent: int
    sent_octets: int
    started: float | None
    window_ends: float | None
    ended: float | None
    replies: list[str]
    """What the office answered."""
    error: str


class CallDue(Call):
    """The same, and the next window of its schedule."""

    next_start: float | None
    next_end: float | None


class Calls(Shape):
    """All calls that are configured, by name."""

    calls: list[CallDue]
    now: float


class CallShown(CallDue):
    """The same, and how calls before have ended."""

    past: list[Call]
    """The newest first, without replies; it may be the one that is shown."""


class CallRates(Shape):
    """How fast a call went, each way, and what is to be expected of one that runs; null is not known."""

    name: str
    progress: Progress
    received: list[Point]
    """Since its start, 121 at the most; none for a call before the last start of this host."""
    sent: list[Point]
    receiving: Rate | None
    sending: Rate | None
    seconds_left: float | None
    """Of its window."""
    messages_left: int | None
    """Of those that the office has counted out."""
    messages_fit: int | None
    """How many of them can come before the window ends, as fast as they come now."""
    now: float


def calls_router(common: Common) -> APIRouter:
    """Its routes."""
    router = common.router("calls", administrators=True)

    @router.get("", summary="Whom this host calls, and when")
    async def list_(request: Request) -> Calls:
        steering = common.steering_for(request)
        return Calls(calls=[CallDue(**_due(status)) for status in steering.calls()], now=common.clock.wall())

    @router.get("/{name}", summary="One call, and those before", responses=problems(404))
    async def show(request: Request, name: str) -> CallShown:
        steering = common.steering_for(request)
        for status in steering.calls():
            if status.view.name == name:
                past = [Call.model_validate(view) for view in steering.past_calls(name)]
                return CallShown(**_due(status), past=past)
        raise NoSuchCall(name)

    @router.get("/{name}/rate", summary="How fast a call went, and what it will do yet", responses=problems(404))
    async def rate(request: Request, name: str) -> CallRates:
        found = common.steering_for(request).call_rate(name)
        told = {"name": found.view.name, "progress": found.view.progress, "now": common.clock.wall()}
        return CallRates.model_validate(asdict(found) | told)

    @router.post(
        "/{name}:call", summary="Call now, or join the call that runs", status_code=202, responses=problems(404)
    )
    async def call(request: Request, response: Response, name: str) -> Call:
        view = common.steering_for(request).begin_call(p.Call(name)).view
        response.headers["Location"] = f"/api/calls/{view.name}"
        return Call.model_validate(view)

    return router


def _due(status: p.CallStatus) -> dict[str, Any]:
    return Call.model_validate(status.view).model_dump() | {
        "next_start": status.next_start,
        "next_end": status.next_end,
    }
