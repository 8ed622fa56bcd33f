"""The numbers of releases: how each stands that waits or runs, and how the last of them have ended."""

from __future__ import annotations

import asyncio
import heapq
from typing import Protocol

from restante.clock import Clock
from restante.model import Progress, ReleaseView

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


class Register:
    """Every release that has not ended, by number, and views of the last that have."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbered: dict[int, Numbered] = {}
        self._past: dict[int, ReleaseView] = {}
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
        self._past[view.number] = view
        while len(self._past) > KEPT_VIEWS:
            del self._past[next(iter(self._past))]
        release.done.set()

    async def wait(self, number: int) -> ReleaseView | None:
        """The view of a release when it has ended; None for a number that is not known."""
        release = self._numbered.get(number)
        if release is None:
            return self._past.get(number)
        await release.done.wait()
        return release.view

    def view(self, number: int) -> ReleaseView | None:
        """A release as it stands."""
        release = self._numbered.get(number)
        return self._past.get(number) if release is None else release.view

    def views(self) -> list[ReleaseView]:
        """What runs, what waits to, and what has ended, newest first; of each the last KEPT_VIEWS at the most."""
        present = [release.view for release in self._numbered.values()]
        waiting = [view for view in present if view.progress is Progress.QUEUED]
        last = heapq.nlargest(KEPT_VIEWS, waiting, key=lambda view: view.number)
        running = [view for view in present if view.progress is not Progress.QUEUED]
        views = {view.number: view for view in (*running, *last)}
        return sorted((self._past | views).values(), key=lambda view: -view.number)
