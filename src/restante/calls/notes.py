"""What a call has come to while it runs: its step, what was answered, and what stands in the way."""

from __future__ import annotations

import asyncio


class Notes:
    """Of one call. `changed` is set whenever something may have come to an end."""

    def __init__(self) -> None:
        self.step = ""
        self.replies: dict[str, str] = {}
        self.problems: dict[str, str] = {}
        self.changed = asyncio.Event()

    def problem(self, topic: str, text: str) -> None:
        """Keeps the last problem of each kind, and drops it when that has gone well after all."""
        self.problems.pop(topic, None)
        if text:
            self.problems[topic] = text

    @property
    def error(self) -> str:
        """All problems, for people."""
        return "; ".join(self.problems.values())
