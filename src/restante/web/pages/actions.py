"""`/items/change`: what is to be done with items, said before it is done; and then done.

The page that asks (GET) counts by a dry run, and shows what will come of it. The form on it (POST) means the same
items: those named, or all that are as said and were here when it was made. Doing it again changes nothing more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from restante.admin import protocol as p
from restante.admin.endings import NowhereElse
from restante.admin.steering import NotYours
from restante.admin.words import counted
from restante.smtp.address import AddressError
from restante.web.common import MOST_AT_ONCE
from restante.web.items import MOST_TEXT, Manner, Verb, change_all_as_said, change_named, listed
from restante.web.pages.asked import Asked
from restante.web.pages.frame import Frame, fields_of, see
from restante.web.problems import Problem

MOST_CHOSEN = 100
"""Items that are ticked on one page."""
MOST_SHOWN = 10
MOST_REASONS = 20
CHOSEN, ALL = "chosen", "all"
DONE: Mapping[Verb, tuple[str, str]] = {
    Verb.FREEZE: ("was frozen", "were frozen"),
    Verb.THAW: ("waits again", "wait again"),
    Verb.REMOVE: ("was removed", "were removed"),
    Verb.BOUNCE: ("was sent back", "were sent back"),
    Verb.REDIRECT: ("was redirected", "were redirected"),
}
ALREADY: Mapping[Verb, str] = {Verb.FREEZE: "frozen already", Verb.THAW: "not frozen"}


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and with which items: those of `ids`, or all that are as `asked` says.

    `back_to_item`: it was asked for on the page of one.
    """

    verb: Verb
    asked: Asked
    ids: tuple[str, ...]
    manner: Manner
    then: float
    """The wall time at which the items were looked at."""
    back_to_item: bool

    @staticmethod
    def of(fields: Sequence[tuple[str, str]], now: float) -> Order:
        """What a query or a form says. Raises Problem."""
        last = dict(fields)
        try:
            verb = Verb(last.get("verb", ""))
            manner = Manner(text=last.get("text", "").strip(), where=last.get("where", "").strip())
        except ValidationError:
            raise Problem(422, f"that is one line, of {MOST_TEXT} characters at the most") from None
        except ValueError:
            raise Problem(422, "nothing of that kind can be done with messages") from None
        asked = Asked.of(last)
        if asked.wrong:
            raise Problem(422, "; ".join(asked.wrong.values()))
        is_all = last.get("which") == ALL
        ids = () if is_all else tuple(dict.fromkeys(value for name, value in fields if name == "item"))
        if len(ids) > MOST_CHOSEN:
            raise Problem(422, f"{MOST_CHOSEN} messages can be chosen at the most")
        if not (ids or is_all):
            raise Problem(422, "no message was chosen")
        return Order(verb, asked, ids, manner, _wall(last.get("then"), now), last.get("back") == "item")

    @property
    def where_from(self) -> str:
        """The page on which it was asked for."""
        return f"/items/{quote(self.ids[0], safe='')}" if self.back_to_item and self.ids else "/items"

    @property
    def fields(self) -> list[tuple[str, str]]:
        """It, for a form; without the manner, which has fields that people fill in."""
        place = [("back", "item")] if self.back_to_item else []
        kind = CHOSEN if self.ids else ALL
        said = [("verb", str(self.verb)), ("which", kind), ("then", repr(self.then)), *place]
        return [*said, *self.asked.query.items(), *(("item", one) for one in self.ids)]

    @property
    def way_back(self) -> RedirectResponse:
        """To there."""
        return see(self.where_from, **({} if self.back_to_item else self.asked.query))


def actions_router(frame: Frame) -> APIRouter:
    """Its routes; they stand before `/items/{id}`."""
    router = frame.router()
    common = frame.common

    async def change(request: Request, order: Order, *, dry_run: bool) -> p.ChangeAnswer:
        """What came of it, or would be tried. Raises Problem, AddressError, NowhereElse, NotYours."""
        ids = order.ids
        if not ids and "id" in order.asked.values:
            few = await listed(common, request, order.asked.page(None, MOST_AT_ONCE))
            if not (ids := tuple(item.id for item in few.items)):
                return p.ChangeAnswer(())
        if ids:
            return await change_named(common, request, order.verb, order.manner, ids, dry_run=dry_run)
        as_of = order.asked.as_of(order.then, common.clock.wall(), dry_run=dry_run)
        bulk = as_of.model_copy(update={"text": order.manner.text, "where": order.manner.where})
        return await change_all_as_said(common, request, order.verb, bulk)

    @router.get("/items/change")
    async def ask(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        if not any(name == "item" for name, _ in pairs) and ("which", CHOSEN) in pairs:
            frame.note(request, "No message was chosen: tick those that are meant.", warns=True)
            return see("/items", **Asked.of(dict(pairs)).query)
        order = Order.of(pairs, common.clock.wall())
        if order.verb is Verb.REDIRECT and not order.manner.where:
            return frame.page(request, "redirect.html", order=order, wrong="")
        try:
            answer = await change(request, order, dry_run=True)
        except (AddressError, NowhereElse, NotYours) as error:
            if order.verb is not Verb.REDIRECT:
                raise
            return frame.page(request, "redirect.html", 422, order=order, wrong=str(error))
        shown: tuple[p.QueueItem, ...] = ()
        if answer.changed:
            first = p.Queue(ids=answer.changed[:MOST_SHOWN])
            listing = await common.steering_for(request).answer(first)
            assert isinstance(listing, p.QueueAnswer), listing
            shown = listing.items
        return frame.page(
            request,
            "confirm.html",
            order=order,
            count=len(answer.changed),
            shown=shown,
            left=left_of(order.verb, answer),
            most_text=MOST_TEXT,
        )

    @router.post("/items/change")
    async def do(request: Request) -> Response:
        order = Order.of(await fields_of(request), common.clock.wall())
        answer = await change(request, order, dry_run=False)
        frame.note(request, done_of(order.verb, answer), left_of(order.verb, answer), warns=answer.status != p.DONE)
        return order.way_back

    return router


def done_of(verb: Verb, answer: p.ChangeAnswer) -> str:
    """What was done, as a sentence."""
    number = len(answer.changed)
    return f"{counted(number, 'message')} {DONE[verb][number != 1]}." if number else "Nothing was changed."


def left_of(verb: Verb, answer: p.ChangeAnswer) -> list[str]:
    """What is left as it is, and why, a line each; of very many the first."""
    said = [f"{one.id} {one.reason}" for one in answer.unchanged[:MOST_REASONS]]
    if more := len(answer.unchanged) - len(said):
        said.append(f"and {more} more were left as they are")
    if answer.already:
        number = len(answer.already)
        said.append(f"{counted(number, 'message')} {'is' if number == 1 else 'are'} {ALREADY[verb]}")
    said += [f"{one} is not here any more" for one in answer.unknown[:MOST_REASONS]]
    return said


def _wall(text: str | None, now: float) -> float:
    """A wall time that we have written into a form, which is not to come."""
    try:
        then = float(text) if text is not None else now
    except ValueError:
        then = now
    return min(then, now) if isfinite(then) else now
