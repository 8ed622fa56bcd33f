"""Carries items to a next hop over SMTP: streamed over one connection where the peer can take that, else over several.

A further connection is opened only when the peer has answered on those before, while there is more to send, and while
the path has room for it (pace.py); one that is not let in is no error, and the last. A peer that says 421 after it has
taken something (it counts messages per connection) is dialled again. Opportunistic TLS that fails is tried in clear.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Protocol

from restante.directory.entries import Held, OwnLogin, Relayed
from restante.errors import RestanteError
from restante.model import HostPort
from restante.net.dial import dial_path
from restante.net.stream import Stream, TlsSeen
from restante.net.tls import IN_CLEAR, OPPORTUNISTIC, TlsLevel, TlsPolicy
from restante.smtp.client import Ahead
from restante.smtp.offer import Way
from restante.smtp.reply import MalformedReply
from restante.transport.conversation import Conversation
from restante.transport.greeting import Manners, PeerEnded, TlsFailed
from restante.transport.login import credentials_of
from restante.transport.outcome import CarryEnd, Feed, Parcel, Report
from restante.transport.pace import Pace
from restante.transport.terms import Footing, proves

DIAL_SECONDS = 30.0
MOST_CONNECTIONS = 200


def policy_of(entry: Held | Relayed) -> TlsPolicy:
    """The encryption, and the key if one is pinned, that an entry's mail needs on its way to its next hop."""
    return TlsPolicy(TlsLevel(entry.tls), entry.tls_pin)


class Dial(Protocol):
    """Opens a connection; net/dial.py has it."""

    async def __call__(self, host: HostPort, *, timeout: float) -> Stream:
        """Raises StreamClosed or StreamTimeout."""
        ...


@dataclass(frozen=True, slots=True)
class SmtpMeans:
    """What every carrier needs, whatever its target. `now` gives monotonic seconds."""

    dial: Dial
    hostname: str
    now: Callable[[], float]
    ahead: Ahead = field(default_factory=Ahead)
    connections: int = MOST_CONNECTIONS


class _SharedFeed:
    """A feed that several connections draw from; it knows when it has run out, and when it is what they wait for."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._waiting = 0
        self.is_over = False

    @property
    def is_waited_for(self) -> bool:
        """Whether a connection waits for it: another one would, too."""
        return self._waiting > 0

    async def next(self) -> Parcel | None:
        """As the feed says."""
        self._waiting += 1
        try:
            parcel = await self._feed.next()
        finally:
            self._waiting -= 1
        self.is_over = parcel is None
        return parcel

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self.is_over = False
        self._feed.put_back(parcel)


class SmtpCarrier:
    """One way to one next hop: a host, or a socket of this machine. `lmtp`: it speaks LMTP (RFC 2033).

    `refuses`: what it can never be sent for what its sender asks goes back; else that waits (terms.Footing).
    `login`: who we are there; its password is read for each connection. `tls_seen`: who is told what became of TLS.
    """

    def __init__(
        self,
        host: HostPort | Path,
        means: SmtpMeans,
        tls: TlsPolicy = OPPORTUNISTIC,
        *,
        lmtp: bool = False,
        refuses: bool = False,
        login: OwnLogin | None = None,
        tls_seen: TlsSeen | None = None,
    ) -> None:
        self._host = host
        self._means = means
        self._login = login
        name = host.host if isinstance(host, HostPort) else "localhost"
        self._manners = Manners(means.hostname, name, tls, means.ahead, lmtp=lmtp, tls_seen=tls_seen)
        self._footing = Footing(is_proven=proves(tls), refuses=refuses, is_final=lmtp)
        self._tasks: set[asyncio.Task[str]] = set()
        self._opened = 0
        self._is_turned_away = False
        self._pace = Pace()
        self._rtt = float("inf")
        self._talks: set[Conversation] = set()

    @property
    def target(self) -> str:
        """Host and port, or the socket."""
        return str(self._host)

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends or the next hop can take no more."""
        shared = _SharedFeed(feed)
        errors: list[str] = []
        self._open(shared, report)
        try:
            while self._tasks:
                done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
                self._tasks -= done
                errors += [error for task in done if (error := task.result())]
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        return CarryEnd(errors[0] if errors else "", self._opened)

    def _open(self, feed: _SharedFeed, report: Report) -> None:
        self._tasks.add(asyncio.get_running_loop().create_task(self._one(feed, report, is_first=self._opened == 0)))
        self._opened += 1

    def _maybe_another(self, talk: Conversation, feed: _SharedFeed, report: Report, octets: int) -> None:
        """One connection streams as fast as the link goes; where replies must be waited for, more of them help."""
        is_full = self._is_turned_away or self._opened >= self._means.connections
        if talk.way is Way.STREAM or feed.is_over or is_full:
            return
        rtt = self._rtt = min(self._rtt, talk.rtt or 0.0)  # what others took longer is no path: somebody was busy
        self._pace.confirmed(octets, self._means.now(), rtt)
        if feed.is_waited_for:
            return
        being_opened = len(self._tasks) - len(self._talks)
        on_its_way = sum(each.octets_ahead for each in self._talks) + being_opened * octets
        if self._pace.wants_more(on_its_way, rtt):
            self._open(feed, report)

    async def _one(self, feed: _SharedFeed, report: Report, *, is_first: bool) -> str:
        """One connection, and those after it; why it ended before its time, or nothing."""
        while True:
            try:
                talk = await self._connect()
            except (RestanteError, MalformedReply) as error:
                self._is_turned_away = True
                return self._told(error) if is_first else ""
            is_first = True  # what fails from here on has cost something
            self._talks.add(talk)
            try:
                await talk.run(feed, report, partial(self._maybe_another, talk, feed, report))
            except PeerEnded as ended:
                for parcel in reversed(talk.unanswered()):
                    feed.put_back(parcel)
                if not talk.finished:
                    return self._told(ended)
            except (RestanteError, MalformedReply) as error:
                return self._told(error)
            else:
                return ""
            finally:
                self._talks.discard(talk)

    def _told(self, error: Exception) -> str:
        """An error with the host's name in front, which what dial() raises has already."""
        named = str(error).startswith((self.target, str(self._host)))
        return str(error) if named else f"{self.target}: {error}"

    async def _connect(self) -> Conversation:
        """A connection that has been greeted. Raises RestanteError, MalformedReply."""
        try:
            return await self._greeted()
        except TlsFailed:
            if not self._manners.tls.may_be_clear:
                raise
            self._manners = replace(self._manners, tls=IN_CLEAR)
            return await self._greeted()

    async def _greeted(self) -> Conversation:
        stream = await self._dial()
        talk = Conversation(self._manners.dialogue(stream), self._footing)
        try:
            await talk.greet(replace(self._manners, login=credentials_of(self._login)))
        except BaseException:
            stream.abort()
            raise
        return talk

    async def _dial(self) -> Stream:
        if isinstance(self._host, Path):
            return await dial_path(self._host, timeout=DIAL_SECONDS)
        return await self._means.dial(self._host, timeout=DIAL_SECONDS)
