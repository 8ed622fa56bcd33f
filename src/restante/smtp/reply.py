"""Replies (RFC 5321 §4.2, RFC 2034, RFC 3463): those that restante sends, and a peer's as they come.

A Reply cannot contradict itself nor carry a second one. ReplyReader takes a peer's bytes, however cut and however
malformed, and gives whole replies; what is no reply at all raises, and the connection is of no further use.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

MAX_REPLY_LINE = 4096  # RFC 5321 §4.5.3.1.5 says 512; some servers talk more
MAX_REPLY_LINES = 256


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply code, one or more lines of text, and the enhanced status code (RFC 2034) where one applies."""

    code: int
    text: str
    enhanced: str = ""
    more: tuple[str, ...] = ()
    """Lines that stand before `text`; EHLO's first line is the first of them."""
    is_positive: bool = field(init=False, repr=False, compare=False)
    """2yz or 3yz."""
    encoded: bytes = field(default=b"", init=False, repr=False, compare=False)
    """What bytes() gives, once it has: most replies are said a thousand times, and most of a peer's never."""

    def __post_init__(self) -> None:
        if not 200 <= self.code <= 599:
            raise ValueError(f"{self.code} is not a reply code")
        if self.enhanced and self.enhanced[0] != str(self.code)[0]:
            raise ValueError(f"{self.code} and {self.enhanced} are of different classes")
        for line in (*self.more, self.text):
            if not line.isprintable():  # a CR LF from a peer's name would forge a second reply
                raise ValueError(f"{line!r} cannot go on one line")
        object.__setattr__(self, "is_positive", self.code < 400)

    @property
    def is_transient(self) -> bool:
        """4yz: not now."""
        return 400 <= self.code < 500

    @property
    def is_permanent(self) -> bool:
        """5yz: never as it stands."""
        return self.code >= 500

    @property
    def lines(self) -> tuple[str, ...]:
        """All lines of text, the last included."""
        return (*self.more, self.text)

    def __bytes__(self) -> bytes:
        if not self.encoded:
            status = f"{self.enhanced} " if self.enhanced else ""
            before = "".join(f"{self.code}-{status}{line}\r\n" for line in self.more)
            object.__setattr__(self, "encoded", f"{before}{self.code} {status}{self.text}\r\n".encode())
        return self.encoded

    def __str__(self) -> str:
        status = f"{self.enhanced} " if self.enhanced else ""
        return f"{self.code} {status}{' '.join(self.lines)}"


class MalformedReply(ValueError):
    """A peer's bytes that are no reply. The connection is of no use; another may be."""


_REPLY_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)
_ENHANCED = re.compile(r"([245]\.[0-9]{1,3}\.[0-9]{1,3})(?: +|$)")


class ReplyReader:
    """Cuts a peer's bytes into replies. Bytes go in by receive(), replies come out of next_reply()."""

    def __init__(self) -> None:
        self._unread = b""
        self._at = 0  # of these, those that were used
        self._code = b""
        self._lines: list[str] = []

    def receive(self, data: bytes) -> None:
        """Takes what the peer sent, cut anywhere."""
        self._unread = self._unread[self._at :] + data
        self._at = 0

    @property
    def has_unread(self) -> bool:
        """Whether bytes are left that no reply has used: at a turn or STARTTLS, an injection."""
        return self._at < len(self._unread) or bool(self._lines)

    def next_reply(self) -> Reply | None:
        """The next whole reply, or None when more bytes are needed. Raises MalformedReply."""
        at = self._at
        while (end := self._unread.find(b"\n", at, at + MAX_REPLY_LINE + 1)) >= 0:
            line = self._unread[at:end].rstrip(b"\r")
            at = self._at = end + 1
            if (reply := self._take(line)) is not None:
                return reply
        if len(self._unread) - at > MAX_REPLY_LINE:
            raise MalformedReply(f"a reply's line is longer than {MAX_REPLY_LINE} octets")
        return None

    def _take(self, line: bytes) -> Reply | None:
        if not self._lines and line[3:4] != b"-":
            return _of_line(line)
        code, mark, rest = _parts(line)
        if self._lines and code != self._code:
            raise MalformedReply(f"one reply with codes {self._code.decode()} and {code.decode()}")
        self._code = code
        self._lines.append(_printable(rest))
        if mark == b"-":
            if len(self._lines) >= MAX_REPLY_LINES:
                raise MalformedReply(f"a reply of more than {MAX_REPLY_LINES} lines")
            return None
        lines, self._lines = self._lines, []
        return _reply(int(code), lines)


@lru_cache(maxsize=64)  # a peer says the same few a thousand times
def _of_line(line: bytes) -> Reply:
    """A reply of one line. Raises MalformedReply."""
    code, _, rest = _parts(line)
    return _reply(int(code), [_printable(rest)])


def _parts(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Code, what stands between, and text. Raises MalformedReply."""
    match = _REPLY_LINE.fullmatch(line)
    if match is None:
        raise MalformedReply(f"not a reply: {line[:80]!r}")
    return match[1], match[2] or b"", match[3] or b""


def _printable(text: bytes) -> str:
    decoded = text.decode("utf-8", "replace")
    return decoded if decoded.isprintable() else "".join(c if c.isprintable() else "?" for c in decoded)


def _reply(code: int, lines: list[str]) -> Reply:
    enhanced = ""
    match = _ENHANCED.match(lines[-1])
    if match is not None and match[1][0] == str(code)[0]:
        enhanced = match[1]
        lines = [line.removeprefix(enhanced).lstrip(" ") for line in lines]
    return Reply(code, lines[-1], enhanced, tuple(lines[:-1]))


OK = Reply(250, "OK", "2.0.0")
SENDER_OK = Reply(250, "Sender OK", "2.1.0")
RECIPIENT_OK = Reply(250, "Recipient OK", "2.1.5")
CHUNK_OK = Reply(250, "Chunk OK", "2.0.0")
START_CONTENT = Reply(354, "End data with <CR><LF>.<CR><LF>")
READY_FOR_TLS = Reply(220, "Ready to start TLS", "2.0.0")
BYE = Reply(221, "Bye", "2.0.0")
VERIFY_NOTHING = Reply(252, "Cannot verify; send mail and see", "2.5.0")
AUTHENTICATED = Reply(235, "Authentication successful", "2.7.0")
OTHER_GREETING = Reply(500, "Another protocol is spoken here: LHLO is for LMTP, EHLO for SMTP", "5.5.1")
UNKNOWN_COMMAND = Reply(500, "Command not recognized", "5.5.2")
LINE_TOO_LONG = Reply(500, "Line too long", "5.5.2")
BAD_LINE_END = Reply(500, "Lines end in CR LF, and have no bare CR, LF or NUL", "5.5.2")
AUTH_LINE_TOO_LONG = Reply(500, "Authentication exchange line is too long", "5.5.6")
NO_ARGUMENT_TAKEN = Reply(501, "No argument is taken here", "5.5.4")
BAD_PRIORITY = Reply(501, "MT-PRIORITY is a whole number from -9 to 9", "5.5.2")
BAD_BASE64 = Reply(501, "Cannot decode: not base64", "5.5.2")
AUTH_CANCELLED = Reply(501, "Authentication cancelled", "5.7.0")
NOT_IMPLEMENTED = Reply(502, "Command not implemented", "5.5.1")
BAD_SEQUENCE = Reply(503, "Bad sequence of commands", "5.5.1")
BAD_MECHANISM = Reply(504, "Authentication mechanism is not offered", "5.5.4")
TLS_FIRST = Reply(530, "Must issue a STARTTLS command first", "5.7.0")
REQUIRETLS_IN_CLEAR = Reply(530, "REQUIRETLS is only for what comes by TLS", "5.7.10")
LOGIN_FIRST = Reply(530, "Authentication required", "5.7.0")
NO_RECIPIENTS = Reply(554, "No valid recipients", "5.5.1")
BARE_LINE_END = Reply(554, "Message has a bare CR, LF or NUL (RFC 5321 2.3.8)", "5.6.0")
TOO_LARGE = Reply(552, "Message size exceeds the fixed limit", "5.3.4")
SHUTTING_DOWN = Reply(421, "Service shutting down, try again later", "4.3.2")
IDLE_TOO_LONG = Reply(421, "Timed out waiting for input", "4.4.2")
TOO_MANY_ERRORS = Reply(421, "Too many errors", "4.7.0")
TOO_MANY_CONNECTIONS = Reply(421, "Too many connections, try again later", "4.3.2")
TOO_MANY_FROM_YOU = Reply(421, "Too many connections from you, try again later", "4.7.0")
TOO_MANY_NEW_FROM_YOU = Reply(421, "Too many new connections from you, try again later", "4.7.0")
LOCAL_FAULT = Reply(451, "Local error in processing, try again later", "4.3.0")
