"""The books of a call balance, whatever comes in whatever order."""

from __future__ import annotations

import ipaddress

from hypothesis import given
from hypothesis import strategies as st

from restante.calls.answer import Answer, NotNow, Refused, Started
from restante.calls.ledger import EndedBy, Ledger
from restante.facts import MessageAccepted
from restante.model import DomainName, MessageId, Principal, Progress, ReleaseView

A, B = DomainName("a.example"), DomainName("b.example")
SOMEBODY = Principal(ipaddress.ip_address("192.0.2.1"))


def message(*domains: DomainName, octets: int = 10) -> MessageAccepted:
    """One that was accepted here."""
    return MessageAccepted(MessageId(1), SOMEBODY, "<>", domains, 1, octets)


def ledger(**answers: Answer) -> Ledger:
    """Books in which nothing more is asked or released; `a` and `b` are what the office said."""
    books = Ledger((A, B), "call office", 30, 0)
    for name, answer in answers.items():
        books.answered(DomainName(f"{name}.example"), answer, 0)
    books.asking = books.releasing = False
    return books


def test_a_message_for_two_domains_makes_up_for_two_items() -> None:
    """An office that sends one transaction for both has still sent what it counted."""
    books = ledger(a=Started(1), b=Started(1))
    assert (books.expected, books.owed, books.is_over(0)) == (2, 2, None)
    assert books.take(message(A, B), 1)
    assert (books.received, books.owed, books.is_over(1)) == (1, 0, EndedBy.COUNTS)


def test_what_came_before_the_count_was_not_counted() -> None:
    """253 says what waits at that moment: an earlier message is not one of them."""
    books = Ledger((A,), "call office", 30, 0)
    books.take(message(A), 0)
    books.answered(A, Started(1), 1)
    assert (books.expected, books.owed) == (2, 1)


def test_a_known_debt_is_waited_for_and_an_unknown_one_is_not() -> None:
    """Silence ends only what has no count."""
    assert ledger(a=Started(1), b=Started(None)).is_over(1000) is None
    books = ledger(a=Started(0), b=Started(None))
    assert (books.is_idling, books.is_over(29.9), books.is_over(30)) == (True, None, EndedBy.IDLE)
    assert ledger(a=Started(0), b=Refused(ends_asking=False)).is_over(0) is EndedBy.COUNTS


def test_who_said_not_now_is_asked_again() -> None:
    """And who said yes or no is not."""
    books = ledger(a=NotNow(), b=Refused(ends_asking=False))
    assert list(books.unanswered) == [A]
    assert not books.has_begun


def test_the_releases_own_counts_are_final() -> None:
    """Each release counts once, however often one is tried."""
    books = ledger()
    for number in (1, 2):
        view = ReleaseView(number, "*", "call office", "x", Progress.ENDED, delivered=2, octets_sent=50)
        books.released([view], number)
    assert (books.sent, books.sent_octets) == (4, 100)


@given(
    counted=st.integers(0, 20),
    arrivals=st.lists(st.sampled_from([(A,), (B,), (A, B), (DomainName("c.example"),)]), max_size=40),
)
def test_nothing_is_owed_once_so_many_have_come(counted: int, arrivals: list[tuple[DomainName, ...]]) -> None:
    """Exactly then, and mail of strangers counts for nothing."""
    books = ledger(a=Started(counted), b=Started(0))
    for domains in arrivals:
        books.take(message(*domains), 1)
    came = sum(A in domains for domains in arrivals)
    assert books.owed == max(0, counted - came)
    assert (books.is_over(1) is EndedBy.COUNTS) == (came >= counted)
    assert books.received == sum(domains != ("c.example",) for domains in arrivals)
