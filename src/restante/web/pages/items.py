"""`/items`: what waits, item by item, chosen by a filter, a page at a time; and what can be done with it."""

from __future__ import annotations

from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from restante.model import IdError, ItemState, parse_id
from restante.web.items import LOOK, Verb, listed
from restante.web.pages.asked import Asked
from restante.web.pages.frame import Frame

AT_ONCE = 100
ALL_VERBS = tuple(Verb)


def items_pages(frame: Frame) -> APIRouter:
    """Its route."""
    router = frame.router()

    @router.get("/items")
    async def show(request: Request, after: str = "") -> Response:
        asked, answer = Asked.of(request.query_params), None
        if not asked.wrong:
            answer = await listed(frame.common, request, asked.page(_place(after), AT_ONCE))
        following = answer.after if answer is not None else None
        return frame.page(
            request,
            "items.html",
            200 if answer is not None else 422,
            asked=asked,
            states=list(ItemState),
            items=answer.items if answer is not None else (),
            next=f"/items?{urlencode({**asked.query, 'after': following})}" if following is not None else "",
            is_look=answer is not None and following is not None and len(answer.items) < AT_ONCE,
            look=LOOK,
            is_first=not after,
            verbs=ALL_VERBS,
        )

    return router


def _place(after: str) -> str | None:
    """Behind which item a page begins; what is none is the beginning."""
    try:
        parse_id(after)
    except IdError:
        return None
    return after
