"""`/api/users`: who may log in, and with what kind of proof, never the proof; and users that are kept in the store.

For administrators. A password comes in clear, is hashed here, and is neither kept nor told nor logged.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field, SecretStr

from restante.config.keeping import InFile, released_by
from restante.config.kept import plain_name
from restante.config.settings import Settings
from restante.directory.entries import Directory
from restante.directory.users import User as Login
from restante.logins.passwords import PasswordError, keys_of
from restante.observe import log
from restante.web.common import MOST_AT_ONCE, WITH_BODY, Body, Common, Shape
from restante.web.keeper import Keeper
from restante.web.logins import asker_of
from restante.web.problems import Problem, Wrong, problems


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


class Sent(Body):
    """A user, in place of the one that there was."""

    domains: list[str] = Field([])
    """Its own: it may send from them, and have released what is held for them."""
    certificates: list[str] = Field([])
    """Fingerprints, or names in certificates, that it logs in with."""
    admin: bool = False
    password: SecretStr | None = None
    """A new one. Without it that stays which it logs in with so far, if anything."""


class UserKept(Shape):
    """A user is in the store; it is in force within a second."""

    user: str


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


def kept_users_router(common: Common, keeper: Keeper) -> APIRouter:
    """Those that change what the store has."""
    router = common.router("users", administrators=True)
    one_at_a_time = asyncio.Lock()

    @router.put(
        "/{name}",
        summary="Keep a user in the store, or replace it there",
        responses={201: {"model": UserKept, "description": "Created"}, **problems(409, *WITH_BODY)},
    )
    async def put(request: Request, response: Response, name: str, sent: Sent) -> UserKept:
        try:
            user = plain_name("users", name)
        except ValueError:
            raise Problem(422, "that is no name of a user; nothing has changed") from None
        if user in keeper.settings().users:
            raise InFile("users", (user,))
        table: dict[str, Any] = sent.model_dump(exclude={"password"}, exclude_defaults=True)
        async with one_at_a_time:  # a password that is replaced must not come back
            if sent.password is not None:
                table |= await _hashed(sent.password)
            is_new = await asyncio.to_thread(keeper.put_user, user, table)
        log.say("user kept", user=user, by=asker_of(request).name)
        response.status_code = 201 if is_new else 200
        return UserKept(user=user)

    @router.delete(
        "/{name}",
        summary="Remove a user from the store, with its tokens",
        status_code=204,
        responses=problems(404, 409),
    )
    async def delete(request: Request, name: str) -> None:
        try:
            user = plain_name("users", name)
        except ValueError:
            raise Problem(404, "no such user") from None
        async with one_at_a_time:
            if named := await asyncio.to_thread(released_by, keeper.directory(), user):
                raise Problem(409, f"{user} may release {', '.join(named[:10])}: change release_from there first")
            await asyncio.to_thread(keeper.remove, "users", user)
        log.say("user removed", user=user, by=asker_of(request).name)

    return router


async def _hashed(password: SecretStr) -> dict[str, str]:
    """What is kept of a password. Raises Problem."""
    try:
        return await asyncio.to_thread(keys_of, password.get_secret_value())
    except PasswordError as error:
        raise Problem(422, "not in order; nothing has changed", [Wrong(str(error), "#/password")]) from None
