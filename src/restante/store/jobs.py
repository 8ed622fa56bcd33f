"""What the writer is asked to do, and what it answers: plain values, which may cross to another process as they are.

A job is named by a number that its asker has given; the answer names it so. Envelopes are JSON already, so that text
which no store can hold has failed, alone, before a job is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from restante.model import MAX_ITEMS_PER_MESSAGE, DomainName, ItemId, MessageId, Waiting
from restante.spool.spool import Arrival, Settlement, SpoolBroken, SpoolFull

_encode_envelope = msgspec.json.Encoder().encode


class Written(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An arrival as it is stored: `content` None is in a file of its own, which has `digest`; envelopes are JSON."""

    id: MessageId
    size: int
    digest: bytes
    """The file's SHA-256; b"" for content that is here: the writer reckons it."""
    arrived: float
    priority: int
    content: bytes | None
    envelopes: list[tuple[DomainName, bytes]]
    frozen: dict[DomainName, str] = {}
    """The domains whose items are stopped from the start, and why."""


class Outcome(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A settlement as it is stored: `remaining` is an envelope's JSON, None where nothing is left of the item."""

    item: ItemId
    remaining: bytes | None
    detail: str
    next_attempt: float
    attempts: int = 1
    """How many more there were."""
    domain: DomainName | None = None
    """Another one that it waits for from now on."""


class Accept(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """A message to store, and others that are stored with it or not at all."""

    number: int
    message: Written
    notices: list[Written] = []


class Settle(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """Outcomes to record, and reports that are accepted with them."""

    number: int
    outcomes: list[Outcome]
    reports: list[Written]


class Verb(StrEnum):
    """What else is written."""

    FREEZE = "freeze"
    THAW = "thaw"
    REMOVE = "remove"
    QUARANTINE = "quarantine"
    MEND = "mend"


class Change(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=2):
    """Anything else that is written. `ids` are items; QUARANTINE has a message's id, MEND none."""

    number: int
    verb: Verb
    ids: list[int]


Job = Accept | Settle | Change


class Full(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=0):
    """There is no space for it; nothing of it was stored. Octets."""

    needed: int
    free: int


class Broken(msgspec.Struct, array_like=True, frozen=True, gc=False, tag=1):
    """The store takes nothing more until a restart."""

    reason: str


Failure = Full | Broken


class Thawed(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An item that waits again. `rank` is its priority, negated."""

    domain: DomainName
    rank: int
    size: int
    id: ItemId


class Results(msgspec.Struct, array_like=True, gc=False):
    """What became of one batch: jobs, by their numbers, with what they changed or why they failed."""

    done: list[tuple[int, list[ItemId]]] = []
    failed: list[tuple[int, Failure]] = []
    counters: dict[DomainName, Waiting] = {}
    """Those that changed; zero items where nothing waits any more."""
    thawed: list[Thawed] = []
    damaged: list[ItemId] = []
    """Items whose rows were found damaged, and are quarantined."""
    free_pages: int = 0
    """Pages of the database that can be written again."""
    broken: str = ""
    """Why nothing is taken any more."""


def write_arrival(arrival: Arrival, digest: bytes = b"") -> Written:
    """An arrival as it is stored; `digest` is that of content in a file. Raises UnicodeEncodeError for an envelope
    that cannot be stored.
    """
    assert 0 < len(arrival.envelopes) <= MAX_ITEMS_PER_MESSAGE, "at least one item"
    for detail in arrival.frozen.values() if arrival.frozen else ():
        detail.encode()
    return Written(
        arrival.id,
        arrival.size,
        digest,
        arrival.arrived,
        arrival.priority,
        arrival.content if isinstance(arrival.content, bytes) else None,
        [(domain, _encode_envelope(envelope)) for domain, envelope in arrival.envelopes],
        dict(arrival.frozen) if arrival.frozen else {},
    )


def write_settlements(number: int, settlements: Sequence[Settlement]) -> Settle:
    """Settlements as a job. Raises UnicodeEncodeError for one that cannot be stored."""
    for each in settlements:
        each.detail.encode()
    outcomes = [
        Outcome(
            each.item,
            None if each.remaining is None else _encode_envelope(each.remaining),
            each.detail,
            each.next_attempt,
            int(each.is_attempt),
            each.domain,
        )
        for each in settlements
    ]
    return Settle(number, outcomes, [write_arrival(each.dsn) for each in settlements if each.dsn is not None])


def error_of(failure: Failure) -> SpoolFull | SpoolBroken:
    """A failure as the spool's error."""
    if isinstance(failure, Full):
        return SpoolFull(failure.needed, failure.free)
    return SpoolBroken(failure.reason)
