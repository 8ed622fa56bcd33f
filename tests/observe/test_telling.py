"""Whoever is to be told of alarms hears of them, however often it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from restante.clock import TurnedClock
from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, AlarmsTold, Fact
from restante.model import Mailbox, MessageId
from restante.observe import telling
from restante.observe.alarms import Alarm, AlarmBook
from restante.observe.telling import GATHER_SECONDS, MOST_AT_ONCE, AlarmRules, NotTold, Sent, Telling


@dataclass
class Ops:
    """Two ways: a webhook that answers as it is told to, and mail."""

    clock: TurnedClock = field(default_factory=TurnedClock)
    facts: list[Fact] = field(default_factory=list)
    posted: list[list[str]] = field(default_factory=list)
    mailed: list[list[str]] = field(default_factory=list)
    answer: str = ""
    written: asyncio.Event | None = None
    """When the letter is on disk; None: at once."""
    rules: AlarmRules = field(default_factory=lambda: AlarmRules("http://x.example", Mailbox.parse("a@x.example")))

    def __post_init__(self) -> None:
        self.book = AlarmBook(
            {},
            ways=lambda: self.rules.ways,
            wall=self.clock.wall,
            remember=lambda _put, _gone: None,
            news=self._news,
        )
        ways = {"webhook": self._post, "mail": self._mail}
        self.telling = Telling(self.book, lambda: self.rules, ways, self.facts.append, self.clock)

    def _news(self) -> None:
        self.telling.news()

    async def _post(self, alarms: Sequence[Alarm]) -> Sent:
        if self.answer:
            raise NotTold(self.answer)
        self.posted.append([alarm.subject for alarm in alarms])
        return Sent(len(alarms))

    async def _mail(self, alarms: Sequence[Alarm]) -> Sent:
        if self.written is not None:
            await self.written.wait()
        self.mailed.append([alarm.subject for alarm in alarms])
        return Sent(len(alarms), MessageId(7))

    async def turn(self, seconds: float) -> None:
        """Time passes, once all who wait for it do."""
        await self.clock.turn(0)
        await self.clock.turn(seconds)

    def raised(self, *subjects: str) -> None:
        """Sites are missing."""
        for subject in subjects:
            self.book.heard(AlarmRaised(AlarmKind.CONTACT, subject, "it has not come"))


async def test_what_happens_together_is_told_together() -> None:
    """By each way; and it is in the log that it was."""
    ops = Ops()
    ops.telling.start()
    await ops.turn(60)
    ops.raised("a.example", "b.example")
    await ops.turn(GATHER_SECONDS)
    assert ops.posted == [["a.example", "b.example"]]
    assert ops.mailed == ops.posted
    assert AlarmsTold("mail", 2, MessageId(7), "") in ops.facts
    assert AlarmsTold("webhook", 2, None, "") in ops.facts
    await ops.telling.stop()


async def test_a_way_that_fails_is_tried_again_and_holds_up_no_other() -> None:
    """Its failure is told once, not at each attempt."""
    ops = Ops()
    ops.answer = "HTTP status 500"
    ops.telling.start()
    ops.raised("a.example")
    await ops.turn(300)
    assert (ops.posted, ops.mailed) == ([], [["a.example"]])
    ops.answer = ""
    await ops.turn(3600)
    assert ops.posted == [["a.example"]]
    failed = [fact for fact in ops.facts if isinstance(fact, AlarmsTold) and fact.error]
    assert failed == [AlarmsTold("webhook", 1, None, "HTTP status 500")]
    await ops.telling.stop()


async def test_what_is_over_before_it_was_told_is_told_as_over() -> None:
    """Once: nobody needs to hear of both."""
    ops = Ops()
    ops.answer = "connection refused"
    ops.telling.start()
    ops.raised("a.example")
    await ops.turn(30)
    ops.book.heard(AlarmCleared(AlarmKind.CONTACT, "a.example", "it is there"))
    ops.answer = ""
    await ops.turn(3600)
    assert ops.posted == [["a.example"]]
    assert ops.mailed == [["a.example"], ["a.example"]]
    await ops.telling.stop()


@pytest.mark.parametrize(("patience", "untold"), [(60.0, []), (0.05, ["a.example"])], ids=["patient", "hasty"])
async def test_what_is_just_being_told_at_the_end_is_not_told_again(
    monkeypatch: pytest.MonkeyPatch, patience: float, untold: list[str]
) -> None:
    """The disk may take a moment for the letter; the host waits for it, but not for ever."""
    monkeypatch.setattr(telling, "STOP_SECONDS", patience)
    ops = Ops()
    ops.written = asyncio.Event()
    ops.telling.start()
    ops.raised("a.example")
    await ops.turn(GATHER_SECONDS)
    if not untold:
        asyncio.get_running_loop().call_later(0.02, ops.written.set)
    await ops.telling.stop()
    assert ops.mailed == ([] if untold else [["a.example"]])
    assert [alarm.subject for alarm in ops.book.untold("mail")] == untold


async def test_very_many_are_told_in_portions() -> None:
    """All of them, each once."""
    ops = Ops()
    ops.telling.start()
    names = [f"d{number}.example" for number in range(2 * MOST_AT_ONCE + 1)]
    ops.raised(*names)
    await ops.turn(60)
    assert [len(each) for each in ops.posted] == [MOST_AT_ONCE, MOST_AT_ONCE, 1]
    assert sorted(name for each in ops.posted for name in each) == sorted(names)
    await ops.telling.stop()


async def test_a_way_that_is_configured_later_tells_what_is_on() -> None:
    """And one that is not any more tells nothing."""
    ops = Ops()
    ops.rules = AlarmRules()
    ops.telling.start()
    ops.raised("a.example")
    await ops.turn(60)
    assert ops.posted == ops.mailed == []
    ops.rules = AlarmRules(webhook="http://x.example")
    ops.book.ways_changed()
    await ops.turn(60)
    assert (ops.posted, ops.mailed) == ([["a.example"]], [])
    await ops.telling.stop()
    assert not [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
