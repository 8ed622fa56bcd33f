"""`/domains/{domain}/remove`: a domain leaves the store; before, it is said what becomes of its mail."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request, Response

from restante.config.keeping import InFile, NotKept
from restante.directory.entries import EVERY_OTHER, Delivered, Entry, Held, Relayed, asks_who_exists
from restante.model import ByMx, DomainName
from restante.observe import log
from restante.web.keeper import Keeper
from restante.web.lists import Lists, Where
from restante.web.logins import asker_of, own_domain
from restante.web.pages.frame import Frame, see
from restante.web.pages.written import written


def removing_router(frame: Frame, keeper: Keeper, lists: Lists) -> APIRouter:
    """Its routes, for administrators."""
    router = frame.router(administrators=True)

    def looked(domain: DomainName) -> tuple[str, int]:
        """The table that is kept, and how many recipients are with it. Raises InFile, NotKept, BookUnusable."""
        if keeper.where(domain) == "file":
            raise InFile("domains", (domain,))
        if (table := keeper.table("domains", domain)) is None:
            raise NotKept("domains", domain)
        is_listed = asks_who_exists(keeper.directory().entry(domain))
        where, number = lists.where(domain) if is_listed else (Where.LEARNED, 0)
        return written("domains", domain, table), number if where is Where.STORE else 0

    @router.get("/domains/{domain}/remove")
    async def ask(request: Request) -> Response:
        domain = own_domain(request)
        table, recipients = await asyncio.to_thread(looked, domain)
        alone = frame.common.steering.for_user(asker_of(request).name, frozenset((domain,)))
        waiting, stopped = await alone.amounts()
        other = keeper.directory().entry(EVERY_OTHER) if domain != EVERY_OTHER else None
        return frame.page(
            request,
            "remove_domain.html",
            domain=domain,
            table=table,
            recipients=recipients,
            items=waiting.items,
            stopped=stopped.items,
            then=_then(other),
            other_hop=_hop(other),
        )

    @router.post("/domains/{domain}/remove")
    async def remove(request: Request) -> Response:
        domain = own_domain(request)
        try:
            await asyncio.to_thread(keeper.remove, "domains", domain)
        except NotKept as error:
            frame.note(request, f"Nothing was removed: {error}.")
        else:
            log.say("domain removed", domain=domain, by=asker_of(request).name)
            frame.note(request, f"{domain} was removed from the store.")
        return see("/")

    return router


def _then(other: Entry | None) -> str:
    """What becomes of a domain's mail when `*` decides about it: the name of an action, "" where nothing does."""
    match other:
        case Held():
            return "hold"
        case Relayed():
            return "relay"
        case Delivered():
            return "deliver"
        case None:
            return ""
    return "reject"


def _hop(other: Entry | None) -> str:
    """Where the mail of `*` goes, in words."""
    if not isinstance(other, Held | Relayed):
        return ""
    return "the mail hosts of its domain" if isinstance(other.next_hop, ByMx) else str(other.next_hop)
