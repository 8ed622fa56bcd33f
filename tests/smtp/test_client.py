"""The client engine on the wire: streamed, grouped, in lock-step, and with peers that refuse, leave or lie."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.smtp.client_talk import ANN, GREETING, GROUP, LOCKSTEP, STREAM, Player, message, play

from restante.smtp.address import DomainName, Mailbox
from restante.smtp.client import Ahead, ClientEngine
from restante.smtp.client_events import Finished, TlsReady, TlsRefused
from restante.smtp.command import Body, MailParameters, Notify, RcptParameters, Ret
from restante.smtp.offer import Offer, Outgoing, mail_line, rcpt_line, unsendable
from restante.smtp.reply import MalformedReply


def test_messages_are_streamed_without_waiting_where_the_peer_has_chunking() -> None:
    """RFC 3030 §4.3: nothing is waited for; RSET parts the transactions whatever became of the one before."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<carl@test.example>
        C: BDAT 5 LAST
        C: Yes
        S: 250 2.1.0 OK
        S: 250 2.1.5 OK
        S: 250 2.0.0 queued as 1
        S: 250 2.0.0 OK
        S: 250 2.1.0 OK
        S: 250 2.1.5 OK
        S: 550 5.1.1 No such user
        S: 250 2.0.0 queued as 2
        """,
        message(),
        message("bert", "carl", content=b"Yes\r\n"),
    )
    assert results == [
        (0, ["250 2.0.0 queued as 1"]),
        (1, ["250 2.0.0 queued as 2", "550 5.1.1 No such user"]),
    ]


def test_a_refused_sender_costs_that_message_alone() -> None:
    """The replies to what was sent behind it are read and mean nothing; the next message stands on its own RSET."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<carl@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 552 5.3.4 Too big
        S: 503 5.5.1 MAIL first
        S: 503 5.5.1 MAIL first
        S: 250 OK
        S: 250 2.1.0 OK
        S: 250 2.1.5 OK
        S: 250 2.0.0 queued
        """,
        message("bert"),
        message("carl"),
    )
    assert results == [(0, ["552 5.3.4 Too big"]), (1, ["250 2.0.0 queued"])]


def test_a_message_that_nobody_takes_gets_each_recipients_own_reply() -> None:
    """The refusal of the content says no more than those of the recipients."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<carl@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 550 5.1.1 No bert
        S: 450 4.2.1 Not now, carl
        S: 554 5.5.1 No valid recipients
        """,
        message("bert", "carl"),
    )
    assert results == [(0, ["550 5.1.1 No bert", "450 4.2.1 Not now, carl"])]


def test_what_runs_ahead_is_bounded_in_messages() -> None:
    """With one message ahead the stream is lock-step by message; a confirmed transaction needs no RSET behind it."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 250 OK
        S: 250 one
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 250 OK
        S: 250 two
        """,
        message(),
        message(),
        ahead=Ahead(messages=1),
    )
    assert results == [(0, ["250 one"]), (1, ["250 two"])]


def test_what_runs_ahead_is_bounded_in_octets() -> None:
    """The bound may be passed by one message, so that a large one goes at all."""
    player = Player([message(content=b"a" * 600), message(content=b"b" * 600), message()], Ahead(octets=1000))
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", None)
    assert len(player.waiting) == 1
    player.hear(b"250 OK\r\n250 OK\r\n250 OK\r\n", None)
    assert not player.waiting


def test_large_content_waits_until_somebody_takes_it() -> None:
    """A refused giant does not cross the link; what follows is not held up longer than that."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        S: 250 OK
        S: 550 5.1.1 No such user
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<carl@test.example>
        S: 250 OK
        S: 250 OK
        S: 250 OK
        C: BDAT 5
        C: One
        C: BDAT 5 LAST
        C: Two
        S: 250 chunk
        S: 250 queued
        """,
        message("bert", content=None, size=10),
        message("carl", content=None, size=10),
        pieces=(b"One\r\n", b"Two\r\n"),
    )
    assert results == [(0, ["550 5.1.1 No such user"]), (1, ["250 queued"])]


def test_a_refused_chunk_ends_the_message_with_that_reply() -> None:
    """RFC 3030 §2: no more of it is sent, and the transaction is reset before the next one."""
    player = Player([message(content=None, size=15)], pieces=())
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", None)
    player.hear(b"250 OK\r\n250 OK\r\n", None)
    player.engine.content(0, b"One\r\n", last=False)
    player.engine.content(0, b"Two\r\n", last=False)
    player.go_on()
    player.hear(b"452 4.3.1 Full\r\n", None)
    assert not player.engine.wants_content(0)
    assert player.results() == []
    player.hear(b"503 5.5.1 What?\r\n", None)
    assert player.results() == [(0, ["452 4.3.1 Full"])]
    player.sent = b""
    player.waiting = [(1, message())]
    player.go_on()
    assert player.sent.startswith(b"RSET\r\nMAIL FROM:")


def test_a_chunk_taken_behind_a_refused_one_changes_nothing() -> None:
    """The message is still refused, and the session goes on."""
    player = Player([message(content=None, size=15)], pieces=())
    for said in (b"220 a\r\n", b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", b"250 OK\r\n250 OK\r\n"):
        player.hear(said, None)
    player.engine.content(0, b"One\r\n", last=False)
    player.engine.content(0, b"Two\r\n", last=False)
    player.go_on()
    player.hear(b"452 4.3.1 Full\r\n250 2.0.0 Thank you\r\n", None)
    assert player.results() == [(0, ["452 4.3.1 Full"])]
    assert player.engine.can_begin


def test_without_chunking_the_end_of_one_message_and_the_next_ones_start_share_a_flight() -> None:
    """RFC 2920 §3.1."""
    results = play(
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 354 Go on
        C: ..dot
        C: .
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<carl@test.example>
        C: DATA
        S: 250 one
        S: 250 OK
        S: 250 OK
        S: 354 Go on
        C: Hi
        C: .
        S: 250 two
        """,
        message("bert", content=b".dot\r\n"),
        message("carl"),
    )
    assert results == [(0, ["250 one"]), (1, ["250 two"])]


def test_an_empty_message_is_sent_where_354_comes_although_nobody_takes_it() -> None:
    """RFC 2920 §3.1: a single dot, whose answer counts for nothing."""
    results = play(
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 250 OK
        S: 550 5.1.1 No
        S: 354 Go on
        C: .
        S: 250 thank you for nothing
        """,
        message("bert"),
    )
    assert results == [(0, ["550 5.1.1 No"])]


def test_a_refused_data_command_ends_the_transaction_and_the_next_begins_with_rset() -> None:
    """The peer may still be inside it."""
    results = play(
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 451 4.3.0 Not now
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<carl@test.example>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 354 Go on
        C: Hi
        C: .
        S: 250 two
        """,
        message("bert"),
        message("carl"),
    )
    assert results == [(0, ["451 4.3.0 Not now"]), (1, ["250 two"])]


def test_a_peer_without_pipelining_is_spoken_to_in_lock_step() -> None:
    """Each command waits for the reply to the one before; content without a line end gets one."""
    results = play(
        f"""{LOCKSTEP}
        C: MAIL FROM:<ann@far.example>
        S: 250 OK
        C: RCPT TO:<bert@test.example>
        S: 250 OK
        C: RCPT TO:<carl@test.example>
        S: 550 5.1.1 No
        C: DATA
        S: 354 Go on
        C: Hi
        C: .
        S: 250 queued
        C: MAIL FROM:<ann@far.example>
        S: 451 4.3.0 Not now
        C: RSET
        S: 250 OK
        C: MAIL FROM:<ann@far.example>
        S: 250 OK
        C: RCPT TO:<bert@test.example>
        S: 550 5.1.1 No
        """,
        message("bert", "carl", content=b"Hi"),
        message(),
        message(),
    )
    assert results == [
        (0, ["250 queued", "550 5.1.1 No"]),
        (1, ["451 4.3.0 Not now"]),
        (2, ["550 5.1.1 No"]),
    ]


def test_helo_where_ehlo_is_unknown() -> None:
    """RFC 5321 §3.2; nothing is offered then."""
    player = Player([])
    player.play(
        """
        S: 220 old.example
        C: EHLO office.example
        S: 502 What?
        C: HELO office.example
        S: 250 old.example
        """
    )
    assert player.ready.offer == Offer()


@pytest.mark.parametrize("greeting", ["554 5.3.2 No service", "421 4.3.2 Later", "450 no"])
def test_a_greeting_that_is_no_220_ends_the_session(greeting: str) -> None:
    """Nothing is said to it."""
    player = Player([message()])
    player.play(f"S: {greeting}")
    assert player.end() == greeting
    assert player.sent == b""


def test_421_ends_the_session_and_charges_nobody() -> None:
    """RFC 5321 §3.8: what has had no final reply by then is not confirmed, and waits."""
    player = Player([message(), message(), message()])
    player.play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 250 OK
        S: 250 queued
        S: 250 OK
        S: 421 4.7.0 Too many messages
        S: 250 OK
        S: 250 OK
        """
    )
    assert player.results() == [(0, ["250 queued"])]
    assert player.end() == "421 4.7.0 Too many messages"


def test_replies_that_came_before_their_commands_are_an_injection() -> None:
    """A peer that answers what was not yet asked cannot make a message delivered."""
    player = Player([message()])
    with pytest.raises(MalformedReply, match="nothing that was asked"):
        player.hear(b"220 a\r\n250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n250 OK\r\n250 OK\r\n250 queued\r\n", None)
    assert player.results() == []


@pytest.mark.parametrize("reply", ["354 Go on", "334 what", "250 OK\r\n354 Go on"])
def test_a_positive_reply_of_the_wrong_kind_ends_the_session(reply: str) -> None:
    """3yz to MAIL or RCPT has no meaning; nothing may be concluded from it."""
    player = Player([message()])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", None)
    with pytest.raises(MalformedReply):
        player.hear(reply.encode() + b"\r\n", None)
    assert player.results() == []


def test_250_to_data_is_no_confirmation() -> None:
    """It is not 354, and nothing was sent yet."""
    player = Player([message()])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250 PIPELINING\r\n", None)
    with pytest.raises(MalformedReply):
        player.hear(b"250 OK\r\n250 OK\r\n250 OK\r\n", None)
    assert player.results() == []


def test_starttls_forgets_what_was_offered_and_greets_again() -> None:
    """RFC 3207 §4.2."""
    player = Player([])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250-SIZE 1000\r\n250 STARTTLS\r\n", None)
    assert player.ready.offer.starttls
    player.engine.start_tls()
    player.go_on()
    player.hear(b"220 Go on\r\n", None)
    assert player.events[-1] == TlsReady()
    player.engine.tls_started()
    player.sent = b""
    player.go_on()
    assert player.sent == b"EHLO office.example\r\n"
    player.hear(b"250 a\r\n", None)
    assert player.engine.offer == Offer()


def test_octets_behind_the_reply_to_starttls_end_the_session() -> None:
    """They came in clear, and would be taken for what is said under TLS (NO STARTTLS, USENIX Security 2021)."""
    player = Player([])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250 STARTTLS\r\n", None)
    player.engine.start_tls()
    player.go_on()
    with pytest.raises(MalformedReply):
        player.hear(b"220 Go on\r\n250-a\r\n", None)


def test_a_peer_that_refuses_starttls_goes_on_in_clear() -> None:
    """Whether that will do is the caller's to say."""
    player = Player([])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250 STARTTLS\r\n", None)
    player.engine.start_tls()
    player.go_on()
    player.hear(b"454 4.7.0 Not now\r\n", None)
    assert isinstance(player.events[-1], TlsRefused)
    assert player.engine.can_begin


def test_quit_is_answered_and_ends() -> None:
    """Nothing is begun behind it."""
    player = Player([])
    player.play(GREETING + "    S: 250 PIPELINING\n")
    player.engine.quit()
    player.go_on()
    assert player.sent.endswith(b"QUIT\r\n")
    assert not player.engine.can_begin
    player.hear(b"221 Bye\r\n", None)
    assert player.end() == "None"


def test_parameters_go_only_to_a_peer_that_knows_them() -> None:
    """RFC 3461 §4, 6152, 1870, 6531: what was given is passed on unchanged, or not at all."""
    given = MailParameters(None, Body.EIGHT_BIT, smtputf8=True, ret=Ret.HDRS, envid="QQ314159")
    rcpt = RcptParameters((Notify.SUCCESS, Notify.FAILURE), "rfc822;Bert@test.example")
    bert = Mailbox("bert", DomainName("test.example"))
    outgoing = Outgoing(ANN, given, [(bert, rcpt)], 123, b"")
    knows = Offer.of_ehlo(["a", "SIZE 1000", "8BITMIME", "SMTPUTF8", "DSN"])
    assert mail_line(knows, outgoing) == (
        b"MAIL FROM:<ann@far.example> SIZE=123 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ314159\r\n"
    )
    assert rcpt_line(knows, bert, rcpt) == (
        b"RCPT TO:<bert@test.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bert@test.example\r\n"
    )
    assert mail_line(Offer(), outgoing) == b"MAIL FROM:<ann@far.example>\r\n"
    assert rcpt_line(Offer(), bert, rcpt) == b"RCPT TO:<bert@test.example>\r\n"


@pytest.mark.parametrize(
    ("ehlo", "outgoing", "why"),
    [
        (["a", "SIZE 10"], message(size=11), "552 5.3.4"),
        (["a", "SIZE 0"], message(size=11), None),
        (["a", "SIZE"], message(size=11), None),
        (["a", "SIZE x"], message(size=11), None),
        (["a", "CHUNKING", "PIPELINING"], message(parameters=MailParameters(body=Body.BINARY)), "554 5.6.1"),
        (["a", "CHUNKING", "BINARYMIME"], message(parameters=MailParameters(body=Body.BINARY)), "554 5.6.1"),
        (["a", "CHUNKING", "PIPELINING", "BINARYMIME"], message(parameters=MailParameters(body=Body.BINARY)), None),
        (["a"], message("bürt"), "553 5.6.7"),
        (["a"], message(content="Subject: ü\r\n\r\n".encode(), parameters=MailParameters(smtputf8=True)), "553 5.6.7"),
        (["a"], message(content=b"Subject: u\r\n\r\n", parameters=MailParameters(smtputf8=True)), None),
        (["a", "SMTPUTF8"], message("bürt"), None),
    ],
)
def test_what_a_peer_can_never_take_is_known_before_it_is_sent(
    ehlo: list[str], outgoing: Outgoing, why: str | None
) -> None:
    """The refusal is worded as the peer's own would be."""
    refusal = unsendable(Offer.of_ehlo(ehlo), outgoing)
    assert (str(refusal)[:9] if refusal else None) == why


LINES = ["250 ok", "250-x", "354 go", "451 no", "550 5.1.1 no", "421 bye", "junk", "220 a", "5.7.2", ""]
EHLOS = ["250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", "250-a\r\n250 PIPELINING\r\n", "250 a\r\n"]


@given(st.lists(st.sampled_from(LINES), max_size=25), st.sampled_from(EHLOS))
def test_no_peer_however_confused_makes_a_message_delivered_without_a_250_to_its_content(
    said: list[str], ehlo: str
) -> None:
    """Each message is finished once at most, and as taken only by a 2yz that came after its content was sent."""
    player = Player([message("bert", "carl"), message("dora")])
    player.hear(b"220 a\r\n", None)
    try:
        player.hear(ehlo.encode(), None)
        for line in said:
            player.hear(f"{line}\r\n".encode(), None)
    except MalformedReply:
        pass
    done = [event for event in player.events if isinstance(event, Finished)]
    assert len({event.key for event in done}) == len(done)
    ends = player.sent.count(b"BDAT 4 LAST\r\n") + player.sent.count(b"\r\n.\r\n")
    assert sum(any(reply.code // 100 == 2 for reply in event.replies) for event in done) <= ends


@given(st.binary(max_size=300))
def test_any_octets_from_a_peer_give_events_or_a_malformed_reply(data: bytes) -> None:
    """Nothing else is raised."""
    engine = ClientEngine("office.example")
    engine.receive(data)
    try:
        while engine.next_event() is not None:
            pass
    except MalformedReply:
        pass
