"""`/api/releases`: what was let go, when, and what became of it; and one more, for a domain."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request, Response

from restante.admin import protocol as p
from restante.model import Progress
from restante.release.rates import ReleaseRate
from restante.web.common import MOST_AT_ONCE, WITH_BODY, Body, Common, Shape
from restante.web.logins import asker_of, own
from restante.web.problems import Problem, problems
from restante.web.rates import Point
from restante.web.repeats import Repeats

MOST_NUMBER = 2**53
MOST_KEY = 255


class Release(Shape):
    """A release as it stands. `items` and `octets` waited when it began. Times are seconds since 1970."""

    number: int
    domain: str
    """An entry's domain, `*`, or, where mail goes by MX, a recipient domain."""
    requester: str
    target: str
    progress: Progress
    items: int
    octets: int
    delivered: int
    deferred: int
    failed: int
    octets_sent: int
    asked: float
    started: float | None
    ended: float | None
    error: str


class Releases(Shape):
    """The newest first; of those that have ended the last few hundred."""

    releases: list[Release]
    now: float


class ReleaseRates(Shape):
    """How fast a release went, and what is to be expected of one that runs; null is not known."""

    number: int
    progress: Progress
    points: list[Point]
    """Since its start, 121 at the most; none before it begins, or where it is the sum of others."""
    octets_per_second: float | None
    messages_per_second: float | None
    measured_seconds: float | None
    """Over which that was measured: ten or so, up to now."""
    seconds_left: float | None
    """Of its window, where that has an end."""
    items_left: int | None
    octets_left: int | None
    seconds_needed: float | None
    """For all that is left, as fast as it goes now."""
    items_fit: int | None
    """How many of those are expected to go before the window ends, were all of the same size."""
    octets_fit: int | None
    """By the rate since its start, by which the release itself reckons."""
    now: float


class Asked(Body):
    """A release that is asked for."""

    domain: str
    """A domain; for administrators also `*`: all that have no entry of their own."""
    to: str | None = None
    """`HOST` or `HOST:PORT`, instead of the configured next hop; for administrators."""


def releases_router(common: Common) -> APIRouter:
    """Its routes."""
    router = common.router("releases")
    repeats = Repeats[int](common.clock)

    @router.get("", summary="What was released, and what is", responses=problems(404))
    async def list_(
        request: Request, domain: str | None = None, limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100
    ) -> Releases:
        name = None if domain is None else own(asker_of(request), domain)
        views = common.steering_for(request).releases()
        wanted = [view for view in views if name in (None, view.domain)][:limit]
        return Releases(releases=list(map(Release.model_validate, wanted)), now=common.clock.wall())

    @router.get("/{number}", summary="One release", responses=problems(404))
    async def show(request: Request, number: Annotated[int, Path(ge=1, le=MOST_NUMBER)]) -> Release:
        for view in common.steering_for(request).releases():
            if view.number == number:
                return Release.model_validate(view)
        raise Problem(404, "no such release, or not yours")

    @router.get("/{number}/rate", summary="How fast a release went, and what it will do yet", responses=problems(404))
    async def rate(request: Request, number: Annotated[int, Path(ge=1, le=MOST_NUMBER)]) -> ReleaseRates:
        found = common.steering_for(request).release_rate(number)
        if found is None:
            raise Problem(404, "no such release, or not yours")
        return _rates(found, common.clock.wall())

    @router.post("", summary="Release a domain", status_code=202, responses=problems(404, 409, *WITH_BODY))
    async def begin(
        request: Request,
        response: Response,
        asked: Asked,
        key: Annotated[
            str | None,
            Header(
                alias="Idempotency-Key",
                max_length=MOST_KEY,
                description="The same key with the same body is the same release, for a day.",
            ),
        ] = None,
    ) -> Release:
        steering, asker = common.steering_for(request), asker_of(request)
        domain = own(asker, asked.domain)
        name, what = (asker.user.name, key), asked.model_dump_json()
        known = None if key is None else repeats.find(name, what)
        views = [view for view in steering.releases() if view.number == known]
        view = views[0] if views else steering.begin_release(p.Release(domain, asked.to)).view
        if key is not None:
            repeats.keep(name, what, view.number)
        response.headers["Location"] = f"/api/releases/{view.number}"
        return Release.model_validate(view)

    return router


def _rates(rate: ReleaseRate, now: float) -> ReleaseRates:
    return ReleaseRates(
        number=rate.view.number,
        progress=rate.view.progress,
        points=list(map(Point.model_validate, rate.points)),
        now=now,
        **asdict(rate.outlook),
    )
