"""Everything here runs on both event loops: asyncio's, and uvloop, on which restante serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path

import pytest
import uvloop
from tests.server.office import HeldBack, Office

from restante.store.sqlite import open_spool


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops of the tests that wait."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def office(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Office]:
    """A host with a spool of its own, whose commits can be held back."""
    spool = await open_spool(tmp_path / "spool")
    held = HeldBack(spool)
    for name in ("accept", "writer", "room_for"):
        monkeypatch.setattr(spool, name, getattr(held, name))
    office = Office(spool, held)
    yield office
    await office.close()
