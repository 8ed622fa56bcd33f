"""Everything here runs on both event loops: asyncio's, and uvloop, on which restante serves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

from restante.net.asyncio_stream import AsyncioStream, memory_pair

Pair = tuple[AsyncioStream, AsyncioStream]


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops of the tests that wait."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    """Two ends of one connection."""
    ours, theirs = await memory_pair()
    yield ours, theirs
    ours.abort()
    theirs.abort()
    await asyncio.sleep(0.01)
