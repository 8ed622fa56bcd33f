"""The server engine as LMTP's (RFC 2033): its greeting, and an answer to content for each recipient that was taken."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.smtp.talk import SIZE, Talker, assert_well_formed, cut, cut_at, hear, talk, whole

from restante.smtp.reply import Reply
from restante.smtp.services import Features, Service, Stage

LMTP = Features("office.example", SIZE, Service.LMTP)
NO_USER = Reply(550, "No such user here", "5.1.1")
STORE = partial(Talker, LMTP, {"nobody@test.example": NO_USER})
GREETED = """
    C: LHLO client.example
    S: 250-office.example
    S: 250-PIPELINING
    S: 250-SIZE 5000
    S: 250-ENHANCEDSTATUSCODES
    S: 250-8BITMIME
    S: 250-DSN
    S: 250-SMTPUTF8
    S: 250-CHUNKING
    S: 250-BINARYMIME
    S: 250 MT-PRIORITY MIXER
"""
TO_THREE = f"""
    {GREETED}
    C: MAIL FROM:<ann@far.example>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<anna@test.example>
    S: 250 2.1.5 Recipient OK
    C: RCPT TO:<nobody@test.example>
    S: 550 5.1.1 No such user here
    C: RCPT TO:<bert@test.example>
    S: 250 2.1.5 Recipient OK
"""


def test_it_greets_as_what_it_is_and_is_greeted_by_lhlo() -> None:
    """RFC 2033 §4.1: no positive reply to HELO and EHLO, which change nothing."""
    talker = STORE()
    talker.engine.greet()
    assert talker.say(b"") == b"220 office.example LMTP restante\r\n"
    told = "500 5.5.1 Another protocol is spoken here: LHLO is for LMTP, EHLO for SMTP"
    talk(
        STORE, f"C: EHLO client.example\nS: {told}\nC: HELO client.example\nS: {told}\n{GREETED}\nC: EHLO x\nS: {told}"
    )


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param("C: DATA\nS: 354 End data with <CR><LF>.<CR><LF>\nC: Hello.\nC: .", id="DATA"),
        pytest.param("C: BDAT 8 LAST\nC: Hello.", id="BDAT"),
        pytest.param("C: BDAT 8\nC: Hello.\nS: 250 2.0.0 Chunk OK\nC: BDAT 0 LAST", id="BDAT in two"),
    ],
)
def test_content_is_answered_once_for_each_recipient_that_was_taken(sent: str) -> None:
    """RFC 2033 §4.2: not for those that were refused; a chunk that is not the last has one answer."""
    talker = talk(
        STORE, f"{TO_THREE}\n{sent}\nS: 250 2.0.0 OK queued\nS: 250 2.0.0 OK queued\nC: NOOP\nS: 250 2.0.0 OK"
    )
    assert [taken.recipients for taken in talker.taken] == [("anna@test.example", "bert@test.example")]


def test_a_mailbox_that_is_named_twice_is_answered_twice() -> None:
    """RFC 2033 §4.2: even where it is the same forward-path."""
    again = "C: RCPT TO:<anna@test.example>\nS: 250 2.1.5 Recipient OK"
    answers = "S: 250 2.0.0 OK queued\n" * 3
    talk(STORE, f"{TO_THREE}\n{again}\nC: BDAT 8 LAST\nC: Hello.\n{answers}")


def test_a_refusal_of_content_is_said_to_each_too() -> None:
    """And the next transaction counts anew."""
    bare = "S: 554 5.6.0 Message has a bare CR, LF or NUL (RFC 5321 2.3.8)"
    talker = talk(
        STORE,
        f"""
        {TO_THREE}
        C: BDAT 4 LAST
        C+ a\\nb\\n
        {bare}
        {bare}
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 8 LAST
        C: Hello.
        S: 250 2.0.0 OK queued
        """,
    )
    assert len(talker.taken) == 1


@pytest.mark.parametrize("verb", ["DATA", "BDAT 8 LAST\nC: Hello."])
def test_without_a_recipient_there_is_no_content(verb: str) -> None:
    """RFC 2033 §4.2: 503, whether none was named or each was refused."""
    talk(
        STORE,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<nobody@test.example>
        S: 550 5.1.1 No such user here
        C: {verb}
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_tls_first_lets_the_greeting_through() -> None:
    """Else nobody could get any further."""
    talker = Talker(Features("office.example", SIZE, Service.LMTP, starttls=True, tls_first=True))
    assert talker.say(b"MAIL FROM:<ann@far.example>\r\n").startswith(b"530 5.7.0 ")
    assert b"250-STARTTLS\r\n" in talker.say(b"LHLO client.example\r\n")
    assert talker.say(b"STARTTLS\r\n") == b"220 2.0.0 Ready to start TLS\r\n"
    assert talker.engine.stage is Stage.TURNED


WORDS = st.sampled_from(
    [
        *(b"LHLO c.example\r\n", b"EHLO c.example\r\n", b"MAIL FROM:<a@b.example>\r\n", b"RCPT TO:<x@y.example>\r\n"),
        *(b"RCPT TO:<nobody@test.example>\r\n", b"DATA\r\n", b"Hi\r\n.\r\n", b".\r\n", b"BDAT 3\r\nHi\n", b"RSET\r\n"),
        *(b"BDAT 4 LAST\r\nHi\r\n", b"BDAT 0 LAST\r\n", b"NOOP\r\n", b"QUIT\r\n", b"STARTTLS\r\n", b"x" * 1500, b"\n"),
        *(b"MAIL FROM:<a@b.example> BODY=BINARYMIME\r\n", b"RCPT TO:<z@y.example>\r\n", b"ETRN test.example\r\n"),
    ]
)
SESSIONS = st.lists(st.one_of(WORDS, WORDS, st.binary(max_size=9)), max_size=40).map(b"".join)


@settings(max_examples=200)
@given(SESSIONS, st.lists(st.integers(0, 2000), max_size=8), st.data())
def test_any_octets_are_answered_alike_however_cut_and_whenever_promises_are_kept(
    data: bytes, places: list[int], drawn: st.DataObject
) -> None:
    """No exception, replies well-formed and the same, the same messages taken."""
    heard, taken = hear(whole(data), STORE)
    assert_well_formed(heard)
    assert hear(cut(data, 1), STORE) == (heard, taken)
    talker = STORE()
    talker.promises = True
    later = b""
    for piece in cut_at(data, places):
        later += talker.say(piece)
        if drawn.draw(st.booleans()):
            later += talker.settle()
    later += talker.settle()
    assert (later, talker.taken) == (heard, taken)


@given(
    st.lists(st.booleans(), min_size=1, max_size=30),
    st.sampled_from([b"DATA\r\nHi\r\n.\r\n", b"BDAT 4 LAST\r\nHi\r\n"]),
)
def test_there_are_as_many_answers_as_recipients_were_taken(known: list[bool], content: bytes) -> None:
    """Each message of a connection by itself."""
    named = b"".join(b"RCPT TO:<%b@test.example>\r\n" % (b"anna" if each else b"nobody") for each in known)
    transaction = b"MAIL FROM:<ann@far.example>\r\n" + named + content + b"RSET\r\n"
    heard, taken = hear([b"LHLO client.example\r\n" + 2 * transaction], STORE)
    assert heard.count(b"250 2.0.0 OK queued\r\n") == 2 * sum(known)
    assert [len(each.recipients) for each in taken] == [sum(known)] * 2 if any(known) else taken == []
