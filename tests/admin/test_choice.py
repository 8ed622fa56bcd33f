"""Which items an operator means, by what he says of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.admin import protocol as p
from restante.admin.choice import Choice, NotChosen, Party, choice_of
from restante.model import DomainName, Envelope, Item, ItemId, ItemState, Mailbox, Recipient
from restante.smtp.address import AddressError
from restante.spool.spool import Filter

NOW = 1_767_225_600.0
TEST = DomainName("test.example")


def item(sender: str | None = "carla@far.example", *to: str, size: int = 1000, age: float = 60.0) -> Item:
    """An item for test.example."""
    recipients = tuple(Recipient(Mailbox.parse(text)) for text in to or ("anna@test.example",))
    envelope = Envelope(None if sender is None else Mailbox.parse(sender), recipients)
    return Item(ItemId(1 << 60), TEST, envelope, size, NOW - age)


@pytest.mark.parametrize(
    ("text", "mailbox", "is_one"),
    [
        ("carla@far.example", "carla@far.example", True),
        ("<carla@far.example>", "carla@far.example", True),
        ("Carla@FAR.example", "carla@far.example", True),
        ("carla@far.example", "carla+x@far.example", False),
        ("carla@far.example", "carla@sub.far.example", False),
        ("carla@far.example", None, False),
        ("@far.example", "bert@far.example", True),
        ("@far.example", "bert@sub.far.example", False),
        ("@far.example", None, False),
        ("@bücher.example", "bert@xn--bcher-kva.example", True),
        ("<>", None, True),
        ("<>", "carla@far.example", False),
    ],
)
def test_who_is_meant(text: str, mailbox: str | None, is_one: bool) -> None:
    """One mailbox, whatever its case; any of one domain, and none below it; or nobody."""
    assert Party.parse(text).is_one(None if mailbox is None else Mailbox.parse(mailbox)) == is_one


@pytest.mark.parametrize("text", ["", "@", "carla", "@far..example", "carla@"])
def test_who_is_nobody_s_name(text: str) -> None:
    """Neither an address nor a domain."""
    with pytest.raises(AddressError):
        Party.parse(text)


@pytest.mark.parametrize(
    ("request_", "meant"),
    [
        (p.Remove(all=True), True),
        (p.Remove(sender="@far.example"), True),
        (p.Remove(sender="<>"), False),
        (p.Remove(recipient="anna@test.example"), True),
        (p.Remove(recipient="bert@test.example"), False),
        (p.Remove(older=59), True),
        (p.Remove(older=60), False),
        (p.Remove(larger=999), True),
        (p.Remove(larger=1000), False),
        (p.Remove(sender="@far.example", recipient="@test.example", older=10, larger=10), True),
        (p.Remove(sender="@far.example", larger=1000), False),
    ],
    ids=str,
)
def test_all_that_is_said_must_be_so(request_: p.Remove, meant: bool) -> None:
    """Older and larger mean more than that."""
    choice = choice_of(request_, "remove")
    assert choice is not None
    assert choice.wants(item(), NOW) == meant


def test_one_recipient_of_many_is_enough() -> None:
    """An item is one, whoever else it is for."""
    choice = Choice(recipient=Party.parse("bert@test.example"))
    assert choice.wants(item(None, "anna@test.example", "bert@test.example"), NOW)


def test_of_a_damaged_item_nobody_knows_whose_it_is() -> None:
    """It is no one's, not even that of the null reverse-path."""
    damaged = Item(ItemId(1 << 60), DomainName(""), Envelope(None, ()), 0, NOW, state=ItemState.QUARANTINED)
    assert not Choice(sender=Party.parse("<>")).wants(damaged, NOW)
    assert Choice().wants(damaged, NOW)


def test_domain_and_state_are_the_spool_s_to_look_for() -> None:
    """So that it need not read all."""
    choice = choice_of(p.Freeze(domain="Test.Example", state=ItemState.WAITING), "freeze")
    assert choice is not None
    assert choice.filter == Filter(domains=(TEST,), state=ItemState.WAITING, limit=p.PAGE)


@pytest.mark.parametrize(
    "request_",
    [
        p.Remove(),
        p.Remove(("0QJ3K5W7T9A",), "test.example"),
        p.Remove(("0QJ3K5W7T9A",), all=True),
        p.Remove(("0QJ3K5W7T9A",), older=0.0),
        p.Remove(("0QJ3K5W7T9A",), sender="<>"),
    ],
    ids=str,
)
def test_neither_nothing_is_a_choice_nor_are_ids_with_more(request_: p.Remove) -> None:
    """A typing error must not remove what was not meant."""
    with pytest.raises(NotChosen, match=r"^remove takes ids, or options that choose items: --domain, "):
        choice_of(request_, "remove")


@given(st.text())
def test_any_text_is_who_or_no_address(text: str) -> None:
    """And nothing else."""
    try:
        Party.parse(text)
    except AddressError:
        return
    assert text == "<>" or "@" in text
