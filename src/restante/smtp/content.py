"""The content of a message on its way in: the end of DATA, dots, and line ends (RFC 5321 §4.5.2, §2.3.8; RFC 3030).

The only end of DATA is CR LF . CR LF. Nothing else ends it, splits it or is repaired: a bare CR, LF or NUL is found
and the message refused (SMTP smuggling, CVE-2023-51764). Works on whole buffers, so its cost is that of a few
searches in C; the result does not depend on how the bytes were cut.
"""

from __future__ import annotations

_END = b"\r\n.\r\n"
_DOT = b"\r\n."
_BEFORE = b"\r\n"
"""As if a line had just ended: the first may begin with a dot, or be the end."""


class LineEnds:
    """Watches content for a CR or LF that stands alone, and for NUL. Fed piece by piece."""

    __slots__ = ("_after_cr", "_broken")

    def __init__(self) -> None:
        self._after_cr = False
        self._broken = False

    def feed(self, data: bytes) -> None:
        """Looks at the next octets."""
        if not data or self._broken:
            return
        if self._after_cr:
            data = b"\r" + data
        self._after_cr = data.endswith(b"\r")
        if self._after_cr:
            data = data[:-1]
        alone = data.replace(b"\r\n", b"  ")  # in place, for it is as long; then looking for the three is quick
        if b"\n" in alone or b"\r" in alone or b"\0" in alone:
            self._broken = True

    @property
    def broken(self) -> bool:
        """Whether something forbidden has been seen so far; a CR at the very end is not yet."""
        return self._broken

    @property
    def broken_at_end(self) -> bool:
        """The verdict when there is no more to come."""
        return self._broken or self._after_cr


class DataDecoder:
    """DATA from the 354 on: takes octets, gives content with its dots unstuffed, and says where it ended."""

    __slots__ = ("_first", "_held", "ended")

    def __init__(self) -> None:
        self._held = _BEFORE
        self._first = True
        self.ended = False

    def feed(self, unread: bytes, start: int = 0) -> tuple[bytes, int]:
        """The content in `unread` from `start` on, and the position behind what was used of it.

        All of it is used, unless the end of DATA is in it: then `ended` is set, and what stands behind is left.
        """
        assert not self.ended
        data = unread[start:] if start else unread
        if self._held is _BEFORE and data and not data.startswith(b"."):  # most often: nothing is put before it
            self._first = False
            self._held = b""
        if self._held:
            data = self._held + data
        dot = data.find(_DOT)  # one search finds the end, what is to be unstuffed, or most often neither
        end = data.find(_END, dot) if dot >= 0 else -1
        if end >= 0:
            self.ended = True
            used = start + end + len(_END) - len(self._held)
            raw, self._held = data[: end + 2], b""
        else:
            used = len(unread)
            keep = _dangling(data)
            raw, self._held = data[: len(data) - keep], data[len(data) - keep :]
        if not raw:
            return b"", used
        content = raw.replace(_DOT, b"\r\n") if 0 <= dot != end else raw
        if self._first:
            self._first = False
            content = content[2:]
        return content, used


def _dangling(data: bytes) -> int:
    """How many octets at the end may be the beginning of the end."""
    for length in (4, 3, 2, 1):
        if data.endswith(_END[:length]):
            return length
    return 0


def stuff_dots(content: bytes, *, at_line_start: bool = True) -> bytes:
    """Content as DATA carries it: a dot more where a line begins with one (RFC 5321 §4.5.2).

    `at_line_start` tells whether this piece begins a line; a piece must not begin between CR and LF.
    """
    if b"." not in content:  # one octet is looked for in a twentieth of the time that three take; base64 has no dots
        return content
    stuffed = content.replace(b"\r\n.", b"\r\n..") if b"\r\n." in content else content
    return b"." + stuffed if at_line_start and stuffed.startswith(b".") else stuffed
