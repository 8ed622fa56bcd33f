"""Content on its way out by DATA: dots stuffed and the end put behind it, piece by piece (RFC 5321 §4.5.2)."""

from __future__ import annotations

from restante.smtp.content import stuff_dots


class ContentStuffer:
    """Takes pieces cut anywhere; what it gives, joined, is the whole content as DATA carries it, its end included."""

    __slots__ = ("_at_line_start", "_held")

    def __init__(self) -> None:
        self._held = b""  # a CR whose LF may begin the next piece
        self._at_line_start = True

    def feed(self, piece: bytes, *, last: bool) -> bytes:
        """The next octets to be sent. Content that does not end a line is given the CR LF that the end needs."""
        data = self._held + piece if self._held else piece
        self._held = b""
        if not last and data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        stuffed = stuff_dots(data, at_line_start=self._at_line_start)
        if data:
            self._at_line_start = data.endswith(b"\r\n")
        if not last:
            return stuffed
        return stuffed + (b".\r\n" if self._at_line_start else b"\r\n.\r\n")
