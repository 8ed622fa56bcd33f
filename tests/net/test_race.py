"""restante.net.race: the first address that answers is it, and a dead one costs a moment."""

from __future__ import annotations

import asyncio
import ipaddress

import pytest
from tests.waiting import until

from restante.net.race import interleaved, race
from restante.net.stream import StreamClosed, StreamTimeout
from restante.smtp.node import IPAddress

A, B, C = (ipaddress.ip_address(f"192.0.2.{n}") for n in (1, 2, 3))
V6 = [ipaddress.ip_address(f"2001:db8::{n}") for n in (1, 2, 3)]
QUICK = 0.02


class Line:
    """A connection."""

    def __init__(self, address: IPAddress) -> None:
        self.address = address
        self.is_aborted = False

    def abort(self) -> None:
        self.is_aborted = True


class Net:
    """Addresses by what becomes of those who dial them; `dialled` has them in order."""

    def __init__(self, **outcomes: float | asyncio.Event | Exception) -> None:
        self._outcomes = outcomes
        self.dialled: list[IPAddress] = []
        self.lines: list[Line] = []
        self.cancelled: list[IPAddress] = []

    async def dial(self, address: IPAddress) -> Line:
        """Stands after so many seconds, or when it may, or fails."""
        self.dialled.append(address)
        outcome = self._outcomes[{A: "a", B: "b", C: "c"}[address]]
        if isinstance(outcome, Exception):
            raise outcome
        try:
            await (outcome.wait() if isinstance(outcome, asyncio.Event) else asyncio.sleep(outcome))
        except asyncio.CancelledError:
            self.cancelled.append(address)
            raise
        self.lines.append(Line(address))
        return self.lines[-1]


async def test_the_first_is_tried_alone() -> None:
    """Where it answers, nobody else is bothered."""
    net = Net(a=0, b=0)
    assert (await race([A, B], net.dial, next_seconds=30)).address == A
    assert net.dialled == [A]


async def test_a_silent_one_costs_a_moment() -> None:
    """The next begins while it goes on; who has lost is closed."""
    net = Net(a=3600, b=0)
    assert (await race([A, B], net.dial, next_seconds=QUICK)).address == B
    assert net.cancelled == [A]


async def test_a_refused_one_costs_nothing() -> None:
    """The next begins at once, however long a moment is."""
    net = Net(a=StreamClosed("refused"), b=StreamClosed("refused"), c=0)
    assert (await asyncio.wait_for(race([A, B, C], net.dial, next_seconds=3600), 60)).address == C


async def test_a_slow_one_may_still_win() -> None:
    """It is not given up when the next begins."""
    net = Net(a=(answers := asyncio.Event()), b=3600)
    racing = asyncio.create_task(race([A, B], net.dial, next_seconds=QUICK))
    await until(lambda: net.dialled == [A, B])
    answers.set()
    assert (await racing).address == A
    assert net.cancelled == [B]


async def test_all_have_failed() -> None:
    """What the last has said is raised."""
    net = Net(a=StreamClosed("refused"), b=StreamTimeout("silent"))
    with pytest.raises(StreamTimeout, match="silent"):
        await race([A, B], net.dial, next_seconds=QUICK)


async def test_of_two_that_stand_one_is_closed() -> None:
    """Both may answer in the same moment."""
    net = Net(a=QUICK * 2, b=QUICK)
    won = await race([A, B], net.dial, next_seconds=QUICK)
    assert [line.is_aborted for line in net.lines if line is not won] in ([], [True])
    assert not won.is_aborted


async def test_what_nobody_expects_is_raised_at_once() -> None:
    """A mistake in the program is no dead host."""
    net = Net(a=ValueError("a mistake"), b=0)
    with pytest.raises(ValueError, match="a mistake"):
        await race([A, B], net.dial, next_seconds=3600)


async def test_a_race_that_is_cancelled_leaves_nothing() -> None:
    """All its attempts end with it."""
    net = Net(a=3600, b=3600)
    running = asyncio.create_task(race([A, B], net.dial, next_seconds=QUICK))
    while len(net.dialled) < 2:
        await asyncio.sleep(QUICK)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert set(net.cancelled) == {A, B}


def test_the_families_take_turns() -> None:
    """IPv6 begins (RFC 8305 §4)."""
    assert interleaved([A, B, C, *V6[:1]]) == [V6[0], A, B, C]
    assert interleaved([A, *V6]) == [V6[0], A, V6[1], V6[2]]
    assert interleaved([A, B]) == [A, B]
