"""What a next hop's replies mean: taken, wait, or final; a dislike of the conversation is never final."""

from __future__ import annotations

import pytest

from restante.smtp.reply import Reply
from restante.transport.outcome import Deferred, Delivered, Refused
from restante.transport.verdict import judge


@pytest.mark.parametrize(
    ("code", "enhanced", "outcome"),
    [
        (250, "2.0.0", Delivered("250 2.0.0 text")),
        (251, "", Delivered("251 text")),
        (450, "4.2.1", Deferred("450 4.2.1 text")),
        (452, "", Deferred("452 text")),
        (550, "5.1.1", Refused("550 5.1.1 text", "5.1.1")),
        (550, "", Refused("550 text", "5.0.0")),
        (552, "5.3.4", Refused("552 5.3.4 text", "5.3.4")),
        (554, "5.7.1", Refused("554 5.7.1 text", "5.7.1")),
        (501, "5.1.3", Refused("501 5.1.3 text", "5.1.3")),
        (501, "5.5.4", Deferred("501 5.5.4 text")),
        (500, "", Deferred("500 text")),
        (502, "5.5.1", Deferred("502 5.5.1 text")),
        (503, "", Deferred("503 text")),
        (521, "", Deferred("521 text")),
        (530, "5.7.0", Deferred("530 5.7.0 text")),
        (550, "5.7.10", Deferred("550 5.7.10 text")),
        (552, "5.5.3", Deferred("552 5.5.3 text")),
    ],
)
def test_a_reply_is_final_only_when_it_speaks_of_the_mail(
    code: int, enhanced: str, outcome: Delivered | Deferred | Refused
) -> None:
    """RFC 3463 §3.6: class 5.5 is about the protocol, and says nothing about the message."""
    assert judge(Reply(code, "text", enhanced)) == outcome
