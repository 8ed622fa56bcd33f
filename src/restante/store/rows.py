"""Items as rows of the store: columns, codes, JSON; there and back. And how a query's rows are fetched."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from restante.model import DomainName, Envelope, Item, ItemId, ItemState, numbered
from restante.spool.spool import Arrival

WAITING, FROZEN, QUARANTINED = 0, 1, 2
"""States on disk; `claimed` is never there."""

STATES = (ItemState.WAITING, ItemState.FROZEN, ItemState.QUARANTINED)

ITEM = "items.id, domain, envelope, items.size, items.arrived, rank, state, attempts, next_attempt, detail"
"""The columns that item() reads, in order. `rank` is the priority negated, so that every order is ascending."""

encode = msgspec.json.Encoder().encode
_encode_envelope = msgspec.json.Encoder().encode
_decode_envelope = msgspec.json.Decoder(Envelope).decode

Row = Sequence[Any]


def fetch(connection: apsw.Connection, query: str, *parameters: str | float) -> list[Row]:
    """All rows of a query; their types are those of the tables."""
    return list(connection.execute(query, parameters).fetchall())


def item(row: Row, state: ItemState | None = None) -> Item:
    """The item that a row holds; `state` overrides the row's (an item that is claimed)."""
    identifier, domain, envelope, size, arrived, rank, stored, attempts, next_attempt, detail = row
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


def envelope_json(envelope: Envelope) -> bytes:
    """An envelope as it is stored. Raises UnicodeEncodeError for text that no UTF-8 can hold."""
    return _encode_envelope(envelope)


def item_rows(arrival: Arrival) -> list[tuple[ItemId, DomainName, bytes, int, float, int, int, int, float, str]]:
    """The rows of an arrival's items, in the order of ITEM."""
    size, arrived, rank = arrival.size, arrival.arrived, -arrival.priority
    return [
        (identifier, domain, _encode_envelope(envelope), size, arrived, rank, WAITING, 0, 0.0, "")
        for (domain, envelope), identifier in zip(arrival.envelopes, numbered(arrival.id), strict=False)
    ]
