"""A site that is expected and does not come: one alarm, whatever the clock does, until it is there again."""

from __future__ import annotations

import ipaddress
import time
from functools import partial
from pathlib import Path

import pytest
from msgspec import structs
from tests.release.years import DAILY, DAY, HELD, HOUR, RELAYED, SENDERS, SITE, Years

from restante.calls.window import Schedule
from restante.directory.entries import Directory, Entry, Grant, Held, Retention
from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, Fact, ReleaseDecided
from restante.model import ByMx, HostPort, Principal
from restante.release.expected import Expected

CALLER = Principal(ipaddress.ip_address("192.0.2.25"))
UNEXPECTED = structs.replace(HELD, retention=Retention(30 * DAY, 3))
AT_TWO = 14 * HOUR
"""When the site is expected, every day; the host begins at midnight. An hour is its grace."""


class Host(Years):
    """The host of years.py, which looks for its sites every ten minutes."""

    async def wait(self, seconds: float, step: float = 600.0) -> None:
        """Time passes."""
        while seconds > 0:
            passed = min(seconds, step)
            seconds -= passed
            await self.clock.turn(passed)
            await self.upkeep.see_to_sites()
            self.upkeep.note()

    async def open(self) -> None:
        """It starts, and looks."""
        await super().open()
        await self.upkeep.see_to_sites()

    def asks(self, *granted: str) -> None:
        """Somebody asks for a release; nothing waits."""
        self.upkeep.heard(ReleaseDecided(CALLER, "test", granted, "251 2.0.0 OK"))

    def heard(self) -> list[str]:
        """Which alarms were raised and cleared since this was last asked."""
        found = [fact for fact in self.facts if isinstance(fact, AlarmRaised | AlarmCleared)]
        self.facts.clear()
        assert {fact.alarm for fact in found} <= {AlarmKind.CONTACT}
        return [f"{'missed' if isinstance(fact, AlarmRaised) else 'back'} {fact.subject}" for fact in found]


async def opened(folder: Path, *entries: Entry) -> Host:
    """Such a host, at midnight."""
    host = Host(folder, (*(entries or (HELD,)), RELAYED, SENDERS))
    await host.open()
    return host


async def test_a_site_that_does_not_come_is_missed_once(tmp_path: Path) -> None:
    """After its grace; not again on each of the next days; and that it is back is told when it is."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO + HOUR)
    assert host.heard() == []
    await host.wait(600)
    assert host.heard() == ["missed site.example"]
    await host.wait(3 * DAY)
    assert host.heard() == []
    host.release()
    assert host.heard() == ["back site.example"]
    await host.wait(DAY)
    assert host.heard() == ["missed site.example"]
    await host.close()


async def test_what_is_said_tells_when_it_should_have_come_and_when_it_did(tmp_path: Path) -> None:
    """For who reads it on a telephone."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO)
    host.release()
    await host.wait(DAY + 2 * HOUR)
    host.release()
    raised, cleared = (fact.text for fact in host.facts if isinstance(fact, AlarmRaised | AlarmCleared))
    assert raised == (
        "the site of site.example was expected on Fri, 02 Jan 2026 14:00:00 +0000 and has not come; "
        "it was here last on Thu, 01 Jan 2026 14:00:00 +0000"
    )
    assert cleared == ("the site of site.example is there again; it was expected on Fri, 02 Jan 2026 14:00:00 +0000")
    await host.close()


@pytest.mark.parametrize("early", [-300, 0, 3000])
async def test_a_site_that_comes_is_not_missed(tmp_path: Path, early: int) -> None:
    """A little early, or within its grace, day after day."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO + early)
    for _ in range(5):
        host.release()
        await host.wait(DAY)
    assert host.heard() == []
    await host.close()


async def test_a_site_that_asks_is_there_though_nothing_waits(tmp_path: Path) -> None:
    """By its domain, by all below one, by its group, by its address, or by ATRN; and not when it may not."""
    entry = Held("a.site.example", HostPort("192.0.2.9"), (Grant.parse("192.0.2.0/24"),), "customers")
    entry = structs.replace(entry, retention=HELD.retention)
    host = await opened(tmp_path, entry)
    await host.wait(AT_TWO)
    for node in ("a.site.example", "@site.example", "#customers", "192.0.2.9"):
        host.asks(node)
        await host.wait(DAY)
        assert host.heard() == [], node
    host.asks()
    host.asks("other.example")
    host.asks("@other.example")
    await host.wait(2 * HOUR)
    assert host.heard() == ["missed a.site.example"]
    host.asks("a.site.example")
    assert host.heard() == ["back a.site.example"]
    await host.close()


async def test_a_release_that_reached_nobody_is_no_contact(tmp_path: Path) -> None:
    """The office has tried, and the site was not there."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO)
    host.release(error="192.0.2.25:25: connection refused", deferred=0)
    await host.wait(2 * HOUR)
    assert host.heard() == ["missed site.example"]
    await host.close()


async def test_a_restart_neither_repeats_nor_forgets(tmp_path: Path) -> None:
    """What was told stays told; a contact from before counts; and all clear comes after it."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO + 2 * HOUR)
    assert host.heard() == ["missed site.example"]
    await host.restart(off=60)
    await host.wait(2 * DAY)
    assert host.heard() == []
    host.asks("site.example")
    assert host.heard() == ["back site.example"]
    await host.wait(DAY - 2 * HOUR)
    host.asks("site.example")
    await host.restart(off=60)
    await host.wait(3 * HOUR)
    assert host.heard() == []
    await host.close()


async def test_a_host_that_was_off_does_not_know_who_has_called(tmp_path: Path) -> None:
    """It was off when the site was expected; tomorrow it is not."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO - HOUR)
    await host.restart(off=3 * HOUR)
    await host.wait(20 * HOUR)
    assert host.heard() == []
    await host.wait(4 * HOUR)
    assert host.heard() == ["missed site.example"]
    await host.close()


@pytest.mark.parametrize("jump", [DAY, -DAY, 400 * DAY, -56 * 365 * DAY])
async def test_a_clock_that_jumps_makes_nobody_late(tmp_path: Path, jump: float) -> None:
    """What is expected after the jump is expected as ever."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO)
    host.release()
    await host.wait(HOUR)
    host.clock.jump(jump)
    await host.wait(20 * HOUR)
    assert host.heard() == []
    await host.wait(DAY)
    assert host.heard() == ["missed site.example"]
    await host.close()


async def test_a_domain_that_is_new_was_not_expected_before(tmp_path: Path) -> None:
    """Nor is one whose schedule has changed; and one that is gone is expected no more."""
    host = await opened(tmp_path, UNEXPECTED)
    await host.wait(AT_TWO + 2 * HOUR)
    host.entries = (HELD, RELAYED, SENDERS)
    await host.wait(HOUR)
    assert host.heard() == []
    await host.wait(DAY)
    assert host.heard() == ["missed site.example"]
    host.asks("site.example")
    later = Retention(30 * DAY, 3, contact=("0 16 * * *",), grace=HOUR)
    host.entries = (structs.replace(HELD, retention=later), RELAYED, SENDERS)
    await host.wait(DAY - 600)
    assert host.heard()[0] == "back site.example"
    host.entries = (UNEXPECTED, RELAYED, SENDERS)
    await host.wait(DAY)
    await host.restart()
    await host.wait(DAY)
    assert host.heard() in ([], ["back site.example"])
    await host.close()


async def test_an_alarm_ends_when_its_domain_is_not_expected_any_more(tmp_path: Path) -> None:
    """Nobody else could end it."""
    host = await opened(tmp_path)
    await host.wait(AT_TWO + 2 * HOUR)
    assert host.heard() == ["missed site.example"]
    host.entries = (RELAYED, SENDERS)
    await host.wait(600)
    assert host.heard() == ["back site.example"]
    await host.close()


async def test_others_by_mx_have_no_site_of_their_own(tmp_path: Path) -> None:
    """Each of their domains goes elsewhere; to one next hop they have one."""
    host = await opened(tmp_path, Held("*", ByMx(), retention=HELD.retention))
    host.entries = host.entries[:1]
    await host.wait(2 * DAY)
    assert host.heard() == []
    host.entries = (Held("*", HostPort("192.0.2.25"), retention=HELD.retention),)
    await host.wait(2 * DAY)
    assert host.heard() == ["missed *"]
    await host.close()


async def test_a_hundred_thousand_sites_are_looked_at_in_no_time(tmp_path: Path) -> None:
    """The schedule is reckoned once for all of them; measured 0.1 s, in which the loop turns a hundred times."""
    host = await opened(tmp_path)
    entries = [Held(f"d{n}.example", HELD.next_hop, retention=HELD.retention) for n in range(100_000)]
    host.entries = (*entries, HELD)
    directory = Directory("office.example", host.entries)
    facts: list[Fact] = []
    expected = Expected({}, partial(Schedule), facts.append)
    await expected.look(directory, host.upkeep._moment())
    await host.clock.turn(AT_TWO + 2 * HOUR)
    host.upkeep.note()
    before = time.process_time()
    await expected.look(directory, host.upkeep._moment())
    assert time.process_time() - before < 30
    assert len(facts) == 100_001
    before = time.process_time()
    await expected.look(directory, host.upkeep._moment())
    assert time.process_time() - before < 5
    assert len(facts) == 100_001
    assert SITE in expected.take_changes()
    await host.close()


def test_the_schedule_is_what_the_tests_think() -> None:
    """Two o'clock, with an hour of grace."""
    assert (HELD.retention.contact, HELD.retention.grace) == (DAILY, HOUR)
