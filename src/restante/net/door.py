"""Who may come in: how many connections at once, how many of one network, and how fast. Pure: the time is handed in.

One Door counts for all listeners. A network is an IPv4 address, or the /64 of an IPv6 address: who has one address of
that has them all. Against a flood there are three means. One network has no more than `per_address` connections that
have not proved who they are, and begins no more than `rate` a second. The last `reserved` places, and the last file
descriptors, are for where sites come from: networks that are configured, or from which somebody has lately proved who
he is. And when most places are taken, strangers who keep us waiting have to go, the sooner the fewer are left.

What is kept: a number for each network that has a connection, a time for each that began one in the last seconds (at
most MOST_NETWORKS), and the last MOST_PROVEN networks from which somebody has proved who he is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from restante.net.networks import NOWHERE, Networks, network_of
from restante.smtp.node import IPAddress
from restante.smtp.reply import TOO_MANY_CONNECTIONS, TOO_MANY_FROM_YOU, TOO_MANY_NEW_FROM_YOU, Reply

BURST_SECONDS = 3.0
"""So many seconds' worth of new connections may come at once."""
BUSY = 0.8
"""Beyond this part of the places that strangers may have, they are hurried."""
HURRY_SECONDS = 10.0
"""How long a stranger may then keep us waiting; Postfix's own figure under stress."""
LEAST_SECONDS = 3.0
"""The same when no place is left: enough for a TLS handshake over a satellite."""
LOOK_SECONDS = 0.25
"""Strangers who have to go are looked for no more often."""
TELL_SECONDS = 10.0
"""Refusals are told to the log no more often."""
MOST_NETWORKS = 65_536
MOST_PROVEN = 10_000
MOST_KEPT_DESCRIPTORS = 1024


@dataclass(frozen=True, slots=True)
class Rules:
    """What the door holds to; replaced whole when the configuration changes."""

    connections: int = 2000
    """How many there may be in all."""
    per_address: int = 50
    """How many of one network that have not proved who they are. Postfix has 50, too."""
    rate: float = 20.0
    """How many new ones a second of one network, 1 at least; BURST_SECONDS' worth at once."""
    reserved: int = 100
    """How many of `connections` are for sites alone; no more than half of them."""
    descriptors: int = 1 << 20
    """How many file descriptors this process may have; a quarter of them, MOST_KEPT_DESCRIPTORS at the most, is kept
    for the spool and for what goes out. Sites may use half of that."""
    sites: Networks = NOWHERE
    """Where sites and offices come from."""
    own: Networks = NOWHERE
    """Networks of our own, to which `per_address` and `rate` do not apply."""

    @property
    def for_strangers(self) -> int:
        """How many connections there may be before a stranger is refused."""
        return self.connections - min(self.reserved, self.connections // 2)

    def first_kept(self, *, is_site: bool) -> int:
        """The first file descriptor that a connection may not have: the system gives the lowest that is free."""
        kept = min(MOST_KEPT_DESCRIPTORS, self.descriptors // 4)
        return self.descriptors - (kept // 2 if is_site else kept)


class Guest:
    """Somebody who was let in, until leave(); or who needed no door, because we dialled. Whoever serves it says since
    when it keeps us waiting.
    """

    __slots__ = ("_door", "is_proven", "is_trusted", "network", "send_away", "waiting_since")

    def __init__(
        self, door: Door | None = None, network: bytes = b"", now: float | None = None, *, is_trusted: bool = False
    ) -> None:
        self.network = network
        self.is_trusted = is_trusted
        """A site by its network, or one of our own: not hurried."""
        self.is_proven = False
        self.waiting_since = now
        """A monotonic time; None while it is our turn."""
        self.send_away: Callable[[], None] = _nothing
        """Ends its connection; set by whoever listens."""
        self._door = door

    def prove(self) -> None:
        """It has shown who it is, by a login or a certificate that is known here: not to be called for less."""
        if self._door is not None:
            self._door.promote(self)

    def leave(self) -> None:
        """It is gone, and its place is free. May be called twice."""
        self.send_away = _nothing  # what has ended is not kept by what it ended with
        if self._door is not None:
            self._door.leave(self)


@dataclass(frozen=True, slots=True)
class Refused:
    """Who is not let in is told `reply`. `times`: how many refusals the log should tell of now, most often 0."""

    reply: Reply
    times: int


class Door:
    """Counts who is in, and decides who may come. `rules` may be replaced at any time: nobody is put out by that."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._guests: set[Guest] = set()
        self._unproven: dict[bytes, int] = {}
        """By network: how many are in that have not proved who they are."""
        self._paid_until: dict[bytes, float] = {}
        """By network: when its allowance of new connections is whole again. Who changed last is last."""
        self._proven: dict[bytes, None] = {}
        """Networks from which somebody has proved who he is. The latest is last."""
        self._descriptor = 0
        self._look_at = self._tell_at = float("-inf")
        self._untold = 0

    def __len__(self) -> int:
        return len(self._guests)

    @property
    def rules(self) -> Rules:
        """What is held to now."""
        return self._rules

    @rules.setter
    def rules(self, rules: Rules) -> None:
        self._rules = rules
        # reckoned once, not for each who comes; the first is for strangers, the second for sites
        self._most = rules.for_strangers, rules.connections
        self._first_kept = rules.first_kept(is_site=False), rules.first_kept(is_site=True)
        # and once for each address that comes
        self._place_of = lru_cache(maxsize=4096)(
            lambda address: (network_of(address), address in rules.own, address in rules.sites)
        )

    def admit(self, address: IPAddress, now: float, *, descriptor: int = 0, is_local: bool = False) -> Guest | Refused:
        """Lets somebody in, or not. `descriptor` is the connection's own; `is_local`: it comes from this very host."""
        network, is_own, is_site = self._place_of(address)
        is_own = is_own or is_local
        self._descriptor = descriptor
        refusal = None if is_own else self._too_many(network, now)
        if refusal is None and not self._has_room(is_site=is_site or network in self._proven):
            refusal = TOO_MANY_CONNECTIONS
        if refusal is not None:
            return self._refused(refusal, now)
        guest = Guest(self, network, now, is_trusted=is_site or is_own)
        self._guests.add(guest)
        self._unproven[network] = self._unproven.get(network, 0) + 1
        return guest

    def _too_many(self, network: bytes, now: float) -> Reply | None:
        """What a network is told that has too many connections, or begins them too fast; None when it does not."""
        if self._unproven.get(network, 0) >= self._rules.per_address:
            return TOO_MANY_FROM_YOU
        each = 1 / self._rules.rate
        paid_until = max(now, self._paid_until.pop(network, now)) + each
        is_too_fast = paid_until - now > BURST_SECONDS + each / 2
        self._paid_until[network] = paid_until - each if is_too_fast else paid_until
        self._forget(now)
        return TOO_MANY_NEW_FROM_YOU if is_too_fast else None

    def _forget(self, now: float) -> None:
        """Drops what is whole again, two for each that comes; and what is too much."""
        for _ in range(2):
            first = next(iter(self._paid_until))
            if self._paid_until[first] > now and len(self._paid_until) <= MOST_NETWORKS:
                return
            del self._paid_until[first]

    def _has_room(self, *, is_site: bool) -> bool:
        return len(self._guests) < self._most[is_site] and self._descriptor < self._first_kept[is_site]

    def _refused(self, reply: Reply, now: float) -> Refused:
        self._untold += 1
        if now < self._tell_at:
            return Refused(reply, 0)
        times, self._untold = self._untold, 0
        self._tell_at = now + TELL_SECONDS
        return Refused(reply, times)

    def overdue(self, now: float) -> list[Guest]:
        """Strangers who have kept us waiting for longer than there is room for; asked for at each arrival."""
        fullness = max(len(self._guests) / self._most[0], self._descriptor / self._first_kept[0])
        if fullness < BUSY or now < self._look_at:
            return []
        self._look_at = now + LOOK_SECONDS
        longest = patience(fullness)
        return [
            guest
            for guest in self._guests
            if guest.waiting_since is not None
            and now - guest.waiting_since > longest
            and not (guest.is_trusted or guest.is_proven)
        ]

    def promote(self, guest: Guest) -> None:
        """See Guest.prove()."""
        if guest not in self._guests or guest.is_proven:
            return
        self._uncount(guest)
        guest.is_proven = True
        self._proven.pop(guest.network, None)
        self._proven[guest.network] = None
        if len(self._proven) > MOST_PROVEN:
            del self._proven[next(iter(self._proven))]

    def leave(self, guest: Guest) -> None:
        """See Guest.leave()."""
        if guest in self._guests:
            self._guests.remove(guest)
            if not guest.is_proven:
                self._uncount(guest)

    def _uncount(self, guest: Guest) -> None:
        left = self._unproven[guest.network] - 1
        if left:
            self._unproven[guest.network] = left
        else:
            del self._unproven[guest.network]


def patience(fullness: float) -> float:
    """How many seconds a stranger may keep us waiting when this part of the places for strangers is taken.

    Without end where there is room: then the session's own limits are all that counts.
    """
    if fullness < BUSY:
        return float("inf")
    return HURRY_SECONDS - (HURRY_SECONDS - LEAST_SECONDS) * min(1.0, (fullness - BUSY) / (1 - BUSY))


def _nothing() -> None:
    """There is no connection yet."""
