"""Subjects as people read them, from whatever they were written in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.message.subject import MAX_SUBJECT, field_of, subject_of


@pytest.mark.parametrize(
    ("field", "read"),
    [
        (b"hello", "hello"),
        (b"  two\r\n lines\r\n\tmore ", "two lines more"),
        ("Grüße 漢".encode(), "Grüße 漢"),
        ("Grüße".encode("latin-1"), "Grüße"),
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe_aus?= Wien", "Grüße aus Wien"),
        (b"=?UTF-8?Q?Gr=C3?= =?utf-8?q?=BC=C3=9Fe?=", "Grüße"),
        (b"=?utf-8?b?5ryi?=\r\n =?utf-8?b?5a2X?= x", "漢字 x"),
        (b"=?iso-8859-1?q?=E4?= =?iso-8859-5?q?=D6?=", "äж"),
        (b"=?big5?b?pKSk5Q==?=", "中文"),
        (b"=?koi8-r*ru?q?=F0=D2?=", "Пр"),
        (b"=?utf-8?q?not an encoded word?=", "=?utf-8?q?not an encoded word?="),
        (b"=?utf-8?b?%%%?= =?utf-8?b?5?=", "?"),
        (b"=?zlib?q?x?= =?utf-7?q?+2AA-?= =?punycode?q?x?=", "x+2AA-x"),
        (b"=?utf-8?q?a=0D=0ABcc:_x=00y=1B[31m?=", "a Bcc: x?y?[31m"),
        ("a\u202eb\u200cc\u2028d".encode(), "a?b\u200cc d"),
        (b"=?utf-16?b?ANg=?=", "\ufffd"),
    ],
)
def test_a_subject_is_read(field: bytes, read: str) -> None:
    """Encoded words of many character sets, plain UTF-8, Latin-1; one line without what could mislead."""
    assert subject_of(b"From: a\r\nSUBJECT :" + field + b"\r\nTo: b\r\n\r\nSubject: body\r\n") == read


@pytest.mark.parametrize("original", [b"", b"\r\nSubject: x", b"X-Subject: x\r\n\r\n", b"To: a\r\n\r\nSubject: x\r\n"])
def test_where_there_is_none(original: bytes) -> None:
    """Nothing is read out of the body, nor out of another field."""
    assert subject_of(original) == ""


def test_any_other_field_is_read_so() -> None:
    """By its name, the first of several; a name is no pattern."""
    original = b"From: =?utf-8?q?J=C3=BCrgen?= <j@far.example>\r\nfrom: other\r\nX-A: 1\r\n\r\nTo: body\r\n"
    assert field_of(original, "from") == "Jürgen <j@far.example>"
    assert field_of(original, "x-a") == "1"
    assert field_of(original, "x.a") == ""
    assert field_of(original, "to") == ""


def test_a_long_one_is_cut() -> None:
    """It shall be recognised, not repeated."""
    read = subject_of(b"Subject: " + b"long " * 10_000)
    assert len(read) == MAX_SUBJECT
    assert read.endswith("…")


@given(st.lists(st.one_of(st.binary(max_size=20), st.sampled_from([b"=?", b"?=", b"utf-8", b"?q?", b"?b?", b"\r\n "]))))
def test_whatever_it_is_one_printable_line_comes_out(pieces: list[bytes]) -> None:
    """And nothing is raised."""
    read = subject_of(b"Subject: " + b"".join(pieces))
    assert read.replace("\u200c", "").replace("\u200d", "").isprintable()
    assert len(read) <= MAX_SUBJECT


@pytest.mark.parametrize("piece", [b"=?utf-8?q?=\r\n ", b"=?", b"\r\n ", b"=?a?b?c?= ", b"\r\nsubject"])
def test_none_takes_long(piece: bytes) -> None:
    """64 KiB of whatever somebody has thought out."""
    began = time.process_time()
    subject_of(b"Subject: " + piece * (65536 // len(piece)))
    subject_of(piece * (65536 // len(piece)))
    assert time.process_time() - began < 10
