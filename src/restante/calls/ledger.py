"""What one call expects and what has moved, each way, and whether that is all. Pure: facts, replies and times go in.

Counts are kept per domain, as the office's 253 gives them: an item that waits there is one message of one domain here.
A message for two of the call's domains, sent as one, makes up for two items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from enum import StrEnum

from restante.calls.answer import Answer, NotNow, Refused, Started
from restante.facts import Fact, ItemDelivered, MessageAccepted, ReleaseStarted
from restante.model import DomainName, ReleaseView


class EndedBy(StrEnum):
    """What ended a call."""

    COUNTS = "counts"
    """All that was counted, or all that the office had, has arrived, and all of ours was offered."""
    IDLE = "idle"
    """Nothing has moved for so long, and nothing is known to wait."""
    WINDOW = "window"
    """The link's time was over."""
    ERROR = "error"
    """Nothing useful could be done, or restante is stopping."""


class Ledger:
    """The books of one call. `idle` in seconds; times are monotonic."""

    def __init__(self, domains: Iterable[DomainName], requester: str, idle: float, now: float) -> None:
        self._requester = requester
        self._idle = idle
        self._moved = now
        self.unanswered = dict.fromkeys(domains)
        """Domains that the office has not said yes or no for, in order."""
        self._domains = frozenset(self.unanswered)
        self._expected: dict[DomainName, int | None] = {}
        self._arrived: Counter[DomainName] = Counter()
        self._releases: set[int] = set()
        self._ended_sent = (0, 0)
        self._live_sent = (0, 0)
        self.received = 0
        self.received_octets = 0
        self.asking = self.releasing = True
        self.is_turned = self._was_turned = False

    # what goes in

    def answered(self, domain: DomainName, answer: Answer, now: float) -> None:
        """Notes what the office said for one domain."""
        self._moved = now
        match answer:
            case Started(count=count):
                self._expected[domain] = None if count is None else count + self._arrived[domain]
                self.unanswered.pop(domain, None)
            case Refused():
                self.unanswered.pop(domain, None)
            case NotNow():
                pass

    def turned(self, now: float) -> None:
        """The connection was turned round (RFC 2645): what comes over it is told by arrived()."""
        self.is_turned = self._was_turned = True
        self._moved = now

    def arrived(self, octets: int, now: float) -> None:
        """Notes a message that came over a connection that was turned round."""
        self.received += 1
        self.received_octets += octets
        self._moved = now

    def turn_ended(self, now: float, *, is_complete: bool) -> None:
        """That connection is gone; `is_complete`: the office has sent what it had, so nothing need be asked again."""
        if self.is_turned and is_complete:
            self.unanswered.clear()
        self.is_turned = False
        self._moved = now

    def take(self, fact: Fact, now: float) -> bool:
        """Notes a fact; whether it was this call's business."""
        match fact:
            case MessageAccepted() if ours := self._domains.intersection(fact.domains):
                self._arrived.update(ours)
                self.received += 1
                self.received_octets += fact.octets
            case ReleaseStarted() if fact.requester == self._requester:
                self._releases.add(fact.release)
            case ItemDelivered() if fact.release in self._releases:
                self._live_sent = (self._live_sent[0] + 1, self._live_sent[1] + fact.octets)
            case _:
                return False
        self._moved = now
        return True

    def released(self, views: Iterable[ReleaseView], now: float) -> None:
        """Notes the ends of releases: their own counts are better than what was seen of them on the way."""
        for view in views:
            self._ended_sent = (self._ended_sent[0] + view.delivered, self._ended_sent[1] + view.octets_sent)
        self._live_sent = (0, 0)
        self._releases.clear()
        self._moved = now

    def touched(self, now: float) -> None:
        """Octets have moved, of whatever."""
        self._moved = now

    # what comes out

    @property
    def sent(self) -> int:
        """Messages of ours that the other side has taken."""
        return self._ended_sent[0] + self._live_sent[0]

    @property
    def sent_octets(self) -> int:
        """Their octets."""
        return self._ended_sent[1] + self._live_sent[1]

    @property
    def expected(self) -> int | None:
        """Items that the office has counted out to us, as far as known."""
        counts = [count for count in self._expected.values() if count is not None]
        return sum(counts) if counts else None

    @property
    def owed(self) -> int:
        """Items counted out to us that have not arrived."""
        return sum(max(0, count - self._arrived[domain]) for domain, count in self._expected.items() if count)

    @property
    def has_begun(self) -> bool:
        """Whether the office has agreed to anything."""
        return bool(self._expected) or self._was_turned

    def is_over(self, now: float) -> EndedBy | None:
        """What ends the call at `now`, or None: there is still something to wait for."""
        if self.is_idling:
            return EndedBy.IDLE if now >= self._moved + self._idle else None
        return None if self._is_busy else EndedBy.COUNTS

    @property
    def _is_busy(self) -> bool:
        return self.asking or self.releasing or self.owed > 0

    @property
    def is_idling(self) -> bool:
        """Whether only silence can end the call: nothing is known to wait, and the office did not tell a count."""
        if self.is_turned:
            return not self.releasing
        return not self._is_busy and None in self._expected.values()
