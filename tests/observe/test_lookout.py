"""What a host finds out about itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, ContentDamaged, Fact
from restante.model import DomainName, Envelope, ItemId, Mailbox, Recipient, item_id
from restante.observe.alarms import AlarmBook
from restante.observe.lookout import Lookout, Sights, status_line
from restante.spool.spool import Arrival, Health, Spool
from restante.store.sqlite import open_spool

DAY = 86400.0
GIB = 1 << 30
TEST = DomainName("test.example")


class Watched:
    """A real spool whose health is what a test says."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self.health_now = replace(spool.health(), octets=GIB, inodes=10_000)

    def health(self) -> Health:
        """What the test says."""
        return self.health_now

    def __getattr__(self, name: str) -> Any:
        return getattr(self._spool, name)


@dataclass
class Host:
    """A host that looks at itself."""

    spool: Spool
    facts: list[Fact] = field(default_factory=list)
    until: float | None = 100 * DAY

    def __post_init__(self) -> None:
        self.watched = Watched(self.spool)
        self.book = AlarmBook(
            {}, ways=frozenset, wall=lambda: 0.0, remember=lambda _put, _gone: None, news=lambda: None
        )
        sights = Sights(self.watched, lambda: self.until, lambda: GIB // 2, lambda: 0.0)
        self.lookout = Lookout(sights, self.book, self.announce)

    def announce(self, fact: Fact) -> None:
        """As the feed does."""
        self.facts.append(fact)
        self.book.heard(fact)
        self.lookout.heard(fact)

    async def finds(self, **health: object) -> list[tuple[str, AlarmKind]]:
        """What one look has raised and cleared."""
        self.watched.health_now = replace(self.watched.health_now, **health)  # type: ignore[arg-type]
        self.facts.clear()
        await self.lookout.look()
        found = [fact for fact in self.facts if isinstance(fact, AlarmRaised | AlarmCleared)]
        return [("on" if isinstance(fact, AlarmRaised) else "over", fact.alarm) for fact in found]


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """All is well."""
    spool = await open_spool(tmp_path / "spool")
    yield Host(spool)
    await spool.close()


async def test_a_host_that_is_well_raises_nothing(host: Host) -> None:
    """However often it looks."""
    assert await host.finds() == []
    assert await host.finds() == []


async def test_a_broken_spool(host: Host) -> None:
    """Once; and that it is whole again after the restart."""
    assert await host.finds(broken="IOError: disk") == [("on", AlarmKind.BROKEN)]
    assert await host.finds() == []
    assert await host.finds(broken="") == [("over", AlarmKind.BROKEN)]


async def test_a_disk_that_is_nearly_full_does_not_ring_all_day(host: Host) -> None:
    """It must have a quarter more than the limit before all is well."""
    limit = GIB // 2
    assert await host.finds(octets=limit) == []
    assert await host.finds(octets=limit - 1) == [("on", AlarmKind.DISK)]
    assert await host.finds(octets=limit + 1) == []
    assert await host.finds(octets=limit - 1) == []
    assert await host.finds(octets=limit * 5 // 4 + 1) == [("over", AlarmKind.DISK)]


async def test_names_of_files_run_out_too(host: Host) -> None:
    """Where the file system counts them."""
    assert await host.finds(inodes=999) == [("on", AlarmKind.DISK)]
    assert await host.finds(inodes=None) == [("over", AlarmKind.DISK)]


async def test_a_certificate_that_ends_soon(host: Host) -> None:
    """Fourteen days before it does, or when it has."""
    host.until = 14 * DAY
    assert await host.finds() == []
    host.until = 14 * DAY - 1
    assert await host.finds() == [("on", AlarmKind.CERTIFICATE)]
    host.until = -DAY
    assert await host.finds() == []
    host.until = 90 * DAY
    assert await host.finds() == [("over", AlarmKind.CERTIFICATE)]
    host.until = None
    assert await host.finds() == []


async def test_damaged_mail(host: Host) -> None:
    """It is looked for at the start, and when something was damaged; it is over when the operator has removed it."""
    assert await host.finds() == []
    message = host.spool.new_id()
    envelope = Envelope(None, (Recipient(Mailbox("anna", TEST)),))
    await host.spool.accept(Arrival(message, b"x\r\n", 3, [(TEST, envelope)], 0.0))
    await host.spool.quarantine(message)
    assert await host.finds() == [], "nobody has said so"
    host.announce(ContentDamaged(message, (ItemId(item_id(message, 1)),)))
    assert await host.finds() == [("on", AlarmKind.QUARANTINED)]
    assert await host.finds() == []
    await host.spool.remove([item_id(message, 1)])
    assert await host.finds() == [("over", AlarmKind.QUARANTINED)]


async def test_the_line_that_systemd_shows(host: Host) -> None:
    """What waits, in a few words."""
    assert status_line(host.spool, 2, 5) == "0 items wait for 0 domains; 2 releases run; 5 connections"
    await host.spool.close()
    assert status_line(host.spool, 2, 5) == "the spool takes nothing until a restart"
