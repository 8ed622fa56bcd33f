"""What has been, for people to look at: contacts of held domains, and calls. Nothing is decided by it.

All of it is bounded, however many sites there are and however often they come: the more sites, the less of each. What
it remembers are rows of the history (store/history.py), a row for a domain or a call; upkeep.py writes those that have
changed every few minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import msgspec

from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.facts import CallEnded, CallStarted, Fact, ReleaseDecided, ReleaseEnded
from restante.release import been
from restante.release.been import KEPT_SECONDS, SIZE, Been
from restante.release.expected import asked_for

MOST_OF_A_SITE = 200
LEAST_OF_A_SITE = 4
MOST_OCTETS = 16 * 1024 * 1024
"""Of all sites together, as far as LEAST_OF_A_SITE lets them."""
MOST_OF_A_CALL = 200
MOST_OF_CALLS = 4000
MOST_OF_AN_ERROR = 200
AT_ONCE = 100
"""Contacts that are noted in one turn of the event loop: hundredths of a millisecond each."""
LOOKED_AT_ONCE = 2000
"""Entries of which it is found out in one turn whether they were meant."""
_SEEN = "seen "
_CALLED = "called "


class CallDone(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A call that has ended: wall times, messages and octets each way; see CallView, CallEnded."""

    start: float
    end: float
    reason: str
    ended_by: str
    error: str
    sent: int
    sent_octets: int
    received: int
    received_octets: int


class Past:
    """All of it. `rows` are those of the history; those that are not its own, or make no sense, are passed over."""

    def __init__(self, rows: Mapping[str, bytes], directory: Callable[[], Directory], clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._rings = {name.removeprefix(_SEEN): row for name, row in rows.items() if _is_ring(name, row)}
        self._calls = {name.removeprefix(_CALLED): calls for name, row in rows.items() if (calls := _calls(name, row))}
        self._reasons: dict[str, str] = {}
        self._changed: set[str] = set()
        """Names of rows."""
        self._asking: dict[object, tuple[Iterator[str | None], int]] = {}
        """By who said what in an ETRN for very many: whom it means, as far as that was not looked at; and when."""
        self._asked: dict[str, int] = {}
        """What is not in its ring yet: when which site has asked."""

    # what happens

    def heard(self, fact: Fact) -> None:
        """Notes that a site has asked, and calls."""
        match fact:
            case ReleaseDecided(principal=principal, granted=granted) if granted:
                self._asking[principal, granted] = asked_for(fact, self._directory()), int(self._clock.wall())
                self._look((principal, granted))
                if len(self._asked) <= AT_ONCE and not self._asking:
                    self.settle()
            case CallStarted():
                self._reasons[fact.call] = fact.reason
            case CallEnded():
                self._called(fact)
            case _:
                pass

    def reached(self, fact: ReleaseEnded) -> None:
        """Notes a release that has reached its next hop."""
        now = self._clock.wall()
        one = Been(int(now - fact.seconds), int(now), 0, 1, int(bool(fact.error)), fact.delivered, fact.octets)
        self._contact(fact.domain, one)

    def missed(self, name: str, due: float) -> None:
        """Notes that the site of an entry has not come."""
        self._put(name, been.with_missed(self._rings.get(name, b""), due, self._most_of_a_site))

    def settle(self) -> bool:
        """Notes some of those who have asked; whether there are more of them, for another turn of the event loop."""
        if self._asking:
            self._look(next(iter(self._asking)))
        for name in list(islice(self._asked, AT_ONCE)):
            self._settle(name)
        return bool(self._asked or self._asking)

    def _look(self, asking: object) -> None:
        """Finds out some of those whom an ETRN means."""
        entries, when = self._asking[asking]
        looked_at = list(islice(entries, LOOKED_AT_ONCE))
        self._asked |= {name: when for name in looked_at if name is not None}
        if len(looked_at) < LOOKED_AT_ONCE:
            del self._asking[asking]

    # what is known

    def sites(self) -> frozenset[str]:
        """The names of all entries of whose sites anything is known."""
        return frozenset(self._rings)

    def contacts(self, name: str) -> tuple[Been, ...]:
        """The contacts of an entry, in order; none overlaps another."""
        while self._asking:
            self._look(next(iter(self._asking)))
        self._settle(name)
        return been.contacts_of(self._rings.get(name, b""))

    def misses(self, name: str) -> tuple[int, ...]:
        """When the site of an entry should have come and did not, in order."""
        return been.missed_of(self._rings.get(name, b""))

    def calls(self, name: str) -> tuple[CallDone, ...]:
        """The calls of a name, in order of their beginnings."""
        return tuple(sorted(self._calls.get(name, ()), key=lambda one: one.start))

    # what is kept

    def forget(self) -> None:
        """What is known of entries that are held no more, and of calls that were not made for long."""
        directory, now = self._directory(), self._clock.wall()
        for name in [name for name in self._rings if not isinstance(directory.entry(name), Held)]:
            del self._rings[name]
            self._changed.add(_SEEN + name)
        for name in [name for name, calls in self._calls.items() if calls[-1].end < now - KEPT_SECONDS]:
            del self._calls[name]
            self._changed.add(_CALLED + name)

    def take_changes(self) -> dict[str, bytes | None]:
        """The rows that have changed since this was last asked; None is gone."""
        changed, self._changed = self._changed, set()
        return {name: self._row(name) for name in changed}

    def _row(self, row: str) -> bytes | None:
        if row.startswith(_SEEN):
            return self._rings.get(row.removeprefix(_SEEN))
        calls = self._calls.get(row.removeprefix(_CALLED))
        return None if calls is None else msgspec.json.encode(calls)

    @property
    def _most_of_a_site(self) -> int:
        share = MOST_OCTETS // (SIZE * (len(self._rings) + 1))
        return max(LEAST_OF_A_SITE, min(MOST_OF_A_SITE, share))

    def _settle(self, name: str) -> None:
        if (when := self._asked.pop(name, None)) is not None:
            self._contact(name, Been(when, when, asked=1))

    def _contact(self, name: str, one: Been) -> None:
        """A contact of an entry of its own: what `*` holds has no site that could be told from others."""
        if name != EVERY_OTHER and isinstance(self._directory().entry(name), Held):
            self._put(name, been.with_contact(self._rings.get(name, b""), one, self._most_of_a_site))

    def _put(self, name: str, ring: bytes) -> None:
        self._rings[name] = ring
        self._changed.add(_SEEN + name)

    def _called(self, fact: CallEnded) -> None:
        now = self._clock.wall()
        done = CallDone(
            now - fact.seconds,
            now,
            self._reasons.pop(fact.call, ""),
            fact.ended_by,
            fact.error[:MOST_OF_AN_ERROR],
            fact.sent,
            fact.sent_octets,
            fact.received,
            fact.received_octets,
        )
        most = max(1, min(MOST_OF_A_CALL, MOST_OF_CALLS // (len(self._calls) + 1)))
        before = [one for one in self._calls.get(fact.call, ()) if one.end >= now - KEPT_SECONDS]
        self._calls[fact.call] = [*before, done][-most:]
        self._changed.add(_CALLED + fact.call)


def _is_ring(name: str, row: bytes) -> bool:
    return name.startswith(_SEEN) and been.is_ring(row)


def _calls(name: str, row: bytes) -> list[CallDone]:
    if not name.startswith(_CALLED):
        return []
    try:
        return msgspec.json.decode(row, type=list[CallDone])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return []
