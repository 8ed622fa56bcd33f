"""Who asks: a user of this host, by HTTP Basic (RFC 7617) or a token (RFC 6750), and what is that user's own.

A password is checked as in AUTH PLAIN: by the same workers, with the same bounds on guessing. Both are taken over TLS,
and from this very host. What is somebody else's and what nobody has are answered with the same octets.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from fastapi.security import HTTPBasic, HTTPBearer

from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Held, Relayed
from restante.directory.users import User
from restante.facts import Announce, LoginRefused
from restante.logins.check import Admitted, Logins, NotTried, Outcome
from restante.logins.tokens import check_token, parse_token
from restante.model import DomainName, Principal
from restante.smtp import sasl
from restante.smtp.address import AddressError, parse_domain
from restante.web.problems import Problem

CHALLENGE = 'Basic realm="restante", charset="UTF-8", Bearer realm="restante"'
AGAIN_SECONDS = 60
IN_DESCRIPTION = [Depends(HTTPBasic(auto_error=False)), Depends(HTTPBearer(auto_error=False))]
"""Of routes that for_admitted() makes: they tell how one logs in, and do nothing."""

Admit = Callable[[Request], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks, as admitted, and where from."""

    user: User
    principal: Principal
    within: frozenset[DomainName] | None
    """The domains that he sees; None: all, as an administrator."""

    @property
    def name(self) -> str:
        """For the log."""
        return str(self.principal)


def asker_of(request: Request) -> Asker:
    """Who was admitted to ask this."""
    asker = request.state.asker
    assert isinstance(asker, Asker), "the route admits nobody"
    return asker


def domains_here(user: User, directory: Directory) -> frozenset[DomainName]:
    """Of a user's domains those whose mail this host takes for others than its users: the rest he only sends from."""

    def is_here(domain: DomainName) -> bool:
        entry = directory.entry_for(domain)
        return isinstance(entry, Held | Delivered) or (isinstance(entry, Relayed) and entry.from_anyone)

    return frozenset(filter(is_here, user.domains))


def own_domain(request: Request) -> DomainName:
    """The domain in the path, which the asker may see; an administrator's may be `*`. Raises Problem."""
    return own(asker_of(request), request.path_params["domain"])


def own(asker: Asker, text: str) -> DomainName:
    """A domain that an asker has named, and may see. Raises Problem."""
    try:
        # without a memory: how long it takes must not tell who has used a name here
        domain = DomainName(text) if text == EVERY_OTHER else parse_domain.__wrapped__(text)
    except AddressError:
        domain = DomainName("")
    if not domain or domain.startswith("[") or (asker.within is not None and domain not in asker.within):
        raise no_such_domain()
    return domain


def no_such_domain() -> Problem:
    """There is none, or it is somebody else's."""
    return Problem(404, "no such domain, or not yours")


def for_admitted(admit: Admit, *, administrators: bool = False) -> type[APIRoute]:
    """A kind of route that reads no body of whom it does not admit, and none for a domain that is not the asker's.

    `administrators`: it admits them alone.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
            answer = super().get_route_handler()

            async def handle(request: Request) -> Response:
                await admit(request)
                if administrators and asker_of(request).within is not None:
                    raise Problem(403, "that is for administrators")
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
        principal = _principal(request)
        outcome = await self._outcome(request.headers.get("Authorization", ""), principal)
        if outcome is None:
            raise _nobody()
        request.state.asker = self._admitted(outcome, principal)

    async def admit_shown(self, request: Request, name: str, password: str) -> Asker:
        """Who logs in with a form. Raises Problem."""
        principal = _principal(request)
        shown = b"\0" + name.encode() + b"\0" + password.encode()
        return self._admitted(await self._by_password(shown, principal), principal)

    def asker(self, request: Request, user: User) -> Asker:
        """A user who was admitted before, as he asks now. Raises Problem."""
        return self._asker(user, _principal(request))

    def user(self, name: str) -> User | None:
        """A user as he is now."""
        return self._logins.directory().user(name)

    def _asker(self, user: User, principal: Principal) -> Asker:
        within = None if user.admin else domains_here(user, self._logins.directory())
        return Asker(user, Principal(principal.address, user.name), within)

    def _admitted(self, outcome: Outcome, principal: Principal) -> Asker:
        user = self.user(outcome.login) if isinstance(outcome, Admitted) else None
        if user is not None:
            return self._asker(user, principal)
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

    async def _outcome(self, field: str, principal: Principal) -> Outcome | None:
        """What an Authorization field comes to; None where it shows nothing."""
        scheme, _, rest = field.partition(" ")
        if scheme.lower() == "bearer":
            token = parse_token(rest.strip())
            return None if token is None else await check_token(self._logins, token, principal)
        if scheme.lower() != "basic" or (shown := _password(rest)) is None:
            return None
        return await self._by_password(shown, principal)

    async def _by_password(self, shown: bytes, principal: Principal) -> Outcome:
        outcome = await self._logins.attempt(sasl.PLAIN, principal).start(shown)
        assert not isinstance(outcome, sasl.Challenge), "PLAIN has one step"
        return outcome


def _principal(request: Request) -> Principal:
    """Where a request comes from. Raises Problem where nothing secret may cross the way from there."""
    assert request.client is not None, "who is connected has an address"
    principal = Principal(ipaddress.ip_address(request.client.host))
    if request.url.scheme != "https" and not principal.address.is_loopback:
        raise Problem(403, "passwords and tokens are taken over TLS alone")
    return principal


def _nobody() -> Problem:
    detail = "a user of this host and the password, or a token, please"
    return Problem(401, detail, headers={"WWW-Authenticate": CHALLENGE})


def _too_many() -> Problem:
    return Problem(429, "too many failures lately, or too much to do", headers={"Retry-After": str(AGAIN_SECONDS)})


def _password(coded: str) -> bytes | None:
    """A name and a password as PLAIN shows them (RFC 4616), of what stands behind `Basic`; None for no such thing."""
    try:
        name, colon, password = base64.b64decode(coded.strip(), validate=True).partition(b":")
    except (binascii.Error, ValueError):
        return None
    return b"\0" + name + b"\0" + password if colon else None
