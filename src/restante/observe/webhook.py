"""Alarms as JSON, posted to a URL: one object for all that happened together, `text` is for chat rooms.

    {"host": "office.example", "text": "...", "alarms": [{"alarm": "contact-missed", "subject": "test.example",
     "state": "on", "since": "2026-11-25T14:00:00Z", "text": "the site of test.example was expected on ..."}]}

Any status of 2xx means that it was taken. Redirects are not followed, and what is answered is not read.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence

from restante.observe.alarms import Alarm
from restante.observe.telling import AlarmRules, NotTold, Sent

SECONDS = 30.0
"""For the whole of it."""


def alarms_as_json(hostname: str, alarms: Sequence[Alarm]) -> bytes:
    """The body; ASCII."""
    told = [
        {
            "alarm": alarm.kind,
            "subject": alarm.subject,
            "state": "on" if alarm.over is None else "over",
            "since": _moment(alarm.since),
            **({} if alarm.over is None else {"over": _moment(alarm.over)}),
            "text": alarm.text,
        }
        for alarm in alarms
    ]
    text = "\n".join(f"{hostname}: {alarm.text}" for alarm in alarms)
    return json.dumps({"host": hostname, "text": text, "alarms": told}).encode("ascii")


def _moment(wall: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))


class Webhook:
    """Posts to the URL of the rules."""

    def __init__(self, hostname: str, rules: Callable[[], AlarmRules]) -> None:
        self._hostname = hostname
        self._rules = rules

    async def send(self, alarms: Sequence[Alarm]) -> Sent:
        """Tells of alarms. Raises NotTold."""
        import httpx2  # noqa: PLC0415 - for who has a webhook

        url = self._rules().webhook
        assert url is not None, "that way is not used"
        fields = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": "restante"}
        body = alarms_as_json(self._hostname, alarms)
        try:
            async with (
                asyncio.timeout(SECONDS),
                httpx2.AsyncClient(trust_env=False, follow_redirects=False, timeout=SECONDS) as client,
                client.stream("POST", url, content=body, headers=fields) as answer,
            ):
                status = answer.status_code
        except TimeoutError:
            raise NotTold(f"no answer in {SECONDS:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise NotTold(str(error) or type(error).__name__) from None
        if not 200 <= status < 300:
            raise NotTold(f"HTTP status {status}")
        return Sent(len(alarms))
