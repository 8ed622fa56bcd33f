"""Command lines out of a peer's octets: what one is, what is refused, and that nothing is gathered without bound."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st
from tests.smtp.talk import cut, cut_at, whole

from restante.smtp.command import MAX_COMMAND_LINE
from restante.smtp.lines import Unread
from restante.smtp.reply import BAD_LINE_END, LINE_TOO_LONG, Reply


def lines(pieces: Iterable[bytes]) -> list[bytes | Reply]:
    """All that comes out of it."""
    unread = Unread()
    found: list[bytes | Reply] = []
    for piece in pieces:
        unread.receive(piece)
        while (line := unread.next_line()) is not None:
            found.append(line)
    return found


def test_cr_lf_ends_a_line_and_nothing_else_does() -> None:
    """RFC 5321 §2.3.8: whatever else looks like an end is refused once, with all up to the next CR LF."""
    assert lines([b"NOOP\r\nRSET\r\n\r\nQU"]) == [b"NOOP", b"RSET", b""]
    assert lines([b"a\nb\nc\r\nd\r\n"]) == [BAD_LINE_END, b"d"]
    assert lines([b"a\rb\r\nc\r\n"]) == [BAD_LINE_END, b"c"]
    assert lines([b"a\0b\r\nc\r\n"]) == [BAD_LINE_END, b"c"]


def test_a_long_line_is_refused_before_its_end() -> None:
    """And not kept; how long a line may be can be changed between two."""
    unread = Unread()
    unread.receive(b"x" * MAX_COMMAND_LINE)
    assert unread.next_line() is LINE_TOO_LONG
    assert len(unread) == 1
    unread.receive(b"\r\ny\r\n" + b"z" * MAX_COMMAND_LINE + b"\r\n")
    assert unread.next_line() == b"y"
    unread.longest = MAX_COMMAND_LINE + 2
    assert unread.next_line() == b"z" * MAX_COMMAND_LINE


def test_octets_that_are_no_lines_can_be_taken_too() -> None:
    """What follows is a line again."""
    unread = Unread()
    unread.receive(b"BDAT 3\r\na\r\nNOOP\r\n")
    assert unread.next_line() == b"BDAT 3"
    assert unread.take(3) == b"a\r\n"
    assert unread.next_line() == b"NOOP"
    assert unread.take(3) == b""
    assert (len(unread), unread.taken) == (0, 2)


PIECES = st.sampled_from([b"\r\n", b"\r", b"\n", b"\0", b"NOOP", b"NOOP\r\n", b"x" * 2045, b"y" * 5000])


@given(st.lists(PIECES, max_size=20).map(b"".join), st.lists(st.integers(0, 20000), max_size=10))
def test_lines_do_not_depend_on_the_cut(data: bytes, places: list[int]) -> None:
    """Each is whole, printable or not, and within its bound."""
    found = lines(whole(data))
    assert lines(cut_at(data, places)) == found
    assert lines(cut(data, 7)) == found
    for line in found:
        assert isinstance(line, Reply) or (len(line) < MAX_COMMAND_LINE and not set(line) & set(b"\r\n\0"))
