"""The API as a FastAPI application: made anew for each address, of what is handed in.

It describes itself at `/api/openapi.json`. There are no pages that would load anything from other hosts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from importlib.metadata import version
from typing import Literal

from fastapi import FastAPI
from pydantic import BaseModel

from restante.clock import Clock
from restante.facts import Announce
from restante.logins.check import Logins
from restante.web.guard import BOUNDS, Application, Bounds, Guard
from restante.web.lists import Lists
from restante.web.logins import Porter
from restante.web.problems import answer_with_problems
from restante.web.recipients import recipients_router

DESCRIPTION = "What restante holds, and for whom. Errors are problem details (RFC 9457)."


class Health(BaseModel):
    """It serves."""

    status: Literal["ok"] = "ok"


def make_application(
    *,
    lists: Lists,
    logins: Logins,
    announce: Announce,
    clock: Clock,
    names: Callable[[], Collection[str]],
    bounds: Bounds = BOUNDS,
) -> Application:
    """The whole of it, with the wall around it. `names`: what this host is called (see Guard)."""
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
    app.include_router(recipients_router(lists, Porter(logins, announce).admit, announce, clock))

    @app.get("/healthz", tags=["health"], summary="Whether this host serves")
    async def health() -> Health:
        return Health()

    return Guard(app, names, clock, bounds)
