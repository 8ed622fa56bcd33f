"""The lines that are written out field by field."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from restante.facts import ItemDelivered, MessageAccepted
from restante.model import DomainName, ItemId, MessageId, Principal
from restante.observe.hot import HOT
from restante.observe.lines import as_text
from restante.observe.log import words_of

TEXTS = st.text(st.characters(), min_size=1, max_size=40)
NAMES = TEXTS.map(DomainName)
COUNTS = st.integers(0, 1 << 60)
MESSAGES = st.integers(1 << 43, (1 << 53) - 1).map(MessageId)
ITEMS = st.integers(1 << 53, (1 << 63) - 1).map(ItemId)
PRINCIPALS = st.builds(Principal, st.ip_addresses(), st.none() | TEXTS)
ACCEPTED = st.builds(
    MessageAccepted, MESSAGES, PRINCIPALS, TEXTS, st.lists(NAMES, min_size=1, max_size=3).map(tuple), COUNTS, COUNTS
)
DELIVERED = st.builds(ItemDelivered, ITEMS, NAMES, COUNTS, TEXTS, COUNTS, COUNTS, TEXTS)


@given(ACCEPTED | DELIVERED)
def test_they_are_what_the_table_of_all_facts_gives(fact: MessageAccepted | ItemDelivered) -> None:
    """Whatever a peer has said, byte for byte behind the time."""
    event, fields = words_of(fact)
    line = as_text({"level": "info", "event": event, **fields}) + "\n"
    assert HOT[type(fact)](fact).partition(" ")[2] == line.partition(" ")[2]
