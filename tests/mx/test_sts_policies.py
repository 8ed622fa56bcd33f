"""restante.mx.sts_policies: what is in force, when it is fetched, what is kept; days pass by turning the clock."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from restante.clock import TurnedClock
from restante.model import IPAddress
from restante.mx import sts_policies
from restante.mx.book import TlsBook, open_book
from restante.mx.lookup import Answer, LookupFailed, MxRecord
from restante.mx.sts import Mode, StsPolicy
from restante.mx.sts_fetch import FetchFailed
from restante.mx.sts_policies import StsPolicies
from restante.net.dane import TlsaRecord
from restante.net.stream import ResultType
from restante.smtp.address import DomainName, parse_domain

DOMAIN = parse_domain("test.example")
WEEK = StsPolicy(Mode.ENFORCE, ("mx1.test.example",), 604_800)
OTHER = StsPolicy(Mode.TESTING, ("mx2.test.example",), 604_800)
DAY = 86_400.0


@dataclass
class Published:
    """What a domain has published: Names and Fetcher of a world that is written down. None cannot be had."""

    texts: tuple[str, ...] | None = ("v=STSv1; id=1",)
    policy: StsPolicy | None = WEEK
    fetches: int = 0
    asked: list[str] = field(default_factory=list)
    may_answer: asyncio.Event | None = None

    async def txt(self, name: str) -> Answer[str]:
        """The record."""
        self.asked.append(name)
        if self.texts is None:
            raise LookupFailed(name)
        return Answer(self.texts)

    async def fetch(self, domain: DomainName) -> StsPolicy:
        """The policy."""
        self.fetches += 1
        if self.may_answer is not None:
            await self.may_answer.wait()
        if self.policy is None:
            raise FetchFailed(f"mta-sts.{domain} is away", ResultType.STS_WEBPKI_INVALID)
        return self.policy

    async def mx(self, name: str) -> Answer[MxRecord]:
        """Not asked."""
        raise AssertionError(name)

    async def addresses(self, name: str) -> Answer[IPAddress]:
        """Not asked."""
        raise AssertionError(name)

    async def tlsa(self, name: str) -> Answer[TlsaRecord]:
        """Not asked."""
        raise AssertionError(name)


class Sender:
    """Who asks, at times that the test says."""

    def __init__(self, published: Published, book: TlsBook | None = None) -> None:
        self.clock = TurnedClock()
        self.policies = StsPolicies(published, published, self.clock, book)
        self.failed: list[tuple[str, ResultType, str]] = []

    async def policy(self, domain: DomainName = DOMAIN) -> StsPolicy | None:
        """What is in force now."""
        return await self.policies.policy(domain, lambda *told: self.failed.append(told))

    async def after(self, seconds: float) -> StsPolicy | None:
        """And so much later."""
        await self.clock.turn(seconds)
        return await self.policy()


async def test_a_policy_is_fetched_once_a_day() -> None:
    """Its record is looked up each time, at its own name."""
    published = Published()
    sender = Sender(published)
    assert await sender.policy() == WEEK
    assert await sender.after(DAY - 1) == WEEK
    assert published.fetches == 1
    assert await sender.after(1) == WEEK
    assert published.fetches == 2
    assert published.asked == ["_mta-sts.test.example"] * 3


async def test_a_new_id_means_a_new_policy() -> None:
    """At once."""
    published = Published()
    sender = Sender(published)
    await sender.policy()
    published.policy = OTHER
    assert await sender.after(1) == WEEK
    published.texts = ("v=STSv1; id=2",)
    assert await sender.after(1) == OTHER


@pytest.mark.parametrize("texts", [(), ("v=spf1 -all",), ("v=STSv1; id=1", "v=STSv1; id=2")])
async def test_without_a_record_nothing_is_fetched(texts: tuple[str, ...]) -> None:
    """There is no policy (§3.1)."""
    published = Published(texts)
    assert await Sender(published).policy() is None
    assert published.fetches == 0


@pytest.mark.parametrize("texts", [None, (), ("v=STSv1; id=1", "v=STSv1; id=2")])
async def test_a_policy_outlives_its_record(texts: tuple[str, ...] | None) -> None:
    """To its end, and no longer: who hides the record hides nothing that was seen (§3.3)."""
    published = Published()
    sender = Sender(published)
    await sender.policy()
    published.texts = texts
    assert await sender.after(604_799) == WEEK
    assert await sender.after(1) is None
    assert published.fetches == 1


async def test_a_policy_that_cannot_be_fetched_again_stays() -> None:
    """To its end; it is tried again after some minutes, and each time that is told."""
    published = Published()
    sender = Sender(published)
    await sender.policy()
    published.policy = None
    published.texts = ("v=STSv1; id=2",)
    for _ in range(3):
        assert await sender.after(100) == WEEK
    assert published.fetches == 2
    assert await sender.after(300) == WEEK
    assert published.fetches == 3
    assert sender.failed == [("test.example", ResultType.STS_WEBPKI_INVALID, "mta-sts.test.example is away")] * 2
    assert await sender.after(604_800) is None
    published.policy = OTHER
    assert await sender.after(300) == OTHER


async def test_a_failure_is_forgotten_with_a_new_id() -> None:
    """Somebody has mended something."""
    published = Published(policy=None)
    sender = Sender(published)
    assert await sender.policy() is None
    published.policy = WEEK
    assert await sender.after(1) is None
    published.texts = ("v=STSv1; id=2",)
    assert await sender.after(1) == WEEK


async def test_a_domain_below_has_none_of_it() -> None:
    """Each has its own, or none."""
    published = Published()
    sender = Sender(published)
    await sender.policy()
    published.texts = ()
    assert await sender.policy(parse_domain("sub.test.example")) is None


async def test_policies_are_known_after_a_restart(tmp_path: Path) -> None:
    """From the book, when nothing can be asked."""
    published = Published()
    with contextlib.closing(open_book(tmp_path)) as book:
        await Sender(published, book).policy()
    with contextlib.closing(open_book(tmp_path)) as book:
        sender = Sender(Published(None), book)
        assert await sender.policy() == WEEK
        assert await sender.after(604_800) is None


async def test_a_book_that_cannot_be_written_costs_nothing_now(tmp_path: Path) -> None:
    """What was fetched counts until the process ends."""
    book = open_book(tmp_path)
    book.close()
    published = Published()
    sender = Sender(published, book)
    assert await sender.policy() == WEEK
    assert await sender.after(1) == WEEK
    assert published.fetches == 1


async def test_many_who_ask_at_once_share_a_fetch() -> None:
    """And each has its policy; one who gives up holds up nobody."""
    published = Published(may_answer=asyncio.Event())
    assert published.may_answer is not None
    sender = Sender(published)
    asking = [asyncio.ensure_future(sender.policy()) for _ in range(5)]
    await asyncio.sleep(0.01)
    asking[0].cancel()
    asking[3].cancel()
    await asyncio.sleep(0.01)
    published.may_answer.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert [answer for answer in answers if not isinstance(answer, asyncio.CancelledError)] == [WEEK] * 3
    assert published.fetches == 2


async def test_what_is_known_has_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The policies that were fetched longest ago go, from the book too."""
    monkeypatch.setattr(sts_policies, "MOST_POLICIES", 2)
    monkeypatch.setattr(sts_policies, "MOST_FAILURES", 2)
    published = Published()
    with contextlib.closing(open_book(tmp_path)) as book:
        sender = Sender(published, book)
        for number in range(4):
            await sender.policy(parse_domain(f"d{number}.example"))
        assert set(book.policies()) == set(sender.policies._known) == {"d2.example", "d3.example"}
        published.policy = None
        for number in range(10, 14):
            await sender.policy(parse_domain(f"d{number}.example"))
        assert set(sender.policies._failures) == {"d12.example", "d13.example"}


async def test_a_clock_that_was_set_back_asks_again() -> None:
    """What was fetched in times to come is not a day old for years."""
    published = Published()
    sender = Sender(published)
    await sender.policy()
    sender.clock.jump(-10 * DAY)
    assert await sender.policy() == WEEK
    assert published.fetches == 2
