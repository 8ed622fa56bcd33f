"""What is counted of facts."""

from __future__ import annotations

import ipaddress
from typing import get_args

import pytest
from tests.observe.test_log import ANN, ITEM, LINES, MESSAGE, TEST
from tests.work import Calls

from restante import facts
from restante.facts import Fact
from restante.model import DomainName
from restante.observe.counts import MOST_REFUSALS, Counts, Key
from restante.observe.families import TOTALS

NOT_COUNTED = {facts.ItemChanged, facts.ItemRedirected, facts.SpoolMended, facts.AlarmCleared}


def counted(*heard: Fact) -> dict[Key, float]:
    """What facts have changed."""
    counts = Counts(lambda: 1000.0)
    before = counts.totals()
    for fact in heard:
        counts.heard(fact)
    return {key: total for key, total in counts.totals().items() if total != before.get(key)}


def test_mail_is_counted_in_messages_recipients_and_octets() -> None:
    """As it comes, and as it leaves."""
    assert counted(
        facts.MessageAccepted(MESSAGE, ANN, "<ann@far.example>", (TEST, DomainName("b.example")), 3, 4096),
        facts.ItemDelivered(ITEM, TEST, 3, "192.0.2.25:25", 2, 4096, "250 OK"),
        facts.ItemDeferred(ITEM, TEST, 3, "192.0.2.25:25", 1, "451 later"),
    ) == {
        ("messages_accepted",): 1,
        ("recipients_accepted",): 3,
        ("accepted_bytes",): 4096,
        ("item_outcomes", "delivered"): 1,
        ("recipient_outcomes", "delivered"): 2,
        ("delivered_bytes",): 4096,
        ("item_outcomes", "deferred"): 1,
        ("recipient_outcomes", "deferred"): 1,
    }


def test_a_notice_is_counted_where_there_is_one() -> None:
    """Not every item that fails has a sender who is told."""
    told = facts.ItemFailed(ITEM, TEST, 3, "192.0.2.25:25", 1, "550 no", MESSAGE)
    untold = facts.ItemFailed(ITEM, TEST, 3, "192.0.2.25:25", 1, "550 no", None)
    assert counted(told, untold)[("notices", "failed")] == 1
    assert counted(told, untold)[("item_outcomes", "failed")] == 2


@pytest.mark.parametrize(
    ("command", "reply", "labels"),
    [
        ("RCPT x@test.example", "550 5.1.1 No such user here", ("RCPT", "550", "5.1.1")),
        ("rcpt to:<x>", "452 4.2.2 full", ("RCPT", "452", "4.2.2")),
        ("XYZZY \0\n", "500 5.5.2 what?", ("other", "500", "5.5.2")),
        ("DATA", "554 no", ("DATA", "554", "")),
        ("DATA", "554 5.6", ("DATA", "554", "")),
        ("DATA", "550 5.7.1.2.3 no", ("DATA", "550", "")),
        ("DATA", "nonsense", ("DATA", "other", "")),
    ],
)
def test_refusals_have_the_command_and_the_codes(command: str, reply: str, labels: Key) -> None:
    """And no words of a peer's."""
    assert counted(facts.CommandRefused(ANN, command, reply)) == {("commands_refused", *labels): 1}


def test_kinds_of_refusal_are_bounded() -> None:
    """Whatever a filter makes up."""
    many = [facts.CommandRefused(ANN, "DATA", f"550 5.{one}.{two} no") for one in range(60) for two in range(60)]
    found = counted(*many)
    assert len(found) == MOST_REFUSALS + 1
    assert found["commands_refused", "other", "other", "other"] == 3600 - MOST_REFUSALS


def test_connections_are_counted_as_often_as_they_were_refused() -> None:
    """The door tells of them together."""
    refused = facts.ConnectionRefused(ipaddress.ip_address("192.0.2.1"), "421 4.7.0 Too many", 17)
    assert counted(refused) == {("connections_refused", "421", "4.7.0"): 17}


@pytest.mark.parametrize(
    ("delivered", "error", "result"), [(3, "", "complete"), (0, "", "complete"), (3, "cut", "cut"), (0, "no", "failed")]
)
def test_a_release_ended_well_or_was_cut_or_reached_nothing(delivered: int, error: str, result: str) -> None:
    """With its rate, where something has moved."""
    counts = Counts(lambda: 1000.0)
    counts.heard(facts.ReleaseEnded(1, "test.example", "x", "y", delivered, 0, 0, 0, 3000 * delivered, 3.0, error))
    assert counts.totals()["releases_ended", result] == 1
    assert sum(counts.release_rate.counts) == bool(delivered)
    assert counts.release_rate.total == 1000.0 * delivered
    assert counts.release_seconds.total == 3.0


def test_the_last_call_that_went_well_is_known() -> None:
    """And the last that did not."""
    now = 1000.0
    counts = Counts(lambda: now)
    counts.heard(facts.CallEnded("office", "office.example:25", 10.0, 1, 2, 3, 4, 0, "counts", ""))
    now = 2000.0
    counts.heard(facts.CallEnded("office", "office.example:25", 10.0, 0, 0, 0, 0, 0, "error", "no route"))
    assert counts.last_call == {"complete": 1000.0, "failed": 2000.0}
    assert counts.totals()["call_messages", "received"] == 3


def test_each_kind_of_fact_is_counted_or_left_out_on_purpose() -> None:
    """A new one needs a thought."""
    counts = Counts(lambda: 1000.0)
    kinds = set()
    for fact, _ in LINES:
        before = counts.totals()
        counts.heard(fact)
        if counts.totals() != before:
            kinds.add(type(fact))
    assert set(get_args(Fact)) - kinds == NOT_COUNTED


def test_what_is_counted_is_what_is_told() -> None:
    """Every counter has its family, with as many labels."""
    counts = Counts(lambda: 1000.0)
    for fact, _ in LINES:
        counts.heard(fact)
    assert {name for name, *_ in counts.totals()} == set(TOTALS)
    assert all(len(labels) == len(TOTALS[name].labels) for name, *labels in counts.totals())


def test_counting_takes_no_time_worth_speaking_of() -> None:
    """A few calls of functions; a message takes hundreds."""
    counts = Counts(lambda: 1000.0)
    fact = facts.MessageAccepted(MESSAGE, ANN, "<ann@far.example>", (TEST,), 1, 4096)
    counts.heard(fact)
    with Calls() as calls:
        for _ in range(100):
            counts.heard(fact)
    assert calls.number < 10 * 100
