"""How one call goes: what has come and what has gone, over time. Pure: its ledger and times go in."""

from __future__ import annotations

from dataclasses import dataclass

from restante.calls.ledger import Ledger
from restante.model import CallView
from restante.release.rates import Point, Rate, Series


@dataclass(frozen=True, slots=True)
class CallRate:
    """How fast a call went, each way, with no points where it is not known any more; None is not known.

    While it runs: `receiving` and `sending` as it goes now; `seconds_left` of its window; `messages_left` of those that
    the office has counted out, and how many of them can come before the window's end, as fast as they come now.
    """

    view: CallView
    received: tuple[Point, ...] = ()
    sent: tuple[Point, ...] = ()
    receiving: Rate | None = None
    sending: Rate | None = None
    seconds_left: float | None = None
    messages_left: int | None = None
    messages_fit: int | None = None


class Going:
    """What one call has moved. `started` is a wall time, all others are monotonic; `began` is the same moment."""

    def __init__(self, ledger: Ledger, started: float, began: float) -> None:
        self._ledger = ledger
        self._began = began
        self._received, self._sent = Series(started), Series(started)
        self._most_received = self._most_sent = 0

    def look(self, now: float) -> None:
        """Notes what has moved since the last look."""
        ledger, at = self._ledger, now - self._began
        if ledger.received > self._most_received:
            self._most_received = ledger.received
            self._received.note(at, ledger.received_octets, ledger.received)
        if ledger.sent > self._most_sent:  # it falls where a message that went to some of its recipients had counted
            self._most_sent = ledger.sent
            self._sent.note(at, ledger.sent_octets, ledger.sent)

    def ended(self, view: CallView) -> CallRate:
        """How it went."""
        return CallRate(view, self._received.points, self._sent.points)

    def running(self, view: CallView, now: float, seconds_left: float) -> CallRate:
        """How it goes."""
        at = now - self._began
        receiving, sending = self._received.rate(at), self._sent.rate(at)
        left = self._ledger.owed if self._ledger.expected is not None else None
        fit = _fit(left, receiving, seconds_left)
        return CallRate(view, self._received.points, self._sent.points, receiving, sending, seconds_left, left, fit)


def _fit(left: int | None, rate: Rate | None, seconds: float) -> int | None:
    return min(left, int(rate.messages * seconds)) if left is not None and rate is not None else None
