"""After a sync that failed, for whatever reason, the store takes nothing more until it is opened again."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from tests.contract.engines import A, octets, put

from restante.spool.spool import INLINE_LIMIT, Filter, SpoolBroken
from restante.store.bodies import PIECE
from restante.store.disk import Disk
from restante.store.sqlite import open_spool

LARGE = octets(INLINE_LIMIT + 1)
STREAMED = octets(PIECE + 1)


class OneFolderSyncFails(Disk):
    """The machine's disk; the sync of a folder fails once when `fault` is set, and all later ones succeed."""

    def __init__(self) -> None:
        self.fault = 0

    def sync_folder(self, folder: Path) -> None:
        fault, self.fault = self.fault, 0
        if fault:
            raise OSError(fault, "as told")
        super().sync_folder(folder)


@pytest.mark.parametrize("content", [LARGE, STREAMED], ids=["whole", "streamed"])
@pytest.mark.parametrize("fault", [errno.EIO, errno.ENOSPC, errno.EDQUOT])
async def test_a_folder_that_was_not_synced_ends_the_acceptance(fault: int, content: bytes, tmp_path: Path) -> None:
    """Large contents share the sync of their folder, so what a later one says of an earlier name is worth nothing."""
    disk = OneFolderSyncFails()
    spool = await open_spool(tmp_path, disk=disk)
    first = await put(spool, A, content=content)
    disk.fault = fault
    with pytest.raises(SpoolBroken):
        await put(spool, A, content=content)
    with pytest.raises(SpoolBroken):
        await put(spool, A)
    assert not spool.room_for(1)
    await spool.close()
    again = await open_spool(tmp_path)
    assert [item.id for item in await again.listing(Filter())] == [first]
    await put(again, A, content=content)
    await again.close()
