"""A peer's octets, cut into command lines (RFC 5321 §2.3.8): CR LF ends one, and nothing else does."""

from __future__ import annotations

from restante.smtp.command import MAX_COMMAND_LINE, CommandError, split_line
from restante.smtp.reply import BAD_LINE_END, LINE_TOO_LONG, Reply

MOST_KNOWN = 1024
_KEPT_VERBS = frozenset({"EHLO", "HELO", "LHLO", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "QUIT"})
_known: dict[bytes, tuple[str, str]] = {}
"""Lines that were good, with their CR LF, and what they say: most lines come a thousand times. None holds a secret."""


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
        self.data = self.data[self.at :] + data if self.data else data
        self.at = 0

    def take(self, most: int) -> bytes:
        """The next octets, as many as there are up to `most`."""
        data = self.data[self.at : self.at + most]
        self.at += len(data)
        return data

    def forget(self) -> None:
        """Lets go of everything."""
        self.data, self.at = b"", 0

    def next_command(self) -> tuple[str, str] | Reply | None:
        """Verb and argument of the next line, or the refusal of one; None: more octets are needed."""
        at = self.at
        end = self.data.find(b"\n", at) + 1
        if end and not self._skipping and (known := _known.get(self.data[at:end])) is not None:
            self.at = end
            self.taken += 1
            return known
        line = self.next_line()
        if not isinstance(line, bytes):
            return line
        try:
            command = split_line(line)
        except CommandError as error:
            return error.reply
        if command[0] in _KEPT_VERBS:
            if len(_known) >= MOST_KNOWN:
                _known.clear()
            _known[line + b"\r\n"] = command
        return command

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
