"""Every engine visits the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.contract.engines import Engine, Sqlite, SqliteApart

from restante.spool.spool import Spool


@pytest.fixture(params=["sqlite", "sqlite apart"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Engine:
    """A store that is empty."""
    match request.param:
        case "sqlite":
            return Sqlite(tmp_path / "data" / "spool")
        case "sqlite apart":
            return SqliteApart(tmp_path / "data" / "spool")
    raise AssertionError(request.param)


@pytest.fixture
async def spool(engine: Engine) -> AsyncIterator[Spool]:
    """An empty spool of that engine, open."""
    opened = await engine.open()
    yield opened
    await opened.close()
