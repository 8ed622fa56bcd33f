"""`/api/events`: what happens, as it happens, as server-sent events (feed.py)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated

from fastapi import APIRouter, Header, Request, Response
from starlette.types import Receive, Scope, Send

from restante.directory.entries import Directory
from restante.web.common import Common
from restante.web.feed import Feed, TooManyClients
from restante.web.logins import Asker, asker_of, domains_here
from restante.web.problems import Problem

MEDIA_TYPE = "text/event-stream"
SEND_SECONDS = 30.0
"""How long a client may take over what it was sent."""
MOST_ID = 64


class Stream(Response):
    """Events until the client goes, is too slow, or is let go."""

    media_type = MEDIA_TYPE

    def __init__(self, events: AsyncIterator[bytes], place: contextlib.ExitStack) -> None:
        super().__init__()
        del self.headers["content-length"]
        self._events = events
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One answer, by ASGI."""
        del scope
        leaving = asyncio.ensure_future(_left(receive))
        sending = asyncio.ensure_future(self._send(send))
        try:
            await asyncio.wait([leaving, sending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, sending):
                task.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)
            self._place.close()

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for events in self._events:
            if events:
                async with asyncio.timeout(SEND_SECONDS):
                    await send({"type": "http.response.body", "body": events, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def events_router(common: Common, feed: Feed, directory: Callable[[], Directory]) -> APIRouter:
    """Its route."""
    router = common.router("events")

    @router.get(
        "",
        summary="What happens, as it happens",
        status_code=200,
        response_class=Stream,
        responses={200: {"description": "Events", "content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}},
    )
    async def follow(
        request: Request,
        last_event_id: Annotated[
            str,
            Header(alias="Last-Event-ID", max_length=MOST_ID, description="What came behind this is told again."),
        ] = "",
    ) -> Stream:
        asker = asker_of(request)
        place = contextlib.ExitStack()
        try:
            place.enter_context(feed.place(asker.user.name))
        except TooManyClients:
            raise Problem(429, "too many follow already", headers={"Retry-After": "15"}) from None
        return Stream(feed.follow(asker.within, last_event_id, _same_rights(asker, directory)), place)

    return router


def _same_rights(asker: Asker, directory: Callable[[], Directory]) -> Callable[[], bool]:
    """Whether a user is still there as he was when he was admitted, with the same proofs and domains."""
    seen: Directory | None = None

    def are_same() -> bool:
        nonlocal seen
        now = directory()
        if now is seen:
            return True
        user, seen = now.user(asker.user.name), now
        return user == asker.user and asker.within in (None, domains_here(asker.user, now))

    return are_same
