"""What the routers have in common: who asks, the steering that does what he may, and the shapes of JSON."""

from __future__ import annotations

from dataclasses import dataclass, field

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from restante.admin import protocol as p
from restante.admin.steering import Steering
from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER
from restante.model import ItemState
from restante.web.logins import IN_DESCRIPTION, Admit, asker_of, for_admitted
from restante.web.problems import problems

MOST_AT_ONCE = 1000
"""Rows of a page."""
USUAL = (401, 403, 421, 422, 429, 503)
"""What any route may answer instead."""
WITH_BODY = (400, 408, 413, 415)


class Shape(BaseModel):
    """What is told."""

    model_config = ConfigDict(use_attribute_docstrings=True, from_attributes=True)


class Body(BaseModel):
    """What is sent: no key that is not known, and no text where a number belongs."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


@dataclass(frozen=True, slots=True)
class Common:
    """`admit` finds out who asks; `steering` is the operator's."""

    admit: Admit
    steering: Steering
    clock: Clock
    busy: set[str] = field(default_factory=set)
    """Users who have all items that are as said changed just now."""

    def router(self, prefix: str, *, administrators: bool = False) -> APIRouter:
        """A router of /api, for who is admitted, or for administrators alone."""
        return APIRouter(
            prefix=f"/api/{prefix}",
            tags=[prefix],
            route_class=for_admitted(self.admit, administrators=administrators),
            dependencies=IN_DESCRIPTION,
            responses=problems(*USUAL),
        )

    def steering_for(self, request: Request) -> Steering:
        """What does as much of it as the asker may."""
        asker = asker_of(request)
        return self.steering.for_user(asker.name, asker.within)


async def domain_status(steering: Steering, domain: str) -> p.DomainStatus | None:
    """What is done with a domain's mail, and what waits; None where nothing is known of it."""
    answer = await steering.answer(p.Domains(only=domain))
    assert isinstance(answer, p.DomainsAnswer), answer
    return answer.domains[0] if answer.domains else None


async def entry_status(steering: Steering, entry: str) -> p.DomainStatus | None:
    """The same of an entry; None for all that have none of their own, of which there is no such row."""
    return None if entry == EVERY_OTHER else await domain_status(steering, entry)


async def damaged(steering: Steering, *domains: str) -> tuple[int, bool]:
    """How many items are damaged, of these domains or of all, and whether there are more than MOST_AT_ONCE of them."""
    answer = await steering.answer(p.Queue(domains=domains, state=ItemState.QUARANTINED, limit=MOST_AT_ONCE))
    assert isinstance(answer, p.QueueAnswer), answer
    return len(answer.items), answer.after is not None and len(answer.items) == MOST_AT_ONCE
