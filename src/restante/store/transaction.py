"""What one commit writes: arrivals, settlements, and what an operator changes, with the counters of all of it.

Used by the writer's thread alone. Rows go in by the CHUNK in one statement, and what belongs to many items is one
statement over a JSON list of ids, because every step of a statement gives the interpreter to another thread and has to
wait for it again. Content goes with its last item; body files go after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import apsw

from restante.model import ITEM_BITS, MAX_ITEMS_PER_MESSAGE, Item, ItemId, MessageId, item_id, message_of
from restante.spool.spool import Arrival, Settlement
from restante.store.counters import Counters
from restante.store.rows import FROZEN, ITEM, QUARANTINED, WAITING, encode, envelope_json, fetch, item, item_rows

CHUNK = 64

_MESSAGE = "INSERT INTO messages (id, size, digest, arrived, content) VALUES "
_ITEM = "INSERT INTO items (id, domain, envelope, size, arrived, rank, state, attempts, next_attempt, detail) VALUES "
_MESSAGE_ONE, _MESSAGE_MANY = (_MESSAGE + ",".join(["(?,?,?,?,?)"] * count) for count in (1, CHUNK))
_ITEM_ONE, _ITEM_MANY = (_ITEM + ",".join(["(?,?,?,?,?,?,?,?,?,?)"] * count) for count in (1, CHUNK))
_GIVEN = "FROM json_each(?1) AS given CROSS JOIN items ON items.id = given.value"
_SUMS = f"SELECT domain, count(*), sum(size), min(arrived) {_GIVEN} WHERE +state = ?2 GROUP BY domain"
_IN_STATE = f"SELECT items.id {_GIVEN} WHERE +state = ?2"
_FROZEN = f"SELECT {ITEM} {_GIVEN} WHERE +state = ?2"
_PRESENT = f"SELECT items.id {_GIVEN}"
_DELETE = "DELETE FROM items WHERE id IN (SELECT value FROM json_each(?))"
_SET_STATE = "UPDATE items SET state = ?2 WHERE id IN (SELECT value FROM json_each(?1))"
_REMAINS = "UPDATE items SET envelope = ?, detail = ?, next_attempt = ?, attempts = attempts + 1 WHERE id = ?"
_WITHOUT_ITEMS = f"""
FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
    SELECT 1 FROM items WHERE items.id BETWEEN messages.id << {ITEM_BITS}
    AND (messages.id << {ITEM_BITS}) + {MAX_ITEMS_PER_MESSAGE})"""  # noqa: S608 - constants
_BODIES = f"SELECT id {_WITHOUT_ITEMS} AND content IS NULL"
_DROP = f"DELETE {_WITHOUT_ITEMS}"
_OF_MESSAGE = "SELECT id FROM items WHERE id BETWEEN ? AND ? AND state <> ?"

ArrivalRows = tuple[tuple[object, ...], list[tuple[object, ...]]]


def rows_of(arrival: Arrival) -> ArrivalRows:
    """An arrival's rows. Raises UnicodeEncodeError for an envelope that cannot be stored."""
    content = arrival.content if isinstance(arrival.content, bytes) else None
    assert 0 < len(arrival.envelopes) <= MAX_ITEMS_PER_MESSAGE, "at least one item"
    return (arrival.id, arrival.size, arrival.digest, arrival.arrived, content), list(item_rows(arrival))


class Transaction:
    """One commit's worth of changes, between BEGIN and COMMIT."""

    def __init__(self, connection: apsw.Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self.bodies_gone: list[MessageId] = []
        """Messages whose body files are to be removed once this is committed."""

    def insert(self, arrivals: Sequence[ArrivalRows]) -> None:
        """Stores messages and their items."""
        items = [row for _, rows in arrivals for row in rows]
        self._insert(_MESSAGE_ONE, _MESSAGE_MANY, [message for message, _ in arrivals])
        self._insert(_ITEM_ONE, _ITEM_MANY, items)
        for row in items:
            self._counters.add(row[1], 1, row[3], row[4])  # type: ignore[arg-type] # as item_rows() made them

    def _insert(self, one: str, many: str, rows: Sequence[tuple[object, ...]]) -> None:
        execute = self._connection.execute
        whole = len(rows) - len(rows) % CHUNK
        for start in range(0, whole, CHUNK):
            execute(many, [value for row in rows[start : start + CHUNK] for value in row])
        if whole < len(rows):
            self._connection.executemany(one, rows[whole:])

    def settle(self, settlements: Sequence[Settlement], envelopes: Sequence[bytes | None]) -> None:
        """Records outcomes; `envelopes` are the remaining ones as JSON, in order. An item that is gone stays gone."""
        done = list({each.item for each in settlements if each.remaining is None})
        if done:
            self._delete(done)
        left = [
            (envelope, each.detail, each.next_attempt, each.item)
            for each, envelope in zip(settlements, envelopes, strict=True)
            if envelope is not None
        ]
        if left:
            self._connection.executemany(_REMAINS, left)

    def freeze(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Waiting items become frozen."""
        found = self._in_state(items, WAITING)
        self._leave_waiting(found)
        self._set_state(found, FROZEN)
        return found

    def thaw(self, items: Sequence[ItemId]) -> list[Item]:
        """Frozen items wait again; as they were."""
        found = [item(row) for row in fetch(self._connection, _FROZEN, _json(set(items)), FROZEN)]
        for each in found:
            self._counters.add(each.domain, 1, each.size, each.arrived)
        self._set_state([each.id for each in found], WAITING)
        return found

    def remove(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Items of whatever state are gone."""
        found = [row[0] for row in fetch(self._connection, _PRESENT, _json(set(items)))]
        self._delete(found)
        return found

    def quarantine(self, message: MessageId) -> list[ItemId]:
        """All items of a message are set aside."""
        span = (item_id(message, 1), item_id(message, MAX_ITEMS_PER_MESSAGE))
        found = [row[0] for row in fetch(self._connection, _OF_MESSAGE, *span, QUARANTINED)]
        self._leave_waiting(found)
        self._set_state(found, QUARANTINED)
        return found

    def _in_state(self, items: Sequence[ItemId], state: int) -> list[ItemId]:
        return [row[0] for row in fetch(self._connection, _IN_STATE, _json(set(items)), state)]

    def _set_state(self, items: Sequence[ItemId], state: int) -> None:
        if items:
            self._connection.execute(_SET_STATE, (_json(items), state))

    def _leave_waiting(self, items: Sequence[ItemId]) -> None:
        for domain, count, octets, oldest in fetch(self._connection, _SUMS, _json(items), WAITING):
            self._counters.take(domain, count, octets, oldest)

    def _delete(self, items: Sequence[ItemId]) -> None:
        self._leave_waiting(items)
        self._connection.execute(_DELETE, (_json(items),))
        messages = _json({message_of(item) for item in items})
        bodies = [row[0] for row in fetch(self._connection, _BODIES, messages)]
        self._connection.execute(_DROP, (messages,))
        self.bodies_gone.extend(bodies)


def settled_rows(settlements: Iterable[Settlement]) -> tuple[list[bytes | None], list[ArrivalRows]]:
    """The remaining envelopes of settlements as JSON, and their DSNs' rows. Raises UnicodeEncodeError."""
    envelopes = [None if each.remaining is None else envelope_json(each.remaining) for each in settlements]
    return envelopes, [rows_of(each.dsn) for each in settlements if each.dsn is not None]


def _json(items: Iterable[int]) -> str:
    return encode(list(items)).decode()
