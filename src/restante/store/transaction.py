"""What one commit writes: arrivals, settlements, and what an operator changes, with the counters of all of it.

Used by the writer's thread alone. Many rows go into one statement (rows.insert()), what belongs to many items is one
statement over a JSON list of ids, because every step of a statement gives the interpreter to another thread and has to
wait for it again. Content goes with its last item; body files go after the commit.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256

import apsw

from restante.model import ITEM_BITS, MAX_ITEMS_PER_MESSAGE, DomainName, ItemId, MessageId, item_id, message_of
from restante.store.counters import Counters
from restante.store.jobs import Outcome, Thawed, Verb, Written
from restante.store.rows import (
    COLUMNS,
    DAMAGE,
    FROZEN,
    QUARANTINED,
    WAITING,
    Row,
    encode,
    fetch,
    insert,
    is_set_aside,
    is_whole,
    item_rows,
    rows_of_ids,
    seal,
)

_MESSAGE = "INSERT INTO messages (id, size, digest, arrived, content) VALUES "
_ITEM = f"INSERT INTO items ({COLUMNS}) VALUES "  # noqa: S608 - constants
_GIVEN = "FROM json_each(?1) AS given CROSS JOIN items ON items.id = given.value"
_SUMS = f"SELECT domain, count(*), sum(size), min(arrived) {_GIVEN} WHERE +state = ?2 GROUP BY domain"
_PRESENT = f"SELECT items.id {_GIVEN}"
_DELETE = "DELETE FROM items WHERE id IN (SELECT value FROM json_each(?))"
_SET_STATE = "UPDATE items SET state = ?, seal = ? WHERE id = ?"
_REMAINS = """
UPDATE items SET domain = ?, envelope = ?, detail = ?, next_attempt = ?, attempts = ?, seal = ? WHERE id = ?"""
_SET_ASIDE = """
UPDATE items SET domain = '', envelope = coalesce(CAST(envelope AS BLOB), x''), size = 0, arrived = 0.0, rank = 0,
state = 2, attempts = 0, next_attempt = 0.0, detail = ?, seal = x'' WHERE id = ?"""
_ALL = "SELECT id FROM items NOT INDEXED WHERE id > ? ORDER BY id LIMIT 1000"
_WITHOUT_ITEMS = f"""
FROM messages WHERE id IN (SELECT value FROM json_each(?)) AND NOT EXISTS (
    SELECT 1 FROM items WHERE items.id BETWEEN messages.id << {ITEM_BITS}
    AND (messages.id << {ITEM_BITS}) + {MAX_ITEMS_PER_MESSAGE})"""  # noqa: S608 - constants
_BODIES = f"SELECT id {_WITHOUT_ITEMS} AND content IS NULL"
_DROP = f"DELETE {_WITHOUT_ITEMS}"
_OF_MESSAGE = "SELECT id FROM items NOT INDEXED WHERE id BETWEEN ? AND ?"


class Transaction:
    """One commit's worth of changes, between BEGIN and COMMIT."""

    def __init__(self, connection: apsw.Connection, counters: Counters) -> None:
        self._connection = connection
        self._counters = counters
        self.bodies_gone: list[MessageId] = []
        """Messages whose body files are to be removed once this is committed."""
        self.damaged: list[ItemId] = []
        """Items that mend() has set aside."""
        self.thawed: list[Thawed] = []
        """Items that wait again."""

    def insert(self, messages: Sequence[Written]) -> None:
        """Stores messages and their items."""
        items = [row for message in messages for row in item_rows(message)]
        insert(self._connection, _MESSAGE, [_message_row(message) for message in messages])
        insert(self._connection, _ITEM, items)
        for row in items:
            if row[6] == WAITING:
                self._counters.add(row[1], 1, row[3], row[4])

    def settle(self, outcomes: Sequence[Outcome]) -> None:
        """Records outcomes. An item that is gone stays gone."""
        done = list({each.item for each in outcomes if each.remaining is None})
        if done:
            self._delete(done)
        left = [(each, each.remaining) for each in outcomes if each.remaining is not None]
        if left:
            self._remain(left)

    def change(self, verb: Verb, ids: Sequence[int]) -> list[ItemId]:
        """Does what an operator, or damage, asks for; the items that it changed."""
        items = [ItemId(each) for each in ids]
        match verb:
            case Verb.FREEZE:
                return self.freeze(items)
            case Verb.THAW:
                return self.thaw(items)
            case Verb.REMOVE:
                return self.remove(items)
            case Verb.QUARANTINE:
                return self.quarantine(MessageId(ids[0]))
            case Verb.MEND:
                self.mend()
                return self.damaged

    def _remain(self, left: Sequence[tuple[Outcome, bytes]]) -> None:
        rows = {row[0]: row for row in self._whole([each.item for each, _ in left])}
        changed: list[tuple[DomainName, bytes, str, float, int, bytes, ItemId]] = []
        for each, envelope in left:
            if (row := rows.get(each.item)) is not None:
                identifier, before, _, size, arrived, rank, state, attempts, *_ = row
                domain = each.domain or before
                if domain != before and state == WAITING:
                    self._counters.take(before, 1, size, arrived)
                    self._counters.add(domain, 1, size, arrived)
                tried = attempts + each.attempts
                then = (state, tried, each.next_attempt, each.detail)
                mark = seal(identifier, domain, envelope, size, arrived, rank, *then)
                rows[each.item] = (identifier, domain, envelope, size, arrived, rank, *then, mark)
                changed.append((domain, envelope, each.detail, each.next_attempt, tried, mark, each.item))
        self._connection.executemany(_REMAINS, changed)

    def freeze(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Waiting items become frozen."""
        return self._stop([row for row in self._whole(items) if row[6] == WAITING], FROZEN)

    def thaw(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Frozen items wait again."""
        rows = [row for row in self._whole(items) if row[6] == FROZEN]
        for identifier, domain, _, size, arrived, rank, *_ in rows:
            self._counters.add(domain, 1, size, arrived)
            self.thawed.append(Thawed(domain, rank, size, identifier))
        self._set_state(rows, WAITING)
        return [ItemId(row[0]) for row in rows]

    def remove(self, items: Sequence[ItemId]) -> list[ItemId]:
        """Items of whatever state are gone."""
        found = [row[0] for row in fetch(self._connection, _PRESENT, _json(set(items)))]
        self._delete(found)
        return found

    def quarantine(self, message: MessageId) -> list[ItemId]:
        """All items of a message are set aside."""
        span = (item_id(message, 1), item_id(message, MAX_ITEMS_PER_MESSAGE))
        rows = self._whole([row[0] for row in fetch(self._connection, _OF_MESSAGE, *span)])
        return self._stop([row for row in rows if row[6] != QUARANTINED], QUARANTINED)

    def mend(self) -> None:
        """Reads the rows of all items, sets aside those that are damaged, and makes indexes and counters anew."""
        hurt: list[ItemId] = []
        after = 0
        while ids := [row[0] for row in fetch(self._connection, _ALL, after)]:
            after = ids[-1]
            for identifier, row in rows_of_ids(self._connection, ids):
                if row is None or not (is_whole(row) or is_set_aside(row)):
                    hurt.append(identifier)
        self._connection.execute("REINDEX items")
        self._connection.executemany(_SET_ASIDE, [(DAMAGE, identifier) for identifier in hurt])
        self._counters.recount()
        self.damaged += hurt

    def _whole(self, items: Sequence[ItemId]) -> list[Row]:
        """The rows of items; if one is damaged, it is set aside before anything is written about it."""
        whole: list[Row] = []
        is_damaged = False
        for _, row in rows_of_ids(self._connection, list(dict.fromkeys(items))):
            if row is not None and is_whole(row):
                whole.append(row)
            elif row is None or not is_set_aside(row):
                is_damaged = True
        if is_damaged:
            self.mend()
        return whole

    def _stop(self, rows: Sequence[Row], state: int) -> list[ItemId]:
        found = [ItemId(row[0]) for row in rows]
        self._leave_waiting(found)
        self._set_state(rows, state)
        return found

    def _set_state(self, rows: Sequence[Row], state: int) -> None:
        marks = [(state, seal(*(*row[:6], state, *row[7:10])), row[0]) for row in rows]
        self._connection.executemany(_SET_STATE, marks)

    def _leave_waiting(self, items: Sequence[ItemId]) -> None:
        for domain, count, octets, oldest in fetch(self._connection, _SUMS, _json(items), WAITING):
            self._counters.take(domain, count, octets, oldest)

    def drop_messages_without_items(self) -> None:
        """Removes contents that no item needs: there are none, unless there was damage."""
        self._drop([row[0] for row in fetch(self._connection, "SELECT id FROM messages")])

    def _delete(self, items: Sequence[ItemId]) -> None:
        self._leave_waiting(items)
        self._connection.execute(_DELETE, (_json(items),))
        self._drop({message_of(item) for item in items})

    def _drop(self, candidates: Iterable[MessageId]) -> None:
        messages = _json(candidates)
        bodies = [row[0] for row in fetch(self._connection, _BODIES, messages)]
        self._connection.execute(_DROP, (messages,))
        self.bodies_gone.extend(bodies)


def _message_row(message: Written) -> tuple[MessageId, int, bytes, float, bytes | None]:
    content = message.content
    digest = message.digest if content is None else sha256(content).digest()
    return message.id, message.size, digest, message.arrived, content


def _json(items: Iterable[int]) -> str:
    return encode(list(items)).decode()
