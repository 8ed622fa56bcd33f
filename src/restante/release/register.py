"""The numbers of releases: how each stands that waits or runs, and how the last of them have ended."""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

from restante.clock import Clock
from restante.model import Progress, ReleaseView
from restante.release.rates import Outlook, ReleaseRate, Series

KEPT_VIEWS = 500


class Numbered(Protocol):
    """A release, from the question to its end."""

    @property
    def view(self) -> ReleaseView:
        """How it stands, and in the end, how it ended."""
        ...

    @property
    def done(self) -> asyncio.Event:
        """Set when it has ended."""
        ...

    @property
    def series(self) -> Series | None:
        """What it has carried, over time; None before it begins, and where others carry for it."""
        ...

    @property
    def outlook(self) -> Outlook:
        """What is to be expected of it while it runs."""
        ...


class Register:
    """Every release that has not ended, by number, and views of the last that have."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbered: dict[int, Numbered] = {}
        self._past: dict[int, tuple[ReleaseView, Series | None]] = {}
        self._last = 0

    def __len__(self) -> int:
        return len(self._numbered)

    def new(self, destination: str, requester: str, target: str) -> ReleaseView:
        """The view of a release with the next number, which waits."""
        self._last += 1
        return ReleaseView(self._last, destination, requester, target, Progress.QUEUED, asked=self._clock.wall())

    def add(self, release: Numbered) -> None:
        """It is known by its number from now on."""
        self._numbered[release.view.number] = release

    def ended(self, release: Numbered) -> None:
        """Of what has ended the last KEPT_VIEWS are kept."""
        view = release.view
        del self._numbered[view.number]
        self._past[view.number] = view, release.series
        while len(self._past) > KEPT_VIEWS:
            del self._past[next(iter(self._past))]
        release.done.set()

    async def wait(self, number: int) -> ReleaseView | None:
        """The view of a release when it has ended; None for a number that is not known."""
        release = self._numbered.get(number)
        if release is None:
            return self.view(number)
        await release.done.wait()
        return release.view

    def view(self, number: int) -> ReleaseView | None:
        """A release as it stands."""
        if (release := self._numbered.get(number)) is not None:
            return release.view
        return self._past[number][0] if number in self._past else None

    def rate(self, number: int) -> ReleaseRate | None:
        """How fast it went, and what is to be expected."""
        if (release := self._numbered.get(number)) is not None:
            view, series, expected = release.view, release.series, release.outlook
        elif number in self._past:
            (view, series), expected = self._past[number], Outlook()
        else:
            return None
        return ReleaseRate(view, () if series is None else series.points, expected)

    def views(self) -> list[ReleaseView]:
        """What runs, what waits to, and what has ended, newest first; of each the last KEPT_VIEWS at the most."""
        present = [release.view for release in self._numbered.values()]
        waiting = [view for view in present if view.progress is Progress.QUEUED]
        last = heapq.nlargest(KEPT_VIEWS, waiting, key=lambda view: view.number)
        running = [view for view in present if view.progress is not Progress.QUEUED]
        views = {view.number: view for view in (*running, *last)}
        past = {number: view for number, (view, _) in self._past.items()}
        return sorted((past | views).values(), key=lambda view: -view.number)
