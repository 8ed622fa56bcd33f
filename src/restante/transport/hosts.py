"""What is remembered of hosts from one release to the next: who did not answer lately, and whose turn is when. Pure.

Both are bounded, and lost at a restart, which costs a connection that times out, or one message sent early. Times are
monotonic seconds.
"""

from __future__ import annotations

from collections.abc import Hashable

from restante.model import IPAddress

DOWN_SECONDS = 600.0
MOST_HOSTS = 10_000
MOST_TURNS = 10_000


class HostMemory:
    """Addresses that did not let us in: mail for other destinations that have them too tries them last."""

    def __init__(self) -> None:
        self._down: dict[IPAddress, float] = {}
        """Since when, the longest first."""

    def failed(self, address: IPAddress, now: float) -> None:
        """It did not answer, or did not let us in."""
        self._down.pop(address, None)
        self._down[address] = now
        if len(self._down) > MOST_HOSTS:
            del self._down[next(iter(self._down))]

    def answered(self, address: IPAddress) -> None:
        """It let us in."""
        self._down.pop(address, None)

    def is_down(self, address: IPAddress, now: float) -> bool:
        """Whether it failed lately, and has not answered since."""
        since = self._down.get(address)
        return since is not None and now - since < DOWN_SECONDS


class Turns:
    """When each destination may have its next message, where its rate is limited: evenly spaced, without bursts."""

    def __init__(self) -> None:
        self._next: dict[Hashable, float] = {}

    def take(self, destination: Hashable, per_minute: int, now: float) -> float:
        """Takes the next turn; how many seconds it is off."""
        turn = max(now, self._next.get(destination, now))
        if len(self._next) >= MOST_TURNS:
            self._next = {key: then for key, then in self._next.items() if then > now}
        self._next[destination] = turn + 60.0 / per_minute
        return turn - now
