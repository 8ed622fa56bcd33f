"""What is remembered of other domains' TLS over a restart, in `data/tls.db`: MTA-STS policies, and counts by day.

A SQLite database that loses nothing when the process dies, and at most its last moments when the power is cut. It can
be done without: what cannot be read is put aside as `tls.db.damaged` and begun anew, and what cannot be written is
forgotten at the next start. Every method blocks for some milliseconds at most.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import apsw
import msgspec

from restante.errors import RestanteError
from restante.mx.sts import StsPolicy
from restante.mx.tlsrpt import PolicyShown, Row, TlsOutcome

FILE = "tls.db"
VERSION = 1
BUSY_MILLISECONDS = 2000
MOST_ROWS_A_DAY = 10_000
DAYS_KEPT = 30

_TABLES = """
CREATE TABLE policies (
    domain TEXT NOT NULL PRIMARY KEY, id TEXT NOT NULL, fetched REAL NOT NULL, policy TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE sessions (
    day TEXT NOT NULL, domain TEXT NOT NULL, policy TEXT NOT NULL, outcome TEXT NOT NULL, sessions INTEGER NOT NULL,
    PRIMARY KEY (day, domain, policy, outcome)
) STRICT, WITHOUT ROWID;
"""
_COUNT = """
INSERT INTO sessions VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions"""


class BookUnusable(RestanteError):
    """The file cannot be read or written. May pass, if it was busy or the disk full."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A policy, the id that its TXT record had, and when it was fetched, in wall seconds."""

    id: str
    policy: StsPolicy
    fetched: float

    def is_in_force(self, wall: float) -> bool:
        """Whether it still counts at `wall`."""
        return wall < self.fetched + self.policy.max_age


class TlsBook:
    """One open connection; open_book() makes it. Methods raise BookUnusable."""

    def __init__(self, connection: apsw.Connection, lost: str = "") -> None:
        self._connection = connection
        self.lost = lost
        """Why it has begun anew, though there was one; else empty."""

    def policies(self) -> dict[str, Fetched]:
        """All policies by their domain; one that cannot be read is passed over."""
        found: dict[str, Fetched] = {}
        with _told():
            rows = list(self._connection.execute("SELECT domain, id, fetched, policy FROM policies"))
        for domain, name, fetched, policy in rows:
            with contextlib.suppress(msgspec.DecodeError, UnicodeError):
                found[domain] = Fetched(name, msgspec.json.decode(policy, type=StsPolicy), fetched)
        return found

    def put_policy(self, domain: str, fetched: Fetched) -> None:
        """Keeps a policy in the place of the one before."""
        row = (domain, fetched.id, fetched.fetched, msgspec.json.encode(fetched.policy).decode())
        with _told():
            self._connection.execute("INSERT OR REPLACE INTO policies VALUES (?, ?, ?, ?)", row)

    def remove_policies(self, domains: Iterable[str]) -> None:
        """Forgets them."""
        with _told(), self._connection:
            self._connection.executemany("DELETE FROM policies WHERE domain = ?", ((domain,) for domain in domains))

    def add(self, rows: Iterable[Row]) -> None:
        """Adds to the counts, and forgets days before the last DAYS_KEPT that there are; all or none.

        A day that has MOST_ROWS_A_DAY takes no further kinds of row.
        """
        with _told(), self._connection:
            there = Counter[str](dict(self._connection.execute("SELECT day, count(*) FROM sessions GROUP BY day")))
            for row in rows:
                if there[row.day] >= MOST_ROWS_A_DAY:
                    continue
                there[row.day] += 1  # or none, where it is a row that is there
                policy, outcome = (msgspec.json.encode(each).decode() for each in (row.policy, row.outcome))
                self._connection.execute(_COUNT, (row.day, row.policy.domain, policy, outcome, row.sessions))
            self._connection.execute(
                "DELETE FROM sessions WHERE day NOT IN (SELECT DISTINCT day FROM sessions ORDER BY day DESC LIMIT ?)",
                (DAYS_KEPT,),
            )

    def rows(self, day: str, domain: str | None = None) -> list[Row]:
        """What was counted on a day, of one policy domain or of all, in its order."""
        query = "SELECT policy, outcome, sessions FROM sessions WHERE day = ?1 AND (?2 IS NULL OR domain = ?2)"
        with _told():
            found = list(self._connection.execute(f"{query} ORDER BY domain, policy, outcome", (day, domain)))
        rows: list[Row] = []
        for policy, outcome, sessions in found:
            with contextlib.suppress(msgspec.DecodeError, UnicodeError):
                rows.append(
                    Row(
                        day,
                        msgspec.json.decode(policy, type=PolicyShown),
                        msgspec.json.decode(outcome, type=TlsOutcome),
                        sessions,
                    )
                )
        return rows

    def close(self) -> None:
        """Lets go of the file."""
        with contextlib.suppress(apsw.Error):
            self._connection.close()


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except apsw.Error as error:
        raise BookUnusable(f"{FILE}: {error}") from None


def open_book(data: Path) -> TlsBook:
    """The book in a data folder, made if it is not there; a damaged one is put aside. Raises BookUnusable."""
    file = data / FILE
    try:
        try:
            is_empty = file.is_file() and file.stat().st_size == 0
            return _opened(file, "it is empty" if is_empty else "")
        except (apsw.CorruptError, apsw.NotADBError) as error:
            file.replace(file.with_name(FILE + ".damaged"))
            for left in ("-wal", "-shm"):
                file.with_name(FILE + left).unlink(missing_ok=True)
            return _opened(file, str(error))
    except (apsw.Error, OSError) as error:
        raise BookUnusable(f"{file}: {error}") from None


def _opened(file: Path, lost: str) -> TlsBook:
    connection = apsw.Connection(str(file))
    try:
        file.chmod(0o600)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
        connection.pragma("journal_mode", "wal")
        connection.pragma("synchronous", "normal")
        with connection:
            if (version := connection.pragma("user_version")) != VERSION:
                lost = f"it has version {version}; this restante knows {VERSION}" if version else lost
                connection.execute("DROP TABLE IF EXISTS policies; DROP TABLE IF EXISTS sessions;" + _TABLES)
                connection.pragma("user_version", VERSION)
        _check(connection)
    except BaseException:
        connection.close()
        raise
    return TlsBook(connection, lost)


def _check(connection: apsw.Connection) -> None:
    found = connection.pragma("quick_check")
    if found != "ok":
        raise apsw.CorruptError(str(found))


def read_rows(data: Path, day: str, domain: str | None = None) -> list[Row]:
    """rows(), of a data folder whose server may run; none where nothing was counted. Raises BookUnusable."""
    file = data / FILE
    if not file.exists():
        return []
    with _told():
        connection = apsw.Connection(str(file), flags=apsw.SQLITE_OPEN_READONLY)
        connection.set_busy_timeout(BUSY_MILLISECONDS)
    with contextlib.closing(TlsBook(connection)) as book:
        return book.rows(day, domain)
