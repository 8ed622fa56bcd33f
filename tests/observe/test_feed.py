"""Facts reach whoever has subscribed, whatever the others do."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from restante.facts import CallStarted, Fact
from restante.observe.feed import FactFeed

FACT = CallStarted("office", "office.example:25", "schedule")


def _fails(fact: Fact) -> None:
    raise ValueError(fact)


def test_every_listener_hears_every_fact_in_the_order_of_subscription() -> None:
    """And hears the fact itself."""
    feed, heard = FactFeed(), list[tuple[str, Fact]]()
    feed.subscribe(lambda fact: heard.append(("first", fact)))
    feed.subscribe(lambda fact: heard.append(("second", fact)))
    feed.announce(FACT)
    assert heard == [("first", FACT), ("second", FACT)]


def test_who_has_unsubscribed_hears_nothing_more() -> None:
    """One function that has subscribed twice is told once for each; unsubscribing twice is no harm."""
    feed, heard = FactFeed(), list[Fact]()
    once = feed.subscribe(heard.append)
    feed.subscribe(heard.append)
    once()
    once()
    feed.announce(FACT)
    assert heard == [FACT]


def test_a_listener_may_leave_while_it_is_told() -> None:
    """The others are told all the same."""
    feed, heard = FactFeed(), list[Fact]()
    leave = feed.subscribe(lambda _: leave())
    feed.subscribe(heard.append)
    feed.announce(FACT)
    feed.announce(FACT)
    assert heard == [FACT, FACT]


async def test_a_listener_that_fails_is_reported_to_the_loop_and_hurts_nobody() -> None:
    """Neither the next listener nor who announced."""
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reports.append(context))
    feed, heard = FactFeed(), list[Fact]()
    feed.subscribe(_fails)
    feed.subscribe(heard.append)
    feed.announce(FACT)
    assert heard == [FACT]
    assert [(report["message"], type(report["exception"])) for report in reports] == [
        ("a listener failed: _fails", ValueError)
    ]


def test_without_a_loop_it_is_reported_to_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """With the exception."""
    feed = FactFeed()
    feed.subscribe(_fails)
    with caplog.at_level(logging.ERROR):
        feed.announce(FACT)
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[0] is ValueError
