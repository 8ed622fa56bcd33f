"""`/api/statistics`: how much there is now, and what has happened since this process began."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request

from restante.observe.families import TOTALS
from restante.web.common import Common, Shape

Totals = Callable[[], Mapping[tuple[str, ...], float]]
"""Counters by name and the values of their labels (observe/counts.py)."""


class Amount(Shape):
    """So much of the asker's mail."""

    domains: int
    items: int
    octets: int
    oldest: float | None
    """When the oldest of it arrived, in seconds since 1970."""


class Total(Shape):
    """One counter, as in /metrics without `restante_` and `_total`."""

    name: str
    labels: dict[str, str]
    value: float


class Statistics(Shape):
    """Mail of the asker's domains, or of all."""

    now: float
    waiting: Amount
    stopped: Amount
    """What an operator has stopped, and what is damaged."""
    totals: list[Total]
    """Of this process, for administrators; empty for others."""


def statistics_router(common: Common, totals: Totals) -> APIRouter:
    """Its routes."""
    router = common.router("statistics")

    @router.get("", summary="How much there is, and what has happened")
    async def show(request: Request) -> Statistics:
        steering = common.steering_for(request)
        waiting, stopped = await steering.amounts()
        return Statistics(
            now=common.clock.wall(),
            waiting=Amount.model_validate(waiting),
            stopped=Amount.model_validate(stopped),
            totals=[_total(*pair) for pair in totals().items()] if steering.sees_all else [],
        )

    return router


def _total(key: tuple[str, ...], value: float) -> Total:
    name, *values = key
    return Total(name=name, labels=dict(zip(TOTALS[name].labels, values, strict=True)), value=value)
