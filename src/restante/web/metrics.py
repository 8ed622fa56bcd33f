"""`/metrics` for Prometheus, and `/readyz`, which answers 200 only while this host takes mail.

Metrics are read without a login from the networks of `metrics_from`, and by administrators from elsewhere.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from typing import Literal

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse
from pydantic import BaseModel

from restante.directory.entries import Network
from restante.net.networks import Networks
from restante.observe.observing import Observing
from restante.web.logins import IN_DESCRIPTION, Admit, asker_of
from restante.web.problems import Problem, problems

AGAIN_SECONDS = 10


class Ready(BaseModel):
    """It takes mail."""

    status: Literal["ok"] = "ok"


def metrics_router(observing: Observing, metrics_from: Callable[[], Sequence[Network]], admit: Admit) -> APIRouter:
    """Its routes. `admit` finds out who asks, where that matters."""
    router = APIRouter()

    @router.get(
        "/metrics",
        tags=["metrics"],
        summary="How this host is, for Prometheus",
        response_class=PlainTextResponse,
        responses=problems(401, 403, 421, 429),
        dependencies=IN_DESCRIPTION,
    )
    async def metrics(request: Request) -> Response:
        assert request.client is not None, "who is connected has an address"
        if ipaddress.ip_address(request.client.host) not in Networks(metrics_from()):
            await admit(request)
            if asker_of(request).within is not None:
                raise Problem(403, "that is for administrators")
        text, media_type = await observing.scrape(request.headers.get("Accept", ""))
        return Response(text, media_type=media_type)

    @router.get("/readyz", tags=["health"], summary="Whether this host takes mail", responses=problems(421, 503))
    async def ready() -> Ready:
        if why := observing.why_not_ready():
            raise Problem(503, why, headers={"Retry-After": str(AGAIN_SECONDS)})
        return Ready()

    return router
