"""Spools of earlier versions of the tables open, lose nothing, and are of this version afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

from msgspec import structs
from tests.contract.engines import NOW, A, B, arrival, claimed, envelope, whole

from restante.model import Body, DomainName, Envelope, Item, ItemState, Mailbox, Notify, Order, Recipient, Ret, Waiting
from restante.spool.spool import Filter, Settlement, Spool
from restante.store.check import check
from restante.store.sqlite import open_spool

FIXTURES = Path(__file__).with_name("fixtures")


async def test_a_spool_of_version_1_opens(tmp_path: Path) -> None:
    """Two items of one message, a large one, a frozen, a quarantined and a deferred one; twice, and it stays sound."""
    shutil.copytree(FIXTURES / "version-1", tmp_path / "spool")
    for _ in range(2):
        spool = await open_spool(tmp_path / "spool")
        items = await spool.listing(Filter())
        assert [(item.domain, item.state, item.priority, item.attempts, item.detail) for item in items] == [
            (A, ItemState.WAITING, 0, 0, ""),
            (B, ItemState.WAITING, 0, 0, ""),
            (A, ItemState.WAITING, 5, 0, ""),
            (B, ItemState.FROZEN, 0, 0, ""),
            (B, ItemState.QUARANTINED, 0, 0, ""),
            (A, ItemState.WAITING, 0, 1, "450 4.2.0 later"),
        ]
        assert spool.domains() == {A: Waiting(3, 69_075, NOW), B: Waiting(1, 36, NOW)}
        assert await claimed(spool) == [items[2].id, items[0].id, items[5].id]
        contents = [await whole(await spool.content(item)) for item in items]
        assert [content.split(b"\r\n")[0] for content in contents] == [
            b"Subject: for two",
            b"Subject: for two",
            b"Subject: large",
            b"Subject: frozen",
            b"Subject: quarantined",
            b"Subject: deferred",
        ]
        await spool.close()
    assert check(tmp_path / "spool", repair=False).problems == []


WISHES = Envelope(
    Mailbox("a b", DomainName("sender.example")),
    (
        Recipient(Mailbox("bob", A), (Notify.FAILURE, Notify.DELAY), "rfc822;bob@a.example"),
        Recipient(Mailbox("é", A), (Notify.NEVER,)),
    ),
    Body.EIGHT_BIT,
    smtputf8=True,
    ret=Ret.HDRS,
    envid="x+2By",
)


async def test_a_spool_whose_envelopes_have_no_requiretls_yet_opens_and_drains(tmp_path: Path) -> None:
    """Written before mail could expire: its envelopes had fewer fields, and all of those were written."""
    shutil.copytree(FIXTURES / "version-2", tmp_path / "spool")
    spool = await open_spool(tmp_path / "spool")
    items = await spool.listing(Filter())
    assert [(item.domain, item.envelope, item.state, item.priority, item.attempts) for item in items] == [
        (A, envelope(A), ItemState.WAITING, 0, 0),
        (B, envelope(B), ItemState.WAITING, 0, 0),
        (A, envelope(A), ItemState.WAITING, 5, 0),
        (B, envelope(B), ItemState.FROZEN, 0, 0),
        (B, envelope(B), ItemState.QUARANTINED, 0, 0),
        (A, WISHES, ItemState.WAITING, 0, 0),
        (B, envelope(B, sender=None), ItemState.WAITING, 0, 0),
        (A, envelope(A, local="carol"), ItemState.WAITING, 0, 1),
    ]
    assert not any(item.envelope.requiretls or item.envelope.warned or item.envelope.deliver_by for item in items)
    assert spool.domains() == {A: Waiting(4, 66_078, NOW), B: Waiting(2, 39, NOW)}
    assert (await spool.timed(None, 100))[0] == []
    await _end_some(spool, items)
    await _drain(spool)
    await spool.close()
    assert check(tmp_path / "spool", repair=False).problems == []
    assert [path for path in (tmp_path / "spool/bodies").rglob("*") if path.is_file()] == []


async def _end_some(spool: Spool, items: list[Item]) -> None:
    """What there was no word for then: one goes back, of one it is told that it is late, one is sent elsewhere."""
    old = await spool.aged([(A, items[-1].message), (B, items[-1].message)], None, 100)
    assert [item.id for item in old] == [item.id for item in items if item.state is ItemState.WAITING]
    back, late, *_ = await spool.lend([items[0].id, items[7].id])
    (aside,) = await spool.lend([items[3].id], frozen=True)
    dsn, told = await arrival(spool, B), await arrival(spool, B)
    await spool.settle(
        [
            Settlement(back.id, None, dsn=dsn),
            Settlement(late.id, structs.replace(late.envelope, warned=True), dsn=told, is_attempt=False),
            Settlement(aside.id, envelope(A, local="dora"), is_attempt=False, domain=A),
        ]
    )
    assert {domain: waiting.items for domain, waiting in spool.domains().items()} == {A: 3, B: 4}


async def _drain(spool: Spool) -> None:
    await spool.thaw([item.id for item in await spool.listing(Filter(state=ItemState.FROZEN))])
    items = await spool.claim([A, B], Order.PRIORITY, 100, 1)
    subjects = [(await whole(await spool.content(item))).split(b"\r\n")[0] for item in items]
    assert subjects[:2] == [b"Subject: large", b"Subject: for two"]
    await spool.settle([Settlement(item.id, None) for item in items])
    spool.release_ended(1)
    (hurt,) = await spool.listing(Filter())
    assert hurt.state is ItemState.QUARANTINED
    assert await spool.remove([hurt.id]) == [hurt.id]
    assert spool.domains() == {}
