"""`/items/{id}`: one item, or all of a message: its envelope, its header section, and what happened to it.

Of one that has left there is what happened, as long as that is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request, Response

from restante.admin import protocol as p
from restante.message.subject import field_of
from restante.model import IdError, ItemState, parse_id
from restante.spool.states import Step, step
from restante.web.feed import RING, Feed
from restante.web.history import history_of
from restante.web.items import NO_ITEM, Verb
from restante.web.logins import asker_of
from restante.web.pages.frame import Frame
from restante.web.problems import Problem

MOST_ITEMS = 50
MOST_RECIPIENTS = 200
"""Of an item that are shown."""
SHOWN_FIELDS = ("Subject", "From", "To", "Date")


def item_router(frame: Frame, feed: Feed) -> APIRouter:
    """Its route."""
    router = frame.router()

    @router.get("/items/{id}")
    async def show(request: Request) -> Response:
        identifier = request.path_params["id"]
        try:
            wanted = parse_id(identifier)
        except IdError:
            raise Problem(404, NO_ITEM) from None
        answer = await frame.common.steering_for(request).answer(p.Show(identifier))
        history = history_of(feed.kept(), wanted, asker_of(request).within)
        values = _shown(identifier, answer) if isinstance(answer, p.ShowAnswer) else _GONE
        if values is _GONE and not any(one.is_its_own for one in history):
            raise Problem(404, NO_ITEM)
        return frame.page(
            request,
            "item.html",
            identifier=identifier,
            history=history,
            knows_arrival=any(one.event == "message accepted" for one in history),
            began=next((when for when, _ in feed.kept()), None),
            ring=RING,
            **values,
        )

    return router


_GONE: Mapping[str, Any] = {"answer": None, "items": (), "arrived": None, "verbs": ()}


def _shown(identifier: str, answer: p.ShowAnswer) -> Mapping[str, Any]:
    head = answer.headers.encode("utf-8", "replace")
    named = urlencode([("which", "chosen"), ("back", "item"), ("item", identifier)])
    return {
        "answer": answer,
        "items": answer.items[:MOST_ITEMS],
        "more_items": max(0, len(answer.items) - MOST_ITEMS),
        "most_recipients": MOST_RECIPIENTS,
        "fields": [(name, text) for name in SHOWN_FIELDS if (text := field_of(head, name))],
        "lines": lines_of(answer.headers),
        "arrived": min(shown.item.arrived for shown in answer.items),
        "verbs": [(verb, f"verb={verb}&{named}") for verb in verbs_for(shown.item.state for shown in answer.items)],
    }


def verbs_for(states: Iterable[ItemState]) -> list[Verb]:
    """What can be done with items that are in these states."""
    there = set(states)
    return [verb for verb in Verb if any(step(state, Step(verb)) is not None for state in there)]


def lines_of(headers: str) -> list[str]:
    """The lines of a header section; tabs as spaces, for nothing else of it stands for more than itself."""
    return headers.removesuffix("\r\n").replace("\t", "    ").split("\r\n")
