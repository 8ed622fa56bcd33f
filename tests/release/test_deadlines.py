"""Mail with a time (DELIVERBY): it goes back when that is over, or its sender is told; no jump of the clock ends it."""

from __future__ import annotations

import ipaddress
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.release.years import DAY, FAR, HOUR, SITE, YEAR, Years

from restante.facts import ItemExpired, ItemLate, MessageAccepted
from restante.model import ByMode, DeliverBy, Envelope, ItemId, Mailbox, Notify, Principal, Recipient, item_id
from restante.spool.spool import Arrival


@pytest.fixture
async def years(tmp_path: Path) -> AsyncIterator[Years]:
    """A host that begins."""
    made = Years(tmp_path)
    await made.open()
    yield made
    await made.close()


async def mail(years: Years, mode: ByMode, seconds: float = HOUR, notify: tuple[Notify, ...] | None = None) -> ItemId:
    """A message that is to be delivered within so many seconds."""
    wall = years.clock.wall()
    recipient = Recipient(Mailbox("anna", SITE), notify)
    envelope = Envelope(Mailbox.parse("carla@far.example"), (recipient,), deliver_by=DeliverBy(wall + seconds, mode))
    message = years.spool.new_id()
    await years.spool.accept(Arrival(message, b"x\r\n", 3, [(SITE, envelope)], wall))
    return item_id(message, 1)


async def wait(years: Years, seconds: float) -> None:
    """Time passes, by minutes."""
    for _ in range(int(seconds / 60)):
        years.ran += 60
        await years.clock.turn(60)
        await years.upkeep.see_to_deadlines()
        if int(years.ran) % 300 == 0:
            years.upkeep.note()


async def reports(years: Years) -> list[str]:
    """What the senders get."""
    contents = [await years.spool.content(item) for item in await years.items(FAR)]
    return [content.decode() for content in contents if isinstance(content, bytes)]


async def test_it_goes_back_when_its_time_is_over(years: Years) -> None:
    """5.4.7, within a minute; what has none, or more of it, waits."""
    others = [await years.mail(), await mail(years, ByMode.RETURN, 3 * HOUR)]
    one = await mail(years, ByMode.RETURN)
    await wait(years, HOUR - 60)
    assert years.expired() == []
    await wait(years, 120)
    assert years.expired() == [one]
    assert sorted(item.id for item in await years.items(SITE)) == sorted(others)
    (report,) = await reports(years)
    assert "Action: failed\r\nStatus: 5.4.7\r\n" in report
    assert "Deliver-By-Date: Thu, 01 Jan 2026 01:00:00 +0000\r\n" in report


@pytest.mark.parametrize("notify", [None, (Notify.DELAY,), (Notify.NEVER,), (Notify.FAILURE,)])
async def test_its_sender_is_told_once_and_it_goes_on(years: Years, notify: tuple[Notify, ...] | None) -> None:
    """4.4.7, if NOTIFY lets it; later lateness is not told again."""
    one = await mail(years, ByMode.NOTIFY, notify=notify)
    await wait(years, 3 * HOUR)
    wants = notify is None or Notify.DELAY in notify
    assert years.late() == [one] * wants
    assert [item.id for item in await years.items(SITE)] == [one]
    await years.wait(20 * HOUR)
    await years.upkeep.see_to_deadlines()
    assert len(years.told(ItemLate)) == wants
    assert ["Action: delayed\r\nStatus: 4.4.7\r\n" in report for report in await reports(years)] == [True] * wants


async def test_no_jump_ends_it_early_or_keeps_it(years: Years) -> None:
    """Forward or back, while it runs or over a restart: an hour is an hour of the host's own."""
    one = await mail(years, ByMode.RETURN)
    await wait(years, HOUR / 4)
    years.clock.jump(10 * YEAR)
    await wait(years, HOUR / 4)
    await years.restart(jump=DAY)
    await wait(years, HOUR / 4)
    years.clock.jump(-56 * YEAR)
    assert years.expired() == []
    await wait(years, HOUR / 4 + 900)
    assert years.expired() == [one]


async def test_a_short_stop_of_the_host_does_not_lengthen_it(years: Years) -> None:
    """The clock has run evenly: it tells that the time is over, although the host has not run for so long."""
    one = await mail(years, ByMode.RETURN)
    await wait(years, HOUR - 600)
    await years.restart(off=600)
    await wait(years, 60)
    assert years.expired() == [one]


async def test_what_a_release_has_is_left_to_it(years: Years) -> None:
    """If it comes back, its end has come; what an operator has frozen waits for him."""
    lent, frozen = await mail(years, ByMode.RETURN), await mail(years, ByMode.RETURN)
    await years.spool.lend([lent])
    await years.spool.freeze([frozen])
    await wait(years, 2 * HOUR)
    assert years.expired() == []
    years.spool.give_back([lent])
    await wait(years, 60)
    assert years.expired() == [lent]
    await years.spool.thaw([frozen])
    await wait(years, 60)
    assert years.expired() == [lent, frozen]


async def test_those_that_were_delivered_are_forgotten(years: Years) -> None:
    """With the next sweep; nothing of them grows."""
    for _ in range(5):
        await mail(years, ByMode.RETURN, 900 * DAY)
    await wait(years, 60)
    await years.spool.remove([item.id for item in (await years.items())[1:]])
    await years.round()
    assert len(years.upkeep._deadlines._times) == 1
    assert years.told(ItemExpired) == []


async def test_what_came_in_slowly_is_seen_to_as_well(years: Years) -> None:
    """Its id is older than that of mail that was looked at before it had come."""
    wall = years.clock.wall()
    slow = years.spool.new_id()
    await mail(years, ByMode.RETURN, 3 * HOUR)
    await wait(years, 600)
    envelope = Envelope(
        Mailbox.parse("carla@far.example"),
        (Recipient(Mailbox("anna", SITE)),),
        deliver_by=DeliverBy(wall + HOUR, ByMode.RETURN),
    )
    await years.spool.accept(Arrival(slow, b"x\r\n", 3, [(SITE, envelope)], wall))
    somebody = Principal(ipaddress.ip_address("192.0.2.1"))
    years.upkeep.heard(MessageAccepted(slow, somebody, "<carla@far.example>", (SITE,), 1, 3))
    await wait(years, HOUR)
    assert years.expired() == [item_id(slow, 1)]
