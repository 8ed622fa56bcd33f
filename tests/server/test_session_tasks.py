"""An ordinary session is served in callbacks: no task is made for it, and it leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Iterator

import pytest
from tests.server.office import IN_DATA, Office, until

from restante.smtp.reply import IDLE_TOO_LONG


def _tasks() -> int:
    """How many sessions have one."""
    return sum(getattr(task.get_coro(), "__qualname__", "") == "Session._serve" for task in asyncio.all_tasks())


@pytest.fixture
def uncollected() -> Iterator[None]:
    """What goes has to go by itself."""
    gc.disable()
    yield
    gc.enable()


async def test_an_ordinary_session_has_no_task(office: Office) -> None:
    """From its greeting to its leave."""
    peer = await office.connect()
    await peer.play(IN_DATA)
    peer.say("x\r\n.\r\n")
    assert (await peer.hear())[0].startswith("250 2.0.0 OK queued")
    assert not _tasks()
    peer.say("QUIT\r\n")
    assert await peer.ended() == ["221 2.0.0 Bye"]


async def test_neither_has_one_whose_leave_comes_with_its_message(office: Office) -> None:
    """As Postfix does: the session ends when the message is safe."""
    office.held.open.clear()
    peer = await office.connect()
    await peer.play(IN_DATA)
    peer.say("x\r\n.\r\nQUIT\r\n")
    await peer.hears_nothing()
    assert not _tasks()
    assert not peer.task.done()
    office.held.open.set()
    assert [line[:3] for line in await peer.ended()] == ["250", "221"]


async def test_one_that_must_wait_has_one(office: Office) -> None:
    """And serves what comes then as before."""
    peer = await office.connect()
    peer.say("HELO a.example\r\nETRN test.example\r\n")
    assert (await peer.hear(3))[2].startswith("459")
    assert _tasks() == 1
    await peer.play("C: NOOP\nS: 250 2.0.0 OK\nC: QUIT")
    assert await peer.ended() == ["221 2.0.0 Bye"]


async def test_one_that_is_silent_is_told_so(office: Office) -> None:
    """After the timeout of a command, with no task until then."""
    office.limits = type(office.limits)(command_timeout=0.1)
    peer = await office.connect()
    assert await peer.ended() == ["220 office.example ESMTP restante", str(IDLE_TOO_LONG)]


async def test_the_last_words_of_one_who_has_gone_are_heard(office: Office) -> None:
    """A write may find that before they were read: the message is whole, and taken."""
    peer = await office.connect()
    await peer.play(IN_DATA)
    peer.say("x\r\n.\r\n")
    peer.stream.flush()
    peer.theirs.connection_lost(BrokenPipeError())
    await asyncio.wait_for(peer.task, 60)
    assert len(await office.waiting()) == 1
    assert peer.theirs._transport is not None
    peer.theirs._transport.abort()


@pytest.mark.usefixtures("uncollected")
async def test_a_session_leaves_nothing_to_the_garbage_collector(office: Office) -> None:
    """What is freed at once is used again at once, while it is in the processor's cache."""
    peer = await office.connect()
    session = weakref.ref(peer.session)
    await peer.play(IN_DATA)
    peer.say("x\r\n.\r\nQUIT\r\n")
    await peer.ended()
    await peer.leave()
    office.forget(peer)
    del peer
    await until(lambda: session() is None)


@pytest.mark.parametrize("at_once", [10, 20_000])
async def test_who_hears_nothing_is_not_listened_to(office: Office, at_once: int) -> None:
    """Of replies that nobody takes few are kept, whether commands come by the ten or the thousand; then all goes on."""
    peer = await office.connect()
    commands = 300_000
    for _ in range(commands // at_once):
        peer.say("NOOP\r\n" * at_once)
        await asyncio.sleep(0)
    before = -1
    while before < (before := peer.theirs.received):
        await asyncio.sleep(0.2)
    assert peer.theirs.received < 6 * commands
    assert peer.theirs.is_clogged
    assert len(await peer.hear(1 + commands)) == 1 + commands
    peer.say("QUIT\r\n")
    assert await peer.ended() == ["221 2.0.0 Bye"]
