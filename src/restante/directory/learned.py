"""Which recipients of held domains their sites have taken or refused, as releases have shown. Pure; time is handed in.

A recipient whom the site does not know is refused here too, for some time, instead of being taken and bounced later.
Both kinds are bounded, for each domain and for all, and the oldest go first; what is refused never drives out what was
taken. Where all are too many, the domain of which nothing was heard for the longest gives way, so that an attack on one
domain costs that one domain's memory.

Ages count by wall time. What the clock, when it was set back, has left in the future is forgotten: no jump can make a
refusal last. What has changed since is given to whoever keeps it (store/learned.py).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from restante.model import DomainName, Mailbox

POSTMASTER = "postmaster"
BAD_MAILBOX = frozenset({"5.1.1", "5.1.6", "5.1.10"})
"""Enhanced status codes that say that there is no such mailbox (RFC 3463 §3.2): bad destination mailbox address, moved
without a trace; and what Exchange says of an unknown recipient (it is the null MX of RFC 7505, which no site has)."""
MOST_OF_DOMAIN = 100_000
MOST = 1_000_000
PART_DROPPED = 64
"""Of a full table one such part goes at once: looking for the oldest costs something each time."""
TAKEN_AGAIN_SECONDS = 3600.0
"""A recipient that is taken again so soon is not noted again: ages of known ones are right to the hour."""

Key = tuple[DomainName, str]
"""A domain, and the local part in lower case."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a site has said of a recipient last, and when: a wall time."""

    is_unknown: bool
    since: float


class Learned:
    """What is known. Look-ups cost the same however much that is."""

    def __init__(self, most_of_domain: int = MOST_OF_DOMAIN, most: int = MOST) -> None:
        self._unknown = _Table(most_of_domain, most)
        self._known = _Table(most_of_domain, most)
        self._changes: dict[Key, Verdict | None] = {}

    def is_unknown(self, mailbox: Mailbox, unknown_for: float, now: float) -> bool:
        """Whether the site has refused it less than `unknown_for` seconds before the wall time `now`."""
        since = self._unknown.since(mailbox.domain, mailbox.key)
        if since is None:
            return False
        if since <= now < since + unknown_for:
            return True
        self._unknown.forget((mailbox.domain, mailbox.key))
        self._changes[mailbox.domain, mailbox.key] = None
        return False

    def refused(self, mailbox: Mailbox, now: float) -> None:
        """The site does not know it. Nobody can be without a postmaster (RFC 5321 §4.5.1)."""
        if mailbox.key != POSTMASTER:
            self._note((mailbox.domain, mailbox.key), Verdict(is_unknown=True, since=now))

    def taken(self, mailbox: Mailbox, now: float) -> None:
        """The site has taken mail for it; it is no longer unknown."""
        since = self._known.since(mailbox.domain, mailbox.key)
        if since is None or not since <= now < since + TAKEN_AGAIN_SECONDS:
            self._note((mailbox.domain, mailbox.key), Verdict(is_unknown=False, since=now))

    def _note(self, key: Key, verdict: Verdict) -> None:
        table, other = (self._unknown, self._known) if verdict.is_unknown else (self._known, self._unknown)
        other.forget(key)
        self._changes[key] = verdict
        for dropped in table.note(key, verdict.since):
            self._changes[dropped] = None

    def recall(self, kept: Iterable[tuple[Key, Verdict]], now: float) -> None:
        """What was kept, oldest first; what is known already is newer, and what is from the future is left out."""
        for key, verdict in kept:
            if verdict.since <= now and not (key in self._unknown or key in self._known):
                (self._unknown if verdict.is_unknown else self._known).note(key, verdict.since)

    def take_changes(self) -> dict[Key, Verdict | None]:
        """What has changed since this was last asked; None: forgotten. Ask often: it grows."""
        changes, self._changes = self._changes, {}
        return changes

    def __len__(self) -> int:
        return self._unknown.size + self._known.size


class _Table:
    """Since when, by domain and by local part, both with the least recently noted first."""

    def __init__(self, most_of_domain: int, most: int) -> None:
        self._most_of_domain = most_of_domain
        self._most = most
        self._domains: OrderedDict[DomainName, dict[str, float]] = OrderedDict()
        self.size = 0

    def since(self, domain: DomainName, local: str) -> float | None:
        """When that was noted."""
        ages = self._domains.get(domain)
        return None if ages is None else ages.get(local)

    def __contains__(self, key: Key) -> bool:
        return self.since(*key) is not None

    def note(self, key: Key, since: float) -> list[Key]:
        """Notes it as the newest; what had to go for it."""
        domain, local = key
        ages = self._domains.setdefault(domain, {})
        self.size += ages.pop(local, None) is None
        ages[local] = since
        self._domains.move_to_end(domain)
        gone: list[Key] = []
        if len(ages) > self._most_of_domain:
            gone += self._drop(domain, 1 + self._most_of_domain // PART_DROPPED)
        while self.size > self._most:
            quiet = next(iter(self._domains))
            gone += self._drop(quiet, 1 + self._most // PART_DROPPED)
        return gone

    def _drop(self, domain: DomainName, count: int) -> list[Key]:
        gone: list[Key] = [(domain, local) for local in islice(self._domains[domain], count)]
        for key in gone:
            self.forget(key)
        return gone

    def forget(self, key: Key) -> None:
        """Nothing is known of it."""
        domain, local = key
        ages = self._domains.get(domain)
        if ages is not None and ages.pop(local, None) is not None:
            self.size -= 1
            if not ages:
                del self._domains[domain]
