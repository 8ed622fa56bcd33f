"""Domains as people see them: in order of names, a page at a time, with what waits and when their sites are due.

A page costs what it shows, and a look at the names of what waits, however many domains there are: the names of a
directory are put in order once for each.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec import structs

from restante.admin.listing import rows_of
from restante.admin.protocol import DomainStatus
from restante.calls.window import Schedule
from restante.calls.zone import local_zone
from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Directory, Entry, Held
from restante.model import DomainName, Waiting


@dataclass(frozen=True, slots=True)
class Amount:
    """So much mail, of so many domains; `oldest` is a wall time."""

    domains: int
    items: int
    octets: int
    oldest: float | None

    @staticmethod
    def of(waiting: Iterable[Waiting]) -> Amount:
        """Adds up."""
        some = [one for one in waiting if one.items]
        oldest = min((one.oldest for one in some if one.oldest is not None), default=None)
        return Amount(len(some), sum(one.items for one in some), sum(one.octets for one in some), oldest)


LastContact = Callable[[str], float | None]
"""The wall time at which a site was last reached, by the name of its entry."""


class DomainPages:
    """The domains of a directory, and those for which mail waits besides."""

    def __init__(self) -> None:
        self._of: Directory | None = None
        self._names: list[str] = []

    def names(
        self,
        directory: Directory,
        waiting: Mapping[DomainName, Waiting],
        after: str,
        limit: int,
        *,
        within: Collection[DomainName] | None = None,
        with_mail: bool = False,
    ) -> list[str]:
        """The first `limit` names after one, in order: of all domains, of those `within`, or of those `with_mail`."""
        if within is not None:
            return heapq.nsmallest(limit, (n for n in within if n > after and (n in waiting or not with_mail)))
        if with_mail:
            return heapq.nsmallest(limit, (name for name in waiting if name > after))
        if self._of is not directory:
            self._of, self._names = directory, sorted(entry.name for entry in directory.entries())
        start = bisect_right(self._names, after)
        others = (name for name in waiting if name > after and directory.entry(name) is None)
        return heapq.nsmallest(limit, (*self._names[start : start + limit], *others))


def dated_rows(
    names: Sequence[DomainName],
    directory: Directory,
    waiting: Mapping[DomainName, Waiting],
    stopped: Mapping[DomainName, Waiting],
    *,
    last_contact: LastContact,
    clock: Clock,
) -> tuple[DomainStatus, ...]:
    """What waits for each of these, and when their sites were there and are expected."""
    now, due = clock.wall(), dict[tuple[str, ...], float | None]()

    def dated(row: DomainStatus, entry: Entry | None) -> DomainStatus:
        if not isinstance(entry, Held):
            return row
        expected = entry.retention.contact
        if expected not in due:
            due[expected] = Schedule.parse(expected, local_zone()).next_after(now) if expected else None
        reached = last_contact(row.domain) if entry.name == row.domain != EVERY_OTHER else None
        return structs.replace(row, last_contact=reached, next_contact=due[expected])

    rows = rows_of(names, directory, waiting, stopped)
    return tuple(map(dated, rows.domains(), directory.entries_for(names)))
