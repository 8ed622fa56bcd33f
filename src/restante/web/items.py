"""`/api/items`: what waits, item by item, and what can be done with it: one at a time, or all that are as said.

A page is a look at so many items at the most: with a filter that few items pass it may have fewer rows than were asked
for, or none, and still there is a next one.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from pydantic import ConfigDict, Field

from restante.admin import protocol as p
from restante.model import ItemState
from restante.web.common import MOST_AT_ONCE, WITH_BODY, Body, Common, Shape
from restante.web.logins import asker_of
from restante.web.problems import Problem, Wrong, problems

LOOK = 5000
"""Items that one page looks at: hundredths of a second."""
MOST_NAMED = 1000
"""Items that an answer to a change names, of each kind."""
MOST_TEXT = 500
ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*$"
NO_ITEM = "no such message or item, or not yours"

Line = Annotated[str, Field(max_length=MOST_TEXT, pattern=ONE_LINE)]


class Verb(StrEnum):
    """What is done with items. `bounce` sends them back, `redirect` elsewhere."""

    FREEZE = "freeze"
    THAW = "thaw"
    REMOVE = "remove"
    BOUNCE = "bounce"
    REDIRECT = "redirect"


class Item(Shape):
    """One envelope of a message, which waits for one domain. Times are seconds since 1970."""

    id: str
    domain: str
    """Empty where the item's record is damaged; then there is no sender and no recipient, too."""
    state: ItemState
    size: int
    arrived: float
    priority: int
    attempts: int
    next_attempt: float
    reverse_path: str
    recipients: list[str]
    """The first few."""
    recipients_total: int
    detail: str
    """Why it still waits: the last reply or error."""


class Items(Shape):
    """A page of items, in order of ids, which is that of arrival."""

    items: list[Item]
    now: float
    next: str | None
    """Where there may be more: `after` for the next page."""


class Recipient(Shape):
    """One forward-path, with what DSN asked for it (RFC 3461)."""

    mailbox: str
    notify: list[str] | None
    orcpt: str | None


class Envelope(Shape):
    """One item with its whole envelope."""

    item: Item
    recipients: list[Recipient]
    body: str | None
    smtputf8: bool
    ret: str | None
    envid: str | None
    requiretls: bool
    deliver_by: float | None
    """By when it is to be delivered (RFC 2852)."""
    comes_back: bool
    """Whether it goes back to its sender then."""


class Message(Shape):
    """The asker's items of one message, and the header section of its content."""

    items: list[Envelope]
    now: float
    headers: str
    """As it came, with CR LF; what is not UTF-8 is replaced. Strangers have written it: it is text, never a page."""
    cut: bool
    """Whether it is longer than what is shown."""
    damage: str
    """Why there is none."""


class Filters(Body):
    """Which items: all that are as said."""

    domain: str | None = None
    from_: str | None = Field(None, alias="from")
    """`ADDRESS`, `@DOMAIN` or `<>`."""
    to: str | None = None
    """`ADDRESS` or `@DOMAIN`: one recipient is that."""
    state: ItemState | None = Field(None, strict=False)
    older: float | None = Field(None, ge=0, allow_inf_nan=False)
    """They came longer ago than so many seconds."""
    larger: int | None = Field(None, ge=0)
    """They have more octets."""


class Page(Filters):
    """Which items, and which part of them."""

    model_config = ConfigDict(strict=False)  # all of a query is text

    id: str | None = None
    """A message's id (all its items) or an item's."""
    after: str | None = None
    """`next` of the page before."""
    limit: int = Field(100, ge=1, le=MOST_AT_ONCE)


class Manner(Body):
    """How it is done."""

    text: Line = ""
    """`bounce`: what the notice says."""
    where: Line = ""
    """`redirect`: an address, or a domain (`@test.example`) for the same local parts there; else nothing."""


class Bulk(Filters, Manner):
    """What is done to all that are as said. Something has to be said: a filter, or `all`."""

    all: bool = False
    dry_run: bool = False
    """Nothing is done, and told what would be tried."""


class Unchanged(Shape):
    """An item that was left as it is, and why."""

    id: str
    reason: str


class Changed(Shape):
    """What became of items: each is in one of the three."""

    dry_run: bool
    changed: int
    already: int
    """They were so before."""
    unchanged: int
    ids: list[str]
    """The first of those that were changed."""
    reasons: list[Unchanged]
    """The first of those that were not."""


def items_router(common: Common) -> APIRouter:
    """Its routes."""
    router = common.router("items")

    @router.get("", summary="What waits", responses=problems(422))
    async def list_(request: Request, page: Annotated[Page, Query()]) -> Items:
        answer = await listed(common, request, page)
        return Items(items=list(map(Item.model_validate, answer.items)), now=answer.now, next=answer.after)

    @router.get("/{id}", summary="One item, or all of a message", responses=problems(404))
    async def show(request: Request, identifier: Annotated[str, Path(alias="id")]) -> Message:
        answer = await common.steering_for(request).answer(p.Show(identifier))
        if not isinstance(answer, p.ShowAnswer):
            raise Problem(404, NO_ITEM)
        return Message.model_validate(answer)

    @router.post("/{id}:{verb}", summary="Change one item", responses=problems(404, 409, *WITH_BODY))
    async def change(
        request: Request, identifier: Annotated[str, Path(alias="id")], verb: Verb, manner: Manner | None = None
    ) -> Changed:
        answer = await change_named(common, request, verb, manner or Manner(), (identifier,))
        if answer.unknown:
            raise Problem(404, NO_ITEM)
        if answer.unchanged and not (answer.changed or answer.already):
            wrong = [Wrong(f"{one.id} {one.reason}") for one in answer.unchanged[:MOST_NAMED]]
            raise Problem(409, "it was left as it is", wrong)
        return _changed(answer, dry_run=False)

    @router.post(":{verb}", summary="Change all items that are as said", responses=problems(409, *WITH_BODY))
    async def change_all(request: Request, verb: Verb, bulk: Bulk) -> Changed:
        return _changed(await change_all_as_said(common, request, verb, bulk), dry_run=bulk.dry_run)

    return router


async def listed(common: Common, request: Request, page: Page) -> p.QueueAnswer:
    """A page of the asker's items. Raises AddressError, IdError."""
    answer = await common.steering_for(request).answer(
        p.Queue(
            domains=() if page.domain is None else (page.domain,),
            ids=() if page.id is None else (page.id,),
            look=LOOK,
            limit=page.limit,
            after=page.after,
            state=page.state,
            sender=page.from_,
            recipient=page.to,
            older=page.older,
            larger=page.larger,
        )
    )
    assert isinstance(answer, p.QueueAnswer), answer
    return answer


async def change_named(
    common: Common, request: Request, verb: Verb, manner: Manner, ids: Collection[str], *, dry_run: bool = False
) -> p.ChangeAnswer:
    """Changes the asker's items of these ids. Raises Problem, AddressError, NowhereElse, NotYours."""
    asked = _request(verb, manner, ids=tuple(ids), dry_run=dry_run)
    answer = await common.steering_for(request).answer(asked)
    assert isinstance(answer, p.ChangeAnswer), answer
    return answer


async def change_all_as_said(common: Common, request: Request, verb: Verb, bulk: Bulk) -> p.ChangeAnswer:
    """Changes all of the asker's items that are as said. Raises Problem, AddressError, NowhereElse, NotYours."""
    name = asker_of(request).user.name
    if name in common.busy:
        raise Problem(429, "one such change at a time", headers={"Retry-After": "5"})
    asked = _request(
        verb,
        bulk,
        domain=bulk.domain,
        sender=bulk.from_,
        recipient=bulk.to,
        state=bulk.state,
        older=bulk.older,
        larger=bulk.larger,
        all=bulk.all,
        dry_run=bulk.dry_run,
    )
    common.busy.add(name)
    try:
        answer = await common.steering_for(request).answer(asked)
    finally:
        common.busy.discard(name)
    assert isinstance(answer, p.ChangeAnswer), answer
    return answer


def _request(verb: Verb, manner: Manner, **chosen: object) -> p.AnyChange:
    """The change that is asked for. Raises Problem."""
    for word, of in (("text", Verb.BOUNCE), ("where", Verb.REDIRECT)):
        if getattr(manner, word) and verb is not of:
            raise Problem(422, f"only {of} takes {word}")
    # what is chosen has its types from the models above
    kinds: dict[Verb, type[p.Change]] = {Verb.FREEZE: p.Freeze, Verb.THAW: p.Thaw, Verb.REMOVE: p.Remove}
    match verb:
        case Verb.BOUNCE:
            return p.Bounce(text=manner.text, **chosen)  # type: ignore[arg-type]
        case Verb.REDIRECT:
            return p.Redirect(where=manner.where, **chosen)  # type: ignore[arg-type]
        case _:
            return kinds[verb](**chosen)  # type: ignore[arg-type, return-value]


def _changed(answer: p.ChangeAnswer, *, dry_run: bool) -> Changed:
    return Changed(
        dry_run=dry_run,
        changed=len(answer.changed),
        already=len(answer.already),
        unchanged=len(answer.unchanged),
        ids=list(answer.changed[:MOST_NAMED]),
        reasons=[Unchanged.model_validate(one) for one in answer.unchanged[:MOST_NAMED]],
    )
