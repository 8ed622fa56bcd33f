"""How calls go: what has come and gone, over time, and what can come yet. Time is turned by hand."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path

import pytest
from tests.calls.played import OFFICE, TEST, PlayedOffices, Shelf, etrn, eventually
from tests.calls.test_call import Played, calling
from tests.calls.test_schedule import site

from restante.calls.going import CallRate
from restante.calls.plan import CallPlan
from restante.calls.schedule import NoSuchCall
from restante.model import Progress
from restante.release.rates import Point, Rate

COUNTED = "253 2.0.0 OK, 6 pending messages for node test.example started"
PLAN = CallPlan("office", OFFICE, (TEST,), window=20.0)


def has(call: Played, messages: int) -> bool:
    """Whether so many are in the picture."""
    points = call.call.rate.received
    return points[-1].messages == messages


async def comes(call: Played, messages: int) -> None:
    """So many messages of a thousand octets come, one each two seconds."""
    for _ in range(messages):
        before = call.view.received
        await call.clock.turn(2)
        call.feed.arrives(1000)
        await eventually(partial(has, call, before + 1))


async def test_what_comes_and_what_can_come_yet() -> None:
    """Six were counted out, four have come in eight seconds, and the others fit; in the end all of it is told."""
    async with calling(PlayedOffices(etrn(COUNTED)), PLAN) as call:
        await call.asked()
        began = call.clock.wall()
        assert call.call.rate.received == (Point(began, 0, 0),)
        assert (call.call.rate.messages_left, call.call.rate.messages_fit) == (6, None)
        await comes(call, 4)
        rate = call.call.rate
        assert rate.received == tuple(Point(began + 2 * number, 1000 * number, number) for number in range(5))
        assert rate.receiving == Rate(500.0, 0.5, 8.0)
        assert (rate.seconds_left, rate.messages_left, rate.messages_fit) == (12.0, 2, 2)
        await comes(call, 1)
        call.feed.arrives(1000)
        await call.ends()
        over = call.call.rate
        assert (over.received[-1], over.view.received) == (Point(call.clock.wall(), 6000, 6), 6)
        assert over == CallRate(call.view, over.received, over.sent)


async def test_what_goes_has_a_picture_of_its_own() -> None:
    """What an office did not count out is not known to be left."""
    go_on = asyncio.Event()

    async def carry(before: int) -> tuple[int, str]:
        await go_on.wait()
        return before, ""

    plan = CallPlan("office", OFFICE, (TEST,), flush=("far.example",))
    async with calling(PlayedOffices(etrn("250 2.0.0 OK")), plan, Shelf(3, carry)) as call:
        await call.asked()
        await call.clock.turn(5)
        go_on.set()
        await eventually(lambda: call.call.rate.sent[-1].messages == 3)
        rate = call.call.rate
        assert rate.sent[-1] == Point(call.clock.wall(), call.view.sent_octets, 3)
        assert rate.sending is not None
        assert rate.sending.messages == pytest.approx(3 / 5)
        assert (rate.receiving, rate.messages_left, rate.messages_fit) == (None, None, None)


async def test_the_last_call_of_each_name_is_kept(tmp_path: Path) -> None:
    """As long as this host runs, and it is configured; of those before only how they have ended."""
    plan = CallPlan("office", OFFICE, (TEST,), window=20.0)
    async with site(plan, state=tmp_path / "calls") as made:
        with pytest.raises(NoSuchCall):
            made.caller.rate("none")
        never = made.caller.rate("office")
        assert (never.view.progress, never.received) == (Progress.QUEUED, ())
        made.caller.call_now("office")
        await made.clock.turn(1)
        running = made.caller.rate("office")
        assert (running.view.progress, running.seconds_left) == (Progress.RUNNING, 19.0)
        await made.clock.turn(20)
        await asyncio.wait_for(made.caller.wait("office"), 10)
        over = made.caller.rate("office")
        assert (over.view, len(over.received)) == (made.caller.view("office"), 1)
        made.caller.replace_plans([])
        with pytest.raises(NoSuchCall):
            made.caller.rate("office")
    async with site(plan, state=tmp_path / "calls") as made:
        again = made.caller.rate("office")
        assert (again.view.progress, again.received) == (Progress.ENDED, ())
