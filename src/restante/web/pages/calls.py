"""`/calls`: whom this host calls, when it did, and when it will; one of them, live; and now. For administrators."""

from __future__ import annotations

import secrets

from fastapi import APIRouter, Request, Response

from restante.admin import protocol as p
from restante.admin.steering import Steering
from restante.calls.schedule import NoSuchCall
from restante.model import CallView, Progress
from restante.web.common import entry_status
from restante.web.logins import asker_of
from restante.web.pages.bothways import both_ways
from restante.web.pages.frame import Frame, form_of, see
from restante.web.releases import MOST_KEY
from restante.web.repeats import Repeats

MOST_NAMED = 20
"""Of the entries whose mail a call takes along."""


def calls_pages(frame: Frame) -> APIRouter:
    """Its routes."""
    router = frame.router(administrators=True)
    repeats = Repeats[str](frame.common.clock)

    @router.get("/calls")
    async def list_(request: Request) -> Response:
        calls = frame.common.steering_for(request).calls()
        return frame.page(request, "calls.html", calls=calls, is_running=any(_runs(call.view) for call in calls))

    @router.post("/calls")
    async def begin(request: Request) -> Response:
        form = await form_of(request)
        name, steering = form.get("name", ""), frame.common.steering_for(request)
        key = form.get("key", "")[:MOST_KEY]
        whose = asker_of(request).user.name, key
        if not key or repeats.find(whose, name) is None:
            ran = _runs(steering.call_rate(name).view)
            steering.begin_call(p.Call(name))
            if key:
                repeats.keep(whose, name, name)
            if ran:
                frame.note(request, f"The call {name} ran already; none was begun besides.")
        return see(f"/calls/{name}")

    @router.get("/calls/{name}")
    async def show(request: Request, name: str) -> Response:
        steering = frame.common.steering_for(request)
        rate = steering.call_rate(name)
        past = steering.past_calls(name)
        return frame.page(
            request,
            "call.html",
            rate=rate,
            view=rate.view,
            speeds=both_ways(rate, frame.common.clock.wall()),
            due=_due(steering, name),
            past=past if _runs(rate.view) else past[1:],
        )

    @router.get("/calls/{name}/new")
    async def ask(request: Request, name: str) -> Response:
        steering = frame.common.steering_for(request)
        plan = steering.call_plan(name)
        return frame.page(
            request,
            "new_call.html",
            plan=plan,
            domains=plan.domains[:MOST_NAMED],
            rate=steering.call_rate(name),
            flush=[(entry, await entry_status(steering, entry)) for entry in plan.flush[:MOST_NAMED]],
            key=secrets.token_urlsafe(16),
        )

    return router


def _runs(view: CallView) -> bool:
    return view.progress is Progress.RUNNING


def _due(steering: Steering, name: str) -> p.CallStatus | None:
    """When it is due next; None for one that still runs, and is configured no longer."""
    try:
        steering.call_plan(name)
    except NoSuchCall:
        return None
    return next(status for status in steering.calls() if status.view.name == name)
