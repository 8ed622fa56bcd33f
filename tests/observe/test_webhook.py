"""Alarms over HTTP, to a real server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from tests.listening import listening
from tests.observe.hooks import hooked
from tests.stories.ports import free_port

from restante.facts import AlarmKind
from restante.observe.alarms import Alarm
from restante.observe.telling import AlarmRules, NotTold, Sent
from restante.observe.webhook import Webhook

ON = Alarm(AlarmKind.CONTACT, "test.example", "the site has not come", 1_767_225_600.0)
OVER = Alarm(AlarmKind.DISK, "spool", "there is room ü", 1_767_225_600.0, 1_767_225_660.0)


async def test_what_is_posted() -> None:
    """One object; a text for chat rooms, and each alarm for programs."""
    async with hooked() as room:
        assert await Webhook("office.example", lambda: AlarmRules(room.url)).send([ON, OVER]) == Sent(2)
        (post,), (head,) = room.posts, room.heads
    assert head.startswith(b"POST /hooks/restante?token=x HTTP/1.1\r\n")
    assert b"content-type: application/json\r\n" in head.lower()
    assert post == {
        "host": "office.example",
        "text": "office.example: the site has not come\noffice.example: there is room ü",
        "alarms": [
            {
                "alarm": "contact-missed",
                "subject": "test.example",
                "state": "on",
                "since": "2026-01-01T00:00:00Z",
                "text": "the site has not come",
            },
            {
                "alarm": "disk-nearly-full",
                "subject": "spool",
                "state": "over",
                "since": "2026-01-01T00:00:00Z",
                "over": "2026-01-01T00:01:00Z",
                "text": "there is room ü",
            },
        ],
    }


@pytest.mark.parametrize("status", ["500 Internal Server Error", "302 Found", "404 Not Found"])
async def test_what_is_not_taken_is_said(status: str) -> None:
    """A redirect is not followed."""
    async with hooked(status) as room:
        with pytest.raises(NotTold, match=f"HTTP status {status[:3]}"):
            await Webhook("office.example", lambda: AlarmRules(room.url)).send([ON])


async def test_where_nobody_listens() -> None:
    """It can be tried again."""
    with pytest.raises(NotTold):
        await Webhook("office.example", lambda: AlarmRules(f"http://127.0.0.1:{free_port()}/")).send([ON])


async def test_who_never_answers_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not longer than SECONDS."""
    monkeypatch.setattr("restante.observe.webhook.SECONDS", 0.2)

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del writer
        with contextlib.suppress(ConnectionError):
            await reader.read()

    async with listening(silent) as port:
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(NotTold):
            await Webhook("office.example", lambda: AlarmRules(url)).send([ON])
