"""What waits too long goes, once, and never before its time, whatever the clock does; of what is late is told, once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec import structs
from tests.release.years import DAY, FAR, HELD, HOUR, RELAYED, SITE, WORLD, YEAR, Years

from restante.directory.entries import Delivered, Held, Retention
from restante.facts import ItemExpired, ItemLate
from restante.model import ByMx, DomainName, ItemState, Notify
from restante.release.requests import CHANGED
from restante.release.run import STOPPED, WINDOW_OVER
from restante.spool.spool import Settlement

QUIET = structs.replace(HELD, retention=Retention(30 * DAY, 3))
"""Nobody expects it."""


@pytest.fixture
async def years(tmp_path: Path) -> AsyncIterator[Years]:
    """A host that begins."""
    made = Years(tmp_path)
    await made.open()
    yield made
    await made.close()


async def whole(years: Years, item_domain: DomainName = FAR) -> list[str]:
    """The reports that wait there, as text."""
    items = await years.items(item_domain)
    contents = [await years.spool.content(item) for item in items]
    return [content.decode() for content in contents if isinstance(content, bytes)]


# held mail


async def test_held_mail_goes_when_it_was_old_enough_and_was_offered_often_enough(years: Years) -> None:
    """Not after a month alone, nor after three contacts alone; its sender gets it back, in the same commit."""
    years.entries = (QUIET, RELAYED)
    early = await years.mail()
    for _ in range(3):
        await years.wait(2 * HOUR)
        years.release()
    await years.wait(29 * DAY)
    assert await years.waiting() == {early}
    late = await years.mail()
    await years.wait(2 * DAY)
    assert years.expired() == [early]
    await years.wait(60 * DAY)
    assert await years.waiting() == {late}
    for expected in ([early], [early], [early, late]):
        years.release()
        await years.wait(1 * HOUR)
        assert years.expired() == expected
    reports = await whole(years)
    assert len(reports) == 2
    assert "Action: failed\r\nStatus: 5.4.7\r\n" in reports[0]
    assert "held here for its site" in reports[0]
    assert [fact.dsn is not None for fact in years.told(ItemExpired)] == [True, True]


@pytest.mark.parametrize("error", ["192.0.2.25:25: connection refused", STOPPED, WINDOW_OVER])
async def test_a_release_that_failed_makes_nothing_older(years: Years, error: str) -> None:
    """However often; nor one that was cut after it had carried something: what was behind the cut was not offered."""
    years.entries = (QUIET,)
    await years.mail()
    await years.wait(2 * HOUR)
    for deferred in (0, 0, 0, 5, 5, 5):
        years.release(error=error, deferred=deferred)
        await years.wait(20 * DAY, 5 * DAY)
    assert years.expired() == []


async def test_what_came_while_it_was_on_its_way_in_was_not_offered(years: Years) -> None:
    """A message has its id before its content: what came shortly before a release does not count as offered by it."""
    years.entries = (QUIET,)
    await years.wait(2 * HOUR)
    await years.mail()
    await years.wait(0.5 * HOUR)
    for _ in range(3):
        years.release()
    await years.wait(40 * DAY, DAY)
    assert years.expired() == []
    for _ in range(3):
        years.release()
    await years.wait(HOUR)
    assert len(years.expired()) == 1


async def test_ids_that_begin_anew_were_not_offered_before(years: Years) -> None:
    """The clock was ten years ahead, and an empty spool forgets that: what comes then is neither old nor offered."""
    years.entries = (QUIET,)
    years.clock.jump(10 * YEAR)
    await years.mail()
    await years.wait(2 * HOUR)
    for _ in range(3):
        years.release()
    await years.wait(31 * DAY, DAY)
    assert len(years.expired()) == 1
    await years.spool.remove([item.id for item in await years.items()])
    await years.restart(jump=-10 * YEAR)
    await years.mail()
    await years.wait(40 * DAY, DAY)
    assert len(years.expired()) == 1


async def test_what_an_operator_has_sent_elsewhere_is_as_old_as_that(years: Years) -> None:
    """Else it might go back at once from where it waits now."""
    years.entries = (structs.replace(HELD, retention=Retention(30 * DAY, 0)),)
    message = await years.mail()
    await years.wait(29 * DAY, DAY)
    (item,) = await years.spool.lend([message])
    elsewhere = structs.replace(item.envelope, since=years.spool.new_id())
    await years.spool.settle([Settlement(item.id, elsewhere, is_attempt=False)])
    await years.wait(29 * DAY, DAY)
    assert years.expired() == []
    await years.wait(2 * DAY)
    assert years.expired() == [message]


async def test_without_contacts_age_is_enough(years: Years) -> None:
    """`expire_contacts = 0`."""
    years.entries = (Held(SITE, ByMx(), retention=Retention(30 * DAY, 0)),)
    await years.mail()
    await years.wait(29.9 * DAY)
    assert years.expired() == []
    await years.wait(DAY)
    assert len(years.expired()) == 1


@pytest.mark.parametrize(
    ("sender", "notify"),
    [
        ("", None),
        ("carla@far.example", (Notify.NEVER,)),
        ("carla@far.example", (Notify.DELAY,)),
        ("a@unknown.example", None),
    ],
)
async def test_who_is_told_nothing(years: Years, sender: str, notify: tuple[Notify, ...] | None) -> None:
    """The null reverse-path, who does not want to know, who cannot be reached; the item goes, and the log has it."""
    years.entries = (structs.replace(HELD, retention=Retention(30 * DAY, 0)),)
    await years.mail(sender=sender, notify=notify)
    await years.wait(31 * DAY, DAY)
    assert await years.items() == []
    (fact,) = years.told(ItemExpired)
    assert (fact.dsn, fact.recipients, fact.reverse_path) == (None, 1, f"<{sender}>")


async def test_what_is_frozen_or_on_its_way_does_not_go(years: Years) -> None:
    """An operator has stopped it, or a release has it; when that ends, it does."""
    years.entries = (structs.replace(HELD, retention=Retention(30 * DAY, 0)),)
    frozen, lent = await years.mail(), await years.mail()
    await years.spool.freeze([frozen])
    await years.spool.lend([lent])
    await years.wait(40 * DAY, DAY)
    assert years.expired() == []
    assert [item.state for item in await years.items()] == [ItemState.FROZEN, ItemState.CLAIMED]
    years.spool.give_back([lent])
    await years.spool.thaw([frozen])
    await years.round()
    assert sorted(years.expired()) == [frozen, lent]


# relayed mail


async def test_relayed_mail_is_told_of_once_and_goes_once(years: Years) -> None:
    """After four hours, and after five days; Will-Retry-Until is when it goes, at the earliest."""
    one = await years.mail(WORLD)
    await years.wait(2 * HOUR, HOUR)
    years.release(WORLD, error="192.0.2.26:25: connection refused", deferred=0)
    await years.wait(1.9 * HOUR, HOUR)
    assert years.late() == []
    await years.wait(0.3 * HOUR, HOUR)
    assert years.late() == [one]
    (report,) = await whole(years)
    assert "Action: delayed\r\nStatus: 4.4.7\r\nWill-Retry-Until: Tue, 06 Jan 2026 00:00:00 +0000\r\n" in report
    assert (await years.items(WORLD))[0].attempts == 0
    await years.wait(4.7 * DAY)
    assert (years.late(), years.expired()) == ([one], [])
    await years.wait(0.6 * DAY)
    assert (years.late(), years.expired()) == ([one], [one])


@pytest.mark.parametrize("error", ["", STOPPED, WINDOW_OVER, CHANGED])
async def test_what_was_never_tried_neither_goes_nor_is_late(years: Years, error: str) -> None:
    """A release that was stopped before it reached anything was no try."""
    await years.mail(WORLD)
    await years.wait(2 * HOUR)
    if error:
        years.release(WORLD, error=error, deferred=0)
    await years.wait(10 * DAY)
    assert (years.late(), years.expired()) == ([], [])
    years.release(WORLD, error="192.0.2.26:25: connection refused", deferred=0)
    await years.round()
    assert len(years.expired()) == 1


async def test_mail_for_mailboxes_here_waits_as_relayed_mail_does(years: Years) -> None:
    """Where they do not take it, its sender is to know."""
    years.entries = (Delivered(WORLD, None),)
    await years.mail(WORLD)
    await years.wait(2 * HOUR)
    years.release(WORLD)
    await years.wait(3 * HOUR, HOUR)
    assert len(years.late()) == 1
    await years.wait(6 * DAY)
    assert len(years.expired()) == 1


@pytest.mark.parametrize("notify", [(Notify.FAILURE,), (Notify.SUCCESS,), (Notify.NEVER,)])
async def test_who_has_not_asked_for_delay_is_not_told(years: Years, notify: tuple[Notify, ...]) -> None:
    """RFC 3461 §4.1: where NOTIFY is there without DELAY."""
    await years.mail(WORLD, notify=notify)
    await years.mail(WORLD, sender="")
    await years.wait(2 * HOUR)
    years.release(WORLD)
    await years.wait(4 * DAY)
    assert years.told(ItemLate) == []


# contacts that are missed


async def test_of_held_mail_is_told_only_when_a_contact_was_missed(years: Years) -> None:
    """A site that comes every day, a little early or late, is waited for in silence; when it stays away, one notice."""
    one = await years.mail()
    await years.wait(14 * HOUR - 300)
    for shift in (0.0, 600.0, 3000.0, 0.0):
        years.release()
        await years.wait(DAY + shift, HOUR)
    assert years.late() == []
    years.release()
    await years.wait(20 * DAY)
    assert years.late() == [one]
    (report,) = await whole(years)
    assert "The site was expected on " in report
    assert "It is next expected on " in report


async def test_a_notice_tells_when_the_site_is_expected(years: Years) -> None:
    """The contact that was missed, the next one, and up to when the mail is kept."""
    await years.mail()
    await years.wait(16 * HOUR, HOUR)
    (report,) = await whole(years)
    assert "expected on Thu, 01 Jan 2026 14:00:00 +0000." in report
    assert "next expected on Fri, 02 Jan 2026 14:00:00 +0000." in report
    assert "Will-Retry-Until: Sat, 31 Jan 2026 00:00:00 +0000" in report


async def test_mail_that_came_after_the_missed_contact_is_not_late(years: Years) -> None:
    """It has missed nothing yet."""
    await years.wait(14.5 * HOUR, HOUR / 2)
    await years.mail()
    await years.wait(2 * HOUR)
    assert years.late() == []
    await years.wait(DAY)
    assert len(years.late()) == 1


async def test_where_nobody_is_expected_nothing_is_late(years: Years) -> None:
    """Without `contact` held mail waits in silence."""
    years.entries = (QUIET, RELAYED)
    await years.mail()
    await years.wait(29 * DAY)
    assert years.late() == []


async def test_a_host_that_was_not_there_has_missed_nobody(years: Years) -> None:
    """Off at two o'clock, or with a clock that has jumped over it."""
    await years.mail()
    await years.wait(13 * HOUR, HOUR)
    await years.restart(off=3 * HOUR)
    await years.wait(HOUR)
    years.clock.jump(DAY)
    await years.wait(HOUR)
    years.clock.jump(-10 * YEAR)
    await years.wait(HOUR)
    assert years.late() == []
    await years.wait(2 * DAY)
    assert len(years.late()) == 1


async def test_a_restart_hides_no_missed_contact(years: Years) -> None:
    """Of some minutes, that is; and whoever was told is not told again."""
    one = await years.mail()
    await years.wait(14.5 * HOUR, HOUR / 2)
    await years.restart(off=60)
    await years.wait(HOUR)
    assert years.late() == [one]
    await years.restart(off=60)
    await years.wait(2 * DAY)
    assert years.late() == [one]


async def test_a_contact_is_remembered_over_a_restart(years: Years) -> None:
    """So that nobody is told of a site that has just been there."""
    await years.mail()
    await years.wait(14 * HOUR, HOUR)
    years.release()
    await years.restart(off=60)
    await years.wait(3 * HOUR, HOUR)
    assert years.late() == []


# notices


async def test_a_sender_gets_so_many_notices_an_hour(years: Years) -> None:
    """What more there is waits, and what others have sent does not; in the end each has got each, once."""
    years.entries = (structs.replace(HELD, retention=Retention(30 * DAY, 0)),)
    years.allowance.per_hour = 3
    mine = [await years.mail(sender=f"carla+{number}@far.example") for number in range(8)]
    other = await years.mail(sender="dora@far.example")
    await years.wait(30 * DAY - HOUR, DAY)
    await years.wait(HOUR + 1)
    assert years.expired() == [*mine[:3], other]
    await years.round()
    assert len(years.expired()) == 4
    await years.wait(HOUR)
    await years.wait(HOUR)
    assert sorted(years.expired()) == sorted([*mine, other])
    assert len(await years.items(FAR)) == 9


async def test_very_much_that_is_old_goes_in_one_sweep(years: Years) -> None:
    """By portions; each of its senders is told, and each commit has both."""
    years.entries = (structs.replace(HELD, retention=Retention(30 * DAY, 0)), Held("other.example", ByMx()))
    for number in range(620):
        await years.mail(sender=f"user{number}@far.example")
    kept = await years.mail(DomainName("other.example"))
    await years.wait(31 * DAY, 31 * DAY)
    await years.round()
    assert len(years.expired()) == len(set(years.expired())) == 620
    assert len(await years.items(FAR)) == 620
    assert await years.waiting() == {kept}
