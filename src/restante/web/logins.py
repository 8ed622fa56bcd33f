"""Who asks: HTTP Basic (RFC 7617) with a user of this host, and whether a domain is that user's own.

A password is checked as in AUTH PLAIN: by the same workers, with the same bounds on guessing. It is taken over TLS, and
from this very host. A domain that is somebody else's and one that nobody has are answered with the same octets.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute

from restante.directory.users import User
from restante.facts import Announce, LoginRefused
from restante.logins.check import Admitted, Logins, NotTried
from restante.model import DomainName, Principal
from restante.smtp import sasl
from restante.smtp.address import AddressError, parse_domain
from restante.web.problems import Problem

CHALLENGE = 'Basic realm="restante", charset="UTF-8"'
AGAIN_SECONDS = 60

Admit = Callable[[Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as admitted, and where from."""

    user: User
    principal: Principal


def asker_of(request: Request) -> Asker:
    """Who was admitted to ask this."""
    asker = request.state.asker
    assert isinstance(asker, Asker), "the route admits nobody"
    return asker


def own_domain(request: Request) -> DomainName:
    """The domain in the path, the asker's own. Raises Problem."""
    try:
        # without a memory: how long it takes must not tell who has used a name here
        domain = parse_domain.__wrapped__(request.path_params["domain"])
    except AddressError:
        domain = DomainName("")
    if domain not in asker_of(request).user.domains:
        raise Problem(404, "no such domain, or not yours")
    return domain


def for_admitted(admit: Admit) -> type[APIRoute]:
    """A kind of route that reads no body of whom it does not admit, and none for a domain that is not the asker's."""

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def handle(request: Request) -> Response:
                await admit(request)
                if "domain" in request.path_params:
                    own_domain(request)
                return await answer(request)

            return handle

    return Route


class Porter:
    """Admits the users of this host."""

    def __init__(self, logins: Logins, announce: Announce) -> None:
        self._logins = logins
        self._announce = announce

    async def admit(self, request: Request) -> None:
        """Finds out who asks, and notes it in the request. Raises Problem."""
        assert request.client is not None, "who is connected has an address"
        principal = Principal(ipaddress.ip_address(request.client.host))
        if request.url.scheme != "https" and not principal.address.is_loopback:
            raise Problem(403, "passwords are taken over TLS alone")
        shown = _password(request.headers.get("Authorization", ""))
        if shown is None:
            raise _nobody()
        outcome = await self._logins.attempt(sasl.PLAIN, principal).start(shown)
        assert not isinstance(outcome, sasl.Challenge), "PLAIN has one step"
        user = self._logins.directory().user(outcome.login) if isinstance(outcome, Admitted) else None
        if user is not None:
            request.state.asker = Asker(user, Principal(principal.address, user.name))
            return
        refusal = _too_many() if isinstance(outcome, NotTried) else _nobody()
        self._announce(
            LoginRefused(
                principal,
                getattr(outcome, "login", ""),
                getattr(outcome, "why", "the user was removed meanwhile"),
                str(refusal.status_code),
            )
        )
        raise refusal


def _nobody() -> Problem:
    return Problem(401, "a user of this host and the password, please", headers={"WWW-Authenticate": CHALLENGE})


def _too_many() -> Problem:
    return Problem(429, "too many failures lately, or too much to do", headers={"Retry-After": str(AGAIN_SECONDS)})


def _password(field: str) -> bytes | None:
    """A name and a password as PLAIN shows them (RFC 4616), of an Authorization field; None where there are none."""
    scheme, _, token = field.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, colon, password = base64.b64decode(token.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return b"\0" + name + b"\0" + password if colon else None
