"""Where a carrier draws a release's parcels from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.release.host import CONTENT, TEST, Host, count_closed, ended, host, is_parcel_of

from restante.facts import ContentDamaged
from restante.model import ByMode, DeliverBy, DomainName, ItemState, MessageId, Order
from restante.release import feed as feeds
from restante.release.feed import AHEAD_OCTETS, ReleaseFeed
from restante.release.plan import Room
from restante.spool.spool import INLINE_LIMIT, Due, Settlement, SpoolBroken
from restante.store.bodies import Bodies
from restante.transport.outcome import Parcel

LARGE = INLINE_LIMIT + 1000
STREAMED = AHEAD_OCTETS + 1000


class Window:
    """What is left, as a test sets it."""

    def __init__(self) -> None:
        self.room = Room(None, None)

    def __call__(self) -> Room:
        """As the run would say."""
        return self.room


def feed_of(
    made: Host, window: Window, *domains: str, order: Order = Order.PRIORITY, due: Due | None = None
) -> ReleaseFeed:
    """A feed of release 1."""
    names = tuple(map(DomainName, domains)) or (TEST,)
    announce, wall = made.facts.append, made.clock.wall
    return ReleaseFeed(made.spool, lambda: names, order, 1, room=window, announce=announce, due=due, wall=wall)


async def drawn(feed: ReleaseFeed) -> list[MessageId]:
    """All that it gives until it ends."""
    messages = []
    while (parcel := await ended(feed.next())) is not None:
        messages.append(parcel.item.message)
    return messages


async def content_of(parcel: Parcel) -> bytes:
    """The octets of a parcel."""
    if isinstance(parcel.content, bytes):
        return parcel.content
    return b"".join([piece async for piece in parcel.content()])


@asynccontextmanager
async def shelf(folder: Path) -> AsyncIterator[tuple[Host, Window]]:
    """A host, and a window without an end."""
    async with host(folder) as made:
        yield made, Window()


async def test_passes_what_is_to_go_back_by_now(tmp_path: Path) -> None:
    """RFC 2852 §4: the sweep has it; what is late and goes on all the same is offered, and what has time left."""
    async with shelf(tmp_path) as (made, window):
        now = made.clock.wall()
        await made.mail(deliver_by=DeliverBy(now, ByMode.RETURN))
        late = await made.mail(deliver_by=DeliverBy(now - 60, ByMode.NOTIFY))
        in_time = await made.mail(deliver_by=DeliverBy(now + 60, ByMode.RETURN))
        feed = feed_of(made, window)
        assert await drawn(feed) == [late, in_time]
        assert feed.error is None
        await feed.close()
        assert made.spool.waiting(TEST).items == 3


async def test_gives_what_waits_in_order_and_then_ends(tmp_path: Path) -> None:
    """Priority before arrival; each once, with its content."""
    async with shelf(tmp_path) as (made, window):
        first, second = await made.mail(), await made.mail()
        urgent = await made.mail(priority=4)
        feed = feed_of(made, window)
        parcels = [await ended(feed.next()) for _ in range(3)]
        assert [parcel.item.message for parcel in parcels] == [urgent, first, second]
        assert [await content_of(parcel) for parcel in parcels] == [CONTENT] * 3
        assert await ended(feed.next()) is None
        assert await ended(feed.next()) is None


async def test_smallest_first_where_the_domain_wants_that(tmp_path: Path) -> None:
    """The order is handed to the spool."""
    async with shelf(tmp_path) as (made, window):
        big, small, middle = [await made.mail(octets=octets) for octets in (5000, 100, 900)]
        assert await drawn(feed_of(made, window, order=Order.SMALLEST)) == [small, middle, big]


async def test_many_batches_come_whole_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With batches of 8 and 5 contents at once, nothing is lost at any seam, nor given twice."""
    monkeypatch.setattr(feeds, "BATCH", 8)
    monkeypatch.setattr(feeds, "AHEAD_ITEMS", 5)
    async with shelf(tmp_path) as (made, window):
        messages = [await made.mail() for _ in range(53)]
        assert await drawn(feed_of(made, window)) == messages


async def test_reads_ahead_and_no_further_than_it_may(tmp_path: Path) -> None:
    """Contents are fetched before they are asked for, but at most AHEAD_OCTETS and one more reading of them."""
    async with shelf(tmp_path) as (made, window):
        for _ in range(80):
            await made.mail(octets=60_000)
        feed = feed_of(made, window)
        await ended(feed.next())
        await made.settles()
        ahead = sum(parcel.item.size for parcel in feed._ready)
        assert feeds.AHEAD_OCTETS // 2 < ahead <= 2 * feeds.AHEAD_OCTETS + 60_000
        assert len(await drawn(feed)) == 79


async def test_large_content_is_streamed_and_not_read_ahead(tmp_path: Path) -> None:
    """A parcel of one is a function that opens it, as often as it is tried."""
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=STREAMED)
        parcel = await ended(feed_of(made, window).next())
        assert not isinstance(parcel.content, bytes)
        assert await content_of(parcel) == await content_of(parcel) == CONTENT + b"x" * (STREAMED - len(CONTENT))


async def test_a_large_content_that_is_not_read_to_its_end_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When a peer refuses it in the middle."""
    closed = count_closed(monkeypatch)
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=STREAMED)
        parcel = await ended(feed_of(made, window).next())
        assert closed == []
        pieces = parcel.content()
        await anext(pieces)
        await pieces.aclose()
        assert len(closed) == 1


async def test_a_large_content_is_checked_once_for_each_attempt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first attempt sends what was looked at before it was offered."""
    checked: list[MessageId] = []
    check = Bodies.open_checked

    def open_checked(self: Bodies, message: MessageId, size: int, digest: bytes) -> int:
        checked.append(message)
        return check(self, message, size, digest)

    monkeypatch.setattr(Bodies, "open_checked", open_checked)
    async with shelf(tmp_path) as (made, window):
        message = await made.mail(octets=STREAMED)
        parcel = await ended(feed_of(made, window).next())
        await content_of(parcel)
        assert checked == [message]
        await content_of(parcel)
        assert checked == [message, message]


async def test_a_large_content_that_was_never_sent_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its parcel, for a window may end while it is ready."""
    closed: list[int] = []

    def close(_: Bodies, descriptor: int) -> None:
        closed.append(descriptor)
        os.close(descriptor)

    monkeypatch.setattr(Bodies, "close", close)
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=STREAMED)
        feed = feed_of(made, window)
        feed.put_back(await ended(feed.next()))
        assert closed == []
        await feed.close()
        assert len(closed) == 1


async def test_content_that_may_be_in_memory_is_read_once(tmp_path: Path) -> None:
    """From its file, whole: it is neither read nor hashed a second time as it is sent."""
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=LARGE)
        parcel = await ended(feed_of(made, window).next())
        assert parcel.content == CONTENT + b"x" * (LARGE - len(CONTENT))


async def test_what_is_put_back_is_the_next_again(tmp_path: Path) -> None:
    """Also when the feed had ended already."""
    async with shelf(tmp_path) as (made, window):
        first, second = await made.mail(), await made.mail()
        feed = feed_of(made, window)
        parcel = await ended(feed.next())
        feed.put_back(parcel)
        assert await drawn(feed) == [first, second]
        feed.put_back(parcel)
        assert await drawn(feed) == [first]


async def test_several_connections_share_it(tmp_path: Path) -> None:
    """What one has drawn no other gets, and all learn of the end."""
    async with shelf(tmp_path) as (made, window):
        messages = [await made.mail() for _ in range(300)]
        feed = feed_of(made, window)
        shares = await ended(asyncio.gather(*(drawn(feed) for _ in range(7))))
        assert sorted(message for share in shares for message in share) == messages


async def test_a_connection_that_is_cut_while_it_waits_takes_nothing_with_it(tmp_path: Path) -> None:
    """The reading that it waited for goes on for the others."""
    async with shelf(tmp_path) as (made, window):
        messages = [await made.mail() for _ in range(3)]
        feed = feed_of(made, window)
        impatient = asyncio.create_task(feed.next())
        await asyncio.sleep(0)
        impatient.cancel()
        assert await drawn(feed) == messages


# windows


async def test_nothing_is_given_after_the_end(tmp_path: Path) -> None:
    """Not even what was read ahead; it goes back as it was."""
    async with shelf(tmp_path) as (made, window):
        for _ in range(3):
            await made.mail()
        feed = feed_of(made, window)
        window.room = Room(0.1, None)
        assert await ended(feed.next()) is not None
        window.room = Room(0.0, None)
        assert await ended(feed.next()) is None
        assert feed.has_more
        await feed.close()
        items = await made.items()
        assert [(item.state, item.attempts, item.next_attempt) for item in items] == [(ItemState.WAITING, 0, 0.0)] * 3


async def test_what_does_not_fit_lets_others_pass(tmp_path: Path) -> None:
    """It is given back in the end, and the feed has offered all that it can."""
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=50_000)
        small = await made.mail()
        feed = feed_of(made, window)
        window.room = Room(10, 100)
        assert await drawn(feed) == [small]
        assert [item.state for item in await made.items()] == [ItemState.WAITING, ItemState.CLAIMED]


async def test_what_does_not_fit_is_not_even_read(tmp_path: Path) -> None:
    """A large file would be read to its end only to be set aside."""
    async with shelf(tmp_path) as (made, window):
        await made.mail(octets=LARGE)
        small = await made.mail()
        feed = feed_of(made, window)
        window.room = Room(10, 100)
        made.faulty.calls.clear()
        assert await drawn(feed) == [small]
        assert "content" not in made.faulty.calls


async def test_what_did_not_fit_gets_a_second_look(tmp_path: Path) -> None:
    """A link that turns out to be faster takes it after all, behind the others."""
    async with shelf(tmp_path) as (made, window):
        big, small = await made.mail(octets=50_000), await made.mail()
        feed = feed_of(made, window)
        window.room = Room(10, 100)
        assert is_parcel_of(await ended(feed.next()), small)
        window.room = Room(9, 100_000)
        assert await drawn(feed) == [big]


async def test_what_was_read_ahead_and_fits_no_more_is_set_aside(tmp_path: Path) -> None:
    """The rate is asked when a parcel is drawn, not when it was read."""
    async with shelf(tmp_path) as (made, window):
        first, _, third = await made.mail(), await made.mail(octets=50_000), await made.mail()
        feed = feed_of(made, window)
        assert is_parcel_of(await ended(feed.next()), first)
        await made.settles()
        window.room = Room(10, 100)
        assert await drawn(feed) == [third]


async def test_not_more_is_kept_for_a_second_look_than_it_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest is given back at once: memory is bounded whatever waits."""
    monkeypatch.setattr(feeds, "MOST_ASIDE", 2)
    async with shelf(tmp_path) as (made, window):
        for _ in range(5):
            await made.mail(octets=50_000)
        small = await made.mail()
        feed = feed_of(made, window)
        window.room = Room(10, 100)
        assert is_parcel_of(await ended(feed.next()), small)
        assert sum(item.state is ItemState.WAITING for item in await made.items()) == 3


# what is due


async def test_only_what_is_due_is_given_where_that_is_wanted(tmp_path: Path) -> None:
    """What was deferred waits for its time; another release may have it before."""
    async with shelf(tmp_path) as (made, window):
        deferred, fresh = await made.mail(), await made.mail()
        items = await made.spool.claim([TEST], Order.ARRIVAL, 1, 99)
        due = made.clock.wall() + 60
        await made.spool.settle([Settlement(items[0].id, items[0].envelope, next_attempt=due)])
        assert await drawn(feed_of(made, window, due=Due(made.clock.wall()))) == [fresh]
        made.spool.release_ended(1)
        assert deferred in await drawn(feed_of(made, window, due=Due(due)))


async def test_what_arrives_while_it_runs_is_given_too(tmp_path: Path) -> None:
    """As long as it has not ended, and also for a domain that had no mail before."""
    async with shelf(tmp_path) as (made, window):
        first = await made.mail()
        domains = [TEST]
        feed = ReleaseFeed(
            made.spool, lambda: tuple(domains), Order.PRIORITY, 1, room=window, announce=made.facts.append
        )
        assert is_parcel_of(await ended(feed.next()), first)
        second, third = await made.mail(), await made.mail("bert@other.example")
        domains.append(DomainName("other.example"))
        assert sorted(await drawn(feed)) == [second, third]


# damage and faults


@pytest.mark.parametrize("octets", [len(CONTENT), LARGE])
async def test_damaged_content_is_set_aside_and_others_go_on(tmp_path: Path, octets: int) -> None:
    """It is announced once, never offered, and stays for an operator to look at."""
    async with shelf(tmp_path) as (made, window):
        first, bad, last = await made.mail(), await made.mail(octets=octets), await made.mail()
        if octets > INLINE_LIMIT:
            (body,) = (file for file in made.folder.rglob("*") if file.is_file() and file.stat().st_size == octets)
            body.write_bytes(b"y" * octets)
        else:
            made.damage(bad)
        feed = feed_of(made, window)
        assert await drawn(feed) == [first, last]
        item = next(item for item in await made.items() if item.message == bad)
        assert item.state is ItemState.QUARANTINED
        assert made.told(ContentDamaged) == [ContentDamaged(bad, (item.id,))]
        await feed.close()
        assert [i.state for i in await made.items() if i.message == bad] == [ItemState.QUARANTINED]


async def test_damage_of_a_message_for_several_domains_is_told_once(tmp_path: Path) -> None:
    """All its items are set aside together, also those that this feed had still to offer."""
    async with shelf(tmp_path) as (made, window):
        bad = await made.mail("anna@a.example", "bert@b.example", "cleo@c.example")
        good = await made.mail("dora@a.example")
        made.damage(bad)
        feed = feed_of(made, window, "a.example", "b.example", "c.example")
        assert await drawn(feed) == [good]
        (told,) = made.told(ContentDamaged)
        assert len(told.items) == 3
        assert not feed.has_more or [item.message for item in feed._lent.values()] == [good]


@pytest.mark.parametrize("method", ["claim", "contents"])
async def test_a_broken_store_ends_it(tmp_path: Path, method: str) -> None:
    """All who draw learn the end, the error is kept for the run, and what was claimed is given back."""
    async with shelf(tmp_path) as (made, window):
        for _ in range(3):
            await made.mail()
        feed = feed_of(made, window)
        made.faulty.faults[method] = fault = SpoolBroken("disk I/O error")
        assert await ended(asyncio.gather(feed.next(), feed.next())) == [None, None]
        assert feed.error is fault
        assert feed.has_more
        made.faulty.faults.clear()
        await feed.close()
        assert [item.state for item in await made.items()] == [ItemState.WAITING] * 3


async def test_closing_waits_for_what_is_being_read(tmp_path: Path) -> None:
    """Nothing stays lent to a release that has ended."""
    async with shelf(tmp_path) as (made, window):
        for _ in range(3):
            await made.mail()
        feed = feed_of(made, window)
        drawing = asyncio.create_task(feed.next())
        await asyncio.sleep(0)
        drawing.cancel()
        await ended(feed.close())
        assert [item.state for item in await made.items()] == [ItemState.WAITING] * 3


async def test_settled_items_are_not_given_back(tmp_path: Path) -> None:
    """What is recorded is the spool's affair; only the rest returns."""
    async with shelf(tmp_path) as (made, window):
        first, second = await made.mail(), await made.mail()
        feed = feed_of(made, window)
        parcel = await ended(feed.next())
        await ended(feed.next())
        await made.spool.settle([Settlement(parcel.item.id, None)])
        feed.settled(parcel.item.id)
        await feed.close()
        assert [(item.message, item.state) for item in await made.items()] == [(second, ItemState.WAITING)]
        assert first != second
