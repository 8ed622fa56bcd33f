"""The web on `[admin] address`: opened, changed by a reload, closed. Where there is no such address, nothing of HTTP is
even imported: this module is all that others know of the room.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from restante.admin.steering import Steering
from restante.clock import Clock
from restante.config.settings import Admin, Settings
from restante.directory.entries import Directory, Network
from restante.facts import Announce, Fact
from restante.logins.check import Logins
from restante.net.asyncio_stream import AsyncioStream
from restante.net.door import Door, Guest
from restante.net.listen import Listener
from restante.net.stream import StreamClosed, StreamTimeout
from restante.net.tls import ServerContext
from restante.observe import log
from restante.observe.observing import Observing

if TYPE_CHECKING:
    from restante.web.connection import Http
    from restante.web.feed import Feed


@dataclass(frozen=True, slots=True)
class WebMeans:
    """What the room needs of others. `door` counts who comes in, `tls` gives the certificate that is in force.

    `folder`: what paths in the configuration are relative to; `totals`: the counters of this process.
    """

    settings: Callable[[], Settings]
    directory: Callable[[], Directory]
    logins: Callable[[], Logins | None]
    announce: Announce
    clock: Clock
    door: Door
    tls: Callable[[], ServerContext]
    folder: Path
    steering: Callable[[], Steering]
    subscribe: Callable[[Callable[[Fact], None]], object]
    totals: Callable[[], Mapping[tuple[str, ...], float]] = dict
    observing: Observing | None = None
    """What watches this host, for /metrics and /readyz; without it there are none."""


class _Opened:
    """An address at which is listened, and how those are served who come there."""

    listener: Listener

    def __init__(self, admin: Admin) -> None:
        self.admin = admin


class Web:
    """What is served at one address, or nothing yet. changing() takes settings, from the first ones on."""

    def __init__(self, means: WebMeans) -> None:
        self._means = means
        self._opened: _Opened | None = None
        self._http: Http | None = None
        self._feed: Feed | None = None

    @contextlib.asynccontextmanager
    async def changing(self, settings: Settings) -> AsyncIterator[None]:
        """Serves as these settings say, once what is done meanwhile has gone well. Raises CannotListen at once."""
        admin, opened = settings.admin, self._opened
        if opened is not None and admin is not None and admin.address == opened.admin.address:
            yield
            opened.admin = admin
            return
        fresh = await self._open(admin) if admin is not None else None
        try:
            yield
        except BaseException:
            if fresh is not None:
                await fresh.listener.close_door()
            raise
        await self.close_door()
        self._opened = fresh

    async def _open(self, admin: Admin) -> _Opened:
        if self._http is None:
            self._http = self._make_http()
        means, opened = self._means, _Opened(admin)
        serve = partial(self._serve, self._http, opened)
        opened.listener = Listener(admin.address, serve, means.door, announce=means.announce)
        await opened.listener.start()
        log.say("listening", address=str(admin.address), service="admin")
        return opened

    def _make_http(self) -> Http:
        from restante.web.application import Sources, make_application  # noqa: PLC0415 - costs memory and time
        from restante.web.connection import Http  # noqa: PLC0415
        from restante.web.feed import Feed  # noqa: PLC0415
        from restante.web.keeper import Keeper  # noqa: PLC0415
        from restante.web.lists import Lists  # noqa: PLC0415

        means = self._means
        logins = means.logins()
        assert logins is not None, "nothing is opened before there are logins"
        self._feed = Feed(means.clock)
        means.subscribe(self._feed.heard)
        sources = Sources(
            lists=Lists(means.settings().data, means.settings, means.directory),
            keeper=Keeper(means.settings, means.directory, means.folder),
            logins=logins,
            steering=means.steering(),
            feed=self._feed,
            totals=means.totals,
            announce=means.announce,
            clock=means.clock,
            names=self._names,
            hostname=means.settings().hostname,
            observing=means.observing,
            metrics_from=self._metrics_from,
        )
        return Http(make_application(sources), means.clock)

    def _metrics_from(self) -> Sequence[Network]:
        return self._opened.admin.metrics_from if self._opened is not None else ()

    def _names(self) -> set[str]:
        hostname = self._means.settings().hostname
        return {hostname, "localhost"} | ({self._opened.admin.address.host} if self._opened is not None else set())

    async def _serve(self, http: Http, opened: _Opened, stream: AsyncioStream, guest: Guest) -> None:
        from restante.web.connection import serve  # noqa: PLC0415

        if opened.admin.has_tls:
            guest.waiting_since = self._means.clock.monotonic()
            try:
                await stream.begin_tls(self._means.tls().for_browsers())
            except (StreamClosed, StreamTimeout):
                return
        await serve(stream, guest, http)

    async def close_door(self) -> None:
        """Takes nobody more; who is served hears the rest of the answer."""
        if self._opened is not None:
            await self._opened.listener.close_door()
        if self._feed is not None:
            self._feed.cut_all()
        if self._http is not None:
            self._http.stop()

    async def end(self, patience: float) -> None:
        """Waits so many seconds for answers that are under way."""
        if self._opened is not None:
            await self._opened.listener.end_sessions(patience)
        if self._http is not None:
            await self._http.end()
