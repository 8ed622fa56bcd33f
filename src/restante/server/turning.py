"""ATRN, as the office has it (RFC 2645): who may turn a connection round, and the mail that goes over it then.

The order of looks is that of ETRN: how often, rights, whether we can, what waits; so neither words nor time tell
a stranger what there is. A customer that sends anything behind ATRN would have it read as the replies of a server:
that ends the connection, with nothing delivered. What has come to this host by then is looked at; what is said later
and still ahead of its question ends the connection as at any server (transport/greeting.py, smtp/client.py).

Mail that must be encrypted (`tls` of its domain) needs TLS here too. A certificate or key that is asked of its next
hop is not: who turns the connection has shown by a login who it is. Mail with REQUIRETLS, though, goes only to who has
shown a certificate of the login's, or one that was granted all that goes: for RFC 8689 it is the server now.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from restante.clock import Clock
from restante.directory.entries import Directory, Held
from restante.directory.rights import is_certified, may_turn
from restante.facts import Announce, ReleaseDecided
from restante.model import DomainName, Principal
from restante.net.stream import InjectedBytes, Stream
from restante.net.tls import TlsLevel
from restante.release.answers import NotAllowed
from restante.release.requests import Releases
from restante.release.turn import Turn
from restante.server import answers
from restante.smtp.client import Ahead
from restante.smtp.reply import Reply
from restante.smtp.server import ServerEngine
from restante.transport.turned import TurnedCarrier

MOST_OFTEN = 10
OFTEN_SECONDS = 60.0
"""A login's ATRN is looked at MOST_OFTEN times in so many seconds."""
INJECTED = "bytes were sent behind ATRN"


@dataclass(frozen=True, slots=True)
class Turning:
    """What decides on every ATRN of this host. `ahead` gives how far to run ahead of a customer's replies."""

    releases: Releases
    directory: Callable[[], Directory]
    announce: Announce
    hostname: str
    ahead: Callable[[], Ahead]
    often: Often

    async def asked(
        self, domains: Sequence[DomainName], principal: Principal, engine: ServerEngine, stream: Stream
    ) -> Turned | None:
        """Answers an ATRN; what is to follow where the answer was 250. Sending the answer is the caller's.

        Raises InjectedBytes; then nothing was answered.
        """
        await _all_read()
        granted: tuple[Held, ...] = ()
        turn: Turn | None = None
        if self.often.is_too_often(principal):
            said = answers.TURN_TOO_OFTEN
        else:
            granted = may_turn(self.directory(), principal, domains)
            said, turn = self._decided(granted, principal, stream)
        is_injected = turn is not None and bool(engine.unread or stream.unread)
        self._tell(domains, principal, () if is_injected else granted, INJECTED if is_injected else str(said))
        if is_injected:
            raise InjectedBytes(INJECTED)
        engine.answer(said)
        if turn is None:
            return None
        is_proven = is_certified(self.directory(), principal, granted)
        return Turned(turn, TurnedCarrier(stream, self.hostname, self.ahead(), is_proven=is_proven))

    def _decided(self, granted: tuple[Held, ...], principal: Principal, stream: Stream) -> tuple[Reply, Turn | None]:
        if not granted:
            return answers.atrn(NotAllowed()), None
        if stream.tls is None and not all(TlsLevel(entry.tls).may_be_clear for entry in granted):
            return answers.TURN_NEEDS_TLS, None
        answer = self.releases.turn(granted, principal)
        return answers.atrn(answer), answer if isinstance(answer, Turn) else None

    def _tell(self, domains: Sequence[DomainName], principal: Principal, granted: Sequence[Held], said: str) -> None:
        asked = f"ATRN {','.join(domains)}".rstrip()
        self.announce(ReleaseDecided(principal, asked, tuple(entry.name for entry in granted), said))


@dataclass(frozen=True, slots=True)
class Turned:
    """A connection that goes round when its 250 is sent."""

    turn: Turn
    carrier: TurnedCarrier

    async def carry(self) -> None:
        """Carries all that was granted; returns when the connection has ended."""
        await self.turn.carry(self.carrier)
        await self.carrier.leave()

    def stop(self) -> None:
        """Lets it begin nothing more; what is on its way is finished."""
        self.turn.stop()


class Often:
    """When each login has asked lately; what was not looked at does not count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._asked: dict[str, deque[float]] = {}

    def is_too_often(self, principal: Principal) -> bool:
        """Whether this ATRN is one too many; else it is counted."""
        assert principal.login is not None, "ATRN comes after AUTH"
        times = self._asked.setdefault(principal.login, deque(maxlen=MOST_OFTEN))
        now = self._clock.monotonic()
        if len(times) == MOST_OFTEN and now - times[0] < OFTEN_SECONDS:
            return True
        times.append(now)
        return False


async def _all_read() -> None:
    """What has come to this host is read from the system, and so can be seen: that takes the loop two turns."""
    for _ in range(2):
        await asyncio.sleep(0)
