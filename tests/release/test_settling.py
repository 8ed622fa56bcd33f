"""What an item's outcomes mean for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from tests.release.host import LATER, NEVER, TAKEN

from restante.facts import ItemDeferred, ItemDelivered, ItemFailed
from restante.model import DomainName, Envelope, Item, ItemId, Mailbox, MessageId, Recipient
from restante.release.settling import facts, kept, settlement, sort
from restante.transport.outcome import Deferred, Delivered, ItemOutcome, Outcome, Refused

NOW = 1_767_225_600.0


def item_for(count: int, attempts: int = 0) -> Item:
    """An item with so many recipients."""
    recipients = tuple(Recipient(Mailbox(f"user{n}", DomainName("test.example"))) for n in range(count))
    envelope = Envelope(Mailbox("carla", DomainName("far.example")), recipients, envid="E1")
    return Item(ItemId(1 << 60), DomainName("test.example"), envelope, 4000, NOW, attempts=attempts)


def outcome_of(*results: Outcome, attempts: int = 0) -> ItemOutcome:
    """An item with these outcomes."""
    item = item_for(len(results), attempts)
    return ItemOutcome(item, [(r.mailbox, result) for r, result in zip(item.envelope.recipients, results, strict=True)])


OUTCOMES = st.one_of(
    st.builds(Delivered, st.text(max_size=20)),
    st.builds(Deferred, st.text(max_size=20)),
    st.builds(Refused, st.text(max_size=20)),
)


@given(st.lists(OUTCOMES, min_size=1, max_size=20), st.integers(min_value=0, max_value=100))
def test_every_recipient_is_accounted_for_once(results: list[Outcome], attempts: int) -> None:
    """Delivered and refused ones leave, deferred ones stay in order, and the facts count all of them."""
    outcome = outcome_of(*results, attempts=attempts)
    item = outcome.item
    found = sort(outcome)
    written = settlement(found, NOW)
    stays = tuple(r for r, o in zip(item.envelope.recipients, results, strict=True) if isinstance(o, Deferred))
    assert written.item == item.id
    assert written.remaining == (structs.replace(item.envelope, recipients=stays) if stays else None)
    assert (written.next_attempt > NOW) == bool(stays)
    told = [fact for fact in facts(found, 7, "t", None) if isinstance(fact, ItemDelivered | ItemDeferred | ItemFailed)]
    assert sum(fact.recipients for fact in told) == len(results)
    assert found.is_delivered == all(isinstance(result, Delivered) for result in results)


def test_what_was_taken_is_done_with() -> None:
    """Nothing is left, nothing is due."""
    written = settlement(sort(outcome_of(TAKEN, TAKEN)), NOW)
    assert (written.remaining, written.next_attempt, written.dsn) == (None, 0.0, None)


def test_a_deferred_item_says_why_and_waits_longer_each_time() -> None:
    """The first reply is its detail; the wait doubles with the attempts that were."""
    written = settlement(sort(outcome_of(TAKEN, LATER, Deferred("450 busy"))), NOW)
    assert (written.detail, written.next_attempt) == (LATER.reply, NOW + 60)
    assert settlement(sort(outcome_of(LATER, attempts=2)), NOW).next_attempt == NOW + 240


def test_the_rest_of_the_envelope_stays_as_it_was() -> None:
    """Only recipients leave it: ENVID, RET, BODY and the reverse-path are kept."""
    outcome = outcome_of(TAKEN, LATER)
    remaining = settlement(sort(outcome), NOW).remaining
    assert remaining == structs.replace(outcome.item.envelope, recipients=outcome.item.envelope.recipients[1:])


def test_facts_tell_each_kind_once() -> None:
    """With the number of recipients, the first reply, and the DSN where there is one."""
    outcome = outcome_of(TAKEN, LATER, NEVER, NEVER)
    item = outcome.item
    assert facts(sort(outcome), 7, "192.0.2.25:25", MessageId(99)) == [
        ItemDelivered(item.id, item.domain, 7, "192.0.2.25:25", 1, 4000, TAKEN.reply),
        ItemDeferred(item.id, item.domain, 7, "192.0.2.25:25", 1, LATER.reply),
        ItemFailed(item.id, item.domain, 7, "192.0.2.25:25", 2, NEVER.reply, MessageId(99)),
    ]


def test_kept_makes_refused_recipients_wait() -> None:
    """Nobody is dropped when the report of it could not be made."""
    outcome = outcome_of(TAKEN, NEVER, LATER)
    results = kept(sort(outcome), "451 not yet")
    remaining = settlement(results, NOW).remaining
    assert remaining is not None
    recipients = outcome.item.envelope.recipients
    assert set(remaining.recipients) == {recipients[1], recipients[2]}
    assert not results.refused


def test_an_outcome_for_somebody_else_is_a_mistake() -> None:
    """So is one too few: a carrier that does this is stopped before anything is written."""
    outcome = outcome_of(TAKEN, TAKEN)
    with pytest.raises(ValueError, match="zip"):
        sort(ItemOutcome(outcome.item, outcome.outcomes[:1]))
    with pytest.raises(AssertionError):
        sort(ItemOutcome(outcome.item, [*reversed(outcome.outcomes)]))
