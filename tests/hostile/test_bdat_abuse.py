"""Abuse of CHUNKING (RFC 3030): sizes that are none, ends that come twice, chunks out of place, and what is pipelined.

A chunk's octets are never commands where its size is one, and always where it is none; no half message is taken.
Each session ends in QUIT, whose 221 shows that the server knew where it was.
"""

from __future__ import annotations

import pytest
from tests.hostile.attack import Memory, codes, connect, converse, replies, say
from tests.hostile.office import SIZE, AttackedOffice

EHLO = b"EHLO client.example\r\n"
ENVELOPE = b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@held.example>\r\n"
OPENED = EHLO + ENVELOPE
GREETED = [220, 250, 250, 250]

NO_SIZES = [
    *(b"", b"-1", b"-1 LAST", b"+5", b"0x10", b"5.0", b"1e3", b"five", b"LAST", b"LAST 5", b"5 LAST LAST", b"5 LA"),
    *(b"5 LAST 5", b"5,LAST", b"5;LAST", b"18446744073709551616", b"99999999999999999999 LAST", b"1" * 500),
    *("\u0665".encode(), "\uff15 LAST".encode(), "5\u00a0LAST".encode(), b"5 LAST\t5", b"%d", b"'5'", b"5--"),
]


@pytest.mark.parametrize("argument", NO_SIZES, ids=repr)
def test_a_size_that_is_none_ends_the_transaction(argument: bytes, office: AttackedOffice) -> None:
    """501: what follows are commands, and there is no transaction for them any more."""
    before = office.held
    heard = codes(say(office.port, OPENED + b"BDAT " + argument + b"\r\nBDAT 0 LAST\r\nQUIT\r\n"))
    assert heard == [*GREETED, 501, 503, 221]
    assert office.held == before


@pytest.mark.parametrize("argument", [b"\xff\xff LAST", b"4\0 LAST", b"4 LAST" + b" " * 3000, b"4 LAST\r"], ids=repr)
def test_a_size_that_cannot_be_read_ends_the_transaction(argument: bytes, office: AttackedOffice) -> None:
    """500, and the next chunk is not taken for the whole message."""
    heard = codes(say(office.port, OPENED + b"BDAT " + argument + b"\r\nBDAT 0 LAST\r\nQUIT\r\n"))
    assert heard == [*GREETED, 500, 503, 221]


TAKEN = {
    "0 LAST alone": (b"BDAT 0 LAST\r\n", [250]),
    "0 LAST behind a chunk": (b"BDAT 3\r\nx\r\nBDAT 0 LAST\r\n", [250, 250]),
    "zeros before it": (b"BDAT 00000000000003 LAST\r\nx\r\n", [250]),
    "zeros and nothing": (b"BDAT 000 LAST\r\n", [250]),
    "in small letters": (b"bdat 3 last\r\nx\r\n", [250]),
    "five hundred of nothing": (b"BDAT 0\r\n" * 500 + b"BDAT 3 LAST\r\nx\r\n", [250] * 501),
    "five hundred of one octet": (b"BDAT 1\r\nx" * 500 + b"BDAT 2 LAST\r\n\r\n", [250] * 501),
    "CR and LF apart": (b"BDAT 2\r\nx\rBDAT 1 LAST\r\n\n", [250, 250]),
    "a dot alone on a line": (b"BDAT 9 LAST\r\nx\r\n.\r\ny\r\n", [250]),
    "nothing but a dot (CVE-2017-16944)": (b"BDAT 1 LAST\r\n.", [250]),
    "commands as content": (b"BDAT 14 LAST\r\nRSET\r\nQUIT\r\n\r\n", [250]),
}


@pytest.mark.parametrize(("chunks", "expected"), TAKEN.values(), ids=TAKEN)
def test_odd_chunks_that_are_right_are_taken(chunks: bytes, expected: list[int], office: AttackedOffice) -> None:
    """A message each."""
    before = office.held
    assert codes(say(office.port, OPENED + chunks + b"QUIT\r\n")) == [*GREETED, *expected, 221]
    assert office.held == before + 1
    [new] = office.items()[before:]
    office.cli("remove", new["id"])


REFUSED = {
    "LAST twice": (b"BDAT 4 LAST\r\nxx\r\nBDAT 4 LAST\r\nyy\r\n", [250, 503]),
    "a chunk behind LAST": (b"BDAT 4 LAST\r\nxx\r\nBDAT 4\r\nyy\r\n", [250, 503]),
    "after RSET between chunks": (b"BDAT 4\r\nxx\r\nRSET\r\nBDAT 4 LAST\r\nyy\r\n", [250, 250, 503]),
    "after EHLO between chunks": (b"BDAT 4\r\nxx\r\n" + EHLO + b"BDAT 4 LAST\r\nyy\r\n", [250, 250, 503]),
    "DATA behind a chunk": (b"BDAT 4\r\nxx\r\nDATA\r\nRSET\r\n", [250, 503, 250]),
    "MAIL behind a chunk": (b"BDAT 4\r\nxx\r\nMAIL FROM:<>\r\nRSET\r\n", [250, 503, 250]),
    "RCPT behind a chunk": (b"BDAT 4\r\nxx\r\nRCPT TO:<bob@held.example>\r\nRSET\r\n", [250, 503, 250]),
    "ETRN behind a chunk": (b"BDAT 4\r\nxx\r\nETRN held.example\r\nRSET\r\n", [250, 503, 250]),
    "QUIT behind a chunk": (b"BDAT 4\r\nxx\r\n", [250]),
    "a bare LF": (b"BDAT 4 LAST\r\nx\nyz", [554]),
    "a bare CR at the end": (b"BDAT 2 LAST\r\nx\r", [554]),
    "a bare CR between chunks": (b"BDAT 2\r\nx\rBDAT 2 LAST\r\nyz", [250, 554]),
    "NUL": (b"BDAT 3 LAST\r\nx\0y", [554]),
    "too much at once": (b"BDAT %d LAST\r\n" % (SIZE + 1) + b"x" * (SIZE + 1), [552]),
    "too much in sum": (b"BDAT %d\r\n" % SIZE + b"x" * SIZE + b"BDAT 1 LAST\r\nx", [250, 552]),
    "too much in sum, going on": (
        b"BDAT %d\r\n" % SIZE + b"x" * SIZE + b"BDAT 1\r\nxBDAT 1\r\nxBDAT 1 LAST\r\nx",
        [250, 552, 503, 503],
    ),
    "DATA, then BDAT in it": (b"DATA\r\nBDAT 5 LAST\r\n\n.\n\r\n.\r\n", [354, 554]),
}


@pytest.mark.parametrize(("chunks", "expected"), REFUSED.values(), ids=REFUSED)
def test_chunks_that_are_wrong(chunks: bytes, expected: list[int], office: AttackedOffice) -> None:
    """The right refusal for each, and no message but where a whole one came before."""
    before = office.held
    assert codes(say(office.port, OPENED + chunks + b"QUIT\r\n")) == [*GREETED, *expected, 221]
    assert office.held == before + (expected[:2] == [250, 503] and b"LAST" in chunks.partition(b"\r\n")[0])


OUT_OF_PLACE = {
    "before EHLO": (b"", [220]),
    "before MAIL": (EHLO, [220, 250]),
    "before RCPT": (EHLO + b"MAIL FROM:<ann@far.example>\r\n", [220, 250, 250]),
    "when RCPT was refused": (
        EHLO + b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<x@no.example>\r\n",
        [220, 250, 250, 550],
    ),
}


@pytest.mark.parametrize(("session", "expected"), OUT_OF_PLACE.values(), ids=OUT_OF_PLACE)
def test_a_chunk_out_of_place_is_swallowed(session: bytes, expected: list[int], office: AttackedOffice) -> None:
    """A whole message stands in it; none of its lines is a command (RFC 3030 §2)."""
    before = office.held
    evil = EHLO + b"MAIL FROM:<evil@far.example>\r\nRCPT TO:<anna@held.example>\r\nDATA\r\nx\r\n.\r\n"
    heard = codes(say(office.port, session + b"BDAT %d LAST\r\n%sQUIT\r\n" % (len(evil), evil)))
    assert heard[:-2] == expected
    assert heard[-2] in (503, 554)
    assert heard[-1] == 221
    assert office.held == before


@pytest.mark.parametrize("size", [5, SIZE, 10**6, 2**31, 2**32, 2**63 - 1, 10**17], ids=str)
def test_a_chunk_that_breaks_off_is_no_message(size: int, office: AttackedOffice) -> None:
    """However long it was to be: no reply to it but a refusal, no message, and no memory for what was announced."""
    before, memory = office.held, Memory(office)
    heard = codes(say(office.port, OPENED + b"BDAT %d LAST\r\n" % size + b"x" * min(size - 1, 500_000)))
    assert heard[:4] == GREETED
    assert 250 not in heard[4:]
    assert office.held == before
    assert memory.growth < 10_000_000


def test_what_follows_a_chunk_at_once_is_a_command(office: AttackedOffice) -> None:
    """Cut at every octet around its end."""
    before = office.held
    session = OPENED + b"BDAT 6 LAST\r\nbody\r\n" + ENVELOPE + b"BDAT 6 LAST\r\nbody\r\nQUIT\r\n"
    start = session.index(b"BDAT")
    for place in range(start, start + 40):
        heard = codes(say(office.port, session[:place], session[place:]))
        assert heard == [*GREETED, 250, 250, 250, 250, 221]
    assert office.held == before + 80


def test_garbage_behind_a_chunk_gets_one_reply_a_line(office: AttackedOffice) -> None:
    """Pipelined, with bare CR, LF, NUL and octets that are no text; the session goes on behind it."""
    lines = [b"\xff\xfe\xfd", b"\0\0\0", b"x\ry", b"", b"BDAT", b"\x80" * 1000, b"MAIL FROM:<\r>", b"' OR 1=1--"]
    session = OPENED + b"BDAT 6 LAST\r\nbody\r\n" + b"".join(line + b"\r\n" for line in lines)
    said = replies(say(office.port, session + b"NOOP\r\nQUIT\r\n"))
    assert [int(reply[:3]) for reply in said[:5]] == [*GREETED, 250]
    assert all(reply[:2] == "50" for reply in said[5:-2]), said
    assert len(said[5:-2]) == len(lines)
    assert [reply[:3] for reply in said[-2:]] == ["250", "221"]


def test_chunks_of_nothing_without_end_cost_nothing(office: AttackedOffice) -> None:
    """100,000 of them, pipelined."""
    memory = Memory(office)
    with connect(office.port) as connection:
        heard = converse(connection, OPENED, b"BDAT 0\r\n" * 100_000, b"RSET\r\nQUIT\r\n")
    assert codes(heard) == [*GREETED, *[250] * 100_001, 221]
    assert memory.growth < 10_000_000
