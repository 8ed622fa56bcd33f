"""The replies that a ServerEngine owes, in order: what stands behind a promise waits until it is kept."""

from __future__ import annotations

from collections import deque

from restante.smtp.reply import Reply


class Promise:
    """A reply that will be known later, and is said so many times. settle() it once; then ask data_to_send() again."""

    __slots__ = ("_times", "encoded")

    def __init__(self, times: int = 1) -> None:
        self._times = times
        self.encoded: bytes | None = None

    def settle(self, answer: Reply | bytes) -> None:
        """Gives the reply, or what it is on the wire."""
        assert self.encoded is None, "settled twice"
        self.encoded = bytes(answer) * self._times


class Due(deque[bytes | Promise]):
    """What is to be said: octets as they are, and promises."""

    __slots__ = ()

    def take(self) -> bytes:
        """Gives away all up to the first promise that is not kept."""
        if len(self) == 1 and isinstance(only := self[0], bytes):  # most often
            self.clear()
            return only
        due: list[bytes] = []
        while self:
            head = self[0]
            if isinstance(head, Promise):
                if head.encoded is None:
                    break
                head = head.encoded
            due.append(head)
            self.popleft()
        return due[0] if len(due) == 1 else b"".join(due)
