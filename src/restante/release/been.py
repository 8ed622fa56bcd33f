"""When the site of one domain was there, and when it was missed, in few octets: a ring of equal records. Pure.

Contacts that begin within an hour of the first are one record with counts, so a site that comes every five minutes
makes 24 records a day. Times are whole wall seconds; what does not fit into a field is the most that does.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

TOGETHER_SECONDS = 3600
KEPT_SECONDS = 31 * 86400
_RECORD = struct.Struct(">IIHHHIQ")
_MOST = (2**32 - 1, 2**32 - 1, 2**16 - 1, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**64 - 1)
SIZE = _RECORD.size
"""Octets of a record."""


class Been(NamedTuple):
    """Contacts from `first` to `last`; where it neither asked nor was reached, one that was expected and missed."""

    first: int
    last: int
    asked: int = 0
    """So many ETRN or ATRN were granted."""
    reached: int = 0
    """So many releases reached its next hop."""
    failed: int = 0
    """So many of these have ended with an error."""
    delivered: int = 0
    octets: int = 0

    @property
    def is_missed(self) -> bool:
        """Whether it is a contact that was missed."""
        return not (self.asked or self.reached)

    def overlaps(self, other: Been) -> bool:
        """Whether they have a moment in common."""
        return self.first <= other.last and other.first <= self.last

    def joined(self, other: Been) -> Been:
        """Both as one."""
        counts = (mine + its for mine, its in zip(self[2:], other[2:], strict=True))
        return Been(min(self.first, other.first), max(self.last, other.last), *counts)


def with_contact(ring: bytes, one: Been, most: int) -> bytes:
    """A ring after one more contact, or part of one; of so many records at the most, the oldest left out."""
    assert not one.is_missed, one
    while ring and _are_together(before := Been(*_RECORD.unpack(ring[-SIZE:])), one):
        ring, one = ring[:-SIZE], before.joined(one)
    return _with(ring, one, most)


def with_missed(ring: bytes, due: float, most: int) -> bytes:
    """A ring after a contact was missed that should have come then; the same one once."""
    one = _fitting(Been(int(due), int(due)))
    known = _RECORD.pack(*one)
    return ring if ring[-SIZE:] == known else _with(ring, one, most)


def contacts_of(ring: bytes) -> tuple[Been, ...]:
    """All contacts, in order; none overlaps another, whatever the clock has done."""
    found: list[Been] = []
    for one in sorted(one for one in _records(ring) if not one.is_missed):
        if found and found[-1].overlaps(one):
            found[-1] = found[-1].joined(one)
        else:
            found.append(one)
    return tuple(found)


def missed_of(ring: bytes) -> tuple[int, ...]:
    """When it should have come and did not, in order."""
    return tuple(sorted({one.first for one in _records(ring) if one.is_missed}))


def is_ring(row: bytes) -> bool:
    """Whether it can be one."""
    return bool(row) and len(row) % SIZE == 0


def _are_together(before: Been, one: Been) -> bool:
    if before.is_missed:
        return False
    return before.overlaps(one) or 0 <= one.first - before.first <= TOGETHER_SECONDS


def _with(ring: bytes, one: Been, most: int) -> bytes:
    """What ended too long before the new record is left out with what does not fit."""
    old = 0
    for known in _records(ring):
        if known.last >= one.last - KEPT_SECONDS:
            break
        old += SIZE
    ring = ring[old:] + _RECORD.pack(*_fitting(one))
    return ring[-most * SIZE :]


def _fitting(one: Been) -> Been:
    return Been(*(max(0, min(value, most)) for value, most in zip(one, _MOST, strict=True)))


def _records(ring: bytes) -> Iterator[Been]:
    records: Iterable[tuple[int, ...]] = _RECORD.iter_unpack(ring)
    return (Been(*record) for record in records)
