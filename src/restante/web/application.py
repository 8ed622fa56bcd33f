"""The API and the pages as a FastAPI application, made of what is handed in.

The API describes itself at `/api/openapi.json`. No page loads anything from other hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from restante.admin.steering import Steering
from restante.clock import Clock
from restante.directory.entries import Network
from restante.facts import Announce
from restante.logins.check import Logins
from restante.observe.observing import Observing
from restante.web.calls import calls_router
from restante.web.common import Common
from restante.web.domains import domains_router, kept_domains_router
from restante.web.events import events_router
from restante.web.feed import Feed
from restante.web.guard import BOUNDS, Application, Bounds, Guard
from restante.web.items import items_router
from restante.web.keeper import Keeper
from restante.web.lists import Lists
from restante.web.logins import Porter
from restante.web.metrics import metrics_router
from restante.web.pages.site import add_pages
from restante.web.problems import answer_with_problems
from restante.web.recipients import recipients_router
from restante.web.refusals import answer_refusals
from restante.web.releases import releases_router
from restante.web.statistics import Totals, statistics_router
from restante.web.timeline import timeline_router
from restante.web.users import kept_users_router, users_router

DESCRIPTION = "What restante holds, and for whom. Errors are problem details (RFC 9457)."


class Health(BaseModel):
    """It serves."""

    status: Literal["ok"] = "ok"


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom the routes ask. `names`: what this host is called (see Guard)."""

    lists: Lists
    keeper: Keeper
    logins: Logins
    steering: Steering
    feed: Feed
    totals: Totals
    announce: Announce
    clock: Clock
    names: Callable[[], Collection[str]]
    hostname: str
    observing: Observing | None = None
    metrics_from: Callable[[], Sequence[Network]] = tuple
    """Who reads metrics without a login."""


def make_application(sources: Sources, bounds: Bounds = BOUNDS) -> Application:
    """The whole of it, with the wall around it."""
    app = FastAPI(
        title="restante",
        version=version("restante"),
        description=DESCRIPTION,
        openapi_url="/api/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    answer_with_problems(app)
    answer_refusals(app)
    clock, keeper = sources.clock, sources.keeper
    porter = Porter(sources.logins, sources.announce)
    admit = porter.admit
    common = Common(admit, sources.steering, clock)
    for router in (
        domains_router(common, keeper),
        kept_domains_router(common, keeper),
        recipients_router(sources.lists, admit, sources.announce, clock),
        items_router(common),
        releases_router(common),
        calls_router(common),
        timeline_router(common),
        users_router(common, keeper.settings, keeper.directory),
        kept_users_router(common, keeper),
        statistics_router(common, sources.totals),
        events_router(common, sources.feed, keeper.directory),
    ):
        app.include_router(router)
    add_pages(
        app,
        common,
        porter,
        sources.feed,
        keeper=keeper,
        lists=sources.lists,
        hostname=sources.hostname,
        observing=sources.observing,
    )
    if sources.observing is not None:
        app.include_router(metrics_router(sources.observing, sources.metrics_from, admit))

    @app.get("/healthz", tags=["health"], summary="Whether this host serves")
    async def health() -> Health:
        return Health()

    return Guard(app, sources.names, clock, bounds)
