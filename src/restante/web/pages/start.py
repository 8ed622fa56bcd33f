"""`/`: at a glance, what waits, for whom, how old and how large, and what is wrong."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from restante.admin import protocol as p
from restante.web.pages.frame import Frame

AT_ONCE = 100


def start_router(frame: Frame) -> APIRouter:
    """Its route."""
    router = frame.router()

    @router.get("/")
    async def show(request: Request, after: str = "") -> Response:
        steering = frame.common.steering_for(request)
        answer = await steering.answer(p.Domains(after=after, limit=AT_ONCE))
        assert isinstance(answer, p.DomainsAnswer), answer
        return frame.page(request, "start.html", domains=answer.domains, next=answer.after)

    return router
