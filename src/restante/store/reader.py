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
    Waiting,
    is_item_id,
)
from restante.spool.spool import ContentDamage, Due, Filter
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

_ALWAYS = Due(math.inf)

Key = tuple[int, int, int]
FIRST: Key = (-(1 << 62), 0, 0)
"""Comes before every key."""

_decode_ids = msgspec.json.Decoder(list[ItemId]).decode
_decode_keys = msgspec.json.Decoder(list[Key]).decode

_IS_DUE = "(next_attempt <= ?5 OR next_attempt > ?7)"
_ONE_DOMAIN = """
SELECT json_group_array(json_array(rank, 0, id)) FROM (
    SELECT * FROM (
        SELECT rank, id FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = ?1 AND rank = ?2 AND id > ?4 AND {due} ORDER BY id LIMIT ?6)
    UNION ALL SELECT * FROM (
        SELECT rank, id FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = ?1 AND rank > ?2 AND {due} ORDER BY rank, id LIMIT ?6)
    LIMIT ?6)""".replace("{due}", _IS_DUE)
# In two parts: SQLite does not search an index for (rank, id) > (?, ?) where id is the row's.
_SORTED = """
SELECT json_group_array(json_array(rank, part, id)) FROM (
    SELECT rank, {part} AS part, items.id AS id FROM json_each(?1) AS given
    CROSS JOIN items INDEXED BY items_waiting ON domain = given.value
    WHERE state = 0 AND (rank, {part}, items.id) > (?2, ?3, ?4) AND {due}
    ORDER BY rank, part, items.id LIMIT ?6)"""
_BY_ARRIVAL = _SORTED.format(part="0", due=_IS_DUE)
_BY_SIZE = _SORTED.format(part="size", due=_IS_DUE)
_CONTENTS = """
SELECT messages.id, digest, content FROM json_each(?1) AS given CROSS JOIN messages ON messages.id = given.value
WHERE content IS NOT NULL"""
_AGED = """
WITH bounds AS MATERIALIZED (
    SELECT json_extract(value, '$[0]') AS name, json_extract(value, '$[1]') AS last FROM json_each(?1)),
ranks AS (  -- those of each domain, by a search for each: the index has them before the ids
    SELECT name, last, (SELECT min(rank) FROM items INDEXED BY items_waiting WHERE state = 0 AND domain = name) AS rank
    FROM bounds
    UNION ALL SELECT name, last,
    (SELECT min(items.rank) FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = name AND items.rank > ranks.rank)
    FROM ranks WHERE ranks.rank IS NOT NULL)
SELECT items.id FROM ranks CROSS JOIN items INDEXED BY items_waiting
ON state = 0 AND domain = name AND items.rank = ranks.rank AND items.id > ?2 AND items.id <= last
ORDER BY items.id LIMIT ?3"""
_TIMED = """
SELECT max(id), json_group_array(id) FILTER (WHERE instr(envelope, CAST('"deliver_by":' AS BLOB)))
FROM (SELECT id, envelope FROM items NOT INDEXED WHERE id > ? ORDER BY id LIMIT ?)"""  # what is default is not written
_DUE = """
SELECT min(iif(next_attempt > ?3, 0.0, next_attempt)) FROM json_each(?1) AS given
CROSS JOIN items INDEXED BY items_waiting ON domain = given.value
WHERE state = 0 AND items.id NOT IN (SELECT value FROM json_each(?2))"""
_LISTED_WAITING = """
WITH ranks AS (  -- those of each domain, by a search for each: within one the index has ids in order
    SELECT value AS name, (SELECT min(rank) FROM items INDEXED BY items_waiting WHERE state = 0 AND domain = value)
    AS rank FROM json_each(?1)
    UNION ALL SELECT name, (
        SELECT min(items.rank) FROM items INDEXED BY items_waiting
        WHERE state = 0 AND domain = name AND items.rank > ranks.rank)
    FROM ranks WHERE ranks.rank IS NOT NULL)
SELECT (SELECT json_group_array(id) FROM (
    SELECT id FROM items INDEXED BY items_waiting
    WHERE state = 0 AND domain = name AND items.rank = ranks.rank AND id > ?2
    AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY id LIMIT ?3))
FROM ranks WHERE ranks.rank IS NOT NULL"""
_LISTED_STOPPED = """
SELECT (SELECT json_group_array(id) FROM (
    SELECT id FROM items INDEXED BY items_stopped
    WHERE state <> 0 AND state = ?5 AND domain = given.value AND id > ?2
    AND id NOT IN (SELECT value FROM json_each(?4)) ORDER BY id LIMIT ?3))
FROM json_each(?1) AS given"""
_DOMAIN_GIVEN = "+domain IN (SELECT value FROM json_each(?))"  # the plus: there is a better index
_STOPPED = "SELECT state, count(*) FROM items INDEXED BY items_stopped WHERE state <> 0 GROUP BY state"
_STOPPED_DOMAINS = """
SELECT domain, count(*), sum(size), min(arrived) FROM items INDEXED BY items_stopped
WHERE state <> 0 GROUP BY domain"""
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

    def keys(self, domains: Sequence[DomainName], order: Order, after: Key, due: Due | None, limit: int) -> list[Key]:
        """The next keys in order after one; fewer than `limit` only when there are no more."""
        due = due or _ALWAYS
        by_size = order is Order.SMALLEST
        if len(domains) == 1 and not by_size:
            found = self._connection.execute(_ONE_DOMAIN, (domains[0], *after, due.by, limit, due.beyond)).get
        else:
            query = _BY_SIZE if by_size else _BY_ARRIVAL
            found = self._connection.execute(query, (_json(domains), *after, due.by, limit, due.beyond)).get
        keys = _decode_keys(str(found))
        keys.sort()  # they are; the aggregate does not promise it
        return keys

    def waiting_items(
        self,
        ids: Sequence[int],
        due: Due | None,
        state: ItemState = ItemState.CLAIMED,
        wanted: tuple[int, ...] = (WAITING,),
    ) -> Found:
        """Those of the items that wait, as claimed ones or in another state, in the order given.

        `wanted`: what they may be on disk.
        """
        due = due or _ALWAYS
        found = Found([], [])
        for identifier, row in rows_of_ids(self._connection, ids):
            if row is None or not is_whole(row):
                if row is None or not is_set_aside(row):
                    found.damaged.append(identifier)
            elif row[6] in wanted and (row[8] <= due.by or row[8] > due.beyond):
                found.items.append(item(row, state))
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

    def aged(self, bounds: Sequence[tuple[DomainName, ItemId]], after: ItemId, limit: int) -> list[ItemId]:
        """The ids of waiting items of these domains, each up to the id beside it, in order, after one."""
        return [row[0] for row in fetch(self._connection, _AGED, encode(bounds).decode(), after, limit)]

    def timed(self, after: ItemId, limit: int) -> tuple[ItemId | None, list[ItemId]]:
        """The last of the next items, and the ids of those that have a time."""
        last, found = self._connection.execute(_TIMED, (after, limit)).get
        return last, sorted(msgspec.json.decode(found, type=list[ItemId]))

    def due(self, domains: Sequence[DomainName], lent: Sequence[ItemId], beyond: float) -> float | None:
        """The least next_attempt of what waits and is not lent; what is later than `beyond` is due."""
        found = self._connection.execute(_DUE, (_json(domains), _json(lent), beyond)).get
        return None if found is None else float(found)

    def stopped(self) -> dict[ItemState, int]:
        """How many items are frozen, and how many quarantined."""
        counts = {ItemState.FROZEN: 0, ItemState.QUARANTINED: 0}
        for state, count in fetch(self._connection, _STOPPED):
            counts[ItemState.FROZEN if state == FROZEN else ItemState.QUARANTINED] += count
        return counts

    def stopped_domains(self) -> dict[DomainName, Waiting]:
        """What is frozen or quarantined, by domain; what is damaged has none."""
        rows = fetch(self._connection, _STOPPED_DOMAINS)
        return {domain: Waiting(items, octets, oldest) for domain, items, octets, oldest in rows if domain}

    def listing(self, wanted: Filter, lent: Sequence[ItemId]) -> Found:
        """Items as they stand; `lent` are the claimed ones."""
        is_by_domain = wanted.domains and not wanted.ids and wanted.state is not ItemState.CLAIMED
        ids = self._listed_of_domains(wanted, lent) if is_by_domain else self._listed(wanted, lent)
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

    def _listed_of_domains(self, wanted: Filter, lent: Sequence[ItemId]) -> list[ItemId]:
        """The first ids of each domain, rank and state, and of these the first: so a page costs what it has."""
        not_these = () if wanted.state is None else lent
        common = (_json(list(dict.fromkeys(wanted.domains))), wanted.after or 0, wanted.limit, _json(not_these))
        portions: list[str] = []
        if wanted.state in (None, ItemState.WAITING):
            portions += [row[0] for row in fetch(self._connection, _LISTED_WAITING, *common)]
        for state in STATES[1:]:
            if wanted.state in (None, state):
                rows = fetch(self._connection, _LISTED_STOPPED, *common, STATES.index(state))
                portions += [row[0] for row in rows]
        return sorted(identifier for ids in portions for identifier in _decode_ids(ids))[: wanted.limit]

    def _listed(self, wanted: Filter, lent: Sequence[ItemId]) -> list[ItemId]:
        table, terms = "items", ["id > ?"]
        parameters: list[str | int] = [wanted.after or 0]
        if wanted.domains:
            terms.append(_DOMAIN_GIVEN)
            parameters.append(_json(wanted.domains))
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
                if state is not ItemState.WAITING and not wanted.ids:
                    table = "items INDEXED BY items_stopped"
                    terms.append("state <> 0")
                terms += ["state = ?", f"NOT {_GIVEN}"]
                parameters += [STATES.index(state), _json(lent)]
        query = f"SELECT id FROM {table} WHERE {' AND '.join(terms)} ORDER BY id LIMIT ?"  # noqa: S608 - constants
        return [row[0] for row in fetch(self._connection, query, *parameters, wanted.limit)]


def _json(values: Sequence[int] | Sequence[str]) -> str:
    return encode(values).decode()
