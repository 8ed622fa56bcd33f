"""What became of an item's recipients, and the door that every transport fulfils.

A carrier draws parcels from a feed, reports each item once, and returns when the feed is empty or the far end can
take no more. What it has not reported is in doubt or was never sent, and waits. Nothing is reported delivered
that the far end has not confirmed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from restante.model import Item, Mailbox


@dataclass(frozen=True, slots=True)
class Hop:
    """Who has taken mail, as far as it matters for the sender's reports: a mailbox, or a host that may know of them."""

    is_final: bool = True
    dsn: bool = False
    """Whether the host knows DSN (RFC 3461), and sees to the reports from here on."""
    deliver_by: bool = False
    """Whether it knows DELIVERBY (RFC 2852), and sees to the time."""


MAILBOX = Hop()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next hop answered 250, or the mailbox has it on disk."""

    reply: str
    hop: Hop = field(default=MAILBOX, compare=False)


@dataclass(frozen=True, slots=True)
class Deferred:
    """Not now: 4yz, or a 5yz that says nothing about the mail. It waits."""

    reply: str
    is_of_conversation: bool = field(default=False, compare=False)
    """Whether it is the latter: any other mail would have got the same."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Never as it stands: 5yz for this sender, recipient or message. `status` is an enhanced status code, class 5."""

    reply: str
    status: str = "5.0.0"
    is_by_name: bool = field(default=False, compare=False)
    """Whether it answered the recipient's own RCPT."""


Outcome = Delivered | Deferred | Refused


def unheeded(octets: int) -> None:
    """For who does not want to know."""
    del octets


@dataclass(frozen=True, slots=True)
class Parcel:
    """An item with its content: whole when small, else a function that opens it, once per attempt.

    `on_its_way` may be told how many octets of it this attempt has sent, while more are to follow.
    """

    item: Item
    content: bytes | Callable[[], AsyncIterator[bytes]]
    on_its_way: Callable[[int], None] = field(default=unheeded, compare=False)


class ItemOutcome(msgspec.Struct, frozen=True, gc=False):
    """An outcome for every recipient of one item, in the envelope's order."""

    item: Item
    outcomes: Sequence[tuple[Mailbox, Outcome]]
    at: str = ""
    """The host that has said it, for people, where a carrier has several; else its target."""


Report = Callable[[ItemOutcome], None]
"""Told of each item as soon as its outcome is known; must not block."""


class Feed(Protocol):
    """Where a carrier draws parcels from. Several connections may draw from one feed."""

    async def next(self) -> Parcel | None:
        """The next parcel, or None when there is nothing more to offer now."""
        ...

    def put_back(self, parcel: Parcel) -> None:
        """Returns a parcel of which nothing was sent, or which another connection may try again at once."""
        ...


@dataclass(frozen=True, slots=True)
class CarryEnd:
    """How a carrier ended: `error` is empty when the feed ran out; else what stopped it, for people."""

    error: str = ""
    connections: int = 1


class Carrier(Protocol):
    """One way to carry items to one target."""

    @property
    def target(self) -> str:
        """Where to, for people: `192.0.2.25:25`, `maildir`."""
        ...

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """Carries until the feed ends or the far end can take no more. Cancelling it closes its connections at once."""
        ...
