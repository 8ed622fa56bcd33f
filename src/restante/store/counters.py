"""What waits for each domain: rows of the table `counters`, changed in the commit that changes the items.

Used by the writer's thread alone; what a commit has changed is handed to the event loop as finished values.
`oldest` never claims anything younger than the truth. It is exact in the same commit for domains with up to
REFRESH_AT_ONCE items; for a larger one whose oldest item left it is put right when the writer has nothing to do,
or every LOOK_AGAIN commits. One row more, for the empty name, counts the commits themselves (mark.py says what for).
"""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from restante.model import DomainName, Waiting
from restante.store.rows import encode, fetch, insert

REFRESH_AT_ONCE = 2000
LOOK_AGAIN = 512
NOTHING = Waiting()
COMMITS = DomainName("")
"""In whose row the commits are counted; no domain has that name."""

_REPLACE = "INSERT OR REPLACE INTO counters VALUES "
_DELETE = "DELETE FROM counters WHERE domain IN (SELECT value FROM json_each(?))"
_COMMITS = "SELECT items FROM counters WHERE domain = ''"
_ODD = """
SELECT EXISTS (SELECT 1 FROM counters WHERE items < 0 OR octets < 0
OR typeof(items) <> 'integer' OR typeof(octets) <> 'integer' OR typeof(oldest) <> 'real')"""
_COUNT = """
SELECT domain, count(*), sum(size), min(arrived) FROM items INDEXED BY items_waiting
WHERE state = 0 GROUP BY domain"""
_OLDEST = """
SELECT value, (SELECT min(arrived) FROM items INDEXED BY items_waiting WHERE state = 0 AND domain = value)
FROM json_each(?)"""


def load(connection: apsw.Connection) -> tuple[dict[DomainName, Waiting], int]:
    """All counters as they are on disk, and the number of commits."""
    rows = fetch(connection, "SELECT domain, items, octets, oldest FROM counters")
    waiting = {domain: Waiting(items, octets, oldest) for domain, items, octets, oldest in rows}
    return waiting, waiting.pop(COMMITS, NOTHING).items


def load_commits(connection: apsw.Connection) -> int:
    """The number of commits alone; 0 where it cannot be read."""
    commits = connection.execute(_COMMITS).get
    return commits if isinstance(commits, int) else 0


def are_numbers(connection: apsw.Connection) -> bool:
    """Whether what is written could be counters, right or wrong: damage makes other types of them."""
    return not connection.execute(_ODD).get


def count(connection: apsw.Connection) -> dict[DomainName, Waiting]:
    """What the counters should be, by the index of what waits."""
    return {domain: Waiting(items, octets, oldest) for domain, items, octets, oldest in fetch(connection, _COUNT)}


def agree(written: dict[DomainName, Waiting], counted: dict[DomainName, Waiting]) -> bool:
    """Whether counters are right; `oldest` may be too old, never too young."""
    return written.keys() == counted.keys() and all(_agrees(written[name], counted[name]) for name in counted)


def _agrees(written: Waiting, counted: Waiting) -> bool:
    same = (written.items, written.octets) == (counted.items, counted.octets)
    return same and written.oldest is not None and counted.oldest is not None and written.oldest <= counted.oldest


class Counters:
    """The counters as of the last commit, and what the one under way changes."""

    def __init__(self, connection: apsw.Connection, waiting: dict[DomainName, Waiting], commits: int = 0) -> None:
        self._connection = connection
        self._waiting = waiting
        self._changed: dict[DomainName, Waiting] = {}
        self._refreshed: set[DomainName] = set()
        self.commits = commits
        """Commits in the life of this spool."""
        self.stale: set[DomainName] = set()
        """Domains whose oldest item may have left."""

    def add(self, domain: DomainName, items: int, octets: int, oldest: float) -> None:
        """So many items more wait, the oldest of which arrived then."""
        now = self._changed.get(domain) or self._waiting.get(domain, NOTHING)
        since = oldest if now.oldest is None else min(now.oldest, oldest)
        self._changed[domain] = Waiting(now.items + items, now.octets + octets, since)

    def take(self, domain: DomainName, items: int, octets: int, oldest: float) -> None:
        """So many items fewer wait, the oldest of which arrived then."""
        now = self._changed.get(domain) or self._waiting.get(domain, NOTHING)
        assert now.items >= items, (domain, now, items)
        assert now.oldest is not None, (domain, now)
        if oldest <= now.oldest:
            self.stale.add(domain)
        left = now.items - items
        self._changed[domain] = Waiting(left, now.octets - octets, now.oldest if left else None)

    def write(self) -> None:
        """Writes what has changed, within the transaction."""
        commits = self.commits + 1
        self._refresh(self.stale if commits % LOOK_AGAIN == 0 else self._small())
        empty = [domain for domain, waiting in self._changed.items() if not waiting.items]
        if empty:
            self._connection.execute(_DELETE, (encode(empty).decode(),))
        rows: list[tuple[DomainName, int, int, float | None]] = [(COMMITS, commits, 0, 0.0)]
        rows += [(d, w.items, w.octets, w.oldest) for d, w in self._changed.items() if w.items]
        insert(self._connection, _REPLACE, rows)

    def recount(self) -> None:
        """Counts all that waits anew, within the transaction."""
        counted = count(self._connection)
        self._connection.execute("DELETE FROM counters")
        self._changed = dict.fromkeys({**self._waiting, **self._changed}, NOTHING) | counted
        self._refreshed |= self.stale
        self.stale.clear()

    def refresh_all(self) -> None:
        """Makes every stale `oldest` exact; write() must follow."""
        self._refresh(self.stale)

    def committed(self) -> dict[DomainName, Waiting]:
        """What the commit has changed; zero items where nothing waits any more."""
        self.commits += 1
        self._refreshed.clear()
        changed, self._changed = self._changed, {}
        for domain, waiting in changed.items():
            if waiting.items:
                self._waiting[domain] = waiting
            else:
                self._waiting.pop(domain, None)
        return changed

    def rolled_back(self) -> None:
        """Nothing has changed."""
        self._changed.clear()
        self.stale |= self._refreshed
        self._refreshed.clear()

    def _small(self) -> list[DomainName]:
        return [domain for domain in self.stale if self._now(domain).items <= REFRESH_AT_ONCE] if self.stale else []

    def _now(self, domain: DomainName) -> Waiting:
        return self._changed.get(domain) or self._waiting.get(domain, NOTHING)

    def _refresh(self, domains: Iterable[DomainName]) -> None:
        asked = [domain for domain in domains if self._now(domain).items]
        if asked:
            for domain, oldest in fetch(self._connection, _OLDEST, encode(asked).decode()):
                now = self._now(domain)
                self._changed[domain] = Waiting(now.items, now.octets, oldest)
        self._refreshed.update(domains)
        self.stale -= self._refreshed
