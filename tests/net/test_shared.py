"""One timer for the deadlines of all."""

from __future__ import annotations

import asyncio

import pytest
from tests.waiting import until

from restante.net.shared import Deadlines, Outbox, shared_by


class Waiting:
    """Somebody with a deadline."""

    def __init__(self, deadlines: Deadlines, name: str, expired: list[str]) -> None:
        self._deadlines = deadlines
        self._name = name
        self._expired = expired
        self.deadline: float | None = None
        deadlines.add(self)

    def wait(self, seconds: float) -> None:
        """As a stream does."""
        self.deadline = asyncio.get_running_loop().time() + seconds
        if self.deadline < self._deadlines.earliest:
            self._deadlines.look_at(self.deadline)

    def expire(self) -> None:
        """The time has come."""
        self.deadline = None
        self._expired.append(self._name)


async def test_each_has_its_own_deadline() -> None:
    """In their order, whoever was first to set one; none comes early."""
    loop = asyncio.get_running_loop()
    deadlines, expired = Deadlines(loop), list[str]()
    began = loop.time()
    for name, seconds in (("third", 0.15), ("first", 0.05), ("second", 0.1)):
        Waiting(deadlines, name, expired).wait(seconds)
    await until(lambda: len(expired) == 3)
    assert expired == ["first", "second", "third"]
    assert loop.time() - began >= 0.149
    assert deadlines.earliest == float("inf")


async def test_a_deadline_may_move_or_go() -> None:
    """Nothing is told of it at the time at which it stood."""
    deadlines, expired = Deadlines(asyncio.get_running_loop()), list[str]()
    moved, gone, left = (Waiting(deadlines, name, expired) for name in ("moved", "gone", "left"))
    for each in (moved, gone, left):
        each.wait(0.03)
    moved.wait(0.2)
    gone.deadline = None
    deadlines.remove(left)
    await asyncio.sleep(0.1)
    assert expired == []
    await until(lambda: expired)
    assert expired == ["moved"]


async def test_many_who_are_due_one_after_the_other_are_not_looked_at_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look at all of them takes its time: so they may wait a little."""
    monkeypatch.setattr("restante.net.shared.MOST_PART", 1_000_000)
    deadlines, expired = Deadlines(asyncio.get_running_loop()), list[str]()
    for number in range(100):
        Waiting(deadlines, str(number), expired).wait(0.01 + number / 10_000)
    await until(lambda: expired)
    assert deadlines.earliest > asyncio.get_running_loop().time() + 0.5


async def test_the_streams_of_a_loop_share_one() -> None:
    """And its outbox."""
    loop = asyncio.get_running_loop()
    outbox, deadlines = shared_by(loop)
    assert isinstance(outbox, Outbox)
    assert shared_by(loop) == (outbox, deadlines)
