"""What expiry has to remember over a restart, as rows of the history (store/history.py), there and back.

Rows: `clock`, a mark of the log of ids for each steady time, a contact for each destination, a site for each held
domain that is expected, and what others have to remember of alarms. What has been (past.py) has rows of its own there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from restante.model import MessageId
from restante.observe.alarms import ROW as ALARM
from restante.release.ages import Ages, Mark, SteadyClock
from restante.release.contacts import Contact, Contacts
from restante.release.expected import Site

_CLOCK = "clock"
_MARK = "mark "
_CONTACT = "contact "
_SITE = "site "


class _Clock(msgspec.Struct, frozen=True, array_like=True):
    wall: float
    since: float


@dataclass(frozen=True, slots=True)
class Remembered:
    """What rows() and the others have made rows of. `wall` and `since` None: there was nothing."""

    ages: Ages
    contacts: Contacts
    wall: float | None = None
    since: float | None = None
    sites: Mapping[str, Site] = field(default_factory=dict)
    alarms: Mapping[str, bytes] = field(default_factory=dict)
    """The rows of ALARM, by their whole names."""


def remembered(rows: Mapping[str, bytes]) -> Remembered:
    """All that rows tell."""
    marks = [msgspec.json.decode(value, type=tuple[float, int]) for value in _of(rows, _MARK).values()]
    contacts = {name: msgspec.json.decode(value, type=Contact) for name, value in _of(rows, _CONTACT).items()}
    clock = msgspec.json.decode(rows[_CLOCK], type=_Clock) if _CLOCK in rows else None
    ages = Ages(Mark(steady, MessageId(last)) for steady, last in marks)
    sites = {name: msgspec.json.decode(value, type=Site) for name, value in _of(rows, _SITE).items()}
    alarms = {name: value for name, value in rows.items() if name.startswith(ALARM)}
    if clock is None:
        return Remembered(ages, Contacts(contacts), sites=sites, alarms=alarms)
    return Remembered(ages, Contacts(contacts), clock.wall, clock.since, sites, alarms)


def _of(rows: Mapping[str, bytes], kind: str) -> dict[str, bytes]:
    return {name.removeprefix(kind): value for name, value in rows.items() if name.startswith(kind)}


def clock_row(wall: float, clock: SteadyClock) -> dict[str, bytes]:
    """The row that tells when this host was there last."""
    return {_CLOCK: msgspec.json.encode(_Clock(wall, clock.since))}


def mark_rows(marks: Iterable[Mark]) -> dict[str, bytes]:
    """The rows of marks."""
    return {_mark(mark.steady): msgspec.json.encode((mark.steady, mark.last)) for mark in marks}


def mark_names(steady: Iterable[float]) -> list[str]:
    """The names of the rows of marks, by their steady times."""
    return [_mark(each) for each in steady]


def contact_rows(changes: Mapping[str, Contact | None]) -> tuple[dict[str, bytes], list[str]]:
    """The rows of contacts that have changed, and the names of those that are gone."""
    put = {f"{_CONTACT}{name}": msgspec.json.encode(each) for name, each in changes.items() if each is not None}
    return put, [f"{_CONTACT}{name}" for name, each in changes.items() if each is None]


def site_rows(changes: Mapping[str, Site | None]) -> tuple[dict[str, bytes], list[str]]:
    """The rows of sites that have changed, and the names of those that are gone."""
    put = {f"{_SITE}{name}": msgspec.json.encode(each) for name, each in changes.items() if each is not None}
    return put, [f"{_SITE}{name}" for name, each in changes.items() if each is None]


def _mark(steady: float) -> str:
    return f"{_MARK}{steady!r}"
