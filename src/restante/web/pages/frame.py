"""What all pages have in common: templates, who is logged in, forms that only our own pages send, errors as pages.

    Frame.router()     routes for who is logged in; others are sent to the page on which one logs in
    Frame.page()       a template, filled in, as an answer
    form_of()          the fields of a form that was sent

All text is escaped where a template puts it in; what a peer may have written goes through `said` besides, so that it
moves no other text (control characters, bidirectional overrides).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from importlib.metadata import version
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.routing import APIRoute
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.exceptions import HTTPException

from restante.admin import words
from restante.observe import lines
from restante.web.common import Common
from restante.web.logins import Porter, asker_of, own_domain
from restante.web.pages.assets import Asset
from restante.web.pages.sessions import Note, Session, Sessions
from restante.web.problems import Problem, Wrong
from restante.web.refusals import REFUSALS, refusal_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"}
"""`no-referrer` would have browsers send forms without the origin that Guard looks at."""
MOST_FIELDS = 200
FORM = "application/x-www-form-urlencoded"
PROOF = "form"
"""The field of a form that shows that it is of a page of ours."""
REFRESH = "X-Refresh"
"""What live.js says when it fetches a page again; nobody reads all of that page."""

HIDDEN = Markup('<input type="hidden" name="{}" value="{}">')

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class Frame:
    """`hostname` names this host on each page."""

    def __init__(
        self, common: Common, porter: Porter, sessions: Sessions, assets: Mapping[str, Asset], hostname: str
    ) -> None:
        self.common = common
        self.sessions = sessions
        self._porter = porter
        self._hostname = hostname
        self._templates = _environment(assets)

    def page(self, request: Request, template: str, status: int = 200, **values: object) -> HTMLResponse:
        """A template with these values; it also has `asker` (None: nobody is logged in), `path`, `now`, and
        `secret_field`, which each form that is posted needs.
        """
        session: Session | None = getattr(request.state, "session", None)
        is_read = session is not None and REFRESH not in request.headers
        text = self._templates.get_template(template).render(
            hostname=self._hostname,
            version=version("restante"),
            path=request.url.path,
            now=self.common.clock.wall(),
            asker=asker_of(request) if session is not None else None,
            note=session.take_note() if session is not None and is_read else None,
            secret_field=HIDDEN.format(PROOF, session.form_secret) if session is not None else "",
            **values,
        )
        return HTMLResponse(text, status, HEADERS)

    def note(self, request: Request, text: str, more: Sequence[str] = (), *, warns: bool = False) -> None:
        """The next page that who asks is given says this, once, above all else; `more` are lines of a list below it."""
        session = request.state.session
        assert isinstance(session, Session), "nobody is logged in"
        session.note = Note(text, tuple(more), warns)

    def problem(self, request: Request, status: int, detail: str, wrong: tuple[Wrong, ...] = ()) -> HTMLResponse:
        """What went wrong, as a page."""
        title = HTTPStatus(status).phrase
        shown = "" if detail == title else detail
        return self.page(request, "problem.html", status, title=title, detail=shown, wrong=wrong)

    def router(self, *, administrators: bool = False) -> APIRouter:
        """A router for pages of who is logged in, or of administrators alone."""
        return APIRouter(route_class=self._route(administrators=administrators), include_in_schema=False)

    def session_of(self, request: Request) -> Session | None:
        """The session that a request belongs to; noted in the request, with the asker."""
        session = self.sessions.find(request.cookies.get(cookie_name(request), ""), self._porter.user)
        if session is not None:
            request.state.session, request.state.asker = session, self._porter.asker(request, session.user)
        return session

    def _route(self, *, administrators: bool) -> type[APIRoute]:
        frame = self

        class Route(APIRoute):
            def get_route_handler(self) -> Handler:
                answer = super().get_route_handler()

                async def handle(request: Request) -> Response:
                    try:
                        if (session := frame.session_of(request)) is None:
                            return _to_login(request)
                        await _check(request, session, administrators=administrators)
                        return await answer(request)
                    except RequestValidationError:
                        return frame.problem(request, 422, "that address makes no sense here")
                    except (HTTPException, *REFUSALS) as error:
                        return frame.problem(request, *refusal_of(error))

                return handle

        return Route


async def _check(request: Request, session: Session, *, administrators: bool) -> None:
    """Whether who is logged in may ask this. Raises Problem."""
    if administrators and asker_of(request).within is not None:
        raise Problem(403, "that is for administrators")
    if "domain" in request.path_params:
        own_domain(request)
    if request.method == "POST" and not session.gave((await form_of(request)).get(PROOF, "")):
        raise Problem(403, "that form was not from a page of yours, or it is too old; please try again")


def cookie_name(request: Request) -> str:
    """The cookie of a session. Over TLS a name that no other host, and nobody without TLS, can set (RFC 6265bis).

    It has the port, which is no part of a cookie's scope: several may be on one address.
    """
    return f"{'__Host-' if request.url.scheme == 'https' else ''}restante-{request.url.port or 443}"


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of several of a name the last one. Raises Problem for what is no form."""
    return dict(await fields_of(request))


async def fields_of(request: Request) -> list[tuple[str, str]]:
    """The fields of a form, in their order. Raises Problem for what is no form."""
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != FORM:
        raise Problem(415, f"a form is {FORM}")
    try:
        return parse_qsl(
            (await request.body()).decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS, errors="strict"
        )
    except ValueError:
        raise Problem(400, "that is no form") from None


def see(path: str, **query: str) -> RedirectResponse:
    """After something was done: to the page that shows it."""
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303, HEADERS)


def _to_login(request: Request) -> Response:
    """A page comes after the login; what was to be done has to be asked for again."""
    url = request.url
    came_for = url.path + (f"?{url.query}" if url.query else "")
    return see("/login", **({"next": came_for} if request.method == "GET" and came_for != "/" else {}))


def _environment(assets: Mapping[str, Asset]) -> Environment:
    environment = Environment(
        loader=PackageLoader("restante.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {
        "size": words.size,
        "span": words.span,
        "counted": words.counted,
        "rate": words.rate,
        "said": said,
        "moment": moment,
        "clock": words.moment,
        "segment": segment,
    }
    environment.globals |= {"asset": lambda name: assets[name].path}
    return environment


def said(text: object) -> Markup:
    """What a peer may have written: nothing of it is markup, and nothing moves what stands beside it."""
    return Markup("<bdi>{}</bdi>").format(lines.escape(str(text)))


def moment(wall: float | None) -> Markup:
    """A wall time in this host's local time, to the second; nothing for None."""
    if wall is None:
        return Markup()
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))
    return Markup('<time datetime="{}">{}</time>').format(stamp, words.moment(wall))


def segment(text: str) -> Markup:
    """Text as one segment of a path in a link."""
    return escape(quote(text, safe=""))
