"""How many octets a path takes in one round trip, as measured: what further connections are opened for. Pure.

A peer without CHUNKING confirms one message a round trip on each connection, so that a far link is used only by many of
them. They are opened while what is on its way is less than twice the path's volume: the volume grows with each of them
until the link is full, and then no longer.
"""

from __future__ import annotations

from collections import deque

LEAST_OCTETS = 64 * 1024
"""What may be on its way before anything is known of the path: some sixteen small messages."""
HEADROOM = 2.0
LEAST_SECONDS = 0.5


class Pace:
    """The confirmed octets of the last few round trips. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._confirmed: deque[tuple[float, int]] = deque()
        self._octets = 0

    def confirmed(self, octets: int, now: float, rtt: float) -> None:
        """So many octets were confirmed."""
        self._confirmed.append((now, octets))
        self._octets += octets
        span = max(LEAST_SECONDS, 3 * rtt)
        while self._confirmed[0][0] <= now - span:
            self._octets -= self._confirmed.popleft()[1]

    def wants_more(self, on_its_way: int, rtt: float) -> bool:
        """Whether another connection would find room on the path, with so many octets on their way already."""
        span = max(LEAST_SECONDS, 3 * rtt)
        volume = self._octets / span * rtt
        return on_its_way < max(LEAST_OCTETS, HEADROOM * volume)
