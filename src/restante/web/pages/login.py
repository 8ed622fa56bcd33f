"""`/login` and `/logout`: a user's password for a session's cookie, and back."""

from __future__ import annotations

from urllib.parse import urlsplit

from fastapi import APIRouter, Request, Response

from restante.web.logins import Porter
from restante.web.pages.frame import Frame, cookie_name, form_of, see
from restante.web.problems import Problem

SAID = {401: "No such user, or another password.", 429: "Too many failures lately. Please wait a minute."}


def login_router(frame: Frame, porter: Porter) -> APIRouter:
    """Its routes: one for everybody, one for who is logged in."""
    router = APIRouter(include_in_schema=False)

    @router.get("/login")
    async def ask(request: Request, next: str = "/") -> Response:  # noqa: A002 - as it is in the address
        if frame.session_of(request) is not None:
            return see(_own_path(next))
        return frame.page(request, "login.html", came_for=_own_path(next), name="", said="")

    @router.post("/login")
    async def begin(request: Request) -> Response:
        if "Origin" not in request.headers:  # which Guard compares: no form of another site logs anybody in
            return frame.problem(request, 403, "this is for browsers; programs use the API")
        try:
            form = await form_of(request)
            name, password = form.get("name", ""), form.get("password", "")
            asker = await porter.admit_shown(request, name, password)
        except Problem as problem:
            if problem.status_code not in SAID:
                return frame.problem(request, problem.status_code, problem.detail)
            values = {"came_for": _own_path(form.get("next", "/")), "name": name, "said": SAID[problem.status_code]}
            return frame.page(request, "login.html", problem.status_code, **values)
        frame.sessions.end(request.cookies.get(cookie_name(request), ""))
        answer = see(_own_path(form.get("next", "/")))
        is_secure = request.url.scheme == "https"
        secret = frame.sessions.begin(asker.user)
        answer.set_cookie(cookie_name(request), secret, httponly=True, secure=is_secure, samesite="lax")
        return answer

    inside = frame.router()

    @inside.post("/logout")
    async def end(request: Request) -> Response:
        frame.sessions.end(request.cookies.get(cookie_name(request), ""))
        answer = see("/login")
        answer.delete_cookie(cookie_name(request), httponly=True, secure=request.url.scheme == "https", samesite="lax")
        return answer

    router.include_router(inside)
    return router


def _own_path(text: str) -> str:
    """A path of this host to go to, whatever was asked for."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return "/"
    is_own = text.startswith("/") and not parts.scheme and not parts.netloc and "\\" not in text and text.isprintable()
    return text if is_own and not text.startswith("//") else "/"
