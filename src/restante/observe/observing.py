"""What watches this host: counts for /metrics, alarms and who is told of them, systemd. One for a process.

heard() is told every fact; start() when the rooms are there, stop() when they end. Nothing of HTTP or Prometheus is
imported before somebody scrapes, or an alarm goes to a webhook.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING

from restante.clock import Clock
from restante.directory.entries import Directory
from restante.facts import AlarmCleared, AlarmRaised, Announce, ContentDamaged, Fact, ItemDamaged
from restante.model import DomainName
from restante.observe import log
from restante.observe.alarms import Alarm, AlarmBook, Remember
from restante.observe.by_mail import Letters
from restante.observe.counts import Counts, Key
from restante.observe.lookout import LOOK_SECONDS, Lookout, Sights, status_line
from restante.observe.stopped import StoppedLook
from restante.observe.telling import AlarmRules, Telling
from restante.observe.watchdog import keep_watched, watchdog_seconds
from restante.observe.webhook import Webhook
from restante.spool.spool import Spool

if TYPE_CHECKING:
    from restante.observe.exposition import Snapshot

_NEWS = frozenset({AlarmRaised, AlarmCleared, ContentDamaged, ItemDamaged})
"""What others here than the counts listen to."""


@dataclass(frozen=True, slots=True)
class ObserveMeans:
    """What is watched. `releases`: how many run, and how many wait; `certificate`: see Sights."""

    spool: Spool
    directory: Callable[[], Directory]
    rules: Callable[[], AlarmRules]
    arrived: Callable[[DomainName], None]
    releases: Callable[[], tuple[int, int]]
    connections: Callable[[], int]
    sessions: Callable[[], int]
    certificate: Callable[[], float | None]
    is_stopping: Callable[[], bool]
    rows: Mapping[str, bytes]
    remember: Remember
    """What was remembered of alarms, and what keeps that."""


class Observing:
    """Made before all rooms, so that it misses nothing."""

    def __init__(self, announce: Announce, clock: Clock) -> None:
        self._announce = announce
        self._clock = clock
        self._counts = Counts(clock.wall)
        self._stopped = StoppedLook(clock)
        self._means: ObserveMeans | None = None
        self._book: AlarmBook | None = None
        self._lookout: Lookout | None = None
        self._telling: Telling | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def heard(self, fact: Fact) -> None:
        """Counts it, and notes alarms; a listener for the feed."""
        self._counts.heard(fact)
        if type(fact) in _NEWS and self._book is not None and self._lookout is not None:
            self._book.heard(fact)
            self._lookout.heard(fact)

    def start(self, means: ObserveMeans) -> None:
        """Begins to look."""
        self._means = means
        self._book = AlarmBook(
            means.rows,
            ways=lambda: means.rules().ways,
            wall=self._clock.wall,
            remember=means.remember,
            news=self._news,
        )
        hostname = means.directory().hostname
        letters = Letters(means.spool, means.directory, means.arrived, means.rules, self._clock)
        ways = {"webhook": Webhook(hostname, means.rules).send, "mail": letters.send}
        self._telling = Telling(self._book, means.rules, ways, self._announce, self._clock)
        sights = Sights(means.spool, means.certificate, lambda: means.rules().free_space, self._clock.wall)
        self._lookout = Lookout(sights, self._book, self._announce)
        self._telling.start()
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._look_on(self._lookout, means))]
        if (seconds := watchdog_seconds()) is not None:
            self._tasks.append(loop.create_task(keep_watched(seconds, means.spool.health, log.notify, self._clock)))

    def rules_changed(self) -> None:
        """Others may have to be told of alarms, and of what was put right: it is looked at once."""
        if self._book is not None and self._lookout is not None:
            self._book.ways_changed()
            self._tasks = [task for task in self._tasks if not task.done()]
            self._tasks.append(asyncio.get_running_loop().create_task(self._lookout.look()))

    async def stop(self) -> None:
        """Ends all that it does."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._telling is not None:
            await self._telling.stop()

    def _news(self) -> None:
        if self._telling is not None:
            self._telling.news()

    async def _look_on(self, lookout: Lookout, means: ObserveMeans) -> None:
        while True:
            await lookout.look()
            if log.has_listener():
                log.notify("STATUS=" + status_line(means.spool, means.releases()[0], means.connections()))
            await self._clock.sleep(LOOK_SECONDS)

    # what others ask

    def totals(self) -> Mapping[Key, float]:
        """What has happened since the process began (counts.py)."""
        return self._counts.totals()

    def alarms(self) -> list[Alarm]:
        """The alarms that are on, the longest first."""
        return self._book.on() if self._book is not None else []

    def why_not_ready(self) -> str:
        """Why no mail is taken now; "" where it is. For strangers, too."""
        means = self._means
        if means is None:
            return "it is starting"
        if means.is_stopping():
            return "it is stopping"
        if means.spool.health().broken:
            return "the spool takes nothing until a restart"
        return "" if means.spool.room_for(1) else "the spool is full"

    async def scrape(self, accept: str) -> tuple[bytes, str]:
        """/metrics as an Accept field asks for them: the text, and its media type. That is made in a thread."""
        from restante.observe.exposition import render  # noqa: PLC0415 - for who is scraped

        assert self._means is not None, "nothing is served before start()"
        return await asyncio.to_thread(render, await self._snapshot(self._means), accept)

    async def _snapshot(self, means: ObserveMeans) -> Snapshot:
        from restante.observe.exposition import Snapshot  # noqa: PLC0415

        stopped = await self._stopped.look(means.spool)
        health, counts, book = means.spool.health(), self._counts, self._book
        running, queued = means.releases()
        histograms = {
            "commit_seconds": health.commits,
            "release_seconds": counts.release_seconds,
            "release_rate_bytes_per_second": counts.release_rate,
            "filter_seconds": counts.filter_seconds,
        }
        assert book is not None
        return Snapshot(
            totals=counts.totals(),
            histograms={name: histogram.taken() for name, histogram in histograms.items()},
            now=self._clock.wall(),
            waiting=means.spool.domains(),
            directory=means.directory(),
            claimed=health.claimed,
            stopped=stopped,
            gauges={
                "connections": means.connections(),
                "sessions": means.sessions(),
                "ready": float(not self.why_not_ready()),
                "spool_broken": float(bool(health.broken)),
                "spool_free_bytes": health.octets,
                "spool_free_inodes": health.inodes,
                "certificate_expiry_timestamp_seconds": means.certificate(),
            },
            labelled={
                "releases": {"running": running, "queued": queued},
                "call_last_end_timestamp_seconds": dict(counts.last_call),
                "alarms": {str(kind): count for kind, count in book.counts().items()},
                "build_info": {version("restante"): 1},
            },
        )
