"""How many octets a path takes in one round trip, as measured: what further connections are opened for. Pure.

A peer without CHUNKING confirms one message a round trip on each connection, so that a far link is used only by many of
them. Each has two messages on its way: one whose end was sent, and the next one's MAIL, RCPT and DATA. More are opened
while all that is on its way is less than HEADROOM times the path's volume, twice as many as fill it: the volume grows
with each of them until the link is full, and then no longer.
"""

from __future__ import annotations

from collections import deque

LEAST_OCTETS = 64 * 1024
"""What may be on its way before anything is known of the path: some sixteen small messages."""
HEADROOM = 4.0
LEAST_SECONDS = 0.1
LEAST_DELAY = 0.001
"""Seconds that a peer needs for a message, however near it is: with one connection it and we would wait by turns."""


class Pace:
    """The confirmed octets of the last round trip. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._confirmed: deque[tuple[float, int]] = deque()
        self._octets = 0

    def confirmed(self, octets: int, now: float, rtt: float) -> None:
        """So many octets were confirmed."""
        self._confirmed.append((now, octets))
        self._octets += octets
        span = max(LEAST_SECONDS, rtt)
        while self._confirmed[0][0] <= now - span:
            self._octets -= self._confirmed.popleft()[1]

    def wants_more(self, on_its_way: int, rtt: float) -> bool:
        """Whether another connection would find room on the path, with so many octets on their way already."""
        span = max(LEAST_SECONDS, rtt)
        volume = self._octets / span * max(LEAST_DELAY, rtt)
        return on_its_way < max(LEAST_OCTETS, HEADROOM * volume)
