"""`/timeline`: windows and calls, and when sites were here and are expected, as a picture and in words."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request, Response

from restante.admin.timeline import Timeline
from restante.calls.zone import local_zone
from restante.web.pages.axis import DAY, Scale, ticks
from restante.web.pages.frame import Frame
from restante.web.pages.lanes import call_lane, site_lane
from restante.web.timeline import Time

Span = Literal["24h", "3d", "7d", "31d"]
SPANS: dict[Span, tuple[str, float]] = {
    "24h": ("24 hours", DAY),
    "3d": ("3 days", 3 * DAY),
    "7d": ("7 days", 7 * DAY),
    "31d": ("31 days", 31 * DAY),
}
AT_ONCE = 25
"""Domains of a page."""
MOST_CALLS = 50


def timeline_pages(frame: Frame) -> APIRouter:
    """Its route."""
    router = frame.router()

    @router.get("/timeline")
    async def show(
        request: Request,
        span: Span = "3d",
        start: Annotated[Time, Query(alias="from")] = None,
        after: str = "",
    ) -> Response:
        steering, now, seconds = frame.common.steering_for(request), frame.common.clock.wall(), SPANS[span][1]
        begins = now - seconds / 2 if start is None else start
        line = await steering.timeline(begins, begins + seconds, after=after, limit=AT_ONCE)
        at = {} if start is None else {"from": str(int(start))}
        links: dict[str, Any] = {
            "earlier": _path(span, after, {"from": str(int(max(0, begins - seconds / 2)))}),
            "later": _path(span, after, {"from": str(int(begins + seconds / 2))}),
            "here": _path(span, after) if start is not None else None,
            "more": _path(span, line.after, at) if line.after is not None else None,
            "first": _path(span, "", at) if after else None,
        }
        spans = {key: (words, _path(key, after)) for key, (words, _) in SPANS.items()}

        def drawn() -> Response:
            return frame.page(request, "timeline.html", spans=spans, span=span, **links, **_drawing(line))

        return await asyncio.to_thread(drawn)  # there may be a thousand rectangles

    return router


def _drawing(line: Timeline) -> dict[str, Any]:
    """What the template needs of a line of time."""
    scale = Scale(line.start, line.until)
    calls = [call_lane(lane, scale, line.now) for lane in line.calls[:MOST_CALLS]]
    sites = [site_lane(lane, scale, line.now) for lane in line.domains]
    return {
        "line": line,
        "ticks": ticks(scale, local_zone()),
        "now_x": scale.x(line.now) if scale.shows(line.now) else None,
        "calls": calls,
        "calls_more": max(0, len(line.calls) - MOST_CALLS),
        "sites": sites,
        "kinds": {box.kind for lane in calls + sites for box in lane.boxes},
    }


def _path(span: Span, after: str, query: dict[str, str] | None = None) -> str:
    """This page, for another span or page."""
    return f"/timeline?{urlencode({'span': span} | (query or {}) | ({'after': after} if after else {}))}"
