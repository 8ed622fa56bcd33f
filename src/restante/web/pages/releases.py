"""`/releases`: what was let go, and what goes now; one of them, live; and one more, for a domain."""

from __future__ import annotations

import secrets
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request, Response

from restante.admin import protocol as p
from restante.admin.steering import Steering
from restante.directory.entries import EVERY_OTHER
from restante.errors import RestanteError
from restante.model import Caller, NextHopError, Progress, ReleaseView
from restante.release.rates import ReleaseRate
from restante.web.common import entry_status
from restante.web.logins import asker_of, own
from restante.web.pages.frame import Frame, form_of, see
from restante.web.pages.going import going, points_until
from restante.web.pages.speed import Step, steps
from restante.web.pages.wrong import last_failed
from restante.web.problems import Problem
from restante.web.releases import MOST_KEY, MOST_NUMBER
from restante.web.repeats import Repeats

AT_ONCE = 50
LEAST_SECONDS = 1.0
"""What took less has no picture."""
MOST_THERE = 50
"""Of those that run or wait to: so many are listed, the others are counted."""
WRONG = {"any": "Releases that went wrong", "last": "Domains whose last release went wrong"}


def releases_router(frame: Frame) -> APIRouter:
    """Its routes."""
    router = frame.router()
    repeats = Repeats[int](frame.common.clock)

    @router.get("/releases")
    async def list_(
        request: Request,
        domain: str = "",
        wrong: str = "",
        before: Annotated[int | None, Query(ge=1, le=MOST_NUMBER)] = None,
    ) -> Response:
        name = own(asker_of(request), domain.strip()) if domain.strip() else ""
        views = [view for view in frame.common.steering_for(request).releases() if name in ("", view.domain)]
        there = [view for view in views if view.progress is not Progress.ENDED and not (wrong or before)]
        there.sort(key=lambda view: (view.progress is not Progress.RUNNING, view.number))
        ended = [view for view in _that_went(views, wrong) if before is None or view.number < before]
        return frame.page(
            request,
            "releases.html",
            domain=name,
            wrong=wrong if wrong in WRONG else "",
            heading=WRONG.get(wrong, ""),
            is_first=before is None,
            there=there[:MOST_THERE],
            there_more=max(0, len(there) - MOST_THERE),
            is_running=any(view.progress is Progress.RUNNING for view in there),
            ended=ended[:AT_ONCE],
            before=ended[AT_ONCE - 1].number if len(ended) > AT_ONCE else None,
        )

    @router.get("/releases/new")
    async def ask(request: Request, domain: str = "", to: str = "") -> Response:
        return await confirm(request, _wanted(request, domain, to))

    async def confirm(request: Request, wanted: p.Release, said: str = "") -> Response:
        """The question whether to release that; `said` is what was wrong with an answer to it."""
        steering = frame.common.steering_for(request)
        row = await entry_status(steering, wanted.domain)
        needs_host = steering.sees_all and row is not None and row.next_hop == str(Caller())
        items = row.items if row is not None and needs_host else steering.check_release(p.Release(wanted.domain))
        return frame.page(
            request,
            "new_release.html",
            422 if said else 200,
            wanted=wanted,
            said=said,
            needs_host=needs_host,
            items=items,
            row=row,
            others=[view for view in steering.releases() if view.domain == wanted.domain and not _has_ended(view)],
            key=secrets.token_urlsafe(16),
        )

    @router.post("/releases")
    async def begin(request: Request) -> Response:
        form = await form_of(request)
        wanted = _wanted(request, form.get("domain", ""), form.get("to", ""))
        asker, key = asker_of(request), form.get("key", "")[:MOST_KEY]
        if (number := repeats.find((asker.user.name, key), repr(wanted)) if key else None) is None:
            try:
                number = frame.common.steering_for(request).begin_release(wanted).view.number
            except NextHopError as error:
                return await confirm(request, wanted, str(error))
            if key:
                repeats.keep((asker.user.name, key), repr(wanted), number)
        return see(f"/releases/{number}")

    @router.get("/releases/{number}")
    async def show(request: Request, number: Annotated[int, Path(ge=1, le=MOST_NUMBER)]) -> Response:
        rate = frame.common.steering_for(request).release_rate(number)
        if rate is None:
            raise Problem(404, "no such release, or not yours; of those that have ended the last few hundred are kept")
        speeds = picture_of(rate, frame.common.clock.wall())
        return frame.page(request, "release.html", going=going(rate), view=rate.view, speeds=speeds)

    return router


def _has_ended(view: ReleaseView) -> bool:
    return view.progress is Progress.ENDED


def _that_went(views: list[ReleaseView], wrong: str) -> list[ReleaseView]:
    """Those that have ended; of them those that went wrong, where that is wanted."""
    if wrong == "last":
        return last_failed(views)
    return [view for view in views if _has_ended(view) and (view.error or wrong != "any")]


def _wanted(request: Request, domain: str, to: str) -> p.Release:
    """What is asked for, of the asker's own. Raises Problem."""
    return p.Release(own(asker_of(request), domain.strip()), to.strip() or None)


def picture_of(rate: ReleaseRate, now: float) -> tuple[Step, ...]:
    """How fast a release went, as a picture has it; nothing of one that took less than LEAST_SECONDS."""
    speeds = steps(points_until(rate, now))
    return speeds if speeds and speeds[-1].at - speeds[0].at >= LEAST_SECONDS else ()


def waits_for_others(steering: Steering) -> int:
    """How many items wait for all domains that have no entry of their own, and can leave."""
    with suppress(RestanteError, NextHopError):
        return steering.check_release(p.Release(EVERY_OTHER))
    return 0


def can_release(steering: Steering, row: p.DomainStatus) -> bool:
    """Whether who asks may release it here: where it goes to whoever calls, an administrator says where to."""
    if steering.sees_all and row.next_hop == str(Caller()):
        return True
    try:
        steering.check_release(p.Release(row.domain))
    except (RestanteError, NextHopError):
        return False
    return True
