"""When an entry's mail was offered, and up to which id."""

from __future__ import annotations

from restante.model import MessageId
from restante.release.contacts import LEAST_KEPT, Contact, Contacts, offered_to

SITE = "site.example"


def ids(*numbers: int) -> tuple[MessageId, ...]:
    """As ids."""
    return tuple(map(MessageId, numbers))


def noted(contacts: Contacts, number: int, offered: int | None, kept: int = 3) -> None:
    """A contact at that time."""
    last = None if offered is None else MessageId(offered)
    contacts.noted(SITE, wall=number + 0.5, steady=float(number), offered=last, kept=kept)


def test_the_last_contacts_are_kept() -> None:
    """As many as are asked for, and a few in any case; one that was cut is a contact, and has offered nothing."""
    contacts = Contacts()
    for number in range(10):
        noted(contacts, number, number * 10, kept=5)
    noted(contacts, 11, None, kept=5)
    assert contacts.get(SITE) == Contact(11.5, 11.0, ids(50, 60, 70, 80, 90))
    noted(contacts, 12, 120, kept=0)
    assert contacts.get(SITE) == Contact(12.5, 12.0, ids(80, 90, 120)[-LEAST_KEPT:])
    assert contacts.get("other.example") is None


def test_how_often_a_message_was_offered() -> None:
    """By the id up to which the contact so many times ago has offered all."""
    contact = Contact(0.0, 0.0, ids(10, 20, 30))
    assert [offered_to(contact, times) for times in (1, 2, 3, 4)] == [30, 20, 10, None]
    assert offered_to(None, 1) is None


def test_ids_that_begin_anew_were_not_offered() -> None:
    """What comes under a lesser id is new."""
    contacts = Contacts({SITE: Contact(0.0, 0.0, ids(10, 2000)), "old.example": Contact(0.0, 0.0, ids(5))})
    contacts.begin_at(MessageId(100))
    assert contacts.take_changes() == {SITE: Contact(0.0, 0.0, ids(10, 99))}


def test_what_has_changed_is_told_once() -> None:
    """With what is gone, so that it can be written."""
    contacts = Contacts()
    noted(contacts, 1, 10)
    contacts.noted("gone.example", wall=0, steady=0, offered=None, kept=0)
    contacts.keep(lambda name: name == SITE)
    assert contacts.take_changes() == {SITE: Contact(1.5, 1.0, ids(10)), "gone.example": None}
    assert contacts.take_changes() == {}
