"""The end of DATA, dots and line ends: the same however the octets are cut, and nothing else ends a message."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.smtp.talk import cut, cut_at, whole

from restante.smtp.content import DataDecoder, LineEnds, stuff_dots

END = b".\r\n"
NO_ENDS = [
    b"\n.\n",
    b"\n.\r",
    b"\r.\n",
    b"\r.\r",
    b"\n.\r\n",
    b"\r.\r\n",
    b"\r\n.\n",
    b"\r\n.\r",
    b"\r\n.\r\r\n",
    b"\r\r\n.\r\r\n",
    b"\r\n\0.\r\n",
    b"\r\n.\0\r\n",
]
SMTP = st.lists(
    st.sampled_from([b"\r\n", b"\r", b"\n", b".", b"..", b"x", b"\0", b"\r\n.", b"Subject: y"]), max_size=30
)


def decode(pieces: list[bytes]) -> tuple[bytes, bytes, bool]:
    """The content, what stands behind its end, and whether the end has come."""
    decoder, content, behind = DataDecoder(), b"", b""
    for piece in pieces:
        if decoder.ended:
            behind += piece
            continue
        given_out, used = decoder.feed(piece)
        content += given_out
        behind += piece[used:]
    return content, behind, decoder.ended


def defined(data: bytes) -> tuple[bytes, bytes, bool]:
    """The same in the words of RFC 5321 §4.5.2: a line stands before CR LF, and one that is a dot is the end."""
    content, rest = b"", data
    while b"\r\n" in rest:
        line, _, rest = rest.partition(b"\r\n")
        if line == b".":
            return content, rest, True
        content += line.removeprefix(b".") + b"\r\n"
    return content, b"", False


def is_broken(pieces: list[bytes]) -> bool:
    """The verdict of LineEnds at the end."""
    check = LineEnds()
    for piece in pieces:
        check.feed(piece)
    return check.broken_at_end


@given(SMTP, st.lists(st.integers(0, 60), max_size=10))
@example([b".\r\n"], [])
@example([b"\r\n", b".\r\n", b"MAIL"], [1, 2, 3, 4])
def test_data_is_what_the_rfc_says_however_it_is_cut(parts: list[bytes], places: list[int]) -> None:
    """Content and rest are those of the definition; of a message that has not ended a few octets may be held back."""
    data = b"".join(parts)
    content, behind, ended = defined(data)
    for pieces in (whole(data), cut(data, 1), cut_at(data, places)):
        found, rest, over = decode(pieces)
        assert (rest, over) == (behind, ended)
        if ended:
            assert found == content
        else:
            unstuffed = decode([data, b"\r\n.\r\n"])[0]
            assert unstuffed.startswith(found)
            assert len(unstuffed) - len(found) <= 5


@given(st.lists(st.sampled_from([b".", b"..", b"x", b".x", b"\r\n", b"\r", b"\n"]), max_size=20).map(b"".join))
def test_stuffed_content_comes_back(content: bytes) -> None:
    """With its dots; a last line without an end is given one."""
    content += b"" if content.endswith(b"\r\n") or not content else b"\r\n"
    wire = stuff_dots(content) + END
    assert decode(whole(wire)) == (content, b"", True)
    assert decode(cut(wire, 1)) == (content, b"", True)


@given(st.lists(st.sampled_from([b".a\r\n", b"b\r\n", b"..\r\n"]), min_size=1, max_size=8))
def test_content_may_be_stuffed_piece_by_piece(lines: list[bytes]) -> None:
    """Each piece tells whether it begins a line."""
    stuffed = [stuff_dots(line[:1]) + stuff_dots(line[1:], at_line_start=False) for line in lines]
    assert b"".join(stuffed) == stuff_dots(b"".join(lines))


@pytest.mark.parametrize("ending", NO_ENDS)
@pytest.mark.parametrize(("before", "after"), [(b"", b"x\r\n"), (b"a\r\nb", b"c\r\n"), (b"a\r\nb", b"")])
def test_a_smuggled_ending_is_no_end_and_is_found(ending: bytes, before: bytes, after: bytes) -> None:
    """At the start, in the middle and at the end, cut at every boundary: one message, and it is a broken one."""
    wire = before + ending + after + b"MAIL FROM:<x>\r\n"
    true_end = wire + b"\r\n.\r\n"
    for place in range(len(true_end)):
        pieces = cut_at(true_end, [place])
        content, behind, ended = decode(pieces)
        assert (behind, ended) == (b"", True)
        assert b"MAIL FROM" in content
        check = LineEnds()
        decoder = DataDecoder()
        for piece in pieces:
            check.feed(decoder.feed(piece)[0])
        assert check.broken_at_end


def test_an_end_inside_a_piece_leaves_the_rest() -> None:
    """From the place where it is told to begin, and not a character further than the end."""
    decoder = DataDecoder()
    assert decoder.feed(b"DATA\r\n..a\r\n.\r\nQUIT\r\n", 6) == (b".a\r\n", 14)
    assert decoder.ended


@given(SMTP, st.lists(st.integers(0, 60), max_size=10))
def test_line_ends_are_judged_alike_however_cut(parts: list[bytes], places: list[int]) -> None:
    """Broken is what has a CR without LF, an LF without CR, or a NUL (RFC 5321 §2.3.8)."""
    data = b"".join(parts)
    broken = re.search(rb"\r(?!\n)|(?<!\r)\n|\0", data) is not None
    assert is_broken(whole(data)) == is_broken(cut(data, 1)) == is_broken(cut_at(data, places)) == broken


def test_a_cr_at_the_end_of_a_piece_is_not_yet_broken() -> None:
    """Its LF may come with the next; if there is no next, it is."""
    check = LineEnds()
    verdicts = []
    for piece in (b"a\r", b"", b"\nb", b"\n"):
        check.feed(piece)
        verdicts.append((check.broken, check.broken_at_end))
    assert verdicts == [(False, True), (False, True), (False, False), (True, True)]
