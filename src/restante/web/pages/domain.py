"""`/domains/{domain}`: what waits for it, when its site was here, what was let go and how fast, how it is set up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from restante.admin import protocol as p
from restante.admin.steering import Steering
from restante.calls.zone import local_zone
from restante.directory.entries import EVERY_OTHER, Delivered, Entry, Held, asks_who_exists
from restante.facts import AlarmKind
from restante.model import DomainName, Progress, ReleaseView
from restante.observe.observing import Observing
from restante.web.common import damaged, domain_status
from restante.web.keeper import Keeper
from restante.web.lists import Lists
from restante.web.logins import asker_of, no_such_domain, own_domain
from restante.web.pages.axis import DAY, Scale, ticks
from restante.web.pages.frame import Frame
from restante.web.pages.going import going
from restante.web.pages.lanes import site_lane
from restante.web.pages.releases import can_release, picture_of, waits_for_others
from restante.web.pages.speed import Step
from restante.web.pages.written import written

MOST_ITEMS = 20
MOST_ENDED = 5
"""Of releases."""
MOST_CONTACTS = 20
MOST_USERS = 50
BACK, AHEAD = 5 * DAY, 2 * DAY
"""What the line of time shows."""


def domain_router(frame: Frame, keeper: Keeper, lists: Lists, observing: Observing | None) -> APIRouter:
    """Its route. `observing` is what watches this host, if anything does."""
    router, page = frame.router(), _Page(frame, keeper, lists, observing)

    @router.get("/domains/{domain}")
    async def show(request: Request) -> Response:
        return await page.show(request, own_domain(request))

    return router


class _Page:
    """What it shows, part by part."""

    def __init__(self, frame: Frame, keeper: Keeper, lists: Lists, observing: Observing | None) -> None:
        self._frame = frame
        self._keeper = keeper
        self._lists = lists
        self._observing = observing

    async def show(self, request: Request, domain: DomainName) -> Response:
        """All of it. Raises Problem."""
        asker, common = asker_of(request), self._frame.common
        steering = common.steering_for(request)
        row = await domain_status(steering, domain)
        if row is None:
            raise no_such_domain()
        entry = self._keeper.directory().entry_for(domain)
        is_own = entry is not None and entry.name == domain
        alone = common.steering.for_user(asker.name, frozenset((domain,)))
        return self._frame.page(
            request,
            "domain.html",
            domain=domain,
            row=row,
            waits=waits_for_others(steering) if domain == EVERY_OTHER else row.items,
            entry=entry,
            is_own=is_own,
            is_of_others=domain == EVERY_OTHER,
            can_release=can_release(steering, row),
            can_be_set_up=is_own and isinstance(entry, Held | Delivered) and domain != EVERY_OTHER,
            may_release=_may_release(entry) if steering.sees_all else None,
            users=sorted(entry.users or ())[:MOST_USERS] if isinstance(entry, Delivered) else [],
            where=self._keeper.where(domain),
            is_missed=self._is_missed(domain),
            **await self._stopped(alone, domain),
            **await self._kept(domain, entry, is_administrator=steering.sees_all),
            **self._releases(alone),
            **await self._line(alone, entry if is_own else None),
            items=await _items(alone, domain),
        )

    def _is_missed(self, domain: DomainName) -> bool:
        alarms = self._observing.alarms() if self._observing is not None else ()
        return any(alarm.kind is AlarmKind.CONTACT and alarm.subject == domain for alarm in alarms)

    async def _stopped(self, steering: Steering, domain: DomainName) -> dict[str, Any]:
        """How many items are frozen, and how many damaged."""
        _, stopped = await steering.amounts()
        count, _ = await damaged(steering, domain) if stopped.items else (0, False)
        return {"frozen": stopped.items - count, "damaged": count}

    async def _kept(self, domain: DomainName, entry: Entry | None, *, is_administrator: bool) -> dict[str, Any]:
        """What the store has of it, for administrators; and how it is known who exists there, where that matters."""

        def looked() -> dict[str, Any]:
            table = self._keeper.table("domains", domain) if is_administrator else None
            return {
                "table": written("domains", domain, table) if table is not None else "",
                "listed": self._lists.where(domain) if asks_who_exists(entry) else None,
            }

        return await asyncio.to_thread(looked)

    def _releases(self, steering: Steering) -> dict[str, Any]:
        """What runs or waits to, with how far it is; the last that have ended; and how fast the last one went."""
        views, now = steering.releases(), self._frame.common.clock.wall()
        there = sorted(
            (view for view in views if view.progress is not Progress.ENDED),
            key=lambda view: (view.progress is not Progress.RUNNING, view.number),
        )
        ended = [view for view in views if view.progress is Progress.ENDED][:MOST_ENDED]
        rates = (steering.release_rate(view.number) for view in there)
        pictured, speeds = _picture(steering, [*there, *ended], now)
        return {
            "there": [going(rate) for rate in rates if rate is not None],
            "is_running": any(view.progress is Progress.RUNNING for view in there),
            "ended": ended,
            "pictured": pictured,
            "speeds": speeds,
        }

    async def _line(self, steering: Steering, entry: Entry | None) -> dict[str, Any]:
        """When its site was here, and is expected."""
        found: dict[str, Any] = {"lane": None, "contacts": (), "expected": ()}
        if not isinstance(entry, Held) or entry.name == EVERY_OTHER:
            return found
        now = self._frame.common.clock.wall()
        line = await steering.timeline(now - BACK, now + AHEAD)
        found["expected"] = entry.retention.contact
        if line.domains:
            scale = Scale(line.start, line.until)
            found["lane"] = site_lane(line.domains[0], scale, line.now)
            found["ticks"], found["now_x"] = ticks(scale, local_zone()), scale.x(line.now)
            found["contacts"] = line.domains[0].contacts[::-1][:MOST_CONTACTS]
        return found


async def _items(steering: Steering, domain: DomainName) -> tuple[p.QueueItem, ...]:
    """The oldest of them."""
    if domain == EVERY_OTHER:
        return ()
    answer = await steering.answer(p.Queue(domains=(domain,), limit=MOST_ITEMS))
    assert isinstance(answer, p.QueueAnswer), answer
    return answer.items


def _may_release(entry: Entry | None) -> tuple[str, ...]:
    """Who may have it released, besides administrators: grants, as a configuration writes them."""
    if not isinstance(entry, Held):
        return ()
    owners = (f"user:{name}" for name in sorted(entry.owners))
    return tuple(dict.fromkeys([*owners, *map(str, entry.grants)]))


def _picture(
    steering: Steering, views: Sequence[ReleaseView], now: float
) -> tuple[ReleaseView | None, tuple[Step, ...]]:
    """The first of these releases that took long enough to have a picture, and its steps."""
    for view in views:
        rate = steering.release_rate(view.number)
        if rate is not None and (speeds := picture_of(rate, now)):
            return view, speeds
    return None, ()
