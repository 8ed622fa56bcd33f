"""What waits here runs on both event loops: asyncio's, and uvloop, on which restante serves."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loops of the tests that wait."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
