"""An item's recipients as the users who read them, and what became of the users as outcomes of the recipients. Pure.

A user is handed an item once, however many recipients mean them. A recipient for whom all went the same way has that
outcome. Where an alias's users fared differently, the users stand in its place in what is reported: who has the item
leaves, who has not waits under their own name, and nobody is handed it again. What DSN asked for goes along with each
(RFC 3461): they keep the ORCPT, or get the alias as theirs (§5.2.1).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace

from msgspec import structs

from restante.directory.routing import Reader
from restante.model import Item, Mailbox, Recipient
from restante.smtp.command import encode_xtext
from restante.transport.outcome import Deferred, Delivered, ItemOutcome, Outcome, Refused

NO_SUCH_USER = Refused("550 5.1.1 No such user here", "5.1.1")

Readers = Callable[[Mailbox], tuple[Reader, ...]]
"""Who reads what is sent to a mailbox; nobody: it is unknown. Asked in the event loop."""


class Expansion:
    """One item and who reads it: `readers`, each once, in the order of the recipients that mean them."""

    def __init__(self, item: Item, readers: Readers) -> None:
        self.item = item
        self._of = [(recipient, readers(recipient.mailbox)) for recipient in item.envelope.recipients]
        self._first: dict[Reader, Recipient] = {}
        for recipient, meant in self._of:
            for reader in meant:
                self._first.setdefault(reader, recipient)

    @property
    def readers(self) -> Collection[Reader]:
        """Nobody, where no recipient is known."""
        return self._first.keys()

    def for_store(self) -> Item:
        """The same item with the readers as its recipients, under the addresses that a mail store knows them by."""
        recipients = tuple([self._as_recipient(reader, first) for reader, first in self._first.items()])
        return _with(self.item, recipients)

    def outcome(self, became: Mapping[Reader, Outcome]) -> ItemOutcome:
        """The item's outcome from those of all its readers."""
        pairs = [pair for recipient, meant in self._of for pair in self._outcomes(recipient, meant, became)]
        item = _with(self.item, tuple([recipient for recipient, _ in pairs]))
        return ItemOutcome(item, [(recipient.mailbox, outcome) for recipient, outcome in pairs])

    def _outcomes(
        self, recipient: Recipient, meant: Sequence[Reader], became: Mapping[Reader, Outcome]
    ) -> Iterator[tuple[Recipient, Outcome]]:
        outcomes = [became[reader] for reader in meant]
        if not outcomes:
            yield recipient, NO_SUCH_USER
        elif all(type(outcome) is type(outcomes[0]) for outcome in outcomes):
            yield recipient, _with_others(outcomes[0], len(outcomes) - 1)
        else:
            for reader, outcome in zip(meant, outcomes, strict=True):
                yield self._as_recipient(reader, recipient), outcome

    def _as_recipient(self, reader: Reader, meant_by: Recipient) -> Recipient:
        mailbox = reader.mailbox(self.item.domain)
        if mailbox.key == meant_by.mailbox.key:
            return replace(meant_by, mailbox=mailbox)
        return replace(meant_by, mailbox=mailbox, orcpt=meant_by.orcpt or _orcpt(meant_by.mailbox))


def _orcpt(mailbox: Mailbox) -> str | None:
    """The address as it was received, as ORCPT writes it (RFC 3461 §4.2); beyond ASCII that is not for every host."""
    return f"rfc822;{encode_xtext(str(mailbox))}" if mailbox.is_ascii else None


def _with(item: Item, recipients: tuple[Recipient, ...]) -> Item:
    return replace(item, envelope=structs.replace(item.envelope, recipients=recipients))


def _with_others(outcome: Outcome, others: int) -> Outcome:
    """The outcome, with a word about those of whom the same is true."""
    if not others:
        return outcome
    reply = f"{outcome.reply} (and {others} more)"
    match outcome:
        case Delivered():
            return replace(outcome, reply=reply)
        case Deferred():
            return replace(outcome, reply=reply)
        case Refused():
            return replace(outcome, reply=reply)
