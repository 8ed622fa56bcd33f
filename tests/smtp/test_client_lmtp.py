"""The client engine in LMTP (RFC 2033): the content has a reply for each recipient that was taken."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.smtp.client_talk import Player, message
from tests.smtp.talk import cut_at

from restante.smtp.client import Ahead, ClientEngine
from restante.smtp.client_events import Finished
from restante.smtp.offer import Outgoing
from restante.smtp.reply import MalformedReply

STREAM = """
    S: 220 site.example LMTP
    C: LHLO office.example
    S: 250-site.example
    S: 250-PIPELINING
    S: 250 CHUNKING
"""
GROUP = STREAM.replace("    S: 250 CHUNKING\n", "").replace("250-PIPELINING", "250 PIPELINING")


def play(script: str, *outgoing: Outgoing) -> list[tuple[object, list[str]]]:
    """Plays a script in one piece, in sevens and octet by octet; what became of each transaction."""
    results = []
    for step in (None, 7, 1):
        player = lmtp(*outgoing)
        player.play(script, step)
        results.append(player.results())
    assert results[0] == results[1] == results[2]
    return results[0]


def lmtp(*outgoing: Outgoing, ahead: Ahead | None = None) -> Player:
    """A client with these transactions."""
    player = Player(outgoing)
    player.engine = ClientEngine("office.example", ahead, lmtp=True)
    return player


def test_each_recipient_has_its_own_reply_to_data() -> None:
    """RFC 2033 §4.2, example: in the order of the recipients that were taken."""
    results = play(
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<pat@test.example>
        C: RCPT TO:<jones@test.example>
        C: RCPT TO:<green@test.example>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 550 No such user here
        S: 250 OK
        S: 354 Go on
        C: Hi
        C: .
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<carl@test.example>
        C: DATA
        S: 250 OK
        S: 452 <green@test.example> is temporarily over quota
        S: 250 OK
        S: 250 OK
        S: 354 Go on
        C: Hi
        C: .
        S: 250 two
        """,
        message("pat", "jones", "green"),
        message("carl"),
    )
    assert results == [
        (0, ["250 OK", "550 No such user here", "452 <green@test.example> is temporarily over quota"]),
        (1, ["250 two"]),
    ]


def test_each_recipient_has_its_own_reply_to_the_last_chunk() -> None:
    """RFC 2033 §4.3; a transaction that nobody takes has one, and so has one whose sender is refused."""
    results = play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<carl@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<dora@test.example>
        C: RCPT TO:<emil@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<fred@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<bert@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 250 bert
        S: 451 not carl
        S: 250 OK
        S: 250 OK
        S: 550 no dora
        S: 550 no emil
        S: 503 nobody
        S: 250 OK
        S: 552 too big
        S: 503 MAIL first
        S: 503 MAIL first
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 250 bert
        S: 250 bert again
        """,
        message("bert", "carl"),
        message("dora", "emil"),
        message("fred"),
        message("bert", "bert"),
    )
    assert results == [
        (0, ["250 bert", "451 not carl"]),
        (1, ["550 no dora", "550 no emil"]),
        (2, ["552 too big"]),
        (3, ["250 bert", "250 bert again"]),
    ]


def test_a_refused_data_command_answers_for_all() -> None:
    """There is no content then, and one reply."""
    results = play(
        f"""{GROUP}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<carl@test.example>
        C: DATA
        S: 250 OK
        S: 250 OK
        S: 550 no carl
        S: 451 Not now
        """,
        message("bert", "carl"),
    )
    assert results == [(0, ["451 Not now", "550 no carl"])]


def test_there_is_no_helo() -> None:
    """RFC 2033 §4.1: who does not know LHLO does not speak LMTP."""
    player = lmtp()
    player.play("S: 220 a\nC: LHLO office.example\nS: 500 What?")
    assert player.end() == "500 What?"
    assert not player.engine.can_begin


def test_354_where_nobody_takes_it_is_no_lmtp() -> None:
    """RFC 2033 §4.2: 503 it must be; how many replies would follow is not to be known."""
    player = lmtp(message("bert"))
    for said in (b"220 a\r\n", b"250-a\r\n250 PIPELINING\r\n"):
        player.hear(said, None)
    with pytest.raises(MalformedReply):
        player.hear(b"250 OK\r\n550 no\r\n354 go\r\n", None)


def test_a_peer_that_leaves_amid_its_replies_has_confirmed_what_it_has_said() -> None:
    """Those who had their reply keep it; the others wait, as ever after 421."""
    player = lmtp(message("bert", "carl", "dora"), message("emil"))
    player.play(
        f"""{STREAM}
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<bert@test.example>
        C: RCPT TO:<carl@test.example>
        C: RCPT TO:<dora@test.example>
        C: BDAT 4 LAST
        C: Hi
        C: RSET
        C: MAIL FROM:<ann@far.example>
        C: RCPT TO:<emil@test.example>
        C: BDAT 4 LAST
        C: Hi
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 250 OK
        S: 250 bert
        S: 421 4.3.2 Going
        """
    )
    assert player.results() == [(0, ["250 bert", "421 4.3.2 Going", "421 4.3.2 Going"])]
    assert player.end() == "421 4.3.2 Going"


def test_a_refused_chunk_behind_which_the_last_was_sent_ends_the_session() -> None:
    """Whether one reply follows or several is told nowhere, so that none can be believed."""
    player = lmtp(message("bert", "carl", content=None, size=8))
    for said in (b"220 a\r\n", b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n", b"250 OK\r\n250 OK\r\n250 OK\r\n"):
        player.hear(said, None)
    player.engine.content(0, b"Hi\r\n", last=False)
    player.engine.content(0, b"Hi\r\n", last=True)
    player.go_on()
    with pytest.raises(MalformedReply):
        player.hear(b"452 4.3.1 Full\r\n250 bert\r\n", None)
    assert player.results() == [(0, ["452 4.3.1 Full", "452 4.3.1 Full"])]


@pytest.mark.parametrize("said", ["354 go", "334 x"])
def test_a_positive_reply_of_the_wrong_kind_ends_the_session(said: str) -> None:
    """It delivers nothing."""
    player = lmtp(message("bert", "carl"))
    for line in (b"220 a\r\n", b"250-a\r\n250-PIPELINING\r\n250 CHUNKING\r\n"):
        player.hear(line, None)
    with pytest.raises(MalformedReply):
        player.hear(f"250 OK\r\n250 OK\r\n250 OK\r\n{said}\r\n421 bye\r\n".encode(), None)
    assert player.results() == []


class Mailboxes:
    """A server of LMTP, as its RFC has it, whose replies say what they are for.

    A user whose name begins with `x` is unknown, one with `q` is over quota, and the sender's messages of which the
    number is in `refused` are refused at MAIL.
    """

    def __init__(self, ehlo: str, refused: frozenset[int]) -> None:
        self._ehlo = ehlo
        self._refused = refused
        self._mails = 0
        self._open = False
        self._taken: list[str] = []
        self._unread = b""
        self._in_data = False

    def say(self, data: bytes) -> bytes:
        """The replies to the next octets."""
        self._unread += data
        said = b""
        while (end := self._unread.find(b"\r\n")) >= 0:
            line, rest = self._unread[:end].decode(), self._unread[end + 2 :]
            if not self._in_data and line.startswith("BDAT ") and len(rest) < int(line.split()[1]):
                break
            self._unread = rest
            said += "".join(f"{reply}\r\n" for reply in self._answers(line)).encode()
        return said

    def _answers(self, line: str) -> list[str]:
        if self._in_data:
            if line != ".":
                return []
            self._in_data = False
            return self._deliver()
        verb, _, argument = line.partition(" ")
        user = argument[4:].partition("@")[0]
        match verb:
            case "LHLO":
                return self._ehlo.split("|")
            case "RSET":
                self._open, self._taken = False, []
                return ["250 reset"]
            case "MAIL":
                assert not self._open, "a transaction within another"
                self._mails += 1
                self._open = self._mails - 1 not in self._refused
                return ["250 sender" if self._open else "451 sender"]
            case "RCPT" if self._open:
                if user.startswith("x"):
                    return [f"550 no {user}"]
                self._taken.append(user)
                return [f"250 {user}"]
            case "BDAT":
                size, *last = argument.split()
                self._unread = self._unread[int(size) :]
                if not self._taken:
                    return ["503 nobody"]
                return self._deliver() if last else ["250 chunk"]
            case "DATA" if self._taken:
                self._in_data = True
                return ["354 go"]
            case _:
                return ["503 sequence"]

    def _deliver(self) -> list[str]:
        taken, self._taken, self._open = self._taken, [], False
        return [f"452 full {user}" if user.startswith("q") else f"250 delivered {user}" for user in taken]


USERS = st.lists(st.sampled_from(["ann", "bert", "bert", "q1", "q2", "x1", "x2"]), min_size=1, max_size=5)
EHLOS = st.sampled_from(["250-a|250-PIPELINING|250 CHUNKING", "250-a|250 PIPELINING", "250 a"])


@settings(max_examples=300)
@given(st.lists(st.tuples(USERS, st.booleans()), max_size=6), EHLOS, st.frozensets(st.integers(0, 5)), st.data())
def test_every_recipient_gets_the_reply_that_was_meant_for_it(
    mails: list[tuple[list[str], bool]], ehlo: str, refused: frozenset[int], drawn: st.DataObject
) -> None:
    """By each of the three ways, however the replies are cut, whoever is unknown or full; large messages too."""
    outgoing = [
        message(*users, content=None if is_large else b".Hi\r\n", size=10 if is_large else None)
        for users, is_large in mails
    ]
    player = lmtp(*outgoing, ahead=Ahead(messages=drawn.draw(st.integers(1, 4))))
    player.pieces = (b"One\r\n", b"Two\r\n")
    server = Mailboxes(ehlo, refused)
    to_client = b"220 a\r\n"
    while to_client:
        places = drawn.draw(st.lists(st.integers(1, 200), max_size=3))
        for piece in cut_at(to_client, places):
            player.hear(piece, None)
        to_client, player.sent = server.say(player.sent), b""
    finished = [event for event in player.events if isinstance(event, Finished)]
    assert [event.key for event in finished] == list(range(len(mails)))
    for number, (users, _) in enumerate(mails):
        said = [str(reply) for reply in finished[number].replies]
        assert said == ["451 sender"] * len(users) if number in refused else [_meant_for(user) for user in users]


def _meant_for(user: str) -> str:
    return {"x": f"550 no {user}", "q": f"452 full {user}"}.get(user[0], f"250 delivered {user}")
