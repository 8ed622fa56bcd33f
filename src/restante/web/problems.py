"""Errors as problem details in JSON (RFC 9457): a status, its title, what was the matter, each thing that was wrong.

What a client has sent is never in them but as a text in quotes; what went wrong inside of us, not at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException as AnyHTTPException

MEDIA_TYPE = "application/problem+json"
MOST_ERRORS = 51
"""As many lines of a list are told, and that there are more."""


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that must be changed: `pointer` says where in the body (RFC 6901 §6), "" where it is not there."""

    detail: str
    pointer: str = ""


class Problem(HTTPException):
    """A request that is answered with a problem. Whether trying again helps, its status says."""

    def __init__(
        self, status: int, detail: str = "", wrong: Sequence[Wrong] = (), headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, detail, dict(headers or {}))
        self.wrong = wrong


def write_problem(status: int, detail: str = "", wrong: Iterable[Wrong] = ()) -> bytes:
    """The body of an answer; ASCII, so that any text can be shown."""
    members: dict[str, object] = {"title": HTTPStatus(status).phrase, "status": status}
    if detail and detail != members["title"]:
        members["detail"] = detail
    if errors := [asdict(one) for one in wrong]:
        members["errors"] = errors
    return json.dumps(members).encode("ascii")


class Detail(BaseModel):
    """One thing that must be changed; `pointer` says where in the body, where it is there."""

    detail: str
    pointer: str


class ProblemDetails(BaseModel):
    """What an answer that is an error has (RFC 9457)."""

    title: str
    status: int
    detail: str | None = None
    errors: list[Detail] | None = None


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """These statuses, in the description of a route."""
    schema = ProblemDetails.model_json_schema()
    schema["properties"]["errors"]["anyOf"][0]["items"] = schema.pop("$defs")["Detail"]
    content = {MEDIA_TYPE: {"schema": schema}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in statuses}


def answer_with_problems(app: FastAPI) -> None:
    """All that goes wrong in the application is answered so."""
    app.add_exception_handler(AnyHTTPException, problem_of_http)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(Exception, problem_of_us)


async def problem_of_http(_: Request, error: Exception) -> Response:
    """What a route has raised, or the lack of one."""
    assert isinstance(error, AnyHTTPException), error
    wrong = error.wrong if isinstance(error, Problem) else ()
    body = write_problem(error.status_code, error.detail, wrong)
    return Response(body, error.status_code, error.headers, MEDIA_TYPE)


async def _of_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError), error
    wrong = [_wrong(one["loc"], one["msg"]) for one in error.errors()[:MOST_ERRORS]]
    return Response(write_problem(422, "The request is not as it must be", wrong), 422, media_type=MEDIA_TYPE)


async def problem_of_us(_: Request, __: Exception) -> Response:
    """It is raised again behind this, and told where such things are."""
    return Response(write_problem(500), 500, media_type=MEDIA_TYPE)


def _wrong(place: Sequence[str | int], said: str) -> Wrong:
    where, *path = map(str, place)
    if where == "body":
        return Wrong(said, "#" + "".join(f"/{part}" for part in map(_escaped, path)))
    return Wrong(f"{where} {'.'.join(path)}: {said}")


def _escaped(part: str) -> str:
    """A step of a JSON pointer in a fragment of a URI; what a client has named itself may be anything."""
    return "".join(one if one.isascii() and one.isalnum() else "_" for one in part[:60])
