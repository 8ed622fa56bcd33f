"""What every request must be before it is looked at, and what every answer has: the application's outer wall (ASGI).

A request must be for this host by a name that it has, for else a page of somebody else's could have its name look up to
our address (DNS rebinding); come from no page of another origin; have no coded body (a few octets could become many);
and have a body that is neither too long nor too slow. Answers say to browsers that they are no pages,
and are not kept, where they do not say otherwise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any

from restante.clock import Clock
from restante.web.problems import MEDIA_TYPE, Problem, write_problem

Scope = MutableMapping[str, Any]
Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_BODY_OCTETS = 8 << 20
"""Of a request: a list of a few hundred thousand recipients."""
BODY_SECONDS = 30.0
"""How long a body may take, and ..."""
LEAST_OCTETS_A_SECOND = 500
"""... how much longer for what has come of it: a thin link is slow, an attacker slower (as `limits.min_rate`)."""
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of a request's body."""

    octets: int = MOST_BODY_OCTETS
    seconds: float = BODY_SECONDS
    least_rate: int = LEAST_OCTETS_A_SECOND


BOUNDS = Bounds()


class Guard:
    """The wall around an application. `names` are what this host is called, in lower case."""

    def __init__(
        self, inner: Application, names: Callable[[], Collection[str]], clock: Clock, bounds: Bounds = BOUNDS
    ) -> None:
        self._inner = inner
        self._names = names
        self._clock = clock
        self._bounds = bounds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, by ASGI."""
        assert scope["type"] == "http", scope["type"]
        answer = _Answer(send, self._clock)
        try:
            self._check(scope)
            body = _Body(receive, self._bounds, self._clock)
            await self._inner(scope, body.receive, answer.send)
        except Problem as problem:
            await answer.problem(problem.status_code, problem.detail)
        except Exception as error:  # noqa: BLE001 - it goes where what nobody expected goes
            context = {"message": f"{scope['method']} failed", "exception": error}
            asyncio.get_running_loop().call_exception_handler(context)
            await answer.problem(500)

    def _check(self, scope: Scope) -> None:
        """Looks at its head. Raises Problem."""
        fields: dict[bytes, bytes] = dict(scope["headers"])  # h11 lets no second Host or Content-Length through
        host = fields.get(b"host", b"").decode("latin-1").lower()
        local = str(scope["server"][0])
        if host_of(host) not in {*self._names(), local}:
            raise Problem(421, "this host has no such name")
        origin = fields.get(b"origin")
        if origin is not None and origin.decode("latin-1").lower() != f"{scope['scheme']}://{host}":
            raise Problem(403, "no page of another origin may ask")
        if fields.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Problem(415, "no content coding is taken")
        if int(fields.get(b"content-length", b"0")) > self._bounds.octets:
            raise _too_long(self._bounds)


class _Body:
    """A request's body on its way in, counted and timed."""

    def __init__(self, receive: Receive, bounds: Bounds, clock: Clock) -> None:
        self._receive = receive
        self._bounds = bounds
        self._clock = clock
        self._began: float | None = None
        self._came = 0
        self._is_whole = False

    async def receive(self) -> Event:
        """The next event. Raises Problem."""
        if self._is_whole:
            return await self._receive()
        if self._began is None:
            self._began = self._clock.monotonic()
        bounds = self._bounds
        until = self._began + bounds.seconds + self._came / bounds.least_rate
        try:
            async with asyncio.timeout(max(0.0, until - self._clock.monotonic())):
                event = await self._receive()
        except TimeoutError:
            raise Problem(408, "the body came too slowly") from None
        self._came += len(event.get("body", b""))
        if self._came > bounds.octets:
            raise _too_long(bounds)
        self._is_whole = not event.get("more_body", False)
        return event


def _too_long(bounds: Bounds) -> Problem:
    return Problem(413, f"a body has {bounds.octets} octets at the most")


class _Answer:
    """An answer on its way out."""

    def __init__(self, send: Send, clock: Clock) -> None:
        self._send = send
        self._clock = clock
        self._has_begun = False

    async def send(self, event: Event) -> None:
        """With the fields that all answers have; a page has some of its own."""
        if event["type"] == "http.response.start":
            self._has_begun = True
            date = (b"date", formatdate(self._clock.wall(), usegmt=True).encode())
            own = event.get("headers", ())
            named = {name for name, _ in own}
            event = {**event, "headers": [*own, *(field for field in HEADERS if field[0] not in named), date]}
        await self._send(event)

    async def problem(self, status: int, detail: str = "") -> None:
        """Ends it with a problem, where nothing was said yet."""
        if self._has_begun:
            return
        body = write_problem(status, detail)
        fields = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", b"%d" % len(body))]
        await self.send({"type": "http.response.start", "status": status, "headers": fields})
        await self.send({"type": "http.response.body", "body": body})


def host_of(authority: str) -> str:
    """The host in a Host field, without its port, brackets and last dot; "" where it makes no sense."""
    if authority.startswith("["):
        host, bracket, port = authority[1:].partition("]")
        return host if bracket and (not port or _is_port(port)) else ""
    host, colon, port = authority.partition(":")
    return host.removesuffix(".") if not colon or _is_port(colon + port) else ""


def _is_port(text: str) -> bool:
    return text[:1] == ":" and text[1:].isascii() and text[1:].isdigit()
