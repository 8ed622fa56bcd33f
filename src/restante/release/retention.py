"""How long mail may wait, and when its sender is told that it is late: for one domain, at one moment. Pure.

Both are told by ids alone (ages.py). Held mail goes back only when it was old enough and was offered often enough;
mail that leaves by itself when it was old enough and was tried. Held mail is late when a contact was missed: one that
the configuration expects, at a time at which this host was there to see whether it came.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from restante.directory.entries import RELAY_RETENTION, Delivered, Entry, Held, Relayed, Retention
from restante.message.causes import Cause, Times
from restante.model import MessageId
from restante.release.ages import Ages
from restante.release.contacts import Contact, offered_to

EARLY_SECONDS = 600.0
"""So much before its time a contact may come: clocks differ."""


class Expected(Protocol):
    """The moments at which contacts are expected, as wall times; None where there are none."""

    def next_after(self, wall: float) -> float | None:
        """The first after a moment."""
        ...

    def last_before(self, wall: float) -> float | None:
        """The last before a moment."""
        ...


Schedules = Callable[[tuple[str, ...]], Expected]
"""Reads cron expressions in local time (calls/window.py has it)."""


@dataclass(frozen=True, slots=True)
class Moment:
    """What is known now. `wall` and `steady` are the same moment; `since`: see SteadyClock."""

    wall: float
    steady: float
    since: float
    ages: Ages
    tried: Mapping[str, MessageId]
    """By destination: up to which id messages were there when it was last tried."""

    def steady_at(self, wall: float) -> float:
        """The steady time of a wall time that is not before `since`."""
        return self.steady - (self.wall - wall)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Up to which id a domain's messages have waited too long, and up to which they are late; None: none have."""

    expire: MessageId | None = None
    late: MessageId | None = None
    goes_by: Cause = Cause.EXPIRED
    is_late_by: Cause = Cause.LATE
    patience: float = 0.0
    """Steady seconds after which they go."""
    missed: float | None = None
    expected: float | None = None
    """The wall times of the contact that was missed, and of the next one."""

    @property
    def last(self) -> MessageId | None:
        """Up to which id there is anything to do."""
        known = [bound for bound in (self.expire, self.late) if bound is not None]
        return max(known, default=None)

    def times(self, moment: Moment, message: MessageId) -> Times:
        """What a notice about a message tells of time."""
        left = self.patience - (moment.steady - moment.ages.first_seen(message))
        return Times(moment.wall, moment.wall + max(left, 0.0), self.expected, self.missed)


NOTHING = Bounds()


def bounds_of(
    entry: Entry | None, destination: str | None, contact: Contact | None, moment: Moment, schedules: Schedules
) -> Bounds:
    """The bounds for the mail of a destination. `contact` is its last one, where it is held."""
    match entry:
        case Held(retention=retention):
            return _of_held(retention, contact, moment, schedules)
        case Relayed(retention=retention):
            return _of_relayed(retention, moment.tried.get(destination or ""), moment)
        case Delivered():
            return _of_relayed(RELAY_RETENTION, moment.tried.get(destination or ""), moment)
        case _:
            return NOTHING


def _of_relayed(retention: Retention, tried: MessageId | None, moment: Moment) -> Bounds:
    expire = _lesser(moment.ages.last_at(moment.steady - retention.expire), tried)
    late = None
    if retention.warn_after is not None:
        late = _lesser(moment.ages.last_at(moment.steady - retention.warn_after), tried)
    return Bounds(expire, late, patience=retention.expire)


def _of_held(retention: Retention, contact: Contact | None, moment: Moment, schedules: Schedules) -> Bounds:
    expire = moment.ages.last_at(moment.steady - retention.expire)
    if retention.contacts:
        expire = _lesser(expire, offered_to(contact, retention.contacts))
    late = missed = expected = None
    if retention.contact:
        schedule = schedules(retention.contact)
        missed = _missed(retention, schedule, contact, moment)
        if missed is not None:
            late = moment.ages.last_at(moment.steady_at(missed))
        expected = schedule.next_after(moment.wall)
    return Bounds(expire, late, Cause.UNCOLLECTED, Cause.MISSED, retention.expire, missed, expected)


def _missed(retention: Retention, schedule: Expected, contact: Contact | None, moment: Moment) -> float | None:
    """The wall time of the last contact that should have been by now and was not."""
    due = schedule.last_before(moment.wall - retention.grace)
    if due is None or due < moment.since:
        return None
    came = contact is not None and contact.steady >= moment.steady_at(due) - EARLY_SECONDS
    return None if came else due


def _lesser(one: MessageId | None, other: MessageId | None) -> MessageId | None:
    return None if one is None or other is None else min(one, other)
