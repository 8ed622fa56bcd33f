"""How often may somebody guess? Pure: time is a parameter, in monotonic seconds.

Three bounds, each over the same span: for an account from one network (an IPv4 address, an IPv6 /64), for an account
from anywhere, for a network at any account. Whoever was right is forgotten with what went wrong before, and keeps,
from that network, only the first bound: so that strangers cannot lock an account's owner out of a known place.

A try counts as wrong from its beginning until it is proven right, so that many at once are not more than the bound.
Memory is bounded: when a table is full, of its oldest few the one with the fewest failures is forgotten. Whose
certificate proves an account is not asked here at all.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import islice

from restante.model import IPAddress
from restante.net.networks import network_of

_OLDEST = 8  # of which the least is forgotten


@dataclass(frozen=True, slots=True)
class GuessLimits:
    """So many failures within `span` seconds; the answer to a failure waits a second for each before it, to `delay`."""

    pair: int = 10
    account: int = 100
    network: int = 50
    span: float = 600.0
    delay: float = 5.0
    remembered: int = 4096
    """Entries in each table."""

    @staticmethod
    def of(failures: int) -> GuessLimits:
        """With so many for an account from one network, and the wider bounds in proportion."""
        return GuessLimits(pair=failures, account=10 * failures, network=5 * failures)


class Guesses:
    """The failures of the last while. `limits` may be changed; its span and what is remembered stay as at first."""

    def __init__(self, limits: GuessLimits) -> None:
        self.limits = limits
        remembered, span = limits.remembered, limits.span
        self._pairs, self._accounts, self._networks = (_Failures(remembered, span) for _ in range(3))
        self._known: OrderedDict[Hashable, None] = OrderedDict()

    def is_open(self, account: str, address: IPAddress, now: float) -> bool:
        """Whether a guess may be tried."""
        pair, limits = _pair(account, address), self.limits
        if self._pairs.count(pair, now) >= limits.pair:
            return False
        account, network = pair
        return pair in self._known or (
            self._accounts.count(account, now) < limits.account and self._networks.count(network, now) < limits.network
        )

    def take(self, account: str, address: IPAddress, now: float) -> bool:
        """The same; if it may, it counts, until right() says otherwise."""
        if not self.is_open(account, address, now):
            return False
        pair = account, network = _pair(account, address)
        self._pairs.add(pair, now)
        self._accounts.add(account, now)
        self._networks.add(network, now)
        return True

    def right(self, account: str, address: IPAddress) -> None:
        """The last guess that was taken was none: the account's owner is at that network."""
        pair = account, network = _pair(account, address)
        self._pairs.forget(pair)
        self._accounts.take_back(account)
        self._networks.take_back(network)
        self._known[pair] = None
        self._known.move_to_end(pair)
        if len(self._known) > self.limits.remembered:
            self._known.popitem(last=False)

    def delay(self, account: str, address: IPAddress, now: float) -> float:
        """Seconds to wait before a failure is answered."""
        return min(self.limits.delay, float(self._pairs.count(_pair(account, address), now)))


def _pair(account: str, address: IPAddress) -> tuple[str, Hashable]:
    return account.casefold(), network_of(address)  # as the directory looks up its users


class _Failures:
    """When each of some keys has failed, for as long as it matters."""

    def __init__(self, remembered: int, span: float) -> None:
        self._remembered = remembered
        self._span = span
        self._times: OrderedDict[Hashable, deque[float]] = OrderedDict()

    def count(self, key: Hashable, now: float) -> int:
        times = self._times.get(key)
        if times is None:
            return 0
        while times and times[0] <= now - self._span:
            times.popleft()
        return len(times)

    def add(self, key: Hashable, now: float) -> None:
        times = self._times.setdefault(key, deque())
        times.append(now)
        self._times.move_to_end(key)
        if len(self._times) > self._remembered:
            oldest = list(islice(self._times, _OLDEST))
            del self._times[min(oldest, key=lambda one: self.count(one, now))]

    def take_back(self, key: Hashable) -> None:
        if times := self._times.get(key):
            times.pop()

    def forget(self, key: Hashable) -> None:
        self._times.pop(key, None)
