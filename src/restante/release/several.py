"""One request for all destinations of an entry by MX: to who has asked it is one release, for each of them its own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

from restante.model import Progress, ReleaseView
from restante.release.rates import Outlook
from restante.release.register import Numbered


class Several:
    """The sum of other releases. The `view` given has the number, the name, and all that waits."""

    def __init__(self, view: ReleaseView) -> None:
        self._view = replace(view, progress=Progress.RUNNING, started=view.asked)
        self._parts: list[Numbered] = []
        self._errors = 0
        self.done = asyncio.Event()
        self.series = None
        self.outlook = Outlook()

    @property
    def view(self) -> ReleaseView:
        """How all of them stand."""
        ended = [part.view for part in self._parts if part.done.is_set()]
        if ended:
            self._parts = [part for part in self._parts if not part.done.is_set()]
            self._view = _sum(self._view, ended)
            errors = [f"{view.domain}: {view.error}" for view in ended if view.error]
            self._errors += len(errors)
            self._view = replace(self._view, error=self._view.error or "".join(errors[:1]))
        running = [view for part in self._parts if (view := part.view).progress is Progress.RUNNING]
        return _sum(self._view, running)

    def add(self, part: Numbered) -> None:
        """One more of them."""
        self._parts.append(part)

    async def wait(self) -> None:
        """Returns when all that were added have ended."""
        for part in list(self._parts):
            await part.done.wait()

    def end(self, wall: float, error: str = "") -> None:
        """It is over; of several errors the first is told."""
        view = self.view
        others = f" (and {self._errors - 1} more)" if self._errors > 1 else ""
        error = f"{view.error}{others}" if view.error else error
        self._view = replace(view, progress=Progress.ENDED, ended=wall, error=error)


def _sum(total: ReleaseView, parts: Iterable[ReleaseView]) -> ReleaseView:
    views = [total, *parts]
    return replace(
        total,
        delivered=sum(view.delivered for view in views),
        deferred=sum(view.deferred for view in views),
        failed=sum(view.failed for view in views),
        octets_sent=sum(view.octets_sent for view in views),
    )
