"""How releases go: small messages count when they are safe, large ones as they leave; and what is to be expected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from tests.release.host import CONTENT, HELD, LATER, TAKEN, TEST, Host, ended, eventually, host, local, relayed
from tests.transport.test_smtp import Sink, listening

from restante.clock import SystemClock, TurnedClock
from restante.directory.entries import Directory, Held
from restante.model import ByMx, Envelope, Item, MessageId, Progress, item_id
from restante.net.asyncio_stream import AsyncioStream
from restante.net.dial import dial
from restante.net.tls import IN_CLEAR
from restante.release.going import Going
from restante.release.rates import Outlook, Point
from restante.release.register import KEPT_VIEWS
from restante.release.requests import Releases
from restante.release.settling import Sorted
from restante.transport.outcome import CarryEnd, Delivered, Feed, Report
from restante.transport.smtp import SmtpCarrier, SmtpMeans

LARGE = 16 * 1024 * 1024


class SlowCarrier:
    """Takes a second for each message."""

    target = "192.0.2.25:25"

    def __init__(self, made: Host) -> None:
        self._made = made

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """One after the other."""
        while (parcel := await feed.next()) is not None:
            self._made.carrier().drawn.append(parcel.item)
            await self._made.clock.sleep(1)
            report(self._made.carrier().outcome(parcel.item))
        return CarryEnd()


class GatedStream:
    """A connection of which a million octets are read, and more once the gate is open."""

    def __init__(self, stream: AsyncioStream, gate: asyncio.Event) -> None:
        self._stream = stream
        self._gate = gate
        self._read = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, timeout: float | None = None) -> bytes:
        """The next octets."""
        if self._read > 1_000_000:
            await self._gate.wait()
        data = await self._stream.read(timeout)
        self._read += len(data)
        return data


@asynccontextmanager
async def slow(made: Host) -> AsyncIterator[Releases]:
    """Releases of that host's mail by a slow carrier."""
    releases = Releases(
        spool=made.spool,
        directory=lambda: made.directory,
        carriers=lambda *_: SlowCarrier(made),
        announce=made.facts.append,
        clock=made.clock,
        hostname="office.example",
    )
    try:
        yield releases
    finally:
        await releases.stop(0)


async def passes(made: Host, releases: Releases, seconds: int) -> None:
    """So many messages have left, one a second."""
    for _ in range(seconds):
        more = partial(has_more, releases, done(releases))
        await made.clock.turn(1)
        await eventually(more)


def has_more(releases: Releases, before: int) -> bool:
    """Whether another one is done."""
    return done(releases) > before


def done(releases: Releases) -> int:
    """How many messages of the first release the carrier has told of, and all that is written."""
    view = releases.view(1)
    assert view is not None
    return view.delivered + view.deferred


async def test_what_has_left_is_counted_when_it_is_safe(tmp_path: Path) -> None:
    """The points begin with the release, and in the end have all of it; nothing more is then to be expected."""
    async with host(tmp_path) as made:
        for _ in range(3):
            await made.mail()
        made.carrier().answered.clear()
        number = made.releases.request_by_operator(TEST).number
        await eventually(lambda: made.carrier().drawn)
        first = made.releases.rate(number)
        assert first is not None
        assert first.points == (Point(made.clock.wall(), 0, 0),)
        assert first.outlook == Outlook(items_left=3, octets_left=3 * len(CONTENT))
        made.carrier().answered.set()
        view = await ended(made.releases.wait(number))
        over = made.releases.rate(number)
        assert over is not None
        assert (over.view, over.outlook) == (view, Outlook())
        assert over.points[-1] == Point(made.clock.wall(), view.octets_sent, view.delivered)


async def test_a_window_has_a_time_left_and_room_for_so_much(tmp_path: Path) -> None:
    """At a message a second seven of twelve fit into seven seconds; and so many go."""
    async with host(tmp_path) as made, slow(made) as releases:
        for _ in range(20):
            await made.mail(octets=1000)
        task = asyncio.create_task(releases.release([TEST], made.clock.monotonic() + 15))
        await eventually(lambda: made.carrier().drawn)
        await passes(made, releases, 8)
        rate = releases.rate(1)
        assert rate is not None
        expected = rate.outlook
        assert (expected.seconds_left, expected.items_left, expected.octets_left) == (7.0, 12, 12_000)
        assert (expected.octets_per_second, expected.messages_per_second) == (1000.0, 1.0)
        assert (expected.seconds_needed, expected.items_fit, expected.octets_fit) == (12.0, 7, 7000)
        assert rate.points[-1] == Point(made.clock.wall(), 8000, 8)
        while not task.done():
            await made.settles(1)
        (view,) = await task
        assert 8 + 6 <= view.delivered <= 8 + 7  # the last is begun where the one before was written down in time


async def test_what_was_to_be_tried_later_is_not_left(tmp_path: Path) -> None:
    """It waits, but not for this release; and without a window nobody knows what fits."""
    async with host(tmp_path) as made, slow(made) as releases:
        messages = [await made.mail(octets=1000) for _ in range(12)]
        made.carrier().says = lambda item, _: LATER if item.message in messages[:2] else TAKEN
        releases.request_by_operator(TEST)
        await eventually(lambda: made.carrier().drawn)
        await passes(made, releases, 4)
        rate = releases.rate(1)
        assert rate is not None
        assert (rate.view.delivered, rate.view.deferred) == (2, 2)
        assert (rate.outlook.items_left, rate.outlook.octets_left) == (8, 8000)
        assert (rate.outlook.seconds_left, rate.outlook.items_fit, rate.outlook.octets_fit) == (None, None, None)


async def test_what_is_left_is_not_known_where_only_what_is_due_leaves(tmp_path: Path) -> None:
    """Mail that leaves by itself: some of what waits may have its time later."""
    async with host(tmp_path, relayed()) as made:
        made.carrier("fast.example").answered.clear()
        await made.mail("anna@fast.example")
        await eventually(lambda: made.carrier("fast.example").drawn)
        rate = made.releases.rate(1)
        assert rate is not None
        assert (rate.view.progress, rate.outlook) == (Progress.RUNNING, Outlook())
        made.carrier("fast.example").answered.set()


async def test_only_what_carries_has_points(tmp_path: Path) -> None:
    """Not what waits for its turn, nor what is the sum of others; and a number that is not known has no rate at all."""
    async with host(tmp_path, HELD, local(), Held("*", ByMx()), at_once=1) as made:
        assert made.releases.rate(1) is None
        await made.mail()
        await made.mail("anna@a.example", "bert@b.example")
        made.carrier().answered.clear()
        made.releases.request_by_operator(TEST)
        await eventually(lambda: made.carrier().drawn)
        behind = made.releases.request_by_operator("local.example").number
        several = made.releases.request_by_operator("*").number
        for number, progress in ((behind, Progress.QUEUED), (several, Progress.RUNNING)):
            rate = made.releases.rate(number)
            assert rate is not None
            assert (rate.view.progress, rate.points, rate.outlook) == (progress, (), Outlook())
        made.carrier().answered.set()
        view = await ended(made.releases.wait(several))
        assert view.delivered == 2
        rate = made.releases.rate(several)
        assert rate is not None
        assert (rate.view, rate.points) == (view, ())


async def test_the_points_of_the_last_releases_are_kept(tmp_path: Path) -> None:
    """As long as their views are."""
    async with host(tmp_path) as made:
        for number in range(1, KEPT_VIEWS + 3):
            made.releases.request_by_operator(TEST)
            await ended(made.releases.wait(number))
        assert made.releases.rate(2) is None
        oldest = made.releases.rate(3)
        assert oldest is not None
        assert oldest.points


def item(size: int) -> Item:
    """One of that size."""
    return Item(item_id(MessageId(1), 1), TEST, Envelope(None, ()), size, 0.0)


def taken(of: Item) -> Sorted:
    """It was delivered."""
    return Sorted(of, cast("Any", [(None, Delivered("250 OK"))]), (), ())


async def test_what_was_sent_in_vain_has_left_too() -> None:
    """A connection that was cut costs octets; those of the attempt that went well are counted once."""
    clock = TurnedClock()
    going, large = Going(clock.monotonic, clock.wall()), item(300)
    for octets in (100, 200, 50, 250):
        going.on_its_way(large.id, octets)
        await clock.turn(1)
    left = [point.octets for point in going.series.points]
    assert left == [0, 100, 200, 250, 450]
    going.settled(taken(large))
    going.note()
    assert going.series.points[-1] == Point(clock.wall(), 200 + 300, 1)


async def test_a_large_message_is_seen_on_its_way(tmp_path: Path) -> None:
    """A real release to a real next hop that stops to read within the message, and goes on."""
    sink, gate = Sink(), asyncio.Event()

    async def serve(stream: AsyncioStream) -> None:
        await sink.serve(cast("AsyncioStream", GatedStream(stream, gate)))

    async with host(tmp_path) as made, listening(serve) as site:
        await made.mail(octets=LARGE, arrives=False)
        directory = Directory("office.example", [Held("test.example", site)])
        means = SmtpMeans(dial, "office.example", time.monotonic)
        releases = Releases(
            spool=made.spool,
            directory=lambda: directory,
            carriers=lambda *_: SmtpCarrier(site, means, IN_CLEAR),
            announce=made.facts.append,
            clock=SystemClock(),
            hostname="office.example",
        )
        number = releases.request_by_operator(TEST).number
        await eventually(lambda: (rate := releases.rate(number)) and rate.points and rate.points[-1].octets > 1_000_000)
        on_its_way = releases.rate(number)
        assert on_its_way is not None
        assert (on_its_way.view.octets_sent, on_its_way.points[-1].messages) == (0, 0)
        assert on_its_way.outlook.octets_left is not None
        assert 0 < on_its_way.outlook.octets_left < LARGE - 1_000_000
        assert on_its_way.outlook.octets_per_second is not None
        assert on_its_way.outlook.octets_per_second > 0
        gate.set()
        view = await ended(releases.wait(number))
        over = releases.rate(number)
        assert over is not None
        assert view.octets_sent == LARGE
        assert (over.points[-1].octets, over.points[-1].messages) == (LARGE, 1)
        assert [len(content) for _, content in sink.messages] == [LARGE]
        await releases.stop(0)
