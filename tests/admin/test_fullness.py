"""Domains that are nearly at their quotas."""

from __future__ import annotations

from pathlib import Path

from restante.admin.fullness import KEPT_SECONDS, Fullness
from restante.clock import TurnedClock
from restante.directory.entries import Directory, Held, Quota
from restante.model import DomainName, Envelope, HostPort, ItemId, Mailbox, Recipient, item_id
from restante.spool.spool import Arrival, Spool
from restante.store.sqlite import open_spool

HOP = HostPort("192.0.2.25")
FEW = Quota(items=10)
DIRECTORY = Directory(
    "office.example",
    (
        Held("test.example", HOP, quota=FEW),
        Held("roomy.example", HOP, quota=FEW),
        Held("free.example", HOP),
        Held("*", HOP, quota=Quota(octets=100)),
    ),
)


async def mail(spool: Spool, domain: str, count: int, octets: int = 10) -> list[ItemId]:
    """So many messages for a domain, as items."""
    envelope = Envelope(Mailbox.parse("carla@far.example"), (Recipient(Mailbox.parse(f"anna@{domain}")),))
    items: list[ItemId] = []
    for _ in range(count):
        message = spool.new_id()
        await spool.accept(Arrival(message, b"x" * octets, octets, [(DomainName(domain), envelope)], 1000.0))
        items.append(item_id(message, 1))
    return items


async def test_the_fullest_are_told_first_and_only_those(tmp_path: Path) -> None:
    """What is stopped has its room, too; the quota of `*` is for each of its domains; some have none."""
    spool = await open_spool(tmp_path / "spool")
    try:
        items = await mail(spool, "test.example", 9)
        assert await spool.freeze(items[:4]) == items[:4]
        await mail(spool, "roomy.example", 8)
        await mail(spool, "free.example", 20)
        await mail(spool, "other.example", 1, octets=120)
        found = await Fullness(spool, TurnedClock()).nearly_full(DIRECTORY, None)
        assert [(name, use.percent) for name, use in found] == [("other.example", 120), ("test.example", 90)]
    finally:
        await spool.close()


async def test_who_has_a_part_is_told_of_that(tmp_path: Path) -> None:
    """At once; what is told of all may be some seconds old, but not older, and not of another directory."""
    spool, clock = await open_spool(tmp_path / "spool"), TurnedClock()
    try:
        fullness, own = Fullness(spool, clock), {DomainName("test.example"), DomainName("free.example")}
        assert await fullness.nearly_full(DIRECTORY, None) == ()
        await mail(spool, "test.example", 9)
        await mail(spool, "roomy.example", 9)
        assert [name for name, _ in await fullness.nearly_full(DIRECTORY, own)] == ["test.example"]
        assert await fullness.nearly_full(DIRECTORY, None) == ()
        await clock.turn(KEPT_SECONDS)
        assert len(await fullness.nearly_full(DIRECTORY, None)) == 2
        assert await fullness.nearly_full(Directory("office.example", ()), None) == ()
    finally:
        await spool.close()
