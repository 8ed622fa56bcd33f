"""The client engine where a command goes alone: AUTH, ETRN and ATRN."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.smtp.client_talk import GROUP, LOCKSTEP, Player, message
from tests.smtp.talk import PASSWORDS, SIZE, Talker

from restante.smtp.address import parse_domain
from restante.smtp.client_events import Answered, Authenticated, AuthRefused, Ready, Turned
from restante.smtp.exchange import encode
from restante.smtp.reply import MalformedReply
from restante.smtp.sasl import ClientExchange, Credentials, client_exchange
from restante.smtp.services import Features, Service, Stage

TIM = Credentials("tim", PASSWORDS["tim"])
TEST = parse_domain("test.example")
GREETED = b"220 a\r\n", b"250-a\r\n250-PIPELINING\r\n250 AUTH PLAIN login SCRAM-SHA-256\r\n"


def exchange(mechanism: str, credentials: Credentials = TIM) -> ClientExchange:
    """Tim's side."""
    return client_exchange(mechanism, credentials, nonce="rOprNGfwEbeRWgbNEkqO")


def greeted() -> Player:
    """An engine that is ready."""
    player = Player([])
    for said in GREETED:
        player.hear(said, None)
    player.sent = b""
    return player


def asked(player: Player, said: bytes) -> bytes:
    """What is sent once the peer has said that."""
    player.sent = b""
    player.hear(said, None)
    return player.sent


def test_the_mechanisms_that_a_peer_offers() -> None:
    """In upper case, in its order; the old form with an equals sign is none."""
    assert greeted().ready.offer.auth == ("PLAIN", "LOGIN", "SCRAM-SHA-256")
    player = Player([])
    player.hear(b"220 a\r\n", None)
    player.hear(b"250-a\r\n250 AUTH=LOGIN PLAIN\r\n", None)
    assert not player.ready.offer.auth


def test_plain_in_one_step() -> None:
    """What was offered stays known (RFC 4954 §4), and mail may follow."""
    player = greeted()
    player.engine.authenticate("PLAIN", exchange("PLAIN"))
    assert not player.engine.can_ask
    assert player.engine.data_to_send() == b"AUTH PLAIN AHRpbQB0YW5zdGFhZnRhbnN0YWFm\r\n"
    player.hear(b"235 2.7.0 Welcome\r\n", None)
    assert isinstance(player.events[-1], Authenticated)
    assert player.engine.can_begin
    assert player.engine.offer.pipelining


@pytest.mark.parametrize("refusal", ["535 5.7.8 No", "454 4.7.0 Not now", "501 5.5.2 What?"])
def test_a_refused_login_leaves_the_session_open(refusal: str) -> None:
    """Whether that is any good is the caller's to say."""
    player = greeted()
    player.engine.authenticate("PLAIN", exchange("PLAIN"))
    player.go_on()
    player.hear(f"{refusal}\r\n".encode(), None)
    event = player.events[-1]
    assert isinstance(event, AuthRefused)
    assert (str(event.reply), event.problem) == (refusal, "")
    assert player.engine.can_ask


def test_a_server_that_cannot_prove_itself_is_told_nothing_more() -> None:
    """RFC 5802 §5: a wrong signature cancels the exchange."""
    player = greeted()
    player.engine.authenticate("SCRAM-SHA-256", exchange("SCRAM-SHA-256"))
    assert player.engine.data_to_send().startswith(b"AUTH SCRAM-SHA-256 ")
    first = b"r=rOprNGfwEbeRWgbNEkqOmore,s=c2FsdA==,i=4096"
    assert asked(player, b"334 " + _line(first)) not in (b"", b"*\r\n")
    assert asked(player, b"334 " + _line(b"v=" + b"A" * 43 + b"=")) == b"*\r\n"
    assert asked(player, b"501 5.7.0 Cancelled\r\n") == b""
    event = player.events[-1]
    assert isinstance(event, AuthRefused)
    assert "password" in event.problem


@pytest.mark.parametrize("said", ["235 2.7.0 Welcome", "250 OK", "220 x", "354 x"])
def test_a_server_that_proves_nothing_is_not_believed(said: str) -> None:
    """A 235 ahead of the signature comes from one who does not know the password."""
    player = greeted()
    player.engine.authenticate("SCRAM-SHA-256", exchange("SCRAM-SHA-256"))
    player.go_on()
    with pytest.raises(MalformedReply):
        player.hear(f"{said}\r\n".encode(), None)


@pytest.mark.parametrize("said", ["334 AA==", "235 2.7.0 Welcome"])
def test_behind_a_star_only_a_refusal_can_come(said: str) -> None:
    """Anything else is no reply to it."""
    player = greeted()
    player.engine.authenticate("PLAIN", exchange("PLAIN"))
    player.go_on()
    assert asked(player, b"334 AA==\r\n") == b"*\r\n"
    with pytest.raises(MalformedReply):
        player.hear(f"{said}\r\n".encode(), None)


def test_replies_ahead_of_an_exchange_are_an_injection() -> None:
    """A success that came before we had said who we are is none."""
    player = greeted()
    player.engine.authenticate("PLAIN", exchange("PLAIN"))
    with pytest.raises(MalformedReply, match="nothing that was asked"):
        player.hear(b"235 2.7.0 Welcome\r\n", None)


# ETRN and ATRN


def test_nodes_are_asked_for_one_by_one() -> None:
    """RFC 1985; each has its own reply, and mail may follow."""
    player = greeted()
    for node, said in (("test.example", "253 OK, 14 pending messages"), ("#all", "459 Not allowed")):
        player.engine.etrn(node)
        assert not player.engine.can_ask
        assert player.engine.data_to_send() == f"ETRN {node}\r\n".encode()
        player.hear(f"{said}\r\n".encode(), None)
        assert [str(event.reply) for event in player.events if isinstance(event, Answered)][-1] == said
    assert player.engine.can_begin


@pytest.mark.parametrize("domains", [(), ("test.example",), ("test.example", "b.test.example")])
def test_atrn_turns_the_connection_round(domains: tuple[str, ...]) -> None:
    """The engine is finished: nothing is begun, asked or heard any more."""
    player = greeted()
    player.engine.atrn([parse_domain(domain) for domain in domains])
    assert player.engine.patience >= 600  # RFC 2645 §5.2.1
    assert player.engine.data_to_send().decode() == f"ATRN {','.join(domains)}".rstrip() + "\r\n"
    player.hear(b"250 OK now reversing the connection\r\n", None)
    assert isinstance(player.events[-1], Turned)
    assert player.engine.has_ended
    assert not player.engine.can_begin
    assert not player.engine.can_ask


@pytest.mark.parametrize("said", ["450 4.7.1 x", "451 x", "453 4.7.0 You have no mail", "502 5.5.1 x", "530 x"])
def test_a_refused_atrn_leaves_the_session_open(said: str) -> None:
    """RFC 2645 §5.2.1: 453 means that there is nothing; after 502 ETRN may be tried."""
    player = greeted()
    player.engine.atrn([TEST])
    player.go_on()
    player.hear(f"{said}\r\n".encode(), None)
    event = player.events[-1]
    assert isinstance(event, Answered)
    assert str(event.reply) == said
    assert player.engine.can_ask


@pytest.mark.parametrize("ahead", [b"2", b"220 x\r\n", b"EHLO office.example\r\n", b"MAIL FROM:<>\r\n", b"\r\n", b"\0"])
def test_octets_behind_the_reply_to_atrn_end_the_session(ahead: bytes) -> None:
    """An office speaks only after our 220 (RFC 2645 §5.3): these came from somebody else, or are for nobody."""
    player = greeted()
    player.engine.atrn([TEST])
    player.go_on()
    with pytest.raises(MalformedReply):
        player.hear(b"250 OK now reversing the connection\r\n" + ahead, None)
    assert not any(isinstance(event, Turned) for event in player.events)


@pytest.mark.parametrize(
    "refused",
    [
        f"""{LOCKSTEP}
        C: MAIL FROM:<ann@far.example>
        S: 250 OK
        C: RCPT TO:<bert@test.example>
        S: 550 5.1.1 Unknown
        """,
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 250 OK
        S: 451 4.3.0 Not now
        S: 503 5.5.1 RCPT first
        """,
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 503 5.5.1 MAIL again
        S: 250 OK
        S: 503 5.5.1 RCPT first
        """,
    ],
)
def test_a_transaction_that_was_refused_is_reset_before_a_command_goes_alone(refused: str) -> None:
    """Else it would be out of sequence; the command waits for the reply to RSET."""
    player = Player([message()])
    player.play(refused)
    player.engine.atrn([])
    player.sent = b""
    player.go_on()
    assert player.sent == b"RSET\r\n"
    assert asked(player, b"250 2.0.0 OK\r\n") == b"ATRN\r\n"
    assert asked(player, b"453 4.7.0 No mail\r\n") == b""
    assert isinstance(player.events[-1], Answered)


@pytest.mark.parametrize(
    "refused",
    [
        f"""{LOCKSTEP}
        C: MAIL FROM:<ann@far.example>
        S: 502 5.5.1 Not implemented
        """,
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: DATA
        S: 502 5.5.1 Not implemented
        S: 502 5.5.1 Not implemented
        S: 502 5.5.1 Not implemented
        """,
    ],
)
def test_where_no_mail_is_taken_no_reset_is_tried_before_a_command_goes_alone(refused: str) -> None:
    """An office may answer 502 to all but AUTH and ATRN (RFC 2645 §5.1); no transaction was begun there."""
    player = Player([message()])
    player.play(refused)
    player.engine.atrn([])
    player.sent = b""
    player.go_on()
    assert player.sent == b"ATRN\r\n"
    assert asked(player, b"453 4.7.0 No mail\r\n") == b""
    assert isinstance(player.events[-1], Answered)


def test_nothing_goes_alone_while_something_is_on_its_way() -> None:
    """Its reply would be taken for another's."""
    player = Player([message()])
    for said in GREETED:
        assert not player.engine.can_ask
        player.hear(said, None)
    assert not player.engine.can_ask
    with pytest.raises(AssertionError):
        player.engine.etrn("test.example")
    player.hear(b"250 OK\r\n250 OK\r\n354 OK\r\n", None)
    assert not player.engine.can_ask
    player.hear(b"250 OK\r\n", None)
    assert player.engine.can_ask


# against our own server


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5"])
@pytest.mark.parametrize("password", [PASSWORDS["tim"], "wrong"])
def test_a_customer_logs_in_at_an_office_and_turns(mechanism: str, password: str) -> None:
    """Both engines, every mechanism, octet by octet; a wrong password gets no further."""
    office = Talker(Features("office.example", SIZE, Service.ODMR, auth=(mechanism,)))
    office.engine.greet()
    player = Player([])
    _converse(player, office)
    assert player.ready.offer.auth == (mechanism,)
    player.engine.authenticate(mechanism, exchange(mechanism, Credentials("tim", password)))
    _converse(player, office)
    is_right = password == PASSWORDS["tim"]
    assert isinstance(player.events[-1], Authenticated) == is_right == office.engine.authenticated
    player.engine.atrn([TEST])
    _converse(player, office)
    assert isinstance(player.events[-1], Turned) == is_right == (office.engine.stage is Stage.TURNED)


def _converse(player: Player, office: Talker) -> None:
    """Until neither has anything to say."""
    player.go_on()
    to_client = office.say(player.sent)
    player.sent = b""
    while to_client:
        player.hear(to_client, 1)
        to_client, player.sent = office.say(player.sent), b""


def _line(data: bytes) -> bytes:
    return encode(data).encode() + b"\r\n"


LINES = [
    "250 ok",
    "250-x",
    "354 go",
    "334 ",
    "334 AA==",
    "334 x",
    "235 ok",
    "451 no",
    "501 no",
    "421 bye",
    "junk",
    "220",
]


@given(
    st.lists(st.sampled_from(LINES), max_size=12),
    st.sampled_from(["PLAIN", "LOGIN", "SCRAM-SHA-256", "CRAM-MD5", "ETRN", "ATRN"]),
)
def test_no_peer_however_confused_logs_us_in_or_turns_us_by_another_reply(said: list[str], command: str) -> None:
    """235 to a mechanism that lets it, 2yz to ATRN; for all else an event or MalformedReply, and one answer at most."""
    player = greeted()
    match command:
        case "ETRN":
            player.engine.etrn("test.example")
        case "ATRN":
            player.engine.atrn([TEST])
        case _:
            player.engine.authenticate(command, exchange(command))
    player.go_on()
    heard = 0
    try:
        for line in said:
            player.hear(f"{line}\r\n".encode(), None)
            heard += 1
    except MalformedReply:
        pass
    answers = [event for event in player.events if not isinstance(event, Ready)]
    if any(isinstance(event, Authenticated) for event in answers):
        assert command != "SCRAM-SHA-256"
        assert "235 ok" in said[:heard]
    if any(isinstance(event, Turned) for event in answers):
        assert command == "ATRN"
    assert len(answers) <= 1
