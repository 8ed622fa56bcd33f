"""Every question to the database: what comes next, rows by their ids, contents, listings.

For one thread, with a connection of its own, so that a long look keeps nobody from writing.
Keys of items are (rank, size or 0, id): in every order the smaller one leaves first. They are read by the hundreds as
one JSON text, because each row of a result would let other threads in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import apsw
import msgspec

from restante.model import (
    ITEM_BITS,
    MAX_ITEMS_PER_MESSAGE,
    DomainName,
    Item,
    ItemId,
    ItemState,
    MessageId,
    Order,
    is_item_id,
)
from restante.spool.spool import ContentDamage, Filter
from restante.store.rows import (
    FROZEN,
    STATES,
    WAITING,
    damaged_item,
    encode,
    fetch,
    is_set_aside,
    is_whole,
    item,
    rows_of_ids,
)

Key = tuple[int, int, int]
FIRST: Key = (-(1 << 62), 0, 0)
"""Comes before every key."""

_decode_keys = msgspec.json.Decoder(list[Key]).decode

_ONE_DOMAIN = """
SELECT json_group_array(json_array(rank, 0, id)) FROM (
    SELECT * FROM (
        SELECT rank, id FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = ?1 AND rank = ?2 AND id > ?4 AND next_attempt <= ?5 ORDER BY id LIMIT ?6)
    UNION ALL SELECT * FROM (
        SELECT rank, id FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = ?1 AND rank > ?2 AND next_attempt <= ?5 ORDER BY rank, id LIMIT ?6)
    LIMIT ?6)"""  # in two parts: SQLite does not search an index for (rank, id) > (?, ?) where id is the row's
_SORTED = """
SELECT json_group_array(json_array(rank, part, id)) FROM (
    SELECT rank, {part} AS part, items.id AS id FROM json_each(?1) AS given
    CROSS JOIN items INDEXED BY items_waiting ON domain = given.value
    WHERE state = 0 AND (rank, {part}, items.id) > (?2, ?3, ?4) AND next_attempt <= ?5
    ORDER BY rank, part, items.id LIMIT ?6)"""
_BY_ARRIVAL = _SORTED.format(part="0")
_BY_SIZE = _SORTED.format(part="size")
_CONTENTS = """
SELECT messages.id, digest, content FROM json_each(?1) AS given CROSS JOIN messages ON messages.id = given.value
WHERE content IS NOT NULL"""
_DUE = """
SELECT min(next_attempt) FROM json_each(?1) AS given
CROSS JOIN items INDEXED BY items_waiting ON domain = given.value
WHERE state = 0 AND items.id NOT IN (SELECT value FROM json_each(?2))"""
_IN_DOMAINS = """id IN (
    SELECT id FROM items INDEXED BY items_waiting
    WHERE state = 0 AND domain IN (SELECT value FROM json_each(?)) AND id > ?
    UNION ALL SELECT id FROM items INDEXED BY items_stopped
    WHERE state <> 0 AND domain IN (SELECT value FROM json_each(?)) AND id > ?)"""
_STOPPED = "SELECT state, count(*) FROM items INDEXED BY items_stopped WHERE state <> 0 GROUP BY state"
_GIVEN = "id IN (SELECT value FROM json_each(?))"
_BY_IDS = f"""({_GIVEN} OR id IN (
    SELECT items.id FROM json_each(?) AS given
    CROSS JOIN items ON items.id BETWEEN given.value << {ITEM_BITS}
    AND (given.value << {ITEM_BITS}) + {MAX_ITEMS_PER_MESSAGE}))"""  # noqa: S608 - constants


@dataclass(frozen=True, slots=True)
class InFile:
    """A content that lies in a file of its own."""

    size: int
    digest: bytes


@dataclass(frozen=True, slots=True)
class Found:
    """Items, and the ids of rows that turned out to be damaged and are not set aside yet."""

    items: list[Item]
    damaged: list[ItemId]


class Reader:
    """The questions; each blocks. Raises apsw.Error where the database cannot be read, ValueError where it is damaged.

    What the rows of items say is believed only where they are whole.
    """

    def __init__(self, connection: apsw.Connection) -> None:
        self._connection = connection

    def keys(
        self, domains: Sequence[DomainName], order: Order, after: Key, due_by: float | None, limit: int
    ) -> list[Key]:
        """The next keys in order after one; fewer than `limit` only when there are no more."""
        due = math.inf if due_by is None else due_by
        by_size = order is Order.SMALLEST
        if len(domains) == 1 and not by_size:
            found = self._connection.execute(_ONE_DOMAIN, (domains[0], *after, due, limit)).get
        else:
            query = _BY_SIZE if by_size else _BY_ARRIVAL
            found = self._connection.execute(query, (_json(domains), *after, due, limit)).get
        keys = _decode_keys(str(found))
        keys.sort()  # they are; the aggregate does not promise it
        return keys

    def waiting_items(self, ids: Sequence[int], due_by: float | None) -> Found:
        """Those of the items that wait, as claimed ones, in the order given."""
        due = math.inf if due_by is None else due_by
        found = Found([], [])
        for identifier, row in rows_of_ids(self._connection, ids):
            if row is None or not is_whole(row):
                if row is None or not is_set_aside(row):
                    found.damaged.append(identifier)
            elif row[6] == WAITING and row[8] <= due:
                found.items.append(item(row, ItemState.CLAIMED))
        return found

    def contents(self, messages: Sequence[MessageId]) -> dict[MessageId, bytes]:
        """The contents of messages that are in their rows and undamaged."""
        sha256 = hashlib.sha256
        try:
            rows = fetch(self._connection, _CONTENTS, _json(messages))
        except (apsw.IOError, apsw.CorruptError, UnicodeDecodeError):
            return {}  # content() will say which
        return {
            message: content
            for message, digest, content in rows
            if isinstance(content, bytes) and sha256(content).digest() == digest
        }

    def content(self, message: MessageId) -> bytes | InFile:
        """One content, or what is known of its file. Raises ContentDamage."""
        try:
            query = "SELECT size, digest, content FROM messages WHERE id = ?"
            row = self._connection.execute(query, (message,)).fetchone()
        except (apsw.IOError, apsw.CorruptError, UnicodeDecodeError):
            raise ContentDamage(message) from None
        if row is None:
            raise ContentDamage(message)
        size, digest, content = row
        if content is None:
            return InFile(size, digest)
        if not isinstance(content, bytes) or hashlib.sha256(content).digest() != digest:
            raise ContentDamage(message)
        return content

    def due(self, domains: Sequence[DomainName], lent: Sequence[ItemId]) -> float | None:
        """The least next_attempt of what waits and is not lent."""
        found = self._connection.execute(_DUE, (_json(domains), _json(lent))).get
        return None if found is None else float(found)

    def stopped(self) -> dict[ItemState, int]:
        """How many items are frozen, and how many quarantined."""
        counts = {ItemState.FROZEN: 0, ItemState.QUARANTINED: 0}
        for state, count in fetch(self._connection, _STOPPED):
            counts[ItemState.FROZEN if state == FROZEN else ItemState.QUARANTINED] += count
        return counts

    def listing(self, wanted: Filter, lent: Sequence[ItemId]) -> Found:
        """Items as they stand; `lent` are the claimed ones."""
        after = wanted.after or 0
        terms = ["id > ?"]
        parameters: list[str | int] = [after]
        if wanted.domains:
            names = _json(wanted.domains)
            terms.append(_IN_DOMAINS)
            parameters += [names, after, names, after]
        if wanted.ids:
            terms.append(_BY_IDS)
            parameters.append(_json([each for each in wanted.ids if is_item_id(each)]))
            parameters.append(_json([each for each in wanted.ids if not is_item_id(each)]))
        match wanted.state:
            case None:
                pass
            case ItemState.CLAIMED:
                terms.append(_GIVEN)
                parameters.append(_json(lent))
            case state:
                terms += ["state = ?", f"NOT {_GIVEN}"]
                parameters += [STATES.index(state), _json(lent)]
        query = f"SELECT id FROM items WHERE {' AND '.join(terms)} ORDER BY id LIMIT ?"  # noqa: S608 - constants
        ids = [row[0] for row in fetch(self._connection, query, *parameters, wanted.limit)]
        claimed = set(lent)
        found = Found([], [])
        for identifier, row in rows_of_ids(self._connection, ids):
            if row is not None and is_whole(row):
                found.items.append(item(row, ItemState.CLAIMED if identifier in claimed else None))
            else:
                found.items.append(damaged_item(identifier))
                if row is None or not is_set_aside(row):
                    found.damaged.append(identifier)
        return found


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return encode(values).decode()
