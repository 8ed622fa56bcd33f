"""`/api/domains`: what waits for whom, how full they are, when their sites were there; and those kept in the store."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

from fastapi import Body as InBody
from fastapi import Path, Query, Request, Response
from fastapi.routing import APIRouter

from restante.admin import protocol as p
from restante.observe import log
from restante.web.common import MOST_AT_ONCE, WITH_BODY, Common, Shape, domain_status
from restante.web.keeper import Keeper
from restante.web.logins import asker_of, no_such_domain, own_domain
from restante.web.problems import problems

NAME = Path(alias="domain", description='A domain, or "*".', examples=["test.example"])


class QuotaUse(Shape):
    """What a domain may have here and what it has, frozen items too; null: no limit."""

    items: int
    octets: int
    most_items: int | None
    most_octets: int | None
    percent: int
    """How full it is: of items or of octets, whichever is more."""


class Domain(Shape):
    """What is done with a domain's mail, and what waits. Times are seconds since 1970."""

    domain: str
    action: str
    """`hold`, `relay`, `deliver`, `reject`; empty where this host does not know it any more."""
    next_hop: str
    items: int
    octets: int
    oldest: float | None
    """When the oldest of it arrived."""
    quota: QuotaUse | None
    last_contact: float | None
    """When a release last reached the next hop of a held domain."""
    next_contact: float | None
    """When the next one is expected, where the configuration says so."""


class Domains(Shape):
    """A page of domains, in order of names."""

    domains: list[Domain]
    now: float
    next: str | None
    """Where there are more: `after` for the next page."""


class DomainShown(Domain):
    """All about a domain."""

    where: Literal["file", "store", "other"]
    """Where it is configured; `other`: it has no entry of its own, and `*` decides."""
    table: dict[str, Any] | None
    """What the store keeps of it, as a configuration would have it; for administrators."""


class DomainKept(Shape):
    """A domain is in the store; it is in force within a second."""

    domain: str


def domains_router(common: Common, keeper: Keeper) -> APIRouter:
    """Its routes, for all who are admitted."""
    router = common.router("domains")

    @router.get("", summary="What waits for whom")
    async def list_(
        request: Request,
        after: Annotated[str, Query(description="The last name of the page before.")] = "",
        limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100,
        waiting: Annotated[bool, Query(description="Only domains for which something waits.")] = False,
    ) -> Domains:
        asked = p.Domains(after=after, limit=limit, waiting=waiting)
        answer = await common.steering_for(request).answer(asked)
        assert isinstance(answer, p.DomainsAnswer), answer
        rows = [Domain.model_validate(row) for row in answer.domains]
        return Domains(domains=rows, now=answer.now, next=answer.after)

    @router.get("/{domain}", summary="One domain", responses=problems(404))
    async def show(request: Request, _: Annotated[str, NAME]) -> DomainShown:
        domain = own_domain(request)
        status = await domain_status(common.steering_for(request), domain)
        if status is None:
            raise no_such_domain()
        is_administrator = asker_of(request).within is None
        table = await asyncio.to_thread(keeper.table, "domains", domain) if is_administrator else None
        row = Domain.model_validate(status)
        return DomainShown(**row.model_dump(), where=keeper.where(domain), table=table)

    return router


def kept_domains_router(common: Common, keeper: Keeper) -> APIRouter:
    """Those for administrators alone."""
    router = common.router("domains", administrators=True)

    @router.put(
        "/{domain}",
        summary="Keep a domain in the store, or replace it there",
        responses={201: {"model": DomainKept, "description": "Created"}, **problems(404, 409, *WITH_BODY)},
    )
    async def put(
        request: Request,
        response: Response,
        _: Annotated[str, NAME],
        table: Annotated[
            dict[str, Any],
            InBody(
                description="Its keys, as a table of the configuration has them; none that names a file.",
                examples=[{"action": "hold", "next_hop": "192.0.2.25", "release_from": ["user:test"]}],
            ),
        ],
    ) -> DomainKept:
        domain = own_domain(request)
        is_new = await asyncio.to_thread(keeper.put, "domains", domain, table)
        log.say("domain kept", domain=domain, by=asker_of(request).name)
        response.status_code = 201 if is_new else 200
        return DomainKept(domain=domain)

    @router.delete(
        "/{domain}",
        summary="Remove a domain from the store, with its list of recipients",
        status_code=204,
        responses=problems(404, 409),
    )
    async def delete(request: Request, _: Annotated[str, NAME]) -> None:
        domain = own_domain(request)
        await asyncio.to_thread(keeper.remove, "domains", domain)
        log.say("domain removed", domain=domain, by=asker_of(request).name)

    return router
