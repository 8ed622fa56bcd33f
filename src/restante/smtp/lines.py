"""A peer's octets, cut into command lines (RFC 5321 §2.3.8): CR LF ends one, and nothing else does."""

from __future__ import annotations

from restante.smtp.command import MAX_COMMAND_LINE
from restante.smtp.reply import BAD_LINE_END, LINE_TOO_LONG, Reply


class Unread:
    """What was received and is not used yet: `data` from `at` on. A line that does not end is not gathered.

    `longest` counts the octets of a line with its CR LF.
    """

    __slots__ = ("_skipping", "at", "data", "longest", "taken")

    def __init__(self) -> None:
        self.data = b""
        self.at = 0
        self.longest = MAX_COMMAND_LINE
        self.taken = 0
        """How many line ends have been passed."""
        self._skipping = False  # up to the end of a line that is refused already, at its bare LF or its length

    def __len__(self) -> int:
        return len(self.data) - self.at

    def receive(self, data: bytes) -> None:
        """Takes the next octets, cut anywhere."""
        self.data = self.data[self.at :] + data  # mostly nothing is left: then this copies nothing
        self.at = 0

    def take(self, most: int) -> bytes:
        """The next octets, as many as there are up to `most`."""
        data = self.data[self.at : self.at + most]
        self.at += len(data)
        return data

    def forget(self) -> None:
        """Lets go of everything."""
        self.data, self.at = b"", 0

    def next_line(self) -> bytes | Reply | None:
        """The next line without its CR LF, or the refusal of one; None: more octets are needed.

        A bad line is refused once, as early as can be, so that somebody at a prompt sees why.
        """
        while (end := self.data.find(b"\n", self.at)) >= 0:
            line = self.data[self.at : end]
            self.at = end + 1
            self.taken += 1
            whole = line.endswith(b"\r")
            if self._skipping:
                self._skipping = not whole
                continue
            length = len(line)
            if whole and length < self.longest and line.find(b"\r") == length - 1 and b"\0" not in line:
                return line[:-1]
            self._skipping = not whole
            return LINE_TOO_LONG if length >= self.longest else BAD_LINE_END
        return self._without_end() if len(self) >= self.longest else None

    def _without_end(self) -> Reply | None:
        is_new, self._skipping = not self._skipping, True
        self.data, self.at = self.data[-1:], 0  # the last may be the CR of its end
        return LINE_TOO_LONG if is_new else None
