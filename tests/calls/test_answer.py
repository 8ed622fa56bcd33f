"""What an office's words mean, in the dialects of the servers that are out there."""

from __future__ import annotations

import pytest

from restante.calls.answer import Answer, NotNow, Refused, Started, check_node, understand, understand_turn
from restante.smtp.node import NodeError
from restante.smtp.reply import Reply, ReplyReader


def reply_of(line: str) -> Reply:
    """A line of an office as a reply."""
    reader = ReplyReader()
    reader.receive(line.encode() + b"\r\n")
    reply = reader.next_reply()
    assert reply is not None
    return reply


def said(line: str) -> Answer:
    """What it means as the answer to ETRN."""
    return understand(reply_of(line))


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("250 Queuing started", Started(None)),  # Postfix
        ("250 OK", Started(None)),  # Exim
        ("250 2.0.0 Queuing for node test.example started", Started(None)),  # Sendmail
        ("251 2.0.0 OK, no messages waiting for node test.example", Started(0)),
        ("252 OK, pending messages for node test.example started", Started(None)),
        ("253 2.0.0 OK, 14 pending messages for node test.example started", Started(14)),
        ("253 14 pending messages for node 24.248.49.25 started", Started(14)),
        ("253 pending messages for node 24.248.49.25 started", Started(None)),
        ("253 99999999999999999999 pending messages", Started(None)),
        ("458 Already processing test.example", NotNow()),  # Exim
        ("450 4.7.1 greylisted", NotNow()),
        ("459 <test.example>: service unavailable", Refused(ends_asking=False)),
        ("500 Syntax: ETRN domain", Refused(ends_asking=True)),
        ("554 5.7.1 <test.example>: Etrn command rejected: Access denied", Refused(ends_asking=True)),
        ("354 go ahead", Refused(ends_asking=True)),
    ],
)
def test_each_reply_has_one_meaning(line: str, answer: Answer) -> None:
    """RFC 1985 §5.1, and what is said instead of it."""
    assert said(line) == answer


@pytest.mark.parametrize(
    "node", ["test.example", "TEST.example", "@example", "#customers", "#a,b;c", "24.248.49.25", "[24.248.49.25]"]
)
def test_a_node_goes_out_as_it_was_written(node: str) -> None:
    """Also a `#name` that only that office understands."""
    assert check_node(node) == node


def test_a_domain_in_other_letters_goes_out_as_its_a_label() -> None:
    """An office reads ASCII."""
    assert check_node("münchen.example") == "xn--mnchen-3ya.example"


@pytest.mark.parametrize("node", ["", "#", "@", "a b", "a\r\nQUIT", "#a b", "#a\n", "bad..name", "#" + "a" * 600])
def test_what_cannot_be_a_node_is_refused(node: str) -> None:
    """Nothing of it reaches the wire."""
    with pytest.raises(NodeError):
        check_node(node)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("453 You have no mail", Started(0)),
        ("450 ATRN request refused", Refused(ends_asking=True)),
        ("450 4.7.1 ATRN request refused", Refused(ends_asking=True)),
        ("450 4.7.0 You ask too often", NotNow()),
        ("451 Unable to process ATRN request now", NotNow()),
        ("502 Command not implemented", Refused(ends_asking=True)),
        ("530 Authentication required", Refused(ends_asking=True)),
        ("334 go on", Refused(ends_asking=True)),
    ],
)
def test_what_an_office_says_to_atrn(line: str, answer: Answer) -> None:
    """RFC 2645 §5.2.1; its 450 has two meanings."""
    assert understand_turn(reply_of(line)) == answer
