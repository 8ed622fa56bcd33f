"""What asks the filter: without a verdict nothing passes; how many are judged at once, and what is told of failures."""

from __future__ import annotations

import asyncio
import ipaddress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.filtering.shown import shown

from restante.clock import TurnedClock
from restante.facts import Fact, FilterFailed, FilterJudged, FilterPassedOver
from restante.filtering.filter import Accept, FilterError, Refuse, Shown, Verdict
from restante.filtering.screen import AT_ONCE, NO_VERDICT, TELL_SECONDS, FilterRules, Screen
from restante.model import MessageId
from restante.smtp.reply import Reply

FINE = Accept("fine")
RULES = FilterRules("http://192.0.2.1:11333", 30.0, 10_000)


@dataclass
class Judge:
    """A filter that says `says`, or raises it, once `open` is set."""

    says: Verdict | Exception = FINE
    open: asyncio.Event = field(default_factory=asyncio.Event)
    asked: int = 0
    most: int = 0
    _now: int = 0
    is_closed: bool = False

    async def judge(self, shown: Shown) -> Verdict:
        """As a test has it."""
        assert shown.principal.address == ipaddress.ip_address("192.0.2.7")
        self.asked += 1
        self._now += 1
        self.most = max(self.most, self._now)
        try:
            await self.open.wait()
            if isinstance(self.says, Exception):
                raise self.says
            return self.says
        finally:
            self._now -= 1

    async def close(self) -> None:
        """As a test looks."""
        self.is_closed = True


@dataclass
class Host:
    """A screen and what it has: its filters by URL, its clock, its facts."""

    folder: Path
    clock: TurnedClock = field(default_factory=TurnedClock)
    facts: list[Fact] = field(default_factory=list)
    judges: dict[str, Judge] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.screen = Screen("office.example", self.folder, self.facts.append, self.clock, self._make)

    def _make(self, url: str, hostname: str, at_once: int) -> Judge:
        assert (hostname, at_once) == ("office.example", AT_ONCE)
        self.judges[url] = Judge()
        return self.judges[url]

    def use(self, rules: FilterRules = RULES) -> Judge:
        """From now on; the filter is ready."""
        self.screen.use(rules)
        self.judges[rules.url].open.set()
        return self.judges[rules.url]

    def rules(self) -> FilterRules:
        """Those in force."""
        assert self.screen.rules is not None
        return self.screen.rules

    async def judge(self, rules: FilterRules = RULES) -> Verdict:
        """The verdict on a message."""
        return await self.screen.judge(rules, shown())


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A host that may have a filter."""
    return Host(tmp_path)


async def test_a_verdict_is_passed_on_and_told(host: Host) -> None:
    """With how long it took."""
    judge = host.use()
    assert await host.judge() == Accept("fine")
    judge.says = Refuse("spam", Reply(550, "Spam", "5.7.1"))
    assert await host.judge() == judge.says
    message = shown().message
    assert host.facts == [FilterJudged(message, True, "fine", 0.0), FilterJudged(message, False, "spam", 0.0)]


@pytest.mark.parametrize("error", [FilterError("HTTP status 500"), OSError("no such file"), TimeoutError("slow")])
async def test_no_verdict_is_come_again(host: Host, error: Exception) -> None:
    """Never a pass."""
    host.use().says = error
    verdict = await host.judge()
    assert isinstance(verdict, Refuse)
    assert verdict.reply is NO_VERDICT
    assert str(verdict.reply).startswith("451 4.7.1 ")


async def test_a_filter_that_does_not_answer_in_time_has_given_no_verdict(host: Host) -> None:
    """Its time is for one message in all."""
    rules = FilterRules(RULES.url, 0.05, 10_000)
    host.use(rules).open.clear()
    verdict = await asyncio.wait_for(host.judge(rules), 60)
    assert isinstance(verdict, Refuse)
    assert verdict.reply is NO_VERDICT


async def test_waiting_for_ones_turn_counts(host: Host) -> None:
    """A filter that hangs does not make a thousand wait one after the other."""
    rules = FilterRules(RULES.url, 0.5, 10_000)
    judge = host.use(rules)
    judge.open.clear()
    asking = asyncio.gather(*[host.judge(rules) for _ in range(AT_ONCE * 100)])
    verdicts = await asyncio.wait_for(asking, 0.5 * 100 - 5)
    assert all(isinstance(each, Refuse) for each in verdicts)


async def test_so_many_are_judged_at_once_and_no_more(host: Host) -> None:
    """The others have their turn."""
    judge = host.use()
    judge.open.clear()
    asking = asyncio.gather(*[host.judge() for _ in range(AT_ONCE * 2)])
    await asyncio.sleep(0.01)
    judge.open.set()
    assert all(isinstance(each, Accept) for each in await asyncio.wait_for(asking, 60))
    assert judge.most == AT_ONCE


async def test_who_is_in_hand_counts_before_he_is_asked_for(host: Host) -> None:
    """A peer that sends many in one piece must notice in time."""
    host.use()
    screen = host.screen

    async def judging() -> None:
        await host.judge()

    def is_full() -> bool:
        return screen.is_full

    tasks = [screen.take_in_hand(judging()) for _ in range(AT_ONCE - 1)]
    assert not is_full()
    tasks.append(screen.take_in_hand(judging()))
    assert is_full()
    await asyncio.wait(tasks)
    await asyncio.sleep(0)
    assert not is_full()


async def test_failures_are_told_at_once_and_then_now_and_then(host: Host) -> None:
    """With how many there were."""
    host.use().says = FilterError("HTTP status 500")
    for _ in range(3):
        await host.judge()
    assert host.facts == [FilterFailed("HTTP status 500", 1)]
    await host.clock.turn(TELL_SECONDS)
    await host.judge()
    await host.judge()
    assert host.facts[1:] == [FilterFailed("HTTP status 500", 3)]


async def test_a_reload_asks_another_filter_and_who_is_being_judged_keeps_his(host: Host) -> None:
    """All of them are let go of at the end."""
    before = host.use()
    before.open.clear()
    first = asyncio.ensure_future(host.judge())
    await asyncio.sleep(0)
    after = host.use(FilterRules("http://192.0.2.2:11333", 5.0, 1))
    after.says = Accept("also fine")
    assert await host.judge(host.rules()) == Accept("also fine")
    host.screen.use(None)
    with pytest.raises(AssertionError):
        host.rules()
    before.open.set()
    assert await first == Accept("fine")
    host.screen.use(RULES)
    assert len(host.judges) == 2
    await host.screen.close()
    assert before.is_closed
    assert after.is_closed


async def test_at_the_end_nobody_waits_for_long(host: Host) -> None:
    """Neither who is being judged, nor who comes later."""
    judge = host.use()
    judge.open.clear()
    asking = asyncio.gather(host.judge(), host.judge())
    await asyncio.sleep(0)
    host.screen.stop(0.05)
    host.screen.stop(0.05)
    verdicts = [*await asyncio.wait_for(asking, 60), await asyncio.wait_for(host.judge(), 60)]
    assert [each.reply for each in verdicts if isinstance(each, Refuse)] == [NO_VERDICT] * 3


async def test_what_is_passed_over_is_told(host: Host) -> None:
    """An operator may want to know."""
    host.screen.pass_over(MessageId(1 << 52), 11_000)
    assert host.facts == [FilterPassedOver(MessageId(1 << 52), 11_000)]
