"""Spools of earlier versions of the tables open, lose nothing, and are of this version afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.contract.engines import NOW, A, B, claimed, whole

from restante.model import ItemState, Waiting
from restante.spool.spool import Filter
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
