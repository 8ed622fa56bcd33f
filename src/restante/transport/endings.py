"""Content that ends with a line, for connections that somebody passes on line by line.

fetchmail does so with a turned connection: octets behind the last line end would wait there for one that never comes,
and all mail behind them. To text the line end is added that DATA would have added (RFC 5321 §4.1.1.4; RFC 6376 §3.4.3:
a DKIM signature holds). What is binary must not be changed; without a line end it waits for another way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from restante.model import Body
from restante.transport.outcome import Deferred, Feed, ItemOutcome, Parcel, Report

LINE_END = b"\r\n"
NO_LINE_END = Deferred("450 4.6.1 binary content without a line at its end is not sent over a turned connection")


class EndingFeed:
    """A feed of which only what ends with a line is drawn; what cannot is reported at once."""

    def __init__(self, feed: Feed, report: Report) -> None:
        self._feed = feed
        self._report = report

    async def next(self) -> Parcel | None:
        """The next that can be sent so."""
        while (parcel := await self._feed.next()) is not None:
            item = parcel.item
            if item.envelope.body is not Body.BINARY:
                return Parcel(item, _ended(parcel), parcel.on_its_way)
            if await _is_ended(parcel):
                return parcel
            self._report(ItemOutcome(item, [(r.mailbox, NO_LINE_END) for r in item.envelope.recipients]))
        return None

    def put_back(self, parcel: Parcel) -> None:
        """It is the next again."""
        self._feed.put_back(parcel)


def _ended(parcel: Parcel) -> bytes | Callable[[], AsyncIterator[bytes]]:
    content = parcel.content
    if isinstance(content, bytes):
        return content if content.endswith(LINE_END) else content + LINE_END

    async def pieces() -> AsyncIterator[bytes]:
        end = b""
        async with aclosing(content()) as opened:  # type: ignore[type-var]  # every content is a generator
            async for piece in opened:
                end = (end + piece)[-2:]
                yield piece
        if end != LINE_END:
            yield LINE_END

    return pieces


async def _is_ended(parcel: Parcel) -> bool:
    content = parcel.content
    if isinstance(content, bytes):
        return content.endswith(b"\n")
    end = b""
    async with aclosing(content()) as pieces:  # type: ignore[type-var]  # every content is a generator
        async for piece in pieces:
            end = piece[-1:] or end
    return end == b"\n"
