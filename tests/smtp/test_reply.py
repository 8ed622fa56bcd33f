"""Replies: ours cannot contradict themselves, and a peer's are read however they are cut and however wrong they are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.smtp.talk import cut, cut_at, whole

from restante.smtp import reply as replies
from restante.smtp.reply import MAX_REPLY_LINE, MAX_REPLY_LINES, MalformedReply, Reply, ReplyReader

MALFORMED = "malformed"


def read(pieces: list[bytes]) -> list[Reply | str]:
    """Every reply in the pieces, and MALFORMED where the reader gave up."""
    reader, found = ReplyReader(), list[Reply | str]()
    for piece in pieces:
        reader.receive(piece)
        try:
            while (reply := reader.next_reply()) is not None:
                found.append(reply)
        except MalformedReply:
            return [*found, MALFORMED]
    return found


def read_every_way(data: bytes) -> list[Reply | str]:
    """The same, whole, by octets and by sevens; what is found must not depend on it."""
    found = read(whole(data))
    assert read(cut(data, 1)) == found
    assert read(cut(data, 7)) == found
    return found


@pytest.mark.parametrize(
    ("reply", "line"),
    [
        (Reply(250, "OK", "2.0.0"), b"250 2.0.0 OK\r\n"),
        (Reply(354, "Go on"), b"354 Go on\r\n"),
        (Reply(250, "ETRN", more=("office.example",)), b"250-office.example\r\n250 ETRN\r\n"),
        (Reply(550, "b", "5.1.1", ("a",)), b"550-5.1.1 a\r\n550 5.1.1 b\r\n"),
        (Reply(550, "kein Benutzer ünï", "5.1.1"), "550 5.1.1 kein Benutzer ünï\r\n".encode()),
        (Reply(250, ""), b"250 \r\n"),
    ],
)
def test_a_reply_as_octets(reply: Reply, line: bytes) -> None:
    """One line each, the enhanced code on all of them; asked twice, it says the same."""
    assert [bytes(reply), bytes(reply)] == [line, line]


@pytest.mark.parametrize(
    ("code", "text", "status"),
    [
        (199, "x", ""),
        (600, "x", ""),
        (250, "x", "5.0.0"),
        (550, "x", "4.0.0"),
        (250, "x\r\n250 y", ""),
        (250, "x\0", ""),
        (250, "x\u2028y", ""),
    ],
)
def test_a_reply_that_cannot_be(code: int, text: str, status: str) -> None:
    """No code out of range, no class that contradicts it, no second reply inside."""
    with pytest.raises(ValueError):
        Reply(code, text, status)
    with pytest.raises(ValueError):
        Reply(code, "last", status, (text, "x\r"))


def test_classes_of_replies() -> None:
    """2yz and 3yz are positive, 4yz is for now, 5yz for good."""
    classes = [(r.is_positive, r.is_transient, r.is_permanent) for r in (Reply(c, "") for c in (250, 354, 451, 550))]
    assert classes == [(True, False, False), (True, False, False), (False, True, False), (False, False, True)]
    assert str(Reply(550, "b", "5.1.1", ("a",))) == "550 5.1.1 a b"


def test_every_reply_that_we_send_has_a_code_of_its_class() -> None:
    """RFC 2034: on all of 2yz, 4yz and 5yz; never on 3yz."""
    ours = [value for value in vars(replies).values() if isinstance(value, Reply)]
    assert len(ours) > 20
    for reply in ours:
        assert bool(reply.enhanced) == (reply.code // 100 != 3), reply


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"250 OK\r\n", Reply(250, "OK")),
        (b"250 OK\n", Reply(250, "OK")),
        (b"250\r\n", Reply(250, "")),
        (b"250 \r\n", Reply(250, "")),
        (b"250 OK\r\r\n", Reply(250, "OK")),
        (b"250 2.1.0 Sender OK\r\n", Reply(250, "Sender OK", "2.1.0")),
        (b"250 2.1.0\r\n", Reply(250, "", "2.1.0")),
        (b"550 5.7.2\r\n", Reply(550, "", "5.7.2")),
        (b"550 5.7.2 \r\n", Reply(550, "", "5.7.2")),
        (b"550-5.1.1 a\r\n550 5.1.1 b\r\n", Reply(550, "b", "5.1.1", ("a",))),
        (b"550-a\r\n550 5.1.1 b\r\n", Reply(550, "b", "5.1.1", ("a",))),
        (b"250-\r\n250 \r\n", Reply(250, "", more=("",))),
        (b"250 5.7.2 no such class\r\n", Reply(250, "5.7.2 no such class")),
        (b"550 5.7 x\r\n", Reply(550, "5.7 x")),
        (b"550 5.1234.1 x\r\n", Reply(550, "5.1234.1 x")),
        (b"550 5.7.2x\r\n", Reply(550, "5.7.2x")),
        (b"550 5.7.2.1 x\r\n", Reply(550, "5.7.2.1 x")),
        (b"354 3.0.0 go\r\n", Reply(354, "3.0.0 go")),
        (b"250 a\0b\r\n", Reply(250, "a?b")),
        (b"250 a\rb\r\n", Reply(250, "a?b")),
        (b"250 a\x1b[2Jb\r\n", Reply(250, "a?[2Jb")),
        (b"250 \xff\xfe\r\n", Reply(250, "\ufffd\ufffd")),
        ("250 grüß dich\r\n".encode(), Reply(250, "grüß dich")),
        ("250 a\u202eb\r\n".encode(), Reply(250, "a?b")),
        (b"599 x\r\n", Reply(599, "x")),
        (b"200 x\r\n", Reply(200, "x")),
        (b"250 " + b"x" * (MAX_REPLY_LINE - 5) + b"\r\n", Reply(250, "x" * (MAX_REPLY_LINE - 5))),
        (b"250-x\r\n" * (MAX_REPLY_LINES - 1) + b"250 x\r\n", Reply(250, "x", more=("x",) * (MAX_REPLY_LINES - 1))),
    ],
)
def test_a_strange_reply_is_read(data: bytes, reply: Reply) -> None:
    """What can be understood is, and its text is made printable (CVE-2026-43964: an enhanced code alone)."""
    assert read_every_way(data) == [reply]


@pytest.mark.parametrize(
    "data",
    [
        b"\r\n",
        b"\n",
        b" \r\n",
        b"\0\r\n",
        b"OK\r\n",
        b"2\r\n",
        b"25\r\n",
        b"25 OK\r\n",
        b"2500 OK\r\n",
        b"250OK\r\n",
        b"250_OK\r\n",
        b"250\tOK\r\n",
        b"250+OK\r\n",
        b" 250 OK\r\n",
        b"-250 OK\r\n",
        b"+250 OK\r\n",
        b"\xef\xbb\xbf250 OK\r\n",
        b"000 OK\r\n",
        b"099 OK\r\n",
        b"100 OK\r\n",
        b"199 OK\r\n",
        b"600 OK\r\n",
        b"999 OK\r\n",
        b"2x0 OK\r\n",
        b"\xb2\xb50 OK\r\n",
        "٢٥٠ OK\r\n".encode(),
        b"5.7.2\r\n",
        b"5.7.2 no code\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"* OK IMAP4 ready\r\n",
        b"+OK POP3 ready\r\n",
        b"\x16\x03\x01\x02\x00\x01\n",
        b"250-a\r\n251 b\r\n",
        b"250-a\r\n550 b\r\n",
        b"550-a\r\n250 b\r\n",
        b"250-a\r\n250-b\r\n251-c\r\n250 d\r\n",
        b"250-a\r\n\r\n",
        b"250-a\r\nb\r\n",
        b"250-a\r\n 250 b\r\n",
        b"250 a\rb\n c\r\n",
        b"250-x\r\n" * (MAX_REPLY_LINES + 1),
        b"250-\r\n" * 5000,
        b"250-" + b"x" * MAX_REPLY_LINE + b"\r\n",
        b"250 " + b"x" * MAX_REPLY_LINE + b"\r\n",
        b"250 " + b"\r" * MAX_REPLY_LINE + b"\n",
        b"250 " + b"x" * MAX_REPLY_LINE,
        b"x" * (MAX_REPLY_LINE + 1),
        b"\0" * (MAX_REPLY_LINE + 1),
        b"\r" * (MAX_REPLY_LINE + 1),
        b"250 " + b"x" * 100_000,
    ],
)
def test_what_is_no_reply_ends_the_connection(data: bytes) -> None:
    """It is told apart from waiting, and nothing of it is taken for an answer."""
    found = read_every_way(data)
    assert found[-1] is MALFORMED
    assert all(reply == Reply(250, "a?b") for reply in found[:-1])


def test_a_line_of_10_mb_is_not_gathered() -> None:
    """The reader gives up at its limit, long before."""
    reader = ReplyReader()
    for _ in range(MAX_REPLY_LINE // 1000):
        reader.receive(b"x" * 1000)
        assert reader.next_reply() is None
    reader.receive(b"x" * 1000)
    with pytest.raises(MalformedReply):
        reader.next_reply()


def test_replies_that_came_together_come_out_one_by_one() -> None:
    """In order; an unfinished one is something unread."""
    reader = ReplyReader()
    reader.receive(b"220 hello\r\n250-a\r\n250 b\r\n354 go\r\n250-un")
    assert [reader.next_reply() for _ in range(4)] == [
        Reply(220, "hello"),
        Reply(250, "b", more=("a",)),
        Reply(354, "go"),
        None,
    ]
    assert reader.has_unread
    reader.receive(b"finished\r\n")
    assert reader.next_reply() is None
    assert reader.has_unread
    reader.receive(b"250 at last\r\n")
    assert reader.next_reply() == Reply(250, "at last", more=("unfinished",))
    assert not reader.has_unread


PRINTABLE = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)


@st.composite
def sent(draw: st.DrawFn) -> Reply:
    """A reply that restante could send."""
    code = draw(st.sampled_from([220, 250, 354, 421, 550]))
    enhanced = f"{code // 100}.{draw(st.integers(0, 999))}.0" if code != 354 and draw(st.booleans()) else ""
    more = tuple(draw(st.lists(PRINTABLE, max_size=3)))
    return Reply(code, draw(PRINTABLE.filter(lambda text: "." not in text)), enhanced, more)


@given(st.lists(sent(), max_size=4), st.lists(st.integers(0, 400), max_size=8))
def test_what_is_sent_is_what_is_read(said: list[Reply], places: list[int]) -> None:
    """Any replies, cut anywhere."""
    assert read(cut_at(b"".join(map(bytes, said)), places)) == said


@given(
    st.lists(st.sampled_from([b"250", b"-", b" ", b"\r", b"\n", b"\r\n", b"5.7.2", b"x", b"\0", b"\xff"]), max_size=40)
)
def test_any_octets_are_replies_or_malformed_however_cut(parts: list[bytes]) -> None:
    """No other error, and no difference."""
    read_every_way(b"".join(parts))
