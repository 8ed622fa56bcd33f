"""Content that ends with a line, whatever it ended with, or that waits for another way."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.transport.test_smtp import Stock, parcel

from restante.model import Body
from restante.transport.endings import NO_LINE_END, EndingFeed
from restante.transport.outcome import ItemOutcome, Parcel


def opens(*pieces: bytes) -> Callable[[], AsyncIterator[bytes]]:
    """Large content."""

    async def content() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return content


def binary(given: Parcel) -> Parcel:
    """The same, as BODY=BINARYMIME."""
    return replace(given, item=replace(given.item, envelope=structs.replace(given.item.envelope, body=Body.BINARY)))


async def drawn(*parcels: Parcel) -> tuple[list[bytes], list[ItemOutcome]]:
    """The contents that are to be sent, and what was reported at once."""
    reported: list[ItemOutcome] = []
    feed = EndingFeed(Stock(*parcels), reported.append)
    contents = []
    while (each := await feed.next()) is not None:
        content = each.content
        contents.append(content if isinstance(content, bytes) else b"".join([piece async for piece in content()]))
    return contents, reported


@given(st.lists(st.sampled_from([b"", b"a", b"\r\n", b"x\r\n", b"\r", b"\n"])), st.booleans())
async def test_text_gets_the_line_end_that_data_would_have_added(pieces: list[bytes], whole: bool) -> None:
    """And nothing else, in one piece or in several."""
    content = b"".join(pieces)
    [sent], reported = await drawn(parcel(1, content) if whole else parcel(1, opens(*pieces)))
    assert sent == (content if content.endswith(b"\r\n") else content + b"\r\n")
    assert not reported


async def test_binary_content_is_not_touched_and_waits_where_it_has_no_line_at_its_end() -> None:
    """It stands in nobody's way."""
    stuck, stuck_too = binary(parcel(1, b"\x00\xff")), binary(parcel(2, opens(b"a\n", b"b", b"")))
    fine, fine_too = binary(parcel(3, b"\x00\n")), binary(parcel(4, opens(b"a", b"b\n", b"")))
    sent, reported = await drawn(stuck, fine, stuck_too, fine_too)
    assert sent == [b"\x00\n", b"ab\n"]
    assert [(done.item.message, [outcome for _, outcome in done.outcomes]) for done in reported] == [
        (1, [NO_LINE_END]),
        (2, [NO_LINE_END]),
    ]


async def test_what_is_put_back_is_the_next_again() -> None:
    """As with any feed."""
    stock = Stock()
    EndingFeed(stock, lambda _: None).put_back(parcel(1))
    assert (stock.put, len(stock.parcels)) == (1, 1)
