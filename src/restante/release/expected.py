"""Whose site is expected and has not come: an alarm for each held domain, once, until its site is there again.

A site is there when a release has reached it, and when it asks: an ETRN or ATRN that was granted says so even where
nothing waits. A contact is missed when this host was up, and its clock ran evenly, from the hour on at which it was
expected until its grace was over. Domains that `*` holds by MX have no site of their own, and are not expected.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping

import msgspec
from msgspec import structs

from restante.directory.entries import Directory, Held
from restante.directory.rights import matching
from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, Announce, ReleaseDecided
from restante.message.trace import date
from restante.release.destinations import entry_of
from restante.release.retention import EARLY_SECONDS, Moment, Schedules
from restante.smtp.node import DomainNode, NodeError, parse_node

LOOKED_AT_A_TURN = 1000


class Site(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What is known of one. Steady times, but for `seen_at` and `missed`, which are wall times for people."""

    contact: tuple[str, ...]
    since: float
    """From when on it is expected so."""
    seen: float | None = None
    seen_at: float | None = None
    missed: float | None = None
    """When it should have been there, where that was told."""


class Expected:
    """All sites that are expected, by the names of their entries. `known` is what changes() once gave."""

    def __init__(self, known: Mapping[str, Site], schedules: Schedules, announce: Announce) -> None:
        self._sites = dict(known)
        self._schedules = schedules
        self._announce = announce
        self._directory: Directory | None = None
        self._held: list[Held] = []
        self._due: dict[tuple[tuple[str, ...], float], tuple[float, float | None, float]] = {}
        """By schedule and grace: from when on, and until when, that contact is the last that should have been."""
        self._changed: set[str] = set()

    def seen(self, name: str, *, wall: float, steady: float) -> None:
        """The site of an entry is there."""
        site = self._sites.get(name)
        if site is None:
            return
        self._put(name, structs.replace(site, seen=steady, seen_at=wall, missed=None))
        if site.missed is not None:
            text = f"the site of {name} is there again; it was expected on {date(int(site.missed))}"
            self._announce(AlarmCleared(AlarmKind.CONTACT, name, text))

    def asked(self, fact: ReleaseDecided, directory: Directory, *, wall: float, steady: float) -> bool:
        """Somebody has asked for a release, and it was granted, or not; whether a site of ours is known by that."""
        if not (fact.granted and self._sites):
            return False
        names = [name for name in asked_for(fact, directory) if name in self._sites]
        for name in names:
            self.seen(name, wall=wall, steady=steady)
        return bool(names)

    async def look(self, directory: Directory, moment: Moment) -> None:
        """Finds out who should have come by now and has not."""
        if directory is not self._directory:
            self._directory = directory
            self._begin(directory, moment)
        for number, entry in enumerate(self._held, 1):
            self._look_at(entry, moment)
            if number % LOOKED_AT_A_TURN == 0:
                await asyncio.sleep(0)

    def missed(self, name: str) -> float | None:
        """When the site of an entry should have been there, where it was missed and is not there yet: a wall time."""
        site = self._sites.get(name)
        return None if site is None else site.missed

    @property
    def has_changed(self) -> bool:
        """Whether there is something to be written."""
        return bool(self._changed)

    def take_changes(self) -> dict[str, Site | None]:
        """What has changed since this was last asked; None is gone."""
        changed, self._changed = self._changed, set()
        return {name: self._sites.get(name) for name in changed}

    def _begin(self, directory: Directory, moment: Moment) -> None:
        """The directory is another one: who is expected, and since when."""
        self._held = [
            entry
            for entry in directory.entries()
            if isinstance(entry, Held) and entry.retention.contact and entry_of(directory, entry.name) is not None
        ]
        self._due.clear()
        for entry in self._held:
            site, contact = self._sites.get(entry.name), entry.retention.contact
            if site is None:
                self._put(entry.name, Site(contact, moment.steady))
            elif site.contact != contact:
                self._put(entry.name, structs.replace(site, contact=contact, since=moment.steady))
        for name in self._sites.keys() - {entry.name for entry in self._held}:
            site = self._sites.pop(name)
            self._changed.add(name)
            if site.missed is not None:
                self._announce(AlarmCleared(AlarmKind.CONTACT, name, f"the site of {name} is expected no more"))

    def _look_at(self, entry: Held, moment: Moment) -> None:
        name, due = entry.name, self._last_due(entry, moment.wall)
        site = self._sites[name]
        if site.missed is not None or due is None or due < moment.since:
            return
        steady = moment.steady_at(due)
        has_come = site.seen is not None and site.seen >= steady - EARLY_SECONDS
        if has_come or steady < site.since:
            return
        self._put(name, structs.replace(site, missed=due))
        last = "never" if site.seen_at is None else f"last on {date(int(site.seen_at))}"
        text = f"the site of {name} was expected on {date(int(due))} and has not come; it was here {last}"
        self._announce(AlarmRaised(AlarmKind.CONTACT, name, text))

    def _last_due(self, entry: Held, wall: float) -> float | None:
        """The last contact whose grace is over; reckoned once for all that have the same, and each contact."""
        contact, grace = entry.retention.contact, entry.retention.grace
        begins, due, ends = self._due.get((contact, grace), (wall + 1, None, wall))
        if not begins <= wall < ends:
            schedule = self._schedules(contact)
            due = schedule.last_before(wall - grace)
            following = schedule.next_after(wall - grace)
            begins = wall if due is None else due + grace
            ends = float("inf") if following is None else following + grace
            self._due[contact, grace] = begins, due, ends
        return due

    def _put(self, name: str, site: Site) -> None:
        self._sites[name] = site
        self._changed.add(name)


def asked_for(fact: ReleaseDecided, directory: Directory) -> Iterator[str | None]:
    """The names of the entries that were granted: ATRN names them, of ETRN the node is known.

    Step by step, for who must pause: None for an entry that was looked at and is not one of them.
    """
    for granted in fact.granted:
        try:
            node = parse_node(granted)
        except NodeError:  # `*`
            yield granted
            continue
        if isinstance(node, DomainNode):
            yield node.domain
        else:
            for entry in matching(directory, node, fact.principal):
                yield None if entry is None else entry.name
