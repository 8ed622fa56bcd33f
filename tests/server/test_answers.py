"""Outcomes as replies (DESIGN: contract): code, enhanced code and words of each."""

from __future__ import annotations

import pytest

from restante.directory.routing import DomainRejected, Refusal, RelayDenied, UnknownUser
from restante.model import MessageId
from restante.release.answers import Answer, Busy, NotAllowed, NothingWaiting, Queued, Started, TurnAnswer, Unavailable
from restante.release.turn import Turn
from restante.server import answers
from restante.spool.spool import SpoolBroken, SpoolFull


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Started(14), "253 2.0.0 OK, 14 pending messages for node X started"),
        (Started(None), "252 2.0.0 OK, pending messages for node X started"),
        (NothingWaiting(), "251 2.0.0 OK, no messages waiting for node X"),
        (NothingWaiting(250), "250 2.0.0 OK, queuing for node X started"),
        (Queued(), "250 2.0.0 OK, queuing for node X started"),
        (NotAllowed(), "459 4.7.1 Node X not allowed"),
        (Unavailable(), "458 4.3.0 Unable to queue messages for node X"),
    ],
)
def test_what_an_etrn_is_told(answer: Answer, said: str) -> None:
    """RFC 1985 §5.1, with the node as it was written."""
    assert bytes(answers.etrn("X", answer)) == f"{said}\r\n".encode()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Turn((), lambda *_: None), "250 2.0.0 OK now reversing the connection"),
        (NothingWaiting(), "453 4.2.0 You have no mail"),
        (Busy(), "450 4.7.0 Your mail is on its way already, try again later"),
        (NotAllowed(), "450 4.7.1 ATRN request refused"),
        (Unavailable(), "451 4.3.0 Unable to process ATRN request now"),
    ],
)
def test_what_an_atrn_is_told(answer: TurnAnswer | NotAllowed, said: str) -> None:
    """RFC 2645 §5.2.1; the enhanced code tells the refusals with one code apart."""
    assert bytes(answers.atrn(answer)) == f"{said}\r\n".encode()


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (UnknownUser(), "550 5.1.1 No such user here"),
        (RelayDenied(), "550 5.7.1 Relay access denied"),
        (DomainRejected("We have moved"), "550 5.7.1 We have moved"),
        (DomainRejected(""), "550 5.7.1 No mail is taken for this domain"),
    ],
)
def test_why_a_recipient_is_not_taken(found: Refusal, said: str) -> None:
    """For good."""
    assert str(answers.not_routed(found)) == said


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (SpoolFull(10, 0), "452 4.3.1"),
        (SpoolBroken("fsync failed"), "451 4.3.0"),
        (OSError("disk"), "451 4.3.0"),
        (KeyError("x"), "451 4.3.0"),
    ],
)
def test_what_was_not_stored_may_come_again(error: Exception, status: str) -> None:
    """Always 4yz; what went wrong inside is nobody's business outside."""
    said = str(answers.not_accepted(error))
    assert said.startswith(f"{status} ")
    assert "fsync" not in said


def test_a_message_is_told_its_id() -> None:
    """By which people find it again."""
    assert answers.accepted(MessageId(1)) == b"250 2.0.0 OK queued as 00000000001\r\n"
