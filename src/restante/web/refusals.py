"""Errors of other rooms as problems: the only place where they get their statuses.

What is not named here may pass, and is 503. Nothing that names a path of this machine is told.
"""

from __future__ import annotations

from collections.abc import Mapping

from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException

from restante.admin.choice import NotChosen
from restante.admin.endings import NowhereElse
from restante.admin.steering import NotYours
from restante.admin.timeline import NoSpan
from restante.calls.schedule import NoSuchCall
from restante.config.keeping import InFile, NotKept
from restante.config.problems import ConfigError
from restante.errors import RestanteError
from restante.model import IdError, NextHopError
from restante.release.answers import NoSuchEntry
from restante.smtp.address import AddressError
from restante.store.book import BookUnusable
from restante.web.problems import MEDIA_TYPE, MOST_ERRORS, Problem, Wrong, write_problem

STATUSES: Mapping[type[Exception], int] = {
    NotYours: 403,
    NoSuchCall: 404,
    NotKept: 404,
    NowhereElse: 409,
    NoSuchEntry: 409,
    InFile: 409,
    NotChosen: 422,
    NoSpan: 422,
    IdError: 422,
    AddressError: 422,
    NextHopError: 422,
    ConfigError: 422,
}
MAY_PASS = 503
REFUSALS = (RestanteError, IdError, AddressError, NextHopError)
"""What routes raise of other rooms."""


def answer_refusals(app: FastAPI) -> None:
    """All that routes raise of these is answered so."""
    for kind in REFUSALS:
        app.add_exception_handler(kind, _refused)


def refusal_of(error: Exception) -> tuple[int, str, tuple[Wrong, ...]]:
    """The status, what is said of it, and each thing that must be changed."""
    if isinstance(error, HTTPException):
        return error.status_code, error.detail, tuple(error.wrong) if isinstance(error, Problem) else ()
    status = next((STATUSES[kind] for kind in type(error).__mro__ if kind in STATUSES), MAY_PASS)
    if isinstance(error, ConfigError):
        wrong = (Wrong(f"{one.key}: found {one.found}, allowed: {one.allowed}") for one in error.problems[:MOST_ERRORS])
        return status, "not in order; nothing has changed", tuple(wrong)
    return status, error.reason if isinstance(error, BookUnusable) else str(error), ()


async def _refused(_: Request, error: Exception) -> Response:
    status, detail, wrong = refusal_of(error)
    return Response(write_problem(status, detail, wrong), status, media_type=MEDIA_TYPE)
