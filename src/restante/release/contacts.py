"""When each entry's mail was last offered, and up to which id: what `expire_contacts` and `contact` are judged by.

A contact is a release that has reached its next hop. Only one that has ended without an error has offered all that
waited: a release that was cut never makes the mail behind the cut older.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from restante.model import MessageId

LEAST_KEPT = 3


class Contact(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The last contact, as wall and steady time; `offered`: up to which id the last whole ones have offered all."""

    wall: float
    steady: float
    offered: tuple[MessageId, ...] = ()


class Contacts:
    """All of them, by what the releases were for: an entry, or a destination of one."""

    def __init__(self, known: Mapping[str, Contact] | None = None) -> None:
        self._known = dict(known or {})
        self._changed: set[str] = set()

    def get(self, name: str) -> Contact | None:
        """The last one."""
        return self._known.get(name)

    def noted(self, name: str, *, wall: float, steady: float, offered: MessageId | None, kept: int) -> None:
        """A contact has ended; `offered` where it was whole. So many of those are remembered, and a few at least."""
        before = self._known.get(name)
        all_offered = () if before is None else before.offered
        if offered is not None:
            all_offered = (*all_offered, offered)[-max(kept, LEAST_KEPT) :]
        self._known[name] = Contact(wall, steady, all_offered)
        self._changed.add(name)

    def begin_at(self, first: MessageId) -> None:
        """Ids go on from there (Ages.begin_at)."""
        for name, contact in self._known.items():
            if any(each >= first for each in contact.offered):
                offered = tuple(min(each, MessageId(first - 1)) for each in contact.offered)
                self._known[name] = msgspec.structs.replace(contact, offered=offered)
                self._changed.add(name)

    def keep(self, is_needed: Callable[[str], bool]) -> None:
        """Forgets what is not needed any more."""
        for name in [name for name in self._known if not is_needed(name)]:
            del self._known[name]
            self._changed.add(name)

    def take_changes(self) -> dict[str, Contact | None]:
        """What has changed since this was last asked; None is gone."""
        changed, self._changed = self._changed, set()
        return {name: self._known.get(name) for name in changed}


def offered_to(contact: Contact | None, times: int) -> MessageId | None:
    """Up to which id messages were offered so many times, 1 or more; None where none were."""
    assert times >= 1, times
    if contact is None or len(contact.offered) < times:
        return None
    return contact.offered[-times]
