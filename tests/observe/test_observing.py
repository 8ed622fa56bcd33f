"""All that watches a host, together: a missed contact with a real spool, history and HTTP; only time is turned."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from tests.observe.hooks import hooked
from tests.release.years import BEGINNING, DAY, HELD, HOUR, SENDERS, Years

from restante.clock import TurnedClock
from restante.directory.entries import Directory
from restante.facts import ReleaseEnded
from restante.model import DomainName, Mailbox
from restante.observe.feed import FactFeed
from restante.observe.observing import ObserveMeans, Observing
from restante.observe.telling import AlarmRules

OPS = DomainName("ops.example")


class Host:
    """A host of years.py that is observed."""

    def __init__(self, folder: Path, hook: str) -> None:
        self.years = Years(folder, (HELD, SENDERS))
        self._rules = AlarmRules(hook, Mailbox("ops", OPS))

    async def start(self) -> None:
        """The process starts."""
        years, feed = self.years, FactFeed()
        self.observing = Observing(feed.announce, years.clock)
        feed.subscribe(self.observing.heard)
        years.facts = _Announced(feed)
        await years.open()
        feed.subscribe(years.upkeep.heard)
        self.announce = feed.announce
        self.observing.start(
            ObserveMeans(
                spool=years.spool,
                directory=lambda: Directory("office.example", years.entries),
                rules=lambda: self._rules,
                arrived=lambda _domain: None,
                releases=lambda: (0, 0),
                connections=lambda: 0,
                sessions=lambda: 0,
                certificate=lambda: None,
                is_stopping=lambda: False,
                rows=years.upkeep.alarms,
                remember=years.upkeep.remember,
            )
        )

    async def wait(self, seconds: float) -> None:
        """Time passes, and what is to be told goes out."""
        while seconds > 0:
            await self.years.clock.turn(min(seconds, 600))
            await self.years.upkeep.see_to_sites()
            self.years.upkeep.note()
            await asyncio.sleep(0.005)
            seconds -= 600

    async def stop(self, *, is_killed: bool = False) -> None:
        """It ends, or is killed, moments after what it did last."""
        await self.observing.stop()
        await self.years.upkeep.save()
        if is_killed:
            await self.years.spool.close()
        else:
            await self.years.close()
        self.years.clock = TurnedClock(self.years.clock.wall() + 60)


class _Announced(list):  # type: ignore[type-arg]
    """Where years.py puts its facts: into the feed."""

    def __init__(self, feed: FactFeed) -> None:
        super().__init__()
        self.append = feed.announce  # type: ignore[method-assign]


async def test_a_missed_contact_is_told_once_over_all_restarts(tmp_path: Path) -> None:
    """By webhook and by mail; and all clear when the site is there again, by both."""
    async with hooked() as room:
        host = Host(tmp_path, room.url)
        await host.start()
        await host.wait(14 * HOUR + HOUR)
        assert room.posts == []
        await host.wait(1200)
        await room.wait(1)
        await host.stop()
        await host.start()
        await host.wait(2 * DAY)
        await host.stop(is_killed=True)
        await host.start()
        await host.wait(DAY)
        assert [alarm.subject for alarm in host.observing.alarms()] == ["site.example"]
        ended = ReleaseEnded(1, "site.example", "operator", "192.0.2.25:25", 1, 0, 0, 0, 1, 1.0, "")
        host.announce(ended)
        await host.wait(600)
        await room.wait(2)
        await host.wait(600)
        assert host.observing.alarms() == []
        await host.stop()
    assert room.told == [("contact-missed", "site.example", "on"), ("contact-missed", "site.example", "over")]
    await host.years.open()
    assert host.years.spool.waiting(OPS).items == 2
    assert host.years.upkeep.alarms == {}
    await host.years.close()


async def test_a_webhook_that_is_away_hears_of_it_later(tmp_path: Path) -> None:
    """Though the process has ended meanwhile; and what was over by then is told as over, once."""
    async with hooked("503 Service Unavailable") as room:
        host = Host(tmp_path, room.url)
        await host.start()
        await host.wait(16 * HOUR)
        await room.wait(1)
        await host.stop(is_killed=True)
        room.posts.clear()
        await host.start()
        host.announce(ReleaseEnded(1, "site.example", "operator", "192.0.2.25:25", 1, 0, 0, 0, 1, 1.0, ""))
        room.status = "200 OK"
        await host.wait(HOUR)
        await room.wait(1)
        await host.wait(HOUR)
        await host.stop()
        assert room.told == [("contact-missed", "site.example", "over")]


def test_nothing_of_prometheus_is_loaded_with_the_server() -> None:
    """It costs memory and time, and is for those who scrape; so is HTTP."""
    code = "import sys, restante.app; print([name for name in sys.modules if name in ('prometheus_client', 'fastapi')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.strip() == "[]"


def test_the_host_begins_at_midnight() -> None:
    """Which the hours above count from."""
    assert BEGINNING % DAY == 0
