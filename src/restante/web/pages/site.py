"""All pages."""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request, Response

from restante.web.common import Common
from restante.web.feed import Feed
from restante.web.logins import Porter
from restante.web.pages.assets import all_assets, assets_router
from restante.web.pages.frame import Frame
from restante.web.pages.live import live_router
from restante.web.pages.login import login_router
from restante.web.pages.sessions import Sessions
from restante.web.pages.start import start_router
from restante.web.problems import problem_of_http


def add_pages(app: FastAPI, common: Common, porter: Porter, feed: Feed, hostname: str) -> None:
    """Adds their routes, and one for what is neither a page nor of the API. Blocks for a moment."""
    assets = all_assets()
    frame = Frame(common, porter, Sessions(common.clock), assets, hostname)
    for each in (
        assets_router(assets),
        login_router(frame, porter),
        live_router(frame, feed),
        start_router(frame),
    ):
        app.include_router(each)

    @app.exception_handler(404)
    async def not_found(request: Request, error: HTTPException) -> Response:
        if request.url.path.startswith("/api/"):
            return await problem_of_http(request, error)
        frame.session_of(request)
        return frame.problem(request, 404, error.detail)
