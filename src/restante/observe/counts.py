"""What has happened since the process began, as plain integers, counted from facts: the totals of /metrics.

heard() stands in the path of every message: it looks up what to do by the fact's type, and adds. What it counts is
named as Prometheus will have it, without `restante_` and `_total`. Labels have few values, whatever peers say: words of
ours, or of a protocol, and beyond MOST_REFUSALS kinds of refusal all others are one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from restante import facts
from restante.facts import AlarmKind, Fact
from restante.smtp.services import VERBS
from restante.spool.histogram import Histogram

MOST_REFUSALS = 300
OTHER = "other"
OUTCOMES = ("delivered", "deferred", "failed", "expired", "returned")
NOTICES = ("failed", "expired", "late", "returned", "too_large")
RATES = tuple(1000.0 * factor * 10**power for power in range(6) for factor in (1, 2, 5))
"""Octets a second: from a telephone line to a gigabit."""
SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0)
FILTER_SECONDS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)

_REPLY = re.compile(r"([45]\d\d)(?: ([45]\.\d{1,3}\.\d{1,3})(?![0-9.]))?")

Key = tuple[str, ...]
"""The name of a counter, and the values of its labels."""


@dataclass(slots=True)
class _Mail:
    """What is counted ten thousand times a second, apart: a Key is hashed anew each time."""

    number: int = 0
    recipients: int = 0
    octets: int = 0


class Counts:
    """All of them. Used in the event loop; totals() is for another thread."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self._wall = wall
        self._totals: dict[Key, float] = dict.fromkeys(_known(), 0)
        self._taken, self._carried = _Mail(), _Mail()
        self._refusals = 0
        self.release_rate = Histogram(RATES)
        self.release_seconds = Histogram(SECONDS)
        self.filter_seconds = Histogram(FILTER_SECONDS)
        self.last_call: dict[str, float] = {}
        """When the last call that went well (`complete`) and the last other one (`failed`) ended, as wall times."""

        self._counting: Mapping[type, Callable[[Any], None]] = {
            facts.MessageAccepted: self._accepted,
            facts.ItemDelivered: self._delivered,
            facts.ItemDeferred: self._deferred,
            facts.ItemFailed: self._failed,
            facts.ItemExpired: self._expired,
            facts.ItemReturned: self._returned,
            facts.ItemLate: self._late,
            facts.ItemHeldBack: self._held_back,
            facts.NoticeWithheld: self._withheld,
            facts.ContentDamaged: self._content_damaged,
            facts.ItemDamaged: self._item_damaged,
            facts.CommandRefused: self._refused,
            facts.ConnectionRefused: self._turned_away,
            facts.LoggedIn: self._logged_in,
            facts.LoginRefused: self._login_refused,
            facts.ReleaseDecided: self._decided,
            facts.ReleaseStarted: self._started,
            facts.ReleaseEnded: self._ended,
            facts.CallStarted: self._call_started,
            facts.CallEnded: self._call_ended,
            facts.HookEnded: self._hook,
            facts.RecipientsTold: self._told,
            facts.RecipientsSent: self._sent,
            facts.ConfigurationReloaded: self._reloaded,
            facts.FilterJudged: self._judged,
            facts.FilterPassedOver: self._passed_over,
            facts.FilterFailed: self._filter_failed,
            facts.AlarmRaised: self._alarm,
            facts.AlarmsTold: self._alarms_told,
        }

    def heard(self, fact: Fact) -> None:
        """Counts a fact; a listener for the feed."""
        count = self._counting.get(type(fact))
        if count is not None:
            count(fact)

    def totals(self) -> dict[Key, float]:
        """What it has come to."""
        taken, carried = self._taken, self._carried
        return self._totals | {
            ("messages_accepted",): taken.number,
            ("recipients_accepted",): taken.recipients,
            ("accepted_bytes",): taken.octets,
            ("item_outcomes", "delivered"): carried.number,
            ("recipient_outcomes", "delivered"): carried.recipients,
            ("delivered_bytes",): carried.octets,
        }

    def _add(self, key: Key, number: float = 1) -> None:
        self._totals[key] = self._totals.get(key, 0) + number

    # mail

    def _accepted(self, fact: facts.MessageAccepted) -> None:
        taken = self._taken
        taken.number += 1
        taken.recipients += fact.recipients
        taken.octets += fact.octets

    def _delivered(self, fact: facts.ItemDelivered) -> None:
        carried = self._carried
        carried.number += 1
        carried.recipients += fact.recipients
        carried.octets += fact.octets

    def _deferred(self, fact: facts.ItemDeferred) -> None:
        self._outcome("deferred", fact.recipients)

    def _failed(self, fact: facts.ItemFailed) -> None:
        self._outcome("failed", fact.recipients)
        self._notice("failed", fact.dsn)

    def _expired(self, fact: facts.ItemExpired) -> None:
        self._outcome("expired", fact.recipients)
        self._notice("expired", fact.dsn)

    def _returned(self, fact: facts.ItemReturned) -> None:
        self._outcome("returned", fact.recipients)
        self._notice("returned", fact.dsn)

    def _late(self, fact: facts.ItemLate) -> None:
        self._notice("late", fact.dsn)

    def _held_back(self, fact: facts.ItemHeldBack) -> None:
        self._notice("too_large", fact.notice)

    def _withheld(self, _: facts.NoticeWithheld) -> None:
        self._add(("notices_withheld",))

    def _outcome(self, outcome: str, recipients: int) -> None:
        self._add(("item_outcomes", outcome))
        self._add(("recipient_outcomes", outcome), recipients)

    def _notice(self, kind: str, notice: object) -> None:
        if notice is not None:
            self._add(("notices", kind))

    def _content_damaged(self, fact: facts.ContentDamaged) -> None:
        self._add(("items_quarantined",), len(fact.items))

    def _item_damaged(self, _: facts.ItemDamaged) -> None:
        self._add(("items_quarantined",))

    # who comes

    def _refused(self, fact: facts.CommandRefused) -> None:
        verb = fact.command.partition(" ")[0].upper()
        self._refusal(verb if verb in VERBS else OTHER, *_codes(fact.reply))

    def _refusal(self, verb: str, code: str, status: str) -> None:
        key = ("commands_refused", verb, code, status)
        if key not in self._totals:
            if self._refusals < MOST_REFUSALS:
                self._refusals += 1
            else:
                key = ("commands_refused", OTHER, OTHER, OTHER)
        self._add(key)

    def _turned_away(self, fact: facts.ConnectionRefused) -> None:
        code, status = _codes(fact.reason)
        self._add(("connections_refused", code, status), fact.times)

    def _logged_in(self, fact: facts.LoggedIn) -> None:
        self._add(("logins", fact.mechanism))

    def _login_refused(self, _: facts.LoginRefused) -> None:
        self._add(("logins_refused",))

    # releases and calls

    def _decided(self, fact: facts.ReleaseDecided) -> None:
        self._add(("release_requests", "granted" if fact.granted else "not_granted"))

    def _started(self, _: facts.ReleaseStarted) -> None:
        self._add(("releases_started",))

    def _ended(self, fact: facts.ReleaseEnded) -> None:
        has_reached = bool(fact.delivered or fact.deferred or fact.failed)
        self._add(("releases_ended", "complete" if not fact.error else "cut" if has_reached else "failed"))
        self.release_seconds.add(fact.seconds)
        if fact.octets and fact.seconds > 0:
            self.release_rate.add(fact.octets / fact.seconds)

    def _call_started(self, _: facts.CallStarted) -> None:
        self._add(("calls_started",))

    def _call_ended(self, fact: facts.CallEnded) -> None:
        self._add(("calls_ended", fact.ended_by))
        self.last_call["failed" if fact.error else "complete"] = self._wall()
        for direction, messages, octets in (
            ("sent", fact.sent, fact.sent_octets),
            ("received", fact.received, fact.received_octets),
        ):
            self._add(("call_messages", direction), messages)
            self._add(("call_bytes", direction), octets)

    def _hook(self, fact: facts.HookEnded) -> None:
        self._add(("hooks", fact.hook, _result(fact.error)))

    def _told(self, fact: facts.RecipientsTold) -> None:
        self._add(("recipient_lists", "told", _result(fact.error)))

    def _sent(self, _: facts.RecipientsSent) -> None:
        self._add(("recipient_lists", "taken", "done"))

    # the host itself

    def _reloaded(self, fact: facts.ConfigurationReloaded) -> None:
        self._add(("configuration_reloads", "failed" if fact.problems else "done"))

    def _judged(self, fact: facts.FilterJudged) -> None:
        self._add(("filter_verdicts", "accepted" if fact.accepted else "refused"))
        self.filter_seconds.add(fact.seconds)

    def _passed_over(self, _: facts.FilterPassedOver) -> None:
        self._add(("filter_verdicts", "passed_over"))

    def _filter_failed(self, fact: facts.FilterFailed) -> None:
        self._add(("filter_verdicts", "failed"), fact.times)

    def _alarm(self, fact: facts.AlarmRaised) -> None:
        self._add(("alarms_raised", fact.alarm))

    def _alarms_told(self, fact: facts.AlarmsTold) -> None:
        self._add(("alarm_notices", fact.way, _result(fact.error)))


def _known() -> list[Key]:
    """What is told from the start, as 0: a rate needs something to begin at."""
    alone = ("messages_accepted", "accepted_bytes", "recipients_accepted", "delivered_bytes", "notices_withheld")
    more = ("items_quarantined", "logins_refused", "releases_started", "calls_started")
    labelled = {
        "item_outcomes": OUTCOMES,
        "recipient_outcomes": OUTCOMES,
        "notices": NOTICES,
        "release_requests": ("granted", "not_granted"),
        "releases_ended": ("complete", "cut", "failed"),
        "calls_ended": ("counts", "idle", "window", "error"),
        "call_messages": ("sent", "received"),
        "call_bytes": ("sent", "received"),
        "configuration_reloads": ("done", "failed"),
        "filter_verdicts": ("accepted", "refused", "passed_over", "failed"),
        "alarms_raised": tuple(AlarmKind),
    }
    return [(name,) for name in (*alone, *more)] + [(name, each) for name, all_ in labelled.items() for each in all_]


def _codes(reply: str) -> tuple[str, str]:
    """The code of a reply, and its enhanced status code."""
    found = _REPLY.match(reply)
    return (found[1], found[2] or "") if found is not None else (OTHER, "")


def _result(error: str) -> str:
    return "failed" if error else "done"
