"""All pages."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request, Response

from restante.observe.observing import Observing
from restante.web.common import Common
from restante.web.feed import Feed
from restante.web.keeper import Keeper
from restante.web.lists import Lists
from restante.web.logins import Porter
from restante.web.pages.actions import actions_router
from restante.web.pages.adding import adding_router
from restante.web.pages.assets import all_assets, assets_router
from restante.web.pages.calls import calls_pages
from restante.web.pages.domain import domain_router
from restante.web.pages.frame import Frame
from restante.web.pages.item import item_router
from restante.web.pages.items import items_pages
from restante.web.pages.live import live_router
from restante.web.pages.login import login_router
from restante.web.pages.recipients import recipients_pages
from restante.web.pages.releases import releases_router
from restante.web.pages.removing import removing_router
from restante.web.pages.sessions import Sessions
from restante.web.pages.start import start_router
from restante.web.pages.timeline import timeline_pages
from restante.web.problems import problem_of_http, problem_of_us


def add_pages(
    app: FastAPI,
    common: Common,
    porter: Porter,
    feed: Feed,
    *,
    keeper: Keeper,
    lists: Lists,
    hostname: str,
    observing: Observing | None = None,
) -> None:
    """Adds their routes, and one for what is neither a page nor of the API. Blocks for a moment."""
    assets = all_assets()
    frame = Frame(common, porter, Sessions(common.clock), assets, hostname)
    for each in (
        assets_router(assets),
        login_router(frame, porter),
        live_router(frame, feed),
        items_pages(frame),
        actions_router(frame),
        adding_router(frame, keeper),
        item_router(frame, feed),
        start_router(frame, observing),
        releases_router(frame),
        domain_router(frame, keeper, lists, observing),
        removing_router(frame, keeper, lists),
        recipients_pages(frame, lists),
        calls_pages(frame),
        timeline_pages(frame),
    ):
        app.include_router(each)

    @app.exception_handler(404)
    async def not_found(request: Request, error: HTTPException) -> Response:
        if _is_of_api(request):
            return await problem_of_http(request, error)
        frame.session_of(request)
        return frame.problem(request, 404, error.detail)

    @app.exception_handler(500)
    async def broken(request: Request, error: Exception) -> Response:
        """It is raised again behind this, and told where such things are."""
        if _is_of_api(request):
            return await problem_of_us(request, error)
        return frame.problem(request, 500, "That should not be. The log has more of it.")


def _is_of_api(request: Request) -> bool:
    return f"{request.url.path}/".startswith("/api/")
