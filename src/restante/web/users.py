"""`/api/users`: who may log in, and with what kind of proof; never the proof. For administrators."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Query

from restante.config.settings import Settings
from restante.directory.entries import Directory
from restante.directory.users import User as Login
from restante.web.common import MOST_AT_ONCE, Common, Shape
from restante.web.problems import Problem, problems


class User(Shape):
    """A login."""

    name: str
    admin: bool
    """Whether it sees and does all; others what concerns their own domains."""
    domains: list[str]
    logs_in_with: list[str]
    """`password`, `scram`, `cram-md5`, `certificate`."""
    certificates: list[str]
    tokens: int
    """How many it has; some may have expired."""
    where: Literal["file", "store"]


class Users(Shape):
    """A page of users, in order of names."""

    users: list[User]
    next: str | None
    """Where there are more: `after` for the next page."""


def users_router(common: Common, settings: Callable[[], Settings], directory: Callable[[], Directory]) -> APIRouter:
    """Its routes."""
    router = common.router("users", administrators=True)

    def shown(user: Login) -> User:
        return User(
            name=user.name,
            admin=user.admin,
            domains=sorted(user.domains),
            logs_in_with=list(user.proofs),
            certificates=sorted(user.certificates),
            tokens=len(user.tokens),
            where="file" if user.name in settings().users else "store",
        )

    @router.get("", summary="Who may log in")
    async def list_(after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_AT_ONCE)] = 100) -> Users:
        users = directory().users
        names = sorted(users)
        start = bisect_right(names, after)
        page = names[start : start + limit]
        has_more = start + limit < len(names)
        return Users(users=[shown(users[name]) for name in page], next=page[-1] if has_more else None)

    @router.get("/{name}", summary="One user", responses=problems(404))
    async def show(name: str) -> User:
        user = directory().user(name)
        if user is None:
            raise Problem(404, "no such user")
        return shown(user)

    return router
