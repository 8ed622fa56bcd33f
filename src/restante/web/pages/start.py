"""`/`: what waits, for whom, how old, how large; when sites were there, and are due; what is wrong: at a glance."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Query, Request, Response

from restante.admin import protocol as p
from restante.admin.domains import Amount
from restante.admin.steering import Steering
from restante.directory.entries import EVERY_OTHER
from restante.facts import AlarmKind
from restante.model import Progress
from restante.observe.observing import Observing
from restante.web.common import damaged
from restante.web.logins import asker_of
from restante.web.pages.frame import Frame, see
from restante.web.pages.going import Going, going
from restante.web.pages.listed import Listed, Which, listed
from restante.web.pages.releases import can_release, waits_for_others
from restante.web.pages.wrong import Looked, findings, visible

MOST_RUNNING = 8
"""Releases and calls of which it is told how far they are."""
MOST_CALLS = 20


def start_router(frame: Frame, observing: Observing | None) -> APIRouter:
    """Its route. `observing` is what watches this host, if anything does."""
    router = frame.router()

    @router.get("/")
    async def show(
        request: Request, list_: Annotated[str, Query(alias="list")] = "", after: str = "", domain: str = ""
    ) -> Response:
        steering = frame.common.steering_for(request)
        table = await listed(steering, show=list_, after=after, begins=domain)
        if table.exact:
            return see(f"/domains/{quote(table.exact, safe='')}")
        waiting, stopped = await steering.amounts()
        looked = await _looked(steering, observing, asker_of(request).within, stopped, frame.common.clock.wall())
        releases, calls = _running(steering), looked.calls
        return frame.page(
            request,
            "start.html",
            table=table,
            releasable=_releasable(steering, table),
            waiting=waiting,
            wrong=findings(looked),
            missed=_missed(looked, table),
            releases=releases[:MOST_RUNNING],
            releases_more=max(0, len(releases) - MOST_RUNNING),
            queued=sum(view.progress is Progress.QUEUED for view in looked.releases),
            calls_now=[steering.call_rate(call.view.name) for call in calls if call.view.progress is Progress.RUNNING][
                :MOST_RUNNING
            ],
            calls=calls[:MOST_CALLS],
            calls_more=max(0, len(calls) - MOST_CALLS),
            is_new=table.which is Which.EVERY and not table.rows and not calls,
        )

    return router


async def _looked(
    steering: Steering, observing: Observing | None, within: frozenset[str] | None, stopped: Amount, now: float
) -> Looked:
    quarantined, are_more = await damaged(steering) if stopped.items else (0, False)
    return Looked(
        now=now,
        not_ready=observing.why_not_ready() if observing is not None else "",
        alarms=visible(observing.alarms(), within) if observing is not None else (),
        full=await steering.nearly_full(),
        frozen=max(0, stopped.items - quarantined),
        quarantined=quarantined,
        are_more_quarantined=are_more,
        calls=steering.calls() if steering.sees_all else (),
        releases=steering.releases(),
    )


def _missed(looked: Looked, table: Listed) -> set[str]:
    """Of the domains of a page those whose sites were expected and have not come."""
    rows = {row.domain for row in table.rows}
    return {alarm.subject for alarm in looked.alarms if alarm.kind is AlarmKind.CONTACT and alarm.subject in rows}


def _releasable(steering: Steering, table: Listed) -> set[str]:
    """Of the domains of a page those that who asks can release, and have something to be released."""
    return {row.domain for row in table.rows if row.action == "hold" and _can_release(steering, row)}


def _can_release(steering: Steering, row: p.DomainStatus) -> bool:
    if row.domain == EVERY_OTHER:
        return waits_for_others(steering) > 0
    return row.items > 0 and can_release(steering, row)


def _running(steering: Steering) -> list[Going]:
    running = (view for view in steering.releases() if view.progress is Progress.RUNNING)
    rates = (steering.release_rate(view.number) for view in running)
    return [going(rate) for rate in rates if rate is not None]
