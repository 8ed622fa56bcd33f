"""`/api/domains/{domain}/recipients`: who exists in a held domain, for the site whose domain it is, to see and tell."""

from __future__ import annotations

import asyncio
import bisect
from collections.abc import Awaitable
from operator import attrgetter
from typing import Annotated, Literal, TypeVar

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict

from restante.clock import Clock
from restante.facts import Announce, RecipientsSent
from restante.observe import log
from restante.server.turning import OFTEN_SECONDS, Often
from restante.store.book import BookUnusable
from restante.web.common import WITH_BODY
from restante.web.lists import BadLines, ListedElsewhere, Lists, NotHeld, Where
from restante.web.logins import IN_DESCRIPTION, Admit, Asker, asker_of, for_admitted, own_domain
from restante.web.problems import Problem, Wrong, problems

MOST_AT_ONCE = 10_000
_STATUSES = (401, 403, 404, 409, 421, 422, 429, 503)

_T = TypeVar("_T")


class Sent(BaseModel):
    """A list of recipients, in place of the one that there was."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)

    recipients: list[str]
    """An address each, or `@domain` for all of a domain; mail for others will be refused with 550 5.1.1. Postmaster
    need not be among them. An address with a tag (`anna+lists`) is known where the one without it is."""


class Taken(BaseModel):
    """A list was taken; it is in force within about a second."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    domain: str
    recipients: int
    """How many are in it, each once."""


class Recipient(BaseModel):
    """What is known of one."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    address: str
    verdict: Literal["listed", "known", "unknown"]
    """`listed`: in a list; `known`, `unknown`: what the site has said of it when mail was released."""
    since: float | None
    """When it has said so, in seconds since 1970."""


class Shown(BaseModel):
    """Who exists in a domain, by address, a page of it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    domain: str
    where: Where
    """`file`: a list that the configuration names; `store`: one that was sent; `learned`: there is none."""
    recipients: list[Recipient]
    next: str | None
    """Where there are more: `after` for the next page."""


def recipients_router(lists: Lists, admit: Admit, announce: Announce, clock: Clock) -> APIRouter:
    """Its routes. `admit` finds out who asks."""
    router = APIRouter(
        prefix="/api/domains/{domain}/recipients",
        tags=["recipients"],
        route_class=for_admitted(admit),
        dependencies=IN_DESCRIPTION,
    )
    often = Often(clock)

    @router.get("", summary="Who exists in a held domain", responses=problems(*_STATUSES))
    async def show(
        request: Request, after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = MOST_AT_ONCE
    ) -> Shown:
        domain = own_domain(request)
        where, known = await _answered(asyncio.to_thread(lists.known, domain, clock.wall()))
        begin = bisect.bisect_right(known, after, key=attrgetter("address"))
        page = known[begin : begin + limit]
        has_more = begin + limit < len(known)
        rows = [Recipient.model_validate(row, from_attributes=True) for row in page]
        return Shown(domain=domain, where=where, recipients=rows, next=page[-1].address if has_more else None)

    @router.put(
        "", summary="Replace the list of a held domain's recipients", responses=problems(*_STATUSES, *WITH_BODY)
    )
    async def replace(request: Request, sent: Sent) -> Taken:
        domain, asker = own_domain(request), asker_of(request)
        check_how_often(often, asker)
        count = await _answered(asyncio.to_thread(lists.replace, domain, sent.recipients))
        announce(RecipientsSent(asker.principal, domain, count))
        return Taken(domain=domain, recipients=count)

    @router.delete(
        "", summary="Have no list, so that recipients are learned", status_code=204, responses=problems(*_STATUSES)
    )
    async def clear(request: Request) -> None:
        domain, asker = own_domain(request), asker_of(request)
        check_how_often(often, asker)
        await _answered(asyncio.to_thread(lists.clear, domain))
        log.say("recipients changed", domain=domain, how="clear", recipients=0, by=asker.name)

    return router


def check_how_often(often: Often, asker: Asker) -> None:
    """Lists are written, and read by whoever watches. Raises Problem for one too many."""
    if often.is_too_often(asker.principal):
        again = {"Retry-After": str(int(OFTEN_SECONDS))}
        raise Problem(429, "too many lists in a minute; nothing has changed", headers=again)


async def _answered(work: Awaitable[_T]) -> _T:
    """What it comes to. Raises Problem for what is wrong."""
    try:
        return await work
    except (NotHeld, ListedElsewhere) as error:
        raise Problem(409, str(error)) from None
    except BadLines as error:
        wrong = [Wrong(said, f"#/recipients/{number}") for number, said in error.problems]
        raise Problem(422, "lines that are no recipients; nothing has changed", wrong) from None
    except BookUnusable as error:
        raise Problem(503, error.reason) from None
