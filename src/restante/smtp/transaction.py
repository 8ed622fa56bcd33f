"""The content of one transaction as a ServerEngine takes it in: its size, its line ends, and what is wrong with it."""

from __future__ import annotations

from restante.smtp import reply
from restante.smtp.content import DataDecoder, LineEnds
from restante.smtp.events import ContentArrived
from restante.smtp.reply import Reply
from restante.smtp.services import Stage


class Chunk:
    """A BDAT on its way in: octets still to come, the stage it came in, and what is wrong with it already."""

    __slots__ = ("came_in", "last", "left", "refusal")

    def __init__(self, left: int, came_in: Stage, *, last: bool, refusal: Reply | None) -> None:
        self.left = left
        self.came_in = came_in
        self.last = last
        self.refusal = refusal


class Transaction:
    """What dies together with a transaction. `limit`: octets of content; `binary`: line ends mean nothing in it."""

    __slots__ = ("_check", "_left", "decoder", "recipients", "refusal")

    def __init__(self, limit: int, *, binary: bool) -> None:
        self._check = None if binary else LineEnds()
        self._left = limit
        self.decoder = DataDecoder()
        self.recipients = 0
        """How many RCPT were accepted."""
        self.refusal: Reply | None = None

    def arrived(self, data: bytes) -> ContentArrived | None:
        """Takes the next octets; nothing is told of them once there is a refusal."""
        if not data or self.refusal is not None:
            return None
        self._left -= len(data)
        if self._left < 0:
            self.refusal = reply.TOO_LARGE
            return None
        if self._check is not None:
            self._check.feed(data)
            if self._check.broken:
                self.refusal = reply.BARE_LINE_END
                return None
        return ContentArrived(data)

    def ended(self) -> None:
        """No more comes: what can be told only now."""
        if self._check is not None and self._check.broken_at_end and self.refusal is None:
            self.refusal = reply.BARE_LINE_END
