"""How far a release is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from restante.model import Progress, ReleaseView
from restante.release.rates import Outlook, Point, ReleaseRate
from restante.web.pages.going import going, points_until


def view(progress: Progress = Progress.RUNNING, **counts: Any) -> ReleaseView:
    """A release when ten messages of 1000 octets waited."""
    began = ReleaseView(1, "test.example", "operator", "192.0.2.25:25", progress, items=10, octets=1000)
    return replace(began, **counts)


def test_what_was_tried_counts_of_what_waited() -> None:
    """Put off and refused messages were tried, too."""
    found = going(ReleaseRate(view(delivered=3, deferred=2, failed=1, octets_sent=300)))
    assert (found.items, found.items_in_all, found.octets, found.octets_in_all) == (6, 10, 300, 1000)


def test_what_has_come_since_it_began_goes_too() -> None:
    """A bar is full when nothing is left, not before."""
    rate = ReleaseRate(view(delivered=10, octets_sent=1000), outlook=Outlook(items_left=5, octets_left=700))
    found = going(rate)
    assert (found.items, found.items_in_all, found.octets, found.octets_in_all) == (10, 15, 1000, 1700)


def test_a_bar_is_never_fuller_than_full() -> None:
    """What has ended has carried more than had waited."""
    found = going(ReleaseRate(view(Progress.ENDED, delivered=12, octets_sent=1200)))
    assert (found.items, found.items_in_all, found.octets, found.octets_in_all) == (12, 12, 1200, 1200)
    assert not found.is_there


def test_a_line_goes_on_to_now_while_it_runs() -> None:
    """So that it is seen when nothing moves."""
    points = (Point(100, 0, 0), Point(110, 500, 5))
    assert points_until(ReleaseRate(view(), points), 130) == (*points, Point(130, 500, 5))
    assert points_until(ReleaseRate(view(Progress.ENDED), points), 130) == points
    assert points_until(ReleaseRate(view()), 130) == ()
