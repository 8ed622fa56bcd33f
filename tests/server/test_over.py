"""The end of what goes on in callbacks, with a task and without."""

from __future__ import annotations

import asyncio

import pytest

from restante.server.over import Over


async def test_an_end_without_a_task() -> None:
    """It may be said twice."""
    over = Over()
    assert not over.done()
    over.end()
    assert over.done()
    over.end()
    await over


async def test_what_a_task_comes_to_is_what_all_has_come_to() -> None:
    """Its end is the end, and its failure the failure."""

    async def serve(error: Exception | None) -> None:
        await asyncio.sleep(0)
        if error is not None:
            raise error

    over = Over()
    over.go_on(serve(None))
    await over
    over = Over()
    over.go_on(serve(LookupError("a mistake of ours")))
    with pytest.raises(LookupError, match="a mistake of ours"):
        await over


async def test_who_cancels_it_waits_for_what_its_task_still_has_to_do() -> None:
    """The task is cancelled, and the end comes with the task's."""
    steps = []

    async def serve() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            steps.append("cleared up")

    over = Over()
    over.go_on(serve())
    await asyncio.sleep(0)
    assert over.cancel()
    assert not over.done()
    with pytest.raises(asyncio.CancelledError):
        await over
    assert steps == ["cleared up"]


async def test_it_can_be_cancelled_without_a_task() -> None:
    """And a late end changes nothing."""
    over = Over()
    assert over.cancel()
    over.end()
    assert over.cancelled()
