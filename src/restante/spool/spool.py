"""The door that every spool engine fulfils, and its errors (contract tests: tests/contract/).

Promises: what accept() has returned from survives a power cut, whole, once; what settle() has returned from is never
offered again; a release is offered every item that was accepted before it took its batch; counters agree with the
items at every commit. Engines are used from one event loop; every method that waits has waited for the disk.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

import msgspec

from restante.errors import RestanteError
from restante.model import DomainName, Envelope, Item, ItemId, ItemState, MessageId, Order, Waiting
from restante.smtp.reply import Reply
from restante.spool.histogram import Histogram

INLINE_LIMIT = 64 * 1024
"""Octets of content up to which it is handed over whole; larger content is streamed to a file of its own."""

STREAMED_BEYOND = 1024 * 1024
"""Octets of content up to which it is given out whole; larger content comes in pieces."""

NOT_FROZEN: Mapping[DomainName, str] = MappingProxyType({})


@dataclass(eq=False)
class SpoolFull(RestanteError):
    """No further message is taken until space is freed. Worth trying again later; nothing was stored."""

    needed_octets: int
    free_octets: int

    def __str__(self) -> str:
        return f"no space in the spool: {self.needed_octets} octets needed, {self.free_octets} free"


@dataclass(eq=False)
class SpoolBroken(RestanteError):
    """The store failed to write or sync; it takes nothing more until a restart has recovered it."""

    reason: str

    def __str__(self) -> str:
        return f"the spool takes nothing until restart: {self.reason}"


@dataclass(eq=False)
class SpoolInUse(RestanteError):
    """Another process has the spool open. Trying again helps when it has ended."""

    path: str

    def __str__(self) -> str:
        return f"{self.path} is in use by another restante"


@dataclass(eq=False)
class SpoolUnusable(RestanteError):
    """The spool cannot be opened: unsafe settings, wrong version, no permission. Trying again does not help."""

    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(eq=False)
class ContentDamage(RestanteError):
    """Stored content is missing or has not the hash it was accepted with. Trying again does not help."""

    message: MessageId

    def __str__(self) -> str:
        return "the stored content is damaged"


@dataclass(eq=False)
class NotTaken(RestanteError):
    """Whoever was to have the message has not taken it; `reply`, 4yz or 5yz, says whether to try again."""

    reply: Reply

    def __str__(self) -> str:
        return str(self.reply)


class ContentWriter(Protocol):
    """Content that grows beyond INLINE_LIMIT, on its way to disk. Nothing of it is visible before accept()."""

    async def write(self, data: bytes) -> None:
        """Appends. Raises SpoolFull or SpoolBroken; then only discard() is left to do."""
        ...

    async def discard(self) -> None:
        """Removes what was written. May be called at any time before accept(), also twice."""
        ...


class Arrival(msgspec.Struct, frozen=True):
    """A message to be stored: its final octets (Received line included), and one envelope per domain.

    `content` is the octets themselves, or the writer that took them; `size` counts them. The items of the domains in
    `frozen` are stopped from the start, with what stands there as their detail; `notices` are accepted with it, or
    not at all.
    """

    id: MessageId
    content: bytes | ContentWriter
    size: int
    envelopes: Sequence[tuple[DomainName, Envelope]]
    arrived: float
    priority: int = 0
    frozen: Mapping[DomainName, str] = NOT_FROZEN
    notices: Sequence[Arrival] = ()


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one claimed item. `remaining` None: nothing is left of it; else the recipients that still wait."""

    item: ItemId
    remaining: Envelope | None
    detail: str = ""
    next_attempt: float = 0.0
    dsn: Arrival | None = None
    """A report to its reverse-path, accepted in the same commit."""
    is_attempt: bool = True
    """Whether it was tried to deliver it."""
    domain: DomainName | None = None
    """The domain that it waits for from now on, where that is another one."""


@dataclass(frozen=True, slots=True)
class Due:
    """Which items may be tried by themselves, by their next_attempt: those up to `by`, and those later than `beyond`.

    Both are wall times. No schedule waits until `beyond`: the clock was set back since that hour was written.
    """

    by: float
    beyond: float = math.inf


@dataclass(frozen=True, slots=True)
class Filter:
    """Which items to list. Empty tuples and None mean: whatever."""

    domains: tuple[DomainName, ...] = ()
    ids: tuple[MessageId | ItemId, ...] = ()
    state: ItemState | None = None
    limit: int = 1000
    after: ItemId | None = None
    """List only items with greater ids: the cursor of a longer listing, which is in order of ids."""


@dataclass(frozen=True, slots=True)
class Health:
    """How a spool is at one moment. `broken`: why it takes nothing until a restart; "" where it does."""

    broken: str
    octets: int
    inodes: int | None
    """What it can still take; inodes None: its file system does not count them."""
    claimed: int
    """How many items are on their way; the counters have them as waiting."""
    unanswered: int | None
    """What was handed in first of all that is not on disk yet, by a number of its own. The same number after a while:
    the store does not answer."""
    commits: Histogram
    """Seconds from accept() until the message was safe, of some."""


class Inbox(Protocol):
    """Where a session puts what it takes in."""

    def new_id(self) -> MessageId:
        """An id greater than all before."""
        ...

    def writer(self, message: MessageId, expected: int | None) -> Awaitable[ContentWriter]:
        """A place for content larger than INLINE_LIMIT; `expected` octets are what MAIL said. Raises SpoolFull."""
        ...

    def room_for(self, octets: int) -> bool:
        """Whether a message of that size would be taken now; a cheap look, asked at MAIL."""
        ...

    def accept(self, arrival: Arrival) -> Awaitable[None]:
        """Stores a message and its items; returns once they are safe. Raises SpoolFull, SpoolBroken, NotTaken.

        Enters the group commit at the call, not at the await: many may be under way at once.
        """
        ...


class Spool(Inbox, Protocol):
    """All items and contents of this host or cluster."""

    def waiting(self, domain: DomainName) -> Waiting:
        """The counters of one domain: waiting items only. Never touches the disk."""
        ...

    def domains(self) -> dict[DomainName, Waiting]:
        """The counters of every domain for which something waits. Never touches the disk."""
        ...

    def health(self) -> Health:
        """How it is; looks at the room on disk a few times a second at most."""
        ...

    async def claim(
        self, domains: Sequence[DomainName], order: Order, limit: int, release: int, *, due: Due | None = None
    ) -> list[Item]:
        """The first `limit` items in order that wait for these domains and that `release` has not claimed before.

        With `due`, only those that may be tried by themselves. They are lent to that release
        (state claimed) until settle() or give_back().
        """
        ...

    async def aged(
        self, bounds: Sequence[tuple[DomainName, MessageId]], after: ItemId | None, limit: int
    ) -> list[Item]:
        """Waiting items that nobody has claimed, of each domain those of messages up to the id beside it.

        In order of ids, those after one; fewer than `limit` only when there are no more.
        """
        ...

    async def timed(self, after: ItemId | None, limit: int) -> tuple[list[Item], ItemId | None]:
        """Of the next `limit` items those that are to be delivered by some time (RFC 2852), as they stand.

        And the last that was looked at, in order of ids; None where there is none.
        """
        ...

    async def lend(self, items: Sequence[ItemId], *, frozen: bool = False) -> list[Item]:
        """Claims these items, as claim() does, but for no release; those that wait and that nobody has claimed.

        With `frozen` also those that an operator has stopped; what comes back, or remains, of them is stopped still.
        """
        ...

    async def due(self, domains: Sequence[DomainName], beyond: float = math.inf) -> float | None:
        """When the next waiting item of these domains may be tried (its next_attempt); None where nothing waits.

        What is later than `beyond` may be at once (0.0).
        """
        ...

    async def content(self, item: Item) -> bytes | AsyncIterator[bytes]:
        """The octets as they were accepted: whole up to STREAMED_BEYOND, in pieces above. Raises ContentDamage.

        Pieces are checked as a whole before the first is given.
        """
        ...

    async def contents(self, items: Sequence[Item]) -> list[bytes | None]:
        """The octets of many small items at once; None for each that is not inline or is damaged (ask content())."""
        ...

    def settle(self, settlements: Sequence[Settlement]) -> Awaitable[None]:
        """Writes what became of claimed items; returns once that is safe. Raises SpoolBroken."""
        ...

    def give_back(self, items: Sequence[ItemId]) -> None:
        """Ends a claim with nothing changed: they wait as before."""
        ...

    def release_ended(self, release: int) -> None:
        """Forgets what a release has claimed; its number is not used again in this process."""
        ...

    async def listing(self, wanted: Filter) -> list[Item]:
        """Items as they stand, claimed ones among them, in order of ids.

        One whose record is damaged is quarantined; it has no recipients (Item.is_known).
        """
        ...

    async def stopped(self) -> dict[ItemState, int]:
        """How many items are frozen, and how many quarantined."""
        ...

    async def stopped_domains(self) -> dict[DomainName, Waiting]:
        """What does not wait and is kept, frozen or quarantined, by domain; as many rows are read as there are."""
        ...

    async def freeze(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Stops waiting items; returns those that were stopped (a claimed one is stopped only if it comes back)."""
        ...

    async def thaw(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Ends an operator's stop; returns those that wait again."""
        ...

    async def remove(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Removes items that are not on their way; returns those that are gone."""
        ...

    async def quarantine(self, message: MessageId) -> list[ItemId]:
        """Sets aside all items of a message whose content is damaged; returns them."""
        ...

    async def close(self) -> None:
        """Finishes what is under way and lets go of the store."""
        ...
