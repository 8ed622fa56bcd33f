"""The server engine, as dialogues: what may come when, what each mistake is told; no cut of the bytes matters."""

from __future__ import annotations

from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.smtp.talk import OFFICE, QUEUED, SIZE, Taken, Talker, assert_well_formed, cut, cut_at, hear, talk, whole

from restante.smtp.command import MAX_COMMAND_LINE
from restante.smtp.events import ContentEnded, RecipientNamed, ReleaseAsked, TransactionDropped, TransactionOpened
from restante.smtp.reply import SHUTTING_DOWN, TOO_LARGE, Reply
from restante.smtp.server import MAX_ERRORS, ServerEngine
from restante.smtp.services import LISTENING, RULES, UNSUPPORTED, VERBS, Features, Stage

GREETED = """
    C: HELO client.example
    S: 250 office.example
"""
ADDRESSED = f"""
    {GREETED}
    C: MAIL FROM:<ann@far.example>
    S: 250 2.1.0 Sender OK
    C: RCPT TO:<anna@test.example>
    S: 250 2.1.5 Recipient OK
"""
A_MESSAGE = b"MAIL FROM:<ann@far.example>\r\nRCPT TO:<anna@test.example>\r\nDATA\r\n%b\r\n.\r\n"
NO_USER = Reply(550, "No such user here", "5.1.1")
NOT_ALLOWED = Reply(459, "Node other.example not allowed", "4.7.1")


def message(content: bytes, *recipients: str) -> Taken:
    """What ADDRESSED and that content make."""
    return Taken("<ann@far.example>", recipients or ("anna@test.example",), content)


# whole dialogues


def test_a_message_is_taken() -> None:
    """RFC 5321 appendix D, with what EHLO tells here."""
    talker = talk(
        Talker,
        """
        C: EHLO client.example
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
        C: MAIL FROM:<ann@far.example> SIZE=30 BODY=8BITMIME
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: RCPT TO:<bert@test.example> NOTIFY=NEVER
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: Subject: hello
        C:
        C: ..dots
        C: .
        S: 250 2.0.0 OK queued
        C: QUIT
        S: 221 2.0.0 Bye
        """,
    )
    assert talker.taken == [message(b"Subject: hello\r\n\r\n.dots\r\n", "anna@test.example", "bert@test.example")]
    assert talker.engine.stage is Stage.CLOSED


def test_the_greeting_comes_first() -> None:
    """With our name, and no enhanced code (RFC 2034 §3)."""
    engine = ServerEngine(OFFICE)
    engine.greet()
    assert engine.data_to_send() == b"220 office.example ESMTP restante\r\n"
    assert engine.data_to_send() == b""


def test_many_messages_in_one_session() -> None:
    """Each is a transaction of its own; commands may be in any case."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: data
        S: 354 End data with <CR><LF>.<CR><LF>
        C: one
        C: .
        S: 250 2.0.0 OK queued
        C: mail from:<>
        S: 250 2.1.0 Sender OK
        C: rCpT tO: <"a b"@test.example>
        S: 250 2.1.5 Recipient OK
        C: BDAT 5 last
        C+ two\\r\\n
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"one\r\n"), Taken("<>", ('"a b"@test.example',), b"two\r\n")]


def test_refused_recipients_are_left_out() -> None:
    """The others get the message; the refusals change nothing."""
    talker = talk(
        partial(Talker, refused={"nobody@test.example": NO_USER}),
        f"""
        {ADDRESSED}
        C: RCPT TO:<nobody@test.example>
        S: 550 5.1.1 No such user here
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"")]


def test_a_refused_sender_opens_nothing() -> None:
    """What is pipelined behind it is out of sequence, its chunk swallowed; another MAIL may come."""
    talk(
        partial(Talker, refused={"<ann@far.example>": Reply(452, "Insufficient system storage", "4.3.1")}),
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<anna@test.example>
        C: BDAT 6 LAST
        C: QUIT
        C: MAIL FROM:<>
        S: 452 4.3.1 Insufficient system storage
        S: 503 5.5.1 Bad sequence of commands
        S: 503 5.5.1 Bad sequence of commands
        S: 250 2.1.0 Sender OK
        """,
    )


def test_refused_content_ends_the_transaction() -> None:
    """Nothing is taken, and the session goes on."""
    talker = talk(
        partial(Talker, refused={"DATA": Reply(451, "Not now", "4.3.0")}),
        f"""
        {ADDRESSED}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: x
        C: .
        S: 451 4.3.0 Not now
        C: RCPT TO:<anna@test.example>
        S: 503 5.5.1 Bad sequence of commands
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert talker.taken == []


@pytest.mark.parametrize("line", ["QUIT", "RSET", "..", ". "])
def test_inside_data_there_are_no_commands(line: str) -> None:
    """Nothing is taken, and nothing said, of a message that has not ended."""
    start = f"{ADDRESSED}\nC: DATA\nS: 354 End data with <CR><LF>.<CR><LF>"
    talker = talk(Talker, start)
    assert talker.say(line.encode().decode("unicode_escape").encode() + b"\r") == b""
    assert talker.taken == []


# sequence

WAY_TO: dict[Stage, str] = {
    Stage.CONNECTED: "",
    Stage.READY: GREETED,
    Stage.OPENED: f"{GREETED}\nC: MAIL FROM:<ann@far.example>\nS: 250 2.1.0 Sender OK",
    Stage.ADDRESSED: ADDRESSED,
    Stage.CHUNKING: f"{ADDRESSED}\nC: BDAT 2\nC+ x\\r\nS: 250 2.0.0 Chunk OK",
}
ARGUMENTS = {
    "EHLO": "client.example",
    "HELO": "client.example",
    "LHLO": "client.example",
    "MAIL": "FROM:<ann@far.example>",
    "RCPT": "TO:<anna@test.example>",
    "BDAT": "0",
    "ETRN": "test.example",
    "VRFY": "anna",
    "HELP": "",
    "AUTH": "PLAIN",
}
ANSWERS: dict[tuple[Stage, str], tuple[int, Stage]] = {
    **{(stage, verb): (250, Stage.READY) for stage in WAY_TO for verb in ("EHLO", "HELO", "RSET")},
    **{(stage, "NOOP"): (250, stage) for stage in WAY_TO},
    **{(stage, "VRFY"): (252, stage) for stage in WAY_TO},
    **{(stage, "HELP"): (214, stage) for stage in WAY_TO},
    **{(stage, "QUIT"): (221, Stage.CLOSED) for stage in WAY_TO},
    **{(stage, "BDAT"): (503, stage) for stage in (Stage.CONNECTED, Stage.READY)},
    (Stage.CONNECTED, "RSET"): (250, Stage.CONNECTED),
    (Stage.CONNECTED, "ETRN"): (250, Stage.CONNECTED),
    (Stage.READY, "ETRN"): (250, Stage.READY),
    (Stage.READY, "STARTTLS"): (220, Stage.TURNED),
    (Stage.READY, "AUTH"): (334, Stage.AUTHENTICATING),
    (Stage.READY, "MAIL"): (250, Stage.OPENED),
    (Stage.OPENED, "RCPT"): (250, Stage.ADDRESSED),
    (Stage.OPENED, "DATA"): (554, Stage.OPENED),
    (Stage.OPENED, "BDAT"): (554, Stage.READY),
    (Stage.ADDRESSED, "RCPT"): (250, Stage.ADDRESSED),
    (Stage.ADDRESSED, "DATA"): (354, Stage.CONTENT),
    (Stage.ADDRESSED, "BDAT"): (250, Stage.CHUNKING),
    (Stage.CHUNKING, "BDAT"): (250, Stage.CHUNKING),
}


def at_stage(stage: Stage) -> Talker:
    """A session that stands there."""
    talker = talk(
        partial(Talker, Features("office.example", SIZE, starttls=True, auth=("PLAIN",))),
        WAY_TO[stage] or "C: NOOP\nS: 250 2.0.0 OK",
    )
    assert talker.engine.stage is stage
    return talker


@pytest.mark.parametrize("verb", sorted(VERBS))
@pytest.mark.parametrize("stage", WAY_TO)
def test_every_command_in_every_stage(stage: Stage, verb: str) -> None:
    """As the table says, or 503 5.5.1 and nothing has changed; what is not implemented is 502, LMTP's greeting 500."""
    talker = at_stage(stage)
    line = f"{verb} {ARGUMENTS.get(verb, '')}".rstrip()
    code, then = ANSWERS.get((stage, verb), (503, stage))
    if verb in UNSUPPORTED | {"ATRN"}:
        code = 502
    if verb == "LHLO":
        code = 500
    heard = talker.say(f"{line}\r\n".encode()).decode()
    assert heard.startswith(str(code)), heard
    assert talker.engine.stage is then
    if code in (500, 502, 503):
        assert heard[4:10] == "5.5.1 "


def test_the_rules_are_all_told() -> None:
    """No row of RULES that the table here does not have, and none more."""
    of_others = {(Stage.READY, "ATRN"), *((stage, "LHLO") for stage in LISTENING)}
    assert set(RULES) - of_others == {key for key, (code, _) in ANSWERS.items() if code != 503}


@pytest.mark.parametrize("verb", sorted(VERBS - {"ETRN", "STARTTLS"}))
@pytest.mark.parametrize("stage", WAY_TO)
def test_unknown_commands_change_nothing(stage: Stage, verb: str) -> None:
    """500 5.5.2, a verb with a letter more or less among them."""
    talker = at_stage(stage)
    for line in (f"{verb}X", verb[1:], f"X{verb} x", "", " ", "FOO bar"):
        assert talker.say(f"{line}\r\n".encode()) == b"500 5.5.2 Command not recognized\r\n"
    assert talker.engine.stage is stage


@pytest.mark.parametrize(
    "line", ["RSET now", "DATA now", "QUIT now", "EHLO", "HELO", "HELO \\x07", "BDAT", "BDAT x", "STARTTLS now"]
)
def test_a_wrong_argument_is_told(line: str) -> None:
    """501 5.5.4, and the transaction stands, but where the octets of a chunk can no longer be told."""
    talker = at_stage(Stage.READY if line.startswith("STARTTLS") else Stage.ADDRESSED)
    before = talker.engine.stage
    assert talker.say(line.encode().decode("unicode_escape").encode() + b"\r\n").startswith(b"501 5.5.4 ")
    assert talker.engine.stage is (Stage.READY if line.startswith("BDAT") else before)


def test_rset_forgets_the_transaction() -> None:
    """And only that: the greeting holds; before it RSET is polite talk."""
    talker = talk(
        Talker,
        f"""
        C: RSET
        S: 250 2.0.0 OK
        {ADDRESSED}
        C: RSET
        S: 250 2.0.0 OK
        C: DATA
        S: 503 5.5.1 Bad sequence of commands
        C: MAIL FROM:<bob@far.example>
        S: 250 2.1.0 Sender OK
        C: DATA
        S: 554 5.5.1 No valid recipients
        C: RCPT TO:<bert@test.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: .
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [Taken("<bob@far.example>", ("bert@test.example",), b"")]
    assert talker.events.count(TransactionDropped()) == 1


def test_a_greeting_ends_a_transaction_if_it_is_accepted() -> None:
    """RFC 5321 §4.1.4."""
    talk(
        partial(Talker, refused={"bad.example": Reply(550, "Not you", "5.7.1")}),
        f"""
        {ADDRESSED}
        C: EHLO
        S: 501 5.5.4 Syntax: EHLO hostname
        C: EHLO bad.example
        S: 550 5.7.1 Not you
        C: RCPT TO:<bert@test.example>
        S: 250 2.1.5 Recipient OK
        C: HELO client.example
        S: 250 office.example
        C: RCPT TO:<bert@test.example>
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_a_second_mail_is_out_of_sequence() -> None:
    """RFC 5321 §4.1.4; the first stands."""
    talk(
        Talker,
        f"""
        {ADDRESSED}
        C: MAIL FROM:<bob@far.example>
        S: 503 5.5.1 Bad sequence of commands
        C: RCPT TO:<bert@test.example>
        S: 250 2.1.5 Recipient OK
        """,
    )


def test_nothing_is_heard_after_quit() -> None:
    """What was pipelined behind it is not looked at."""
    talk(Talker, f"{GREETED}\nC: QUIT\nC: NOOP\nC: MAIL FROM:<>\nS: 221 2.0.0 Bye")


# ETRN


@pytest.mark.parametrize("way", ["", GREETED])
@pytest.mark.parametrize(
    "argument",
    [
        "test.example",
        "TEST.EXAMPLE",
        "@test.example",
        "@example",
        "#customers",
        "127.0.0.1",
        "[127.0.0.1]",
        "[IPv6:::1]",
    ],
)
def test_etrn_is_asked_from_the_greeting_on(way: str, argument: str) -> None:
    """Typed at a telnet prompt, or after HELO; the reply has the node as it was written."""
    talker = talk(Talker, f"{way}\nC: ETRN {argument}\nS: 250 2.0.0 OK, queuing for node {argument} started")
    assert [type(event) for event in talker.events][-1] is ReleaseAsked


def test_etrn_may_be_repeated_and_parted_by_tabs_and_spaces() -> None:
    """As Postfix and Sendmail take it."""
    talk(
        partial(Talker, refused={"other.example": NOT_ALLOWED}),
        """
        C: ETRN\\ttest.example
        C: etrn   test.example  \x20
        C: ETRN other.example
        C: ETRN test.example
        S: 250 2.0.0 OK, queuing for node test.example started
        S: 250 2.0.0 OK, queuing for node test.example started
        S: 459 4.7.1 Node other.example not allowed
        S: 250 2.0.0 OK, queuing for node test.example started
        """,
    )


def test_etrn_is_out_of_sequence_inside_a_transaction() -> None:
    """RFC 1985 §5. The refusal changes nothing: after RSET the same command is answered."""
    talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: ETRN test.example
        S: 503 5.5.1 Bad sequence of commands
        C: ETRN
        S: 503 5.5.1 Bad sequence of commands
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: ETRN test.example
        S: 503 5.5.1 Bad sequence of commands
        C: RSET
        S: 250 2.0.0 OK
        C: ETRN test.example
        S: 250 2.0.0 OK, queuing for node test.example started
        """,
    )


def test_etrn_without_a_node() -> None:
    """RFC 1985 §5.1: 500 where there is no argument."""
    talk(Talker, "C: ETRN\nS: 500 5.5.4 Syntax: ETRN node\nC: ETRN  \nS: 500 5.5.4 Syntax: ETRN node")


@pytest.mark.parametrize(
    "argument",
    [
        "test.example localtest.example",
        "test.example,localtest.example",
        "bad..name",
        "test.example..",
        "test.example'--",
        "x'/**/UNION/**/SELECT",
        "@",
        "#",
        "#-",
        "@[127.0.0.1]",
        "fe80::1%eth0",
        "fe80::1%\\x7f",
        "a" * 2000,
        "<test.example>",
        "\\xe2\\x80\\x8b",
    ],
)
def test_etrn_of_what_is_no_node(argument: str) -> None:
    """501 5.5.4, whatever it is, and nobody is asked."""
    talker = talk(Talker, f"C: ETRN {argument}\nS: 501 5.5.4 Not a node: domain, @domain, #group or address")
    assert talker.events == []


@pytest.mark.parametrize("verb", ["TURN", "ATRN test.example", "EXPN list", "SEND FROM:<>", "SOML", "SAML"])
def test_what_is_not_implemented(verb: str) -> None:
    """TURN never (RFC 1985 §3); the others not on this listener."""
    talk(Talker, f"C: {verb}\nS: 502 5.5.1 Command not implemented")


def test_vrfy_noop_and_help_tell_nothing() -> None:
    """With or without an argument."""
    talk(
        Talker,
        """
        C: VRFY anna
        S: 252 2.5.0 Cannot verify; send mail and see
        C: NOOP whatever
        S: 250 2.0.0 OK
        C: HELP MAIL
        S: 214 2.0.0 Commands: AUTH BDAT DATA EHLO ETRN HELO HELP MAIL NOOP QUIT RCPT RSET STARTTLS VRFY
        """,
    )


# pipelining


def test_a_group_is_answered_in_order() -> None:
    """RFC 2920 §3.1, example: the end of a message and the next transaction in one flight."""
    talker = talk(
        partial(Talker, refused={"nobody@test.example": NO_USER}),
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<anna@test.example>
        C: RCPT TO:<nobody@test.example>
        C: DATA
        S: 250 2.1.0 Sender OK
        S: 250 2.1.5 Recipient OK
        S: 550 5.1.1 No such user here
        S: 354 End data with <CR><LF>.<CR><LF>
        C: one
        C: .
        C: MAIL FROM:<bob@far.example>
        C: RCPT TO:<nobody@test.example>
        C: DATA
        S: 250 2.0.0 OK queued
        S: 250 2.1.0 Sender OK
        S: 550 5.1.1 No such user here
        S: 554 5.5.1 No valid recipients
        C: QUIT
        S: 221 2.0.0 Bye
        """,
    )
    assert talker.taken == [message(b"one\r\n")]


def test_replies_to_a_group_leave_at_once() -> None:
    """In one write, not line by line (RFC 2920 §3.2)."""
    talker = at_stage(Stage.READY)
    heard = talker.say(b"RSET\r\nMAIL FROM:<>\r\nRCPT TO:<anna@test.example>\r\nDA")
    assert heard.count(b"\r\n") == 3
    assert talker.say(b"TA\r\n") == b"354 End data with <CR><LF>.<CR><LF>\r\n"


# BDAT


def test_chunks_make_a_message() -> None:
    """A reply for each; dots and empty chunks are nothing special; a command may stand right behind the last octet."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT 5
        C+ a\\r\\n..BDAT 0\\r\\nBDAT 2\\r\\n\\r\\n
        C: BDAT 0
        C: BDAT 3 LAST
        C+ .\\r\\nNOOP\\r\\n
        S: 250 2.0.0 Chunk OK
        S: 250 2.0.0 Chunk OK
        S: 250 2.0.0 Chunk OK
        S: 250 2.0.0 Chunk OK
        S: 250 2.0.0 OK queued
        S: 250 2.0.0 OK
        C: BDAT 0 LAST
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    assert talker.taken == [message(b"a\r\n..\r\n.\r\n")]


def test_an_empty_last_chunk_ends_the_message() -> None:
    """Also alone: an empty message is one."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT 3
        C+ a\\r\\n
        S: 250 2.0.0 Chunk OK
        C: BDAT 0 LAST
        S: 250 2.0.0 OK queued
        {ADDRESSED}
        C: BDAT 0 LAST
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"a\r\n"), message(b"")]


@pytest.mark.parametrize(
    "count", ["18446744073709551616", "18446744073709551621", "-1", "-5", "+5", "5.0", "0x5", "5 5", "", "LAST"]
)
def test_a_chunk_without_a_true_count_ends_the_transaction(count: str) -> None:
    """Its octets cannot be told from commands; what comes as a chunk later is not taken for the whole message."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT {count}
        S: 501 5.5.4 Syntax: BDAT octets [LAST]
        C: BDAT 6 LAST
        C: more
        S: 503 5.5.1 Bad sequence of commands
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert talker.taken == []


def test_leading_zeros_are_digits() -> None:
    """RFC 3030 §2: 1*DIGIT."""
    assert talk(Talker, f"{ADDRESSED}\nC: BDAT 0003 LAST\nC+ a\\r\\n\nS: 250 2.0.0 OK queued").taken == [
        message(b"a\r\n")
    ]


def test_a_chunk_without_recipients_is_swallowed() -> None:
    """The commands in it are octets."""
    talker = talk(
        partial(Talker, refused={"nobody@test.example": NO_USER}),
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<nobody@test.example>
        C: BDAT 12
        C: ETRN abcde
        C: BDAT 6 LAST
        C: QUIT
        C: NOOP
        S: 250 2.1.0 Sender OK
        S: 550 5.1.1 No such user here
        S: 554 5.5.1 No valid recipients
        S: 503 5.5.1 Bad sequence of commands
        S: 250 2.0.0 OK
        C: BDAT 6
        C: QUIT
        S: 503 5.5.1 Bad sequence of commands
        """,
    )
    assert talker.taken == []
    assert not any(isinstance(event, ReleaseAsked) for event in talker.events)


def test_a_chunk_before_the_greeting_is_swallowed() -> None:
    """And the session is still not greeted."""
    talk(
        Talker,
        """
        C: BDAT 6 LAST
        C: QUIT
        S: 503 5.5.1 Bad sequence of commands
        C: MAIL FROM:<>
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


def test_rset_between_chunks_forgets_them() -> None:
    """So does a greeting."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT 3
        C+ a\\r\\n
        S: 250 2.0.0 Chunk OK
        C: RSET
        S: 250 2.0.0 OK
        C: BDAT 3 LAST
        C+ b\\r\\n
        S: 503 5.5.1 Bad sequence of commands
        {ADDRESSED}
        C: BDAT 3
        C+ c\\r\\n
        S: 250 2.0.0 Chunk OK
        {ADDRESSED}
        C: BDAT 3 LAST
        C+ d\\r\\n
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"d\r\n")]


@pytest.mark.parametrize("command", ["DATA", "RCPT TO:<bert@test.example>", "MAIL FROM:<>", "ETRN test.example"])
def test_between_chunks_come_only_chunks(command: str) -> None:
    """RFC 3030 §2: DATA after BDAT is out of sequence; the transaction stands."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT 3
        C+ a\\r\\n
        S: 250 2.0.0 Chunk OK
        C: {command}
        S: 503 5.5.1 Bad sequence of commands
        C: BDAT 0 LAST
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"a\r\n")]


def test_chunks_that_are_too_much_in_sum() -> None:
    """552 for the chunk that goes beyond, and the rest is swallowed: no message of what is left over."""
    half = "x" * (SIZE // 2)
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT {SIZE // 2}
        C+ {half}
        S: 250 2.0.0 Chunk OK
        C: BDAT {SIZE // 2}
        C+ {half}
        S: 250 2.0.0 Chunk OK
        C: BDAT 1
        C+ x
        S: 552 5.3.4 Message size exceeds the fixed limit
        C: BDAT 3 LAST
        C+ a\\r\\n
        S: 503 5.5.1 Bad sequence of commands
        {ADDRESSED}
        C: BDAT {SIZE + 1} LAST
        C+ {half}{half}x
        S: 552 5.3.4 Message size exceeds the fixed limit
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )
    assert talker.taken == []


def test_a_chunk_of_a_broken_text_is_refused() -> None:
    """A bare LF is found across chunks as well."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: BDAT 2
        C+ a\\r
        S: 250 2.0.0 Chunk OK
        C: BDAT 2
        C+ b\\n
        S: 554 5.6.0 Message has a bare CR, LF or NUL (RFC 5321 2.3.8)
        C: BDAT 2 LAST
        C+ \\r\\n
        S: 503 5.5.1 Bad sequence of commands
        {ADDRESSED}
        C: BDAT 2 LAST
        C+ a\\r
        S: 554 5.6.0 Message has a bare CR, LF or NUL (RFC 5321 2.3.8)
        """,
    )
    assert talker.taken == []


def test_binarymime_goes_by_chunks_alone() -> None:
    """RFC 3030 §3: 503 for DATA; bare line ends and NUL are then octets like others."""
    talker = talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example> BODY=BINARYMIME
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example>
        S: 250 2.1.5 Recipient OK
        C: DATA
        S: 503 5.5.1 BINARYMIME is sent with BDAT
        C: BDAT 6 LAST
        C+ \\n\\0\\r.\\r\\n
        S: 250 2.0.0 OK queued
        {ADDRESSED}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        """,
    )
    assert talker.taken == [message(b"\n\0\r.\r\n")]


# size


def test_a_message_that_says_that_it_is_too_large() -> None:
    """552 5.3.4 at MAIL (RFC 1870 §6.1); exactly the limit is not too large."""
    talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<> SIZE={SIZE + 1}
        S: 552 5.3.4 Message size exceeds the fixed limit
        C: MAIL FROM:<> SIZE={SIZE}
        S: 250 2.1.0 Sender OK
        """,
    )


@pytest.mark.parametrize(("octets", "taken"), [(SIZE - 2, True), (SIZE - 1, False), (3 * SIZE, False)])
def test_a_message_that_lied_about_its_size(octets: int, taken: bool) -> None:
    """Its true end is waited for, dots do not count, and what stands behind is answered as ever."""
    dots = "." if octets else ""
    said = "250 2.0.0 OK queued" if taken else "552 5.3.4 Message size exceeds the fixed limit"
    talker = talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example> SIZE=10
        C: RCPT TO:<anna@test.example>
        C: DATA
        S: 250 2.1.0 Sender OK
        S: 250 2.1.5 Recipient OK
        S: 354 End data with <CR><LF>.<CR><LF>
        C: {dots}.{"x" * (octets - 1)}
        C: .
        C: NOOP
        S: {said}
        S: 250 2.0.0 OK
        """,
    )
    assert bool(talker.taken) == taken


# line ends

ENDINGS = [
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
SMUGGLED = [
    b"MAIL FROM:<evil@far.example>\r\nRCPT TO:<bert@test.example>\r\nDATA\r\nevil\r\n",
    b"MAIL FROM:<evil@far.example>\r\nRCPT TO:<bert@test.example>\r\nBDAT 6 LAST\r\nevil\r\n",
    b"ETRN test.example\r\n",
    b"ATRN test.example\r\n",
]


@pytest.mark.parametrize("smuggled", SMUGGLED)
@pytest.mark.parametrize("before", [b"", b"hello\r\nworld", b"x" * (SIZE + 10)], ids=["start", "middle", "too-large"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_no_second_message_is_smuggled(ending: bytes, before: bytes, smuggled: bytes) -> None:
    """CVE-2023-51764 and its kin: one refusal at the true end, whatever the cut; the session goes on."""
    body = before + ending + smuggled
    session = b"HELO x\r\n" + A_MESSAGE % body + b"NOOP\r\n"
    refusal = b"552 5.3.4" if len(before) > SIZE else b"554 5.6.0"
    places = range(len(b"HELO x\r\n") + len(A_MESSAGE % before) - 5, len(session), 1 if len(before) < SIZE else 7)
    for pieces in (whole(session), cut(session, 7), cut(session, 1), *(cut_at(session, [place]) for place in places)):
        heard, taken = hear(pieces)
        assert taken == []
        codes = [line[:9] for line in heard.split(b"\r\n")[4:]]
        assert codes == [refusal, b"250 2.0.0", b""]


def test_a_bare_line_end_refuses_the_message_and_not_the_session() -> None:
    """554 5.6.0 once, at the true end."""
    talker = talk(
        Talker,
        f"""
        {ADDRESSED}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: a\\nb
        C: c\\rd
        C: e\\0f
        C: .
        S: 554 5.6.0 Message has a bare CR, LF or NUL (RFC 5321 2.3.8)
        {ADDRESSED}
        C: DATA
        S: 354 End data with <CR><LF>.<CR><LF>
        C: fine
        C: .
        S: 250 2.0.0 OK queued
        """,
    )
    assert talker.taken == [message(b"fine\r\n")]


@pytest.mark.parametrize(
    "line", ["NO\\rOP", "NOOP\\r", "NO\\0OP", "NOOP\\nQUIT", "\\nNOOP", "NOOP\\n\\n\\nNOOP", "\\0\\n\\r\\0"]
)
def test_a_bare_line_end_in_a_command_gets_one_500(line: str) -> None:
    """The rest up to CR LF is dropped with it, and the session goes on."""
    talk(
        Talker,
        f"""
        C: {line}
        S: 500 5.5.2 Lines end in CR LF, and have no bare CR, LF or NUL
        C: NOOP
        S: 250 2.0.0 OK
        """,
    )


def test_somebody_at_a_prompt_is_told_at_once() -> None:
    """A line that ended in LF alone does not wait for a CR LF to be answered."""
    talker = Talker()
    assert talker.say(b"NOOP\n").startswith(b"500 5.5.2 Lines end in CR LF")
    assert talker.say(b"NOOP\n") == b""
    assert talker.say(b"\r\nNOOP\r\n") == b"250 2.0.0 OK\r\n"


@pytest.mark.parametrize("length", [MAX_COMMAND_LINE - 1, MAX_COMMAND_LINE, 10_000, 200_000])
def test_a_line_too_long_gets_one_500(length: int) -> None:
    """The session goes on behind its end, however far that is."""
    talk(Talker, f"C: {'x' * length}\nS: 500 5.5.2 Line too long\nC: NOOP\nS: 250 2.0.0 OK")


def test_a_line_of_the_longest_length_is_read() -> None:
    """2048 octets with its CR LF."""
    talk(Talker, f"C: NOOP {'x' * (MAX_COMMAND_LINE - 7)}\nS: 250 2.0.0 OK")


def test_a_line_without_end_is_not_gathered() -> None:
    """10 MB of it: one reply, and a few octets kept."""
    talker = Talker()
    heard = b"".join([talker.say(b"x" * 10_000) for _ in range(1000)])
    assert heard == b"500 5.5.2 Line too long\r\n"
    assert talker.engine.unread <= 1
    assert talker.say(b"\r\nNOOP\r\n") == b"250 2.0.0 OK\r\n"


@pytest.mark.parametrize(
    "line", ["\\x80\\x81", "NOOP \\xff", "\\xc3\\x28", "ETRN \\xe9.example", "MA\\xc4\\xb1L FROM:<>"]
)
def test_eight_bit_garbage_is_no_command(line: str) -> None:
    """500 5.5.2, and the session goes on."""
    talk(Talker, f"C: {line}\nS: 500 5.5.2 Command not recognized\nC: NOOP\nS: 250 2.0.0 OK")


# parameters


def test_addresses_beyond_ascii_need_smtputf8() -> None:
    """RFC 6531 §3.5: 553 5.6.7 without it; with it MAIL and the RCPTs behind may have them, the next MAIL not."""
    talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ünï@far.example>
        S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<ünï@test.example>
        S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<ünï@far.example> SMTPUTF8
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<ünï@test.example>
        S: 250 2.1.5 Recipient OK
        C: RSET
        S: 250 2.0.0 OK
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<ünï@test.example>
        S: 553 5.6.7 An address beyond ASCII needs SMTPUTF8
        """,
    )


def test_parameters_are_handed_on() -> None:
    """As they were given (RFC 3461)."""
    talker = talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example> RET=HDRS ENVID=QQ1
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;anna@test.example
        S: 250 2.1.5 Recipient OK
        """,
    )
    opened, named = talker.events[-2:]
    assert isinstance(opened, TransactionOpened)
    assert isinstance(named, RecipientNamed)
    assert (opened.parameters.ret, opened.parameters.envid) == ("HDRS", "QQ1")
    assert (named.parameters.notify, named.parameters.orcpt) == (("SUCCESS", "FAILURE"), "rfc822;anna@test.example")


def test_a_bad_parameter_refuses_its_command_alone() -> None:
    """501 5.5.4 for a bad value or one given twice, 555 5.5.4 for one that is not offered."""
    talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example> RET=ALL
        S: 501 5.5.4 Bad value for RET
        C: MAIL FROM:<ann@far.example> RET=FULL RET=FULL
        S: 501 5.5.4 Parameter RET is given twice
        C: MAIL FROM:<ann@far.example> BY=0;R
        S: 501 5.5.4 Bad value for BY
        C: MAIL FROM:<ann@far.example> MT-PRIORITY=+3
        S: 501 5.5.2 MT-PRIORITY is a whole number from -9 to 9
        C: MAIL FROM:<ann@far.example> MT-PRIORITY=1 MT-PRIORITY=1
        S: 501 5.5.2 Parameter MT-PRIORITY is given twice
        C: MAIL FROM:<ann@far.example> FOO=bar BAZ
        S: 555 5.5.4 Parameters not recognized or not implemented: FOO, BAZ
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        C: RCPT TO:<anna@test.example> NOTIFY=NEVER,DELAY
        S: 501 5.5.4 Bad value for NOTIFY
        C: RCPT TO:<anna@test.example> ORCPT=anna@test.example
        S: 501 5.5.4 Bad value for ORCPT
        C: RCPT TO:<anna@test.example> SIZE=1
        S: 555 5.5.4 Parameters not recognized or not implemented: SIZE
        C: DATA
        S: 554 5.5.1 No valid recipients
        """,
    )


def test_requiretls_is_taken_inside_tls_alone() -> None:
    """RFC 8689 §2: in clear it has promised what is broken already; the refusal is of that MAIL alone."""
    talk(
        Talker,
        f"""
        {GREETED}
        C: MAIL FROM:<ann@far.example> REQUIRETLS
        S: 530 5.7.10 REQUIRETLS is only for what comes by TLS
        C: MAIL FROM:<ann@far.example>
        S: 250 2.1.0 Sender OK
        """,
    )
    talker = talk(
        partial(Talker, Features("office.example", SIZE, encrypted=True)),
        """
        C: HELO far.example
        S: 250 office.example
        C: MAIL FROM:<ann@far.example> REQUIRETLS=yes
        S: 501 5.5.4 Bad value for REQUIRETLS
        C: MAIL FROM:<ann@far.example> REQUIRETLS
        S: 250 2.1.0 Sender OK
        """,
    )
    assert isinstance(opened := talker.events[-1], TransactionOpened)
    assert opened.parameters.requiretls


# STARTTLS


def test_starttls_ends_this_engine() -> None:
    """What stands behind it is not read, and can be seen (CVE-2011-0411)."""
    talker = at_stage(Stage.READY)
    assert talker.say(b"STARTTLS\r\nMAIL FROM:<>\r\n") == b"220 2.0.0 Ready to start TLS\r\n"
    assert talker.engine.stage is Stage.TURNED
    assert talker.engine.unread == len(b"MAIL FROM:<>\r\n")
    assert talker.say(b"NOOP\r\n") == b""
    assert talker.engine.unread == len(b"MAIL FROM:<>\r\nNOOP\r\n")


def test_starttls_that_is_not_offered_or_refused() -> None:
    """502, and the session goes on; inside a transaction it is out of sequence."""
    talk(Talker, f"{GREETED}\nC: STARTTLS\nS: 502 5.5.1 Command not implemented\nC: NOOP\nS: 250 2.0.0 OK")
    talk(
        partial(
            Talker,
            Features("office.example", SIZE, starttls=True),
            {"STARTTLS": Reply(454, "TLS not available", "4.7.0")},
        ),
        f"""
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands
        {GREETED}
        C: STARTTLS
        S: 454 4.7.0 TLS not available
        {ADDRESSED}
        C: STARTTLS
        S: 503 5.5.1 Bad sequence of commands
        """,
    )


# errors


@pytest.mark.parametrize(
    "line", [b"FOO\r\n", b"DATA\r\n", b"MAIL FROM:x\r\n", b"BDAT 3\r\na\r\n", b"BDAT x\r\n", b"a\0\r\n"]
)
def test_too_many_errors_end_the_session(line: bytes) -> None:
    """421 4.7.0, and nothing more is answered, nor kept."""
    talker = at_stage(Stage.READY)
    heard = talker.say(line * (MAX_ERRORS + 50))
    assert heard.count(b"\r\n") == MAX_ERRORS + 2
    assert heard.endswith(b"421 4.7.0 Too many errors\r\n")
    assert talker.engine.stage is Stage.CLOSED
    assert talker.say(b"MAIL FROM:<>\r\n") == b""
    assert talker.engine.unread == 0


@pytest.mark.parametrize("stage", [Stage.CONNECTED, Stage.READY])
def test_etrns_that_are_refused_are_errors(stage: Stage) -> None:
    """Nobody tries names without end in one session; what is granted, and a refusal to take mail, is none."""
    talker = at_stage(stage)
    talker.refused = {"foreign.example": Reply(459, "Node foreign.example not allowed", "4.7.1")}
    heard = talker.say(b"ETRN own.example\r\n" * (MAX_ERRORS + 5))
    assert heard.count(b"250 2.0.0 OK, queuing") == MAX_ERRORS + 5
    heard = talker.say(b"ETRN foreign.example\r\n" * (MAX_ERRORS + 5))
    assert heard.count(b"459 4.7.1 ") == MAX_ERRORS + 1
    assert heard.endswith(b"421 4.7.0 Too many errors\r\n")
    assert talker.engine.stage is Stage.CLOSED


def test_senders_and_recipients_that_are_refused_are_no_errors() -> None:
    """A list of many unknown recipients is mail all the same."""
    talker = at_stage(Stage.READY)
    talker.refused = {"<ann@far.example>": TOO_LARGE}
    heard = talker.say(b"ETRN own.example\r\n" + b"MAIL FROM:<ann@far.example>\r\n" * (MAX_ERRORS + 5))
    assert heard.count(b"552 ") == MAX_ERRORS + 5
    assert talker.engine.stage is Stage.READY


def test_a_farewell_stands_behind_what_is_due() -> None:
    """And is the last."""
    talker = at_stage(Stage.READY)
    talker.engine.receive(b"NOOP\r\nNO")
    assert talker.engine.next_event() is None
    talker.engine.close(SHUTTING_DOWN)
    assert talker.engine.data_to_send() == b"250 2.0.0 OK\r\n421 4.3.2 Service shutting down, try again later\r\n"
    assert talker.say(b"OP\r\n") == b""


# promises


def test_a_promise_holds_back_what_is_behind_it() -> None:
    """The session goes on; the replies come in order once the promise is kept."""
    talker = Talker(promises=True)
    talker.say(b"HELO x\r\n")
    heard = talker.say(A_MESSAGE % b"one" + A_MESSAGE % b"two" + b"NOOP\r\n")
    assert heard.endswith(b"354 End data with <CR><LF>.<CR><LF>\r\n")
    assert heard.count(b"\r\n") == 3
    assert talker.taken == [message(b"one\r\n"), message(b"two\r\n")]
    one, two = talker.promised
    two.settle(Reply(451, "two", "4.3.0"))
    assert talker.engine.data_to_send() == b""
    assert talker.engine.promised == 6
    one.settle(QUEUED)
    heard = talker.engine.data_to_send()
    assert [line[:3] for line in heard.split(b"\r\n")] == [b"250", b"250", b"250", b"354", b"451", b"250", b""]
    assert talker.engine.promised == 0


def test_a_farewell_waits_for_promises() -> None:
    """A message that was taken is told so before 421."""
    talker = Talker(promises=True)
    talker.say(b"HELO x\r\n" + A_MESSAGE % b"one")
    talker.engine.close(SHUTTING_DOWN)
    assert talker.engine.data_to_send() == b""
    assert talker.settle() == bytes(QUEUED) + bytes(SHUTTING_DOWN)


def test_only_content_may_be_answered_later() -> None:
    """And each question once."""
    engine = ServerEngine(OFFICE)
    engine.receive(b"HELO x\r\n")
    engine.next_event()
    with pytest.raises(AssertionError):
        engine.answer_later()
    with pytest.raises(AssertionError):
        engine.next_event()
    engine.answer(Reply(250, "x"))
    with pytest.raises(AssertionError):
        engine.answer(Reply(250, "x"))


def test_refused_content_is_not_handed_on() -> None:
    """Once the caller has refused it, the rest is swallowed; the engine remembers why."""
    engine = ServerEngine(OFFICE)
    engine.receive(b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nDATA\r\none\r\n")
    for _ in range(3):
        engine.next_event()
        engine.answer(QUEUED)
    engine.next_event()
    full = Reply(452, "full", "4.3.1")
    engine.refuse_content(full)
    engine.refuse_content(Reply(451, "later", "4.3.0"))
    engine.receive(b"two\r\nthr\nee\r\n.\r\n")
    assert engine.next_event() == ContentEnded()
    assert engine.refusal == full


def test_steps_count_what_a_deadline_is_for() -> None:
    """Whole lines, chunks and contents; a piece of one is no step."""
    talker = Talker()
    steps = [
        (talker.say(piece), talker.engine.steps)[1]
        for piece in (b"NO", b"OP\r\n", b"\r\n", b"x" * 3000, b"y", b"\r\n", b"HELO x\r\n")
    ]
    assert steps == [0, 1, 2, 2, 2, 3, 4]
    talker.say(b"MAIL FROM:<>\r\nRCPT TO:<a@b.example>\r\nBDAT 4\r\n")
    assert talker.engine.steps == 7
    talker.say(b"ab")
    assert talker.engine.steps == 7
    talker.say(b"\r\n")
    assert talker.engine.steps == 8
    talker.say(b"BDAT 2 LAST\r\n\r")
    assert talker.engine.steps == 9
    talker.say(b"\n")
    assert talker.engine.steps == 10


# anything

WORDS = st.sampled_from(
    [
        *(f"{verb} {ARGUMENTS.get(verb, '')}\r\n".encode() for verb in sorted(VERBS)),
        *(b"DATA\r\n", b"BDAT 5\r\n", b"BDAT 3 LAST\r\n", b"BDAT -1\r\n", b"\r\n.\r\n", b".\r\n", b"a\r\n", b"\r\n"),
        *(b"\r", b"\n", b"\0", b".", b" ", b"\t", b"\xff", b"\xc3\xbc", b"<", b">", b'"', b"x" * 1500, b"y" * 6000),
        *(b"MAIL FROM:<a@b.example> SMTPUTF8 BODY=BINARYMIME\r\n", b"RCPT TO:<nobody@test.example>\r\n"),
    ]
)
SESSIONS = st.lists(st.one_of(WORDS, st.binary(max_size=20)), max_size=40).map(b"".join)
STRANGE = partial(
    Talker, Features("office.example", SIZE), {"nobody@test.example": NO_USER, "other.example": NOT_ALLOWED}
)


@settings(max_examples=300)
@given(SESSIONS, st.lists(st.integers(0, 4000), max_size=12))
def test_any_octets_are_answered_alike_however_cut(data: bytes, places: list[int]) -> None:
    """No exception, replies well-formed and the same, the same messages taken."""
    heard, taken = hear(whole(data), STRANGE)
    assert_well_formed(heard)
    assert hear(cut_at(data, places), STRANGE) == (heard, taken)
    if len(data) < 2000:
        assert hear(cut(data, 1), STRANGE) == (heard, taken)
    assert all(b"\n" not in m.content.replace(b"\r\n", b"") for m in taken if b"BINARYMIME" not in data)


@given(SESSIONS, st.lists(st.integers(0, 4000), max_size=8), st.data())
def test_promises_change_when_replies_come_and_not_which(data: bytes, places: list[int], drawn: st.DataObject) -> None:
    """Kept early or late, the whole of what is said is the same."""
    expected, taken = hear(whole(data), STRANGE)
    talker = STRANGE()
    talker.promises = True
    heard = b""
    for piece in cut_at(data, places):
        heard += talker.say(piece)
        if drawn.draw(st.booleans()):
            heard += talker.settle()
    heard += talker.settle()
    assert (heard, talker.taken) == (expected, taken)
