"""Items as rows of the store: columns, codes, JSON; there and back. And how a query's rows are fetched.

Each row has a seal: eight octets over all its other columns. What the disk has changed of a row does not match it,
so a row is either as it was written, or known to be damaged; then nothing of it is believed but its id.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from itertools import chain
from typing import Any

import apsw
import msgspec

from restante.model import DomainName, Envelope, Item, ItemId, ItemState, arrival_of, item_id, message_of
from restante.store.jobs import Written

WAITING, FROZEN, QUARANTINED = 0, 1, 2
"""States on disk; `claimed` is never there."""

STATES = (ItemState.WAITING, ItemState.FROZEN, ItemState.QUARANTINED)

COLUMNS = "id, domain, envelope, size, arrived, rank, state, attempts, next_attempt, detail, seal"
ITEM = ", ".join(f"items.{name}" for name in COLUMNS.split(", "))
"""The columns that item() reads, in order. `rank` is the priority negated, so that every order is ascending."""
DAMAGE = "its row is damaged: for whom it is and from whom is not known"
MOST_ROWS = 64
"""Rows that go into one statement: each step of one gives the interpreter away, and has to wait for it again."""
_NOBODY = Envelope(None, ())
_BY_IDS = f"""
SELECT {ITEM} FROM json_each(?1) AS given CROSS JOIN items NOT INDEXED ON items.id = given.value"""  # noqa: S608 - constants

encode = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(Envelope).decode

_numbers = struct.Struct("<qqdqqqdII").pack

Row = Sequence[Any]


def seal(  # noqa: PLR0917 - a row's columns, in their order
    identifier: int,
    domain: str,
    envelope: bytes,
    size: int,
    arrived: float,
    rank: int,
    state: int,
    attempts: int,
    next_attempt: float,
    detail: str,
) -> bytes:
    """The seal of a row with these columns. Raises UnicodeEncodeError for text that no UTF-8 can hold."""
    name, why = domain.encode(), detail.encode()
    numbers = _numbers(identifier, size, arrived, rank, state, attempts, next_attempt, len(name), len(why))
    return blake2b(numbers + name + why + envelope, digest_size=8).digest()


def is_whole(row: Row) -> bool:
    """Whether a row is as it was written."""
    try:
        return bool(row[10] == seal(*row[:10]))
    except (struct.error, TypeError, AttributeError, ValueError):  # a column has changed its type
        return False


def fetch(connection: apsw.Connection, query: str, *parameters: str | float) -> list[Row]:
    """All rows of a query; their types are those of the tables."""
    return list(connection.execute(query, parameters).fetchall())


def insert(connection: apsw.Connection, statement: str, rows: Sequence[Sequence[object]]) -> None:
    """Runs an INSERT or REPLACE, which ends in VALUES, for all rows, many in one statement."""
    for start in range(0, len(rows), MOST_ROWS):
        some = rows[start : start + MOST_ROWS]
        values: tuple[Any, ...] = tuple(chain.from_iterable(some))
        connection.execute(_with_rows(statement, len(some), len(some[0])), values)


@lru_cache(maxsize=4 * MOST_ROWS)
def _with_rows(statement: str, rows: int, columns: int) -> str:
    row = f"({','.join('?' * columns)})"
    return statement + ",".join([row] * rows)


def is_set_aside(row: Row) -> bool:
    """Whether a damaged row was found before, and is quarantined."""
    return bool(row[6] == QUARANTINED and row[10] == b"")


def rows_of_ids(connection: apsw.Connection, ids: Sequence[int]) -> list[tuple[ItemId, Row | None]]:
    """The rows that are there for these ids, in their order; None for one that is too damaged to be read."""
    try:
        return [(row[0], row) for row in fetch(connection, _BY_IDS, encode(ids).decode())]
    except UnicodeDecodeError:
        if len(ids) == 1:
            return [(ItemId(ids[0]), None)]
        return [pair for each in ids for pair in rows_of_ids(connection, [each])]


def item(row: Row, state: ItemState | None = None) -> Item:
    """The item that a whole row holds; `state` overrides the row's (an item that is claimed)."""
    identifier, domain, envelope, size, arrived, rank, stored, attempts, next_attempt, detail, _ = row
    return Item(
        identifier,
        domain,
        _decode_envelope(envelope),
        size,
        arrived,
        -rank,
        state or STATES[stored],
        attempts,
        next_attempt,
        detail,
    )


def damaged_item(identifier: ItemId) -> Item:
    """What can be said of an item whose row is damaged: that it is there, and when it came."""
    arrived = arrival_of(message_of(identifier))
    return Item(identifier, DomainName(""), _NOBODY, 0, arrived, 0, ItemState.QUARANTINED, detail=DAMAGE)


def item_rows(
    message: Written,
) -> list[tuple[ItemId, DomainName, bytes, int, float, int, int, int, float, str, bytes]]:
    """The rows of a message's items, in the order of COLUMNS."""
    size, arrived, rank, frozen = message.size, message.arrived, -message.priority, message.frozen
    rows = []
    for number, (domain, envelope) in enumerate(message.envelopes, 1):
        identifier = item_id(message.id, number)
        state, detail = (FROZEN, frozen[domain]) if domain in frozen else (WAITING, "")
        mark = seal(identifier, domain, envelope, size, arrived, rank, state, 0, 0.0, detail)
        rows.append((identifier, domain, envelope, size, arrived, rank, state, 0, 0.0, detail, mark))
    return rows
