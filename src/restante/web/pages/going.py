"""How far a release is, as a bar of progress shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from restante.model import Progress, ReleaseView
from restante.release.rates import Outlook, Point, ReleaseRate


@dataclass(frozen=True, slots=True)
class Going:
    """A release with what is to be expected of it. `items` of `items_in_all` were tried, `octets` have gone."""

    view: ReleaseView
    outlook: Outlook
    items: int
    items_in_all: int
    octets: int
    octets_in_all: int

    @property
    def is_there(self) -> bool:
        """Whether it runs or waits to."""
        return self.view.progress is not Progress.ENDED


def going(rate: ReleaseRate) -> Going:
    """What waits by now counts, not what waited when it began: mail that comes meanwhile goes, too."""
    view, left = rate.view, rate.outlook
    items, octets = view.delivered + view.deferred + view.failed, view.octets_sent
    items_in_all = max(view.items, items) if left.items_left is None else items + left.items_left
    octets_in_all = max(view.octets, octets) if left.octets_left is None else octets + left.octets_left
    return Going(view, left, items, items_in_all, octets, octets_in_all)


def points_until(rate: ReleaseRate, now: float) -> tuple[Point, ...]:
    """How much had gone by when; up to now where it runs, for that nothing moves is told by no point."""
    points = rate.points
    if points and rate.view.progress is Progress.RUNNING and points[-1].at < now:
        return (*points, replace(points[-1], at=now))
    return points
