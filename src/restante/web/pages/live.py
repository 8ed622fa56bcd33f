"""`/live`: that something has happened, as it happens, so that a page in a browser can be fetched again (live.js)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from fastapi import APIRouter, Request, Response

from restante.web.events import Stream
from restante.web.feed import HEARTBEAT, Feed, TooManyClients
from restante.web.logins import asker_of
from restante.web.pages.frame import Frame

NEWS = b"data: \n\n"


def live_router(frame: Frame, feed: Feed) -> APIRouter:
    """Its route."""
    router = frame.router()

    @router.get("/live")
    async def follow(request: Request) -> Response:
        asker, place = asker_of(request), contextlib.ExitStack()
        try:
            place.enter_context(feed.place(asker.user.name))
        except TooManyClients:
            return Response(status_code=204)  # a browser does not come again; the page is as it would be without
        events = feed.follow(asker.within, "", lambda: frame.session_of(request) is not None)
        return Stream(_news(events), place)

    return router


async def _news(events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    async for said in events:
        yield said if said in (b"", HEARTBEAT) else NEWS
