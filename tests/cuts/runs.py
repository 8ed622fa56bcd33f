"""Releases whose connections are cut at one octet after the other: to restante, and to Postfix.

script/test plays them with some of the octets left out, script/soak with all. Each gives a Tally or fails: nothing
lost, nothing altered, nothing bounced, and no message more than once for each cut that left it in doubt.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from tests.cuts.office import TEST, Office, letter, mark, numbers, office, own_site
from tests.cuts.proxy import Cut, CuttingProxy, Direction
from tests.stories.peers import Postfix

from restante.model import HostPort
from restante.net.tls import TlsLevel, self_signed, server_context

MESSAGES = 3
POSTFIX_SITE = f"""
virtual_mailbox_domains = {TEST}
virtual_mailbox_maps = inline:{{anna@{TEST}=anna/}}
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
"""


class Site(Protocol):
    """Where mail comes to lie."""

    def stored(self) -> AsyncIterator[bytes]:
        """All of it, once nothing is on its way any more."""
        ...


@dataclass(slots=True)
class Tally:
    """What was sent, with which cuts, and what came of it."""

    sent: list[bytes] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    cut_of: list[Cut] = field(default_factory=list)
    """By message."""
    in_doubt: Counter[int] = field(default_factory=Counter)
    """Messages that were wholly sent, and not confirmed when the connection was cut: how often."""
    duplicated: int = 0

    def __str__(self) -> str:
        return (
            f"{len(self.cuts)} cuts, {len(self.sent)} messages, {self.in_doubt.total()} in doubt, "
            f"{self.duplicated} arrived twice"
        )

    def compare(self, stored: Iterable[int]) -> None:
        """Fails at the first message that is lost, or there too often."""
        copies = Counter(stored)
        for number in range(len(self.sent)):
            told = f"message {number}: {copies[number]} copies; {self.cut_of[number]}, {self.in_doubt[number]} in doubt"
            assert 1 <= copies[number] <= 1 + self.in_doubt[number], told
        self.duplicated = copies.total() - len(copies)


@dataclass(frozen=True, slots=True)
class _Way:
    """How to see on the wire that a message was wholly sent: its last line and what ends it; None: it is encrypted."""

    end: bytes | None
    octets: Sequence[int] = (0,) * MESSAGES


async def _play(folder: Path, to: HostPort, site: Site, way: _Way, choose: Choice, *, tls: TlsLevel) -> Tally:
    tally = Tally()
    async with CuttingProxy(to) as proxy, office(folder, HostPort("127.0.0.1", proxy.port), tls) as sender:
        await _one(tally, proxy, sender, way, Cut(Direction.TO_CLIENT, 1 << 30))  # to learn how long a session is
        lengths = {direction: len(octets) for direction, octets in proxy.passed.items()}
        for cut in choose(lengths):
            await _one(tally, proxy, sender, way, cut)
            tally.cuts.append(cut)
    stored = [content async for content in site.stored()]
    tally.compare(number for content in stored for number in numbers(tally.sent, content))
    return tally


async def _one(tally: Tally, proxy: CuttingProxy, sender: Office, way: _Way, cut: Cut) -> None:
    """Some messages, a release that is cut, and one that is not."""
    named = {}
    for octets in way.octets:
        number = len(tally.sent)
        tally.sent.append(letter(number, octets))
        tally.cut_of.append(cut)
        [named[number]] = await sender.mail(tally.sent[-1])
    proxy.arm(cut)
    await sender.release()
    waiting = await sender.waiting()
    for number, message in named.items():
        if message in waiting and (way.end is None or mark(number) + way.end in proxy.passed[Direction.TO_SERVER]):
            tally.in_doubt[number] += 1
    passed = proxy.passed
    proxy.arm(None)
    await sender.release()
    left = await sender.waiting()
    assert not left, f"{cut}: {len(left)} messages still wait after a release that nothing has cut"
    assert not sender.failed(), f"{cut}: {sender.failed()}"
    assert not sender.reports(), f"{cut}: it has bounced something"
    proxy.passed = passed


Choice = Callable[[dict[Direction, int]], Iterable[Cut]]
"""Which cuts to make in a session of so many octets each way."""


def every(step: int = 1, *, both_ways: bool = False) -> Choice:
    """After every `step`-th octet; by an end and by a reset in turns, or by both."""

    def choose(lengths: dict[Direction, int]) -> Iterator[Cut]:
        turns = itertools.cycle((False, True))
        for direction, length in lengths.items():
            for octets in range(0, length + 1, step):
                for by_reset in (False, True) if both_ways else (next(turns),):
                    yield Cut(direction, octets, by_reset)

    return choose


def spread(count: int) -> Choice:
    """So many cuts, or all that there are by both an end and a reset, if those are fewer; evenly spread."""

    def choose(lengths: dict[Direction, int]) -> Iterator[Cut]:
        cuts = list(every(both_ways=True)(lengths))
        step = max(1.0, len(cuts) / count)
        for number in range(min(count, len(cuts))):
            yield cuts[int(number * step)]

    return choose


def somewhere(count: int, seed: int = 1) -> Choice:
    """So many cuts by chance, three of four of them in what is sent."""

    def choose(lengths: dict[Direction, int]) -> Iterator[Cut]:
        chance = random.Random(seed)
        for number in range(count):
            direction = Direction.TO_CLIENT if number % 4 == 3 else Direction.TO_SERVER
            yield Cut(direction, chance.randint(0, lengths[direction]), chance.random() < 0.5)

    return choose


async def to_own_site(folder: Path, choose: Choice) -> Tally:
    """To restante, which streams."""
    async with own_site(folder / "site") as (site, at):
        return await _play(folder / "office", at, site, _Way(b""), choose, tls=TlsLevel.OFF)


async def to_own_site_with_large_ones(folder: Path, choose: Choice) -> Tally:
    """The same with messages that are streamed from files, one of them in many chunks."""
    way = _Way(b"", (0, 100_000, 1_300_000))
    async with own_site(folder / "site") as (site, at):
        return await _play(folder / "office", at, site, way, choose, tls=TlsLevel.OFF)


async def to_own_site_by_tls(folder: Path, choose: Choice) -> Tally:
    """The same, encrypted: a cut may come into a record, and into the handshake."""
    (folder / "tls").mkdir(parents=True)
    context = server_context(*self_signed(folder / "tls", "site.example")[:2])
    async with own_site(folder / "site", context) as (site, at):
        return await _play(folder / "office", at, site, _Way(None), choose, tls=TlsLevel.OPPORTUNISTIC)


class _PostfixSite:
    """Its mail, read from Maildirs once its queue is empty."""

    def __init__(self, postfix: Postfix) -> None:
        self._postfix = postfix

    async def stored(self) -> AsyncIterator[bytes]:
        """What it has delivered."""
        end = time.monotonic() + 90
        while await asyncio.to_thread(self._postfix.queue):
            assert time.monotonic() < end, self._postfix.log()[-4000:]
            await asyncio.sleep(0.2)
        for content in await asyncio.to_thread(self._postfix.mail, "anna"):
            yield content


async def to_postfix(folder: Path, choose: Choice, *, with_chunking: bool) -> Tally:
    """To Postfix, streamed where it takes that, else in groups of commands. Needs root."""
    less = "" if with_chunking else "\nsmtpd_discard_ehlo_keywords = chunking"
    with Postfix("cut", POSTFIX_SITE + less) as postfix:
        at = HostPort("127.0.0.1", postfix.port)
        way = _Way(b"" if with_chunking else b".\r\n")
        return await _play(folder / "office", at, _PostfixSite(postfix), way, choose, tls=TlsLevel.OFF)
