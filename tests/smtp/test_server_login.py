"""The server engine where a login, TLS or a turn is asked for, as dialogues: RFC 4954, 2645, 6409, 3207.

The mechanisms are the real ones; the user `tim` is RFC 2195's.
"""

from __future__ import annotations

import base64
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.smtp.talk import PASSWORDS, SIZE, Talker, assert_well_formed, cut, cut_at, hear, talk, whole

from restante.smtp.events import AuthAsked, AuthContinued, ReleaseAsked, TransactionOpened, TurnAsked
from restante.smtp.exchange import MAX_EXCHANGE_LINE
from restante.smtp.reply import AUTHENTICATED, Reply
from restante.smtp.sasl import Credentials, client_exchange
from restante.smtp.server import MAX_ERRORS, ServerEngine
from restante.smtp.services import VERBS, Features, Service, Stage

ALL = ("SCRAM-SHA-256", "CRAM-MD5", "PLAIN", "LOGIN")
SUBMISSION = Features("office.example", SIZE, Service.SUBMISSION, auth=ALL)
ODMR = replace(SUBMISSION, service=Service.ODMR)
MX = replace(SUBMISSION, service=Service.MX)
TURNED = Features("site.example", SIZE, Service.TURNED)
submission, odmr, mx = (partial(Talker, features) for features in (SUBMISSION, ODMR, MX))
GREETED = """
    C: HELO site.example
    S: 250 office.example
"""
PLAIN = "AHRpbQB0YW5zdGFhZnRhbnN0YWFm"
LOGGED_IN = f"""
    {GREETED}
    C: AUTH PLAIN {PLAIN}
    S: 235 2.7.0 Authentication successful
"""


def written(data: bytes) -> str:
    """As base64."""
    return base64.b64encode(data).decode()


# AUTH


def test_plain_with_an_initial_response() -> None:
    """RFC 4954 §4, example; what EHLO has told stays known: no second one is needed."""
    talker = talk(
        submission,
        f"""
        {GREETED}
        C: AUTH PLAIN {PLAIN}
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<tim@test.example>
        S: 250 2.1.0 Sender OK
        """,
    )
    assert talker.engine.authenticated
    assert talker.events[1] == AuthAsked("PLAIN", b"\0tim\0tanstaaftanstaaf")


def test_plain_without_one() -> None:
    """An empty challenge asks for it; the space behind 334 is there (RFC 4954 §4)."""
    talk(submission, f"{GREETED}\nC: auth plain\nS: 334\nC: {PLAIN}\nS: 235 2.7.0 Authentication successful")


def test_login() -> None:
    """Two questions, two answers."""
    talk(
        submission,
        f"""
        {GREETED}
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: dGlt
        S: 334 UGFzc3dvcmQ6
        C: dGFuc3RhYWZ0YW5zdGFhZg==
        S: 235 2.7.0 Authentication successful
        """,
    )


def test_cram_md5_as_printed_in_its_rfc() -> None:
    """RFC 2195 §2, example."""
    talk(
        partial(Talker, replace(ODMR, hostname="postoffice.reston.mci.net")),
        """
        C: HELO site.example
        S: 250 postoffice.reston.mci.net
        C: AUTH CRAM-MD5
        S: 334 PDE4OTYuNjk3MTcwOTUyQHBvc3RvZmZpY2UucmVzdG9uLm1jaS5uZXQ+
        C: dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw
        S: 235 2.7.0 Authentication successful
        """,
    )


def test_scram_with_the_servers_proof_as_a_challenge() -> None:
    """RFC 4954 §4: 235 carries nothing, so the server's signature goes with a 334, and is answered with nothing."""
    exchange = client_exchange("SCRAM-SHA-256", Credentials("tim", PASSWORDS["tim"]), nonce="rOprNGfwEbeRWgbNEkqO")
    talker = submission()
    talker.say(b"HELO x\r\n")
    assert exchange.initial is not None
    heard = talker.say(f"AUTH SCRAM-SHA-256 {written(exchange.initial)}\r\n".encode())
    for _ in range(2):
        assert heard.startswith(b"334 ")
        response = exchange.respond(base64.b64decode(heard[4:]))
        assert isinstance(response, bytes)
        heard = talker.say(written(response).encode() + b"\r\n")
    assert exchange.may_succeed
    assert heard == bytes(AUTHENTICATED)
    assert talker.events[-1] == AuthContinued(b"")


def test_an_equals_sign_is_an_empty_initial_response() -> None:
    """RFC 4954 §4: not the same as none; as a response behind a challenge it is no base64."""
    talker = Talker(replace(SUBMISSION, auth=("EXTERNAL", "PLAIN")))
    talker.say(b"HELO x\r\nAUTH EXTERNAL =\r\n")
    assert talker.events[-1] == AuthAsked("EXTERNAL", b"")
    assert talker.say(b"AUTH PLAIN\r\n=\r\n") == b"334 \r\n501 5.5.2 Cannot decode: not base64\r\n"


def test_a_star_cancels() -> None:
    """501 5.7.0 (RFC 4954 §4); the session goes on, and another exchange may follow."""
    talk(
        submission,
        f"""
        {GREETED}
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH LOGIN dGlt
        S: 334 UGFzc3dvcmQ6
        C: *
        S: 501 5.7.0 Authentication cancelled
        C: AUTH PLAIN {PLAIN}
        S: 235 2.7.0 Authentication successful
        """,
    )


@pytest.mark.parametrize("line", ["dGlt=", "dGl", "dG lt", "dGlt====", "=", "d-_t", "\\xff", "**", "dGlt==", "{}"])
def test_what_is_not_base64_ends_the_exchange(line: str) -> None:
    """501 5.5.2 (RFC 4954 §4), and nobody is asked; what follows is a command again."""
    talker = talk(
        submission,
        f"""
        {GREETED}
        C: AUTH LOGIN
        S: 334 VXNlcm5hbWU6
        C: {line}
        S: 501 5.5.2 Cannot decode: not base64
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert not any(isinstance(event, AuthContinued) for event in talker.events)


def test_an_empty_line_is_an_empty_response() -> None:
    """And the mechanism's to judge."""
    talker = talk(submission, f"{GREETED}\nC: AUTH PLAIN\nS: 334\nC:\nS: 535 5.7.8 Authentication credentials invalid")
    assert talker.events[-1] == AuthContinued(b"")


@pytest.mark.parametrize(
    ("length", "said"),
    [
        (MAX_EXCHANGE_LINE - 4, "535 5.7.8 Authentication credentials invalid"),
        (MAX_EXCHANGE_LINE, "500 5.5.6 Authentication exchange line is too long"),
        (200_000, "500 5.5.6 Authentication exchange line is too long"),
    ],
)
def test_a_response_may_be_long(length: int, said: str) -> None:
    """12288 octets with the CR LF (RFC 4954 §4); commands are no longer than before, and after."""
    talk(
        submission,
        f"""
        {GREETED}
        C: {"A" * 2048}
        S: 500 5.5.2 Line too long
        C: AUTH PLAIN
        S: 334
        C: {"A" * length}
        S: {said}
        C: {"A" * 2048}
        S: 500 5.5.2 Line too long
        """,
    )


def test_a_bare_line_end_ends_the_exchange() -> None:
    """What it hid is not read as a command."""
    talk(
        submission,
        f"""
        {GREETED}
        C: AUTH PLAIN
        S: 334
        C: {PLAIN}\\nMAIL FROM:<>
        S: 500 5.5.2 Lines end in CR LF, and have no bare CR, LF or NUL
        C: MAIL FROM:<>
        S: 530 5.7.0 Authentication required
        """,
    )


@pytest.mark.parametrize("mechanism", ["CRAM-SHA1", "SCRAM-SHA-256-PLUS", "GSSAPI", "EXTERNAL"])
def test_a_mechanism_that_is_not_offered(mechanism: str) -> None:
    """504 5.5.4, whatever came with it (RFC 4954 §4)."""
    talk(
        submission,
        f"""
        {GREETED}
        C: AUTH {mechanism}
        C: AUTH {mechanism} AAAA
        S: 504 5.5.4 Authentication mechanism is not offered
        S: 504 5.5.4 Authentication mechanism is not offered
        """,
    )


def test_auth_once_and_between_transactions() -> None:
    """RFC 4954 §4: 503 after success, 503 inside a transaction, 503 before the greeting; each changes nothing."""
    talk(
        mx,
        f"""
        C: AUTH PLAIN {PLAIN}
        S: 503 5.5.1 Bad sequence of commands
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: AUTH PLAIN {PLAIN}
        S: 503 5.5.1 Bad sequence of commands
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: AUTH PLAIN {PLAIN}
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: AUTH PLAIN {PLAIN}
        S: 235 2.7.0 Authentication successful
        C: AUTH PLAIN {PLAIN}
        S: 503 5.5.1 Bad sequence of commands
        C: EHLO site.example
        S: 250-office.example
        S: 250-PIPELINING
        S: 250-SIZE 5000
        S: 250-ETRN
        S: 250-ENHANCEDSTATUSCODES
        S: 250-8BITMIME
        S: 250-DSN
        S: 250-SMTPUTF8
        S: 250-CHUNKING
        S: 250-BINARYMIME
        S: 250-DELIVERBY
        S: 250 MT-PRIORITY MIXER
        C: AUTH LOGIN
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_lines_pipelined_behind_auth_are_responses() -> None:
    """As for Postfix: a client that does not wait for 334 has answered it already, be it with a command's name."""
    talk(
        submission,
        f"""
        {GREETED}
        C: AUTH LOGIN
        C: dGlt
        C: RSET
        C: NOOP
        S: 334 VXNlcm5hbWU6
        S: 334 UGFzc3dvcmQ6
        S: 535 5.7.8 Authentication credentials invalid
        S: 250 2.0.0 OK
        """,
    )


@pytest.mark.parametrize("refusal", ["454 4.7.0 Temporary authentication failure", "535 5.7.8 No", "534 5.7.9 Weak"])
def test_a_refused_login_leaves_the_session_as_it_was(refusal: str) -> None:
    """Whatever it was refused with; mail still has to wait for one."""
    code, enhanced, text = refusal.split(" ", 2)
    talker = talk(
        partial(submission, {"AUTH": Reply(int(code), text, enhanced)}),
        f"""
        {GREETED}
        C: AUTH PLAIN {PLAIN}
        S: {refusal}
        C: MAIL FROM:<tim@test.example>
        S: 530 5.7.0 Authentication required
        """,
    )
    assert not talker.engine.authenticated


def test_wrong_passwords_are_errors() -> None:
    """And many of them end the session, as other errors do."""
    talker = submission()
    talker.say(b"HELO x\r\n")
    heard = talker.say(b"AUTH PLAIN AHRpbQB4\r\n" * (MAX_ERRORS + 5))
    assert heard.count(b"535 5.7.8 ") == MAX_ERRORS + 1
    assert heard.endswith(b"421 4.7.0 Too many errors\r\n")
    assert talker.engine.stage is Stage.CLOSED


def test_no_secret_is_in_an_events_name() -> None:
    """It may stand in a log, or in the report of a fault."""
    assert "tanstaaf" not in f"{AuthAsked('PLAIN', b'tanstaaf')!r} {AuthContinued(b'tanstaaf')!r}"


def test_where_no_mechanism_is_offered_auth_is_not_implemented_or_waits_for_tls() -> None:
    """502 where it never will be; where a login is a must and TLS can be had, 530 tells what is missing."""
    talk(
        partial(Talker, replace(MX, auth=())), f"{GREETED}\nC: AUTH PLAIN {PLAIN}\nS: 502 5.5.1 Command not implemented"
    )
    talk(
        partial(Talker, replace(SUBMISSION, auth=(), starttls=True)),
        f"{GREETED}\nC: AUTH PLAIN {PLAIN}\nS: 530 5.7.0 Must issue a STARTTLS command first",
    )


def test_who_submitted_a_message_is_read_and_not_believed() -> None:
    """RFC 4954 §5: the parameter is taken, 501 where it is malformed."""
    talker = talk(
        submission,
        f"""
        {LOGGED_IN}
        C: MAIL FROM:<tim@test.example> AUTH=e+3Dmc2@example.com
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<tim@test.example> AUTH=<>
        S: 250 2.1.0 Sender OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<tim@test.example> AUTH=e+3dmc2
        S: 501 5.5.4 Bad value for AUTH
        """,
    )
    opened = [event for event in talker.events if isinstance(event, TransactionOpened)]
    assert opened[0] == opened[1]


# submission


def test_mail_is_submitted_after_a_login() -> None:
    """RFC 6409 §4.3: 530 5.7.0 before; what was pipelined behind MAIL is out of sequence, its chunk swallowed."""
    talker = talk(
        submission,
        f"""
        C: MAIL FROM:<tim@test.example>
        S: 530 5.7.0 Authentication required
        {GREETED}
        C: MAIL FROM:<tim@test.example>
        C: RCPT TO:<anna@test.example>
        C: BDAT 6 LAST
        C: QUIT
        S: 530 5.7.0 Authentication required
        S: 503 5.5.1 Bad sequence of commands
        S: 503 5.5.1 Bad sequence of commands
        C: AUTH PLAIN {PLAIN}
        S: 235 2.7.0 Authentication successful
        C: MAIL FROM:<tim@test.example>
        C: RCPT TO:<anna@test.example>
        C: DATA
        S: 250 2.1.0 Sender OK
        S: 250 2.1.5 Recipient OK
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Hi
        C: .
        S: 250 2.0.0 OK queued
        """,
    )
    assert [taken.content for taken in talker.taken] == [b"Hi\r\n"]


@pytest.mark.parametrize("way", ["", GREETED, LOGGED_IN])
@pytest.mark.parametrize("command", ["ETRN test.example", "ATRN test.example", "ATRN"])
def test_submission_has_no_etrn_and_no_atrn(way: str, command: str) -> None:
    """RFC 6409 §7; whoever asks."""
    talk(submission, f"{way}\nC: {command}\nS: 502 5.5.1 Command not implemented")


# TLS first


TLS_FIRST = replace(MX, starttls=True, tls_first=True)


def test_where_tls_comes_first_nothing_comes_before_it() -> None:
    """530 5.7.0 (RFC 3207 §4); a chunk is swallowed even so."""
    talker = talk(
        partial(Talker, TLS_FIRST),
        f"""
        C: ETRN test.example
        S: 530 5.7.0 Must issue a STARTTLS command first
        {GREETED}
        C: NOOP
        S: 250 2.0.0 OK
        C: RSET
        S: 250 2.0.0 OK
        C: ETRN test.example
        C: AUTH PLAIN {PLAIN}
        C: VRFY tim
        C: HELP
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<anna@test.example>
        C: DATA
        C: BDAT 10 LAST
        C: AUTH x..
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        S: 530 5.7.0 Must issue a STARTTLS command first
        C: ATRN
        S: 502 5.5.1 Command not implemented
        C: FOO
        S: 500 5.5.2 Command not recognized
        C: STARTTLS
        S: 220 2.0.0 Ready to start TLS
        """,
    )
    assert talker.engine.stage is Stage.TURNED
    assert not any(isinstance(event, AuthAsked | ReleaseAsked | TransactionOpened) for event in talker.events)


def test_behind_tls_everything_is_asked_as_ever() -> None:
    """The caller begins a new engine, which need not wait for TLS any more; ETRN stays."""
    talk(
        partial(Talker, replace(TLS_FIRST, starttls=False, tls_first=False)),
        f"""
        {GREETED}
        C: ETRN test.example
        S: 250 2.0.0 OK, queuing for node test.example started
        C: STARTTLS
        S: 502 5.5.1 Command not implemented
        """,
    )


# ODMR


def test_a_customer_logs_in_and_turns_the_connection_round() -> None:
    """RFC 2645 §6, without its mistakes."""
    talker = talk(
        odmr,
        f"""
        C: EHLO site.example
        S: 250-office.example
        S: 250-ATRN
        S: 250-AUTH SCRAM-SHA-256 CRAM-MD5 PLAIN LOGIN
        S: 250 ENHANCEDSTATUSCODES
        C: ATRN test.example
        S: 530 5.7.0 Authentication required
        C: AUTH PLAIN {PLAIN}
        S: 235 2.7.0 Authentication successful
        C: ATRN test.example,Mail.Test.Example
        S: 250 2.0.0 OK now reversing the connection
        """,
    )
    assert talker.engine.stage is Stage.TURNED
    assert talker.events[-1] == TurnAsked(("test.example", "mail.test.example"))  # type: ignore[arg-type]


def test_atrn_alone_means_all_of_the_customers_domains() -> None:
    """RFC 2645 §5.2.1."""
    talker = talk(odmr, f"{LOGGED_IN}\nC: atrn\nS: 250 2.0.0 OK now reversing the connection")
    assert talker.events[-1] == TurnAsked(())


@pytest.mark.parametrize(
    "refusal", ["450 4.7.1 Not yours", "450 4.7.0 Not so often", "451 4.3.0 Cannot tell now", "453 4.7.0 No mail"]
)
def test_a_refused_atrn_leaves_the_session_as_it_was(refusal: str) -> None:
    """RFC 2645 §5.2.1; another may be tried."""
    code, enhanced, text = refusal.split(" ", 2)
    talk(
        partial(odmr, {"ATRN a.example": Reply(int(code), text, enhanced)}),
        f"""
        {LOGGED_IN}
        C: ATRN a.example
        S: {refusal}
        C: ATRN test.example
        S: 250 2.0.0 OK now reversing the connection
        """,
    )


def test_a_malformed_atrn_is_not_asked() -> None:
    """501 5.5.4."""
    talk(odmr, f"{LOGGED_IN}\nC: ATRN a.example b.example\nS: 501 5.5.4 Syntax: ATRN [domain[,domain...]]")


@pytest.mark.parametrize("way", ["", GREETED, LOGGED_IN])
@pytest.mark.parametrize(
    "command",
    [
        "MAIL FROM:<>",
        "RCPT TO:<anna@test.example>",
        "DATA",
        "ETRN test.example",
        "VRFY x",
        "HELP",
        "TURN",
        "BDAT 0 LAST",
    ],
)
def test_on_an_odmr_port_there_is_nothing_else(way: str, command: str) -> None:
    """RFC 2645 §5.1: 502, before the login and after it; NOOP and RSET are polite talk."""
    talk(
        odmr,
        f"""
        {way}
        C: {command}
        S: 502 5.5.1 Command not implemented
        C: NOOP
        S: 250 2.0.0 OK
        C: RSET
        S: 250 2.0.0 OK
        """,
    )


def test_what_stands_behind_atrn_is_not_read_and_can_be_seen() -> None:
    """Replies that a peer sends ahead of its turn would be taken for a server's: the caller ends the session."""
    talker = Talker(ODMR)
    ahead = b"220 x\r\n250 x\r\n250 x\r\n250 x\r\n354 x\r\n250 x\r\n"
    heard = talker.say(b"HELO x\r\nAUTH PLAIN %b\r\nATRN\r\n" % PLAIN.encode() + ahead)
    assert heard.endswith(b"250 2.0.0 OK now reversing the connection\r\n")
    assert talker.engine.stage is Stage.TURNED
    assert talker.engine.unread == len(ahead)
    assert talker.say(b"NOOP\r\n") == b""
    assert talker.engine.unread == len(ahead) + 6


# the turned session


def test_a_turned_session_has_mail_and_no_rights() -> None:
    """RFC 2645 §5.3: the site is a server like any other, without AUTH, ETRN and ATRN."""
    talker = talk(
        partial(Talker, TURNED),
        """
        C: EHLO office.example
        S: 250-site.example
        S: 250-PIPELINING
        S: 250-SIZE 5000
        S: 250-ENHANCEDSTATUSCODES
        S: 250-8BITMIME
        S: 250-DSN
        S: 250-SMTPUTF8
        S: 250-CHUNKING
        S: 250-BINARYMIME
        S: 250-DELIVERBY
        S: 250 MT-PRIORITY MIXER
        C: AUTH PLAIN
        S: 502 5.5.1 Command not implemented
        C: ETRN test.example
        S: 502 5.5.1 Command not implemented
        C: ATRN
        S: 502 5.5.1 Command not implemented
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 4 LAST
        C: Hi
        S: 250 2.0.0 OK queued
        C: QUIT
        S: 221 2.0.0 Bye
        """,
    )
    assert len(talker.taken) == 1


# anything


def test_only_an_open_exchange_is_challenged() -> None:
    """And only 235 is a success."""
    engine = ServerEngine(SUBMISSION)
    engine.receive(b"HELO x\r\nAUTH PLAIN\r\n")
    engine.next_event()
    with pytest.raises(AssertionError):
        engine.challenge(b"")
    engine.answer(Reply(250, "x"))
    engine.next_event()
    with pytest.raises(AssertionError):
        engine.answer(Reply(250, "OK", "2.0.0"))


COMMANDS = {"MAIL": "FROM:<a@b.example>", "RCPT": "TO:<a@test.example>", "BDAT": "5", "EHLO": "x", "HELO": "x"}
WORDS = st.sampled_from(
    [
        *(f"{verb} {COMMANDS.get(verb, '')}".rstrip().encode() + b"\r\n" for verb in sorted(VERBS)),
        *(f"AUTH {mechanism}\r\n".encode() for mechanism in (*ALL, "EXTERNAL", "X")),
        *(b"HELO x\r\n", b"EHLO x\r\n", f"AUTH PLAIN {PLAIN}\r\n".encode(), f"{PLAIN}\r\n".encode(), b"dGlt\r\n"),
        *(
            b"ETRN test.example\r\n",
            b"ATRN test.example\r\n",
            b"*\r\n",
            b"=\r\n",
            b"\r\n",
            b"BDAT 3 LAST\r\n",
            b".\r\n",
        ),
        *(b"\r", b"\n", b"\0", b"A" * 3000, b"A" * 13000, b"a\r\n", b"bj0sLG4sbj10aW0scj1hYmM=\r\n"),
    ]
)
SESSIONS = st.lists(st.one_of(WORDS, st.binary(max_size=20)), max_size=40).map(b"".join)
STATES = st.builds(
    Features,
    st.just("office.example"),
    st.just(SIZE),
    st.sampled_from(Service),
    starttls=st.booleans(),
    tls_first=st.booleans(),
    auth=st.sampled_from([(), ALL, ("PLAIN",)]),
)


@settings(max_examples=300)
@given(STATES, SESSIONS, st.lists(st.integers(0, 4000), max_size=12))
def test_any_octets_are_answered_alike_in_every_service_however_cut(
    features: Features, data: bytes, places: list[int]
) -> None:
    """No exception; replies well-formed and the same; nothing is asked that the state does not let through."""
    talker = Talker(features)
    heard, taken = talker.say(data), talker.taken
    assert_well_formed(heard)
    assert hear(cut_at(data, places), partial(Talker, features)) == (heard, taken)
    if len(data) < 2000:
        assert hear(cut(data, 1), partial(Talker, features)) == (heard, taken)
    assert hear(whole(data), partial(Talker, features))[0] == heard
    _assert_stages(talker)


def _assert_stages(talker: Talker) -> None:
    """What must be so in any session, whoever sent what."""
    features, engine = talker.features, talker.engine
    asked = {type(event) for event in talker.events}
    assert not (asked & {AuthAsked, AuthContinued} and not features.auth)
    assert not (features.tls_first and asked & {AuthAsked, ReleaseAsked, TransactionOpened, TurnAsked})
    assert not (ReleaseAsked in asked and features.service is not Service.MX)
    assert not (TransactionOpened in asked and features.service is Service.ODMR)
    if features.service in (Service.SUBMISSION, Service.ODMR):
        assert engine.authenticated or not asked & {TransactionOpened, TurnAsked}
    assert not (engine.authenticated and AuthAsked not in asked)
    if engine.stage is Stage.AUTHENTICATING:
        assert not engine.authenticated
    assert engine.unread == 0 or engine.stage is not Stage.CLOSED
    assert talker.taken == [] or TransactionOpened in asked
