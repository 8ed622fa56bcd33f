"""Looks at the host itself once a minute: is the spool broken, the disk nearly full, mail damaged, a certificate old?

What it finds is raised as an alarm, once, and cleared when it is over. Between full and not full lies a quarter, so
that a disk at the edge does not ring all day. The same look makes the line that systemd shows (`STATUS=`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, Announce, ContentDamaged, Fact, ItemDamaged
from restante.message.trace import date
from restante.model import ItemState
from restante.observe.alarms import AlarmBook
from restante.spool.spool import Health, Spool, SpoolBroken

LOOK_SECONDS = 60.0
CERTIFICATE_SECONDS = 14 * 86400.0
LEAST_INODES = 1000
AGAIN = 1.25
"""So many times as much must be free as the alarm's limit before it is over."""
SPOOL, CERTIFICATE = "spool", "certificate"
"""What alarms are about."""


@dataclass(frozen=True, slots=True)
class Sights:
    """What is looked at. `certificate`: the wall time until which it is good; None where there is none."""

    spool: Spool
    certificate: Callable[[], float | None]
    free_space: Callable[[], int]
    wall: Callable[[], float]


class Lookout:
    """Raises and clears the alarms about this host. heard() is a listener for the feed."""

    def __init__(self, sights: Sights, book: AlarmBook, announce: Announce) -> None:
        self._sights = sights
        self._book = book
        self._announce = announce
        self._may_be_damaged = True

    def heard(self, fact: Fact) -> None:
        """Notes that items were quarantined: the store is asked no more often than need be."""
        if isinstance(fact, ContentDamaged | ItemDamaged):
            self._may_be_damaged = True

    async def look(self) -> None:
        """One look."""
        health = self._sights.spool.health()
        broken = f"the spool takes nothing until a restart: {health.broken}" if health.broken else ""
        self._judge(AlarmKind.BROKEN, SPOOL, broken, "the spool takes mail again")
        self._judge(AlarmKind.DISK, SPOOL, self._full(health), "the disk of the spool has room again")
        until, now = self._sights.certificate(), self._sights.wall()
        old = ""
        if until is not None and until - now < CERTIFICATE_SECONDS:
            old = f"the certificate is good until {date(int(until))} only"
        self._judge(AlarmKind.CERTIFICATE, CERTIFICATE, old, "the certificate was renewed")
        if not health.broken and (self._may_be_damaged or self._book.is_on(AlarmKind.QUARANTINED, SPOOL)):
            await self._look_for_damage()

    def _full(self, health: Health) -> str:
        is_on = self._book.is_on(AlarmKind.DISK, SPOOL)
        limit = self._sights.free_space() * (AGAIN if is_on else 1)
        if health.octets < limit:
            return f"the spool can take {health.octets >> 20} MB more"
        if health.inodes is not None and health.inodes < LEAST_INODES * (AGAIN if is_on else 1):
            return f"the disk of the spool can take {health.inodes} files more"
        return ""

    async def _look_for_damage(self) -> None:
        try:
            count = (await self._sights.spool.stopped()).get(ItemState.QUARANTINED, 0)
        except SpoolBroken:
            return
        self._may_be_damaged = False
        found = f"items that are damaged, and quarantined: {count}" if count else ""
        self._judge(AlarmKind.QUARANTINED, SPOOL, found, "no item is quarantined any more")

    def _judge(self, kind: AlarmKind, subject: str, wrong: str, right: str) -> None:
        """Something is wrong, where `wrong` says what; or right."""
        is_on = self._book.is_on(kind, subject)
        if wrong and not is_on:
            self._announce(AlarmRaised(kind, subject, wrong))
        elif is_on and not wrong:
            self._announce(AlarmCleared(kind, subject, right))


def status_line(spool: Spool, running: int, connections: int) -> str:
    """What systemd shows of the service."""
    if spool.health().broken:
        return "the spool takes nothing until a restart"
    waiting = spool.domains().values()
    items, domains = sum(each.items for each in waiting), len(waiting)
    return f"{items} items wait for {domains} domains; {running} releases run; {connections} connections"
