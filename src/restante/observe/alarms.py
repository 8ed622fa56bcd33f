"""Which alarms are on, and who has not heard of them yet: facts in, rows to be remembered out. No I/O.

Each way of telling (`webhook`, `mail`) hears of an alarm once, and once that it is over. What was over before a way
could hear of it is told as over. Nothing is forgotten over a restart but by who keeps the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import structs

from restante.facts import AlarmCleared, AlarmKind, AlarmRaised, Fact

ROW = "alarm "
"""How the names of rows begin: then come the kind, a space, and the subject."""

Remember = Callable[[Mapping[str, bytes], Iterable[str]], None]
"""Keeps rows, and forgets others."""


class _Row(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One alarm. `heard`: what each way has heard last, that it is on or that it is over."""

    since: float
    text: str
    over: float | None = None
    heard: dict[str, bool] = {}

    @property
    def is_on(self) -> bool:
        return self.over is None


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm as people are told of it; wall times. `over` None: it is on."""

    kind: AlarmKind
    subject: str
    text: str
    since: float
    over: float | None = None


class AlarmBook:
    """All alarms. `ways` gives those that are configured, `news` is called when one of them has something to tell."""

    def __init__(
        self,
        rows: Mapping[str, bytes],
        *,
        ways: Callable[[], Collection[str]],
        wall: Callable[[], float],
        remember: Remember,
        news: Callable[[], None],
    ) -> None:
        self._rows = dict(_read(rows))
        self._on: list[Alarm] | None = None
        """What on() gave last, until something changes: there may be an alarm for each of very many sites."""
        self._ways = ways
        self._wall = wall
        self._remember = remember
        self._news = news

    def heard(self, fact: Fact) -> None:
        """Notes an alarm, or its end; a listener for the feed."""
        if isinstance(fact, AlarmRaised):
            self._raised(fact)
        elif isinstance(fact, AlarmCleared):
            self._cleared(fact)

    def is_on(self, kind: AlarmKind, subject: str) -> bool:
        """Whether that alarm is on."""
        row = self._rows.get((kind, subject))
        return row is not None and row.is_on

    def on(self) -> list[Alarm]:
        """Those that are on, the longest first."""
        if self._on is None:
            alarms = [_alarm(key, row) for key, row in self._rows.items() if row.is_on]
            self._on = sorted(alarms, key=lambda alarm: alarm.since)
        return self._on.copy()

    def counts(self) -> dict[AlarmKind, int]:
        """How many of each kind are on."""
        counts = dict.fromkeys(AlarmKind, 0)
        for (kind, _), row in self._rows.items():
            counts[kind] += row.is_on
        return counts

    def untold(self, way: str) -> list[Alarm]:
        """What a way has to tell yet, in the order in which it happened."""
        alarms = [_alarm(key, row) for key, row in self._rows.items() if row.heard.get(way) is not row.is_on]
        return sorted(alarms, key=lambda alarm: alarm.since if alarm.over is None else alarm.over)

    def told(self, way: str, alarms: Iterable[Alarm]) -> None:
        """A way has told of these. What has changed meanwhile it has to tell again."""
        put: dict[str, bytes] = {}
        gone: list[str] = []
        for alarm in alarms:
            key = (alarm.kind, alarm.subject)
            if (row := self._rows.get(key)) is not None:
                self._keep(key, structs.replace(row, heard={**row.heard, way: alarm.over is None}), put, gone)
        self._remember(put, gone)

    def ways_changed(self) -> None:
        """Other ways are configured than before: what is over, and nobody is left to tell of, is forgotten."""
        put: dict[str, bytes] = {}
        gone: list[str] = []
        for key, row in list(self._rows.items()):
            self._keep(key, row, put, gone)
        if gone:
            self._remember({}, gone)
        self._news()

    def _raised(self, fact: AlarmRaised) -> None:
        key = (fact.alarm, fact.subject)
        row = self._rows.get(key)
        if row is None:
            self._changed(key, _Row(self._wall(), fact.text))
        elif not row.is_on:
            self._changed(key, _Row(self._wall(), fact.text, heard=row.heard))

    def _cleared(self, fact: AlarmCleared) -> None:
        key = (fact.alarm, fact.subject)
        row = self._rows.get(key)
        if row is not None and row.is_on:
            self._changed(key, structs.replace(row, over=self._wall(), text=fact.text))

    def _changed(self, key: tuple[AlarmKind, str], row: _Row) -> None:
        put: dict[str, bytes] = {}
        gone: list[str] = []
        self._keep(key, row, put, gone)
        self._remember(put, gone)
        self._news()

    def _keep(self, key: tuple[AlarmKind, str], row: _Row, put: dict[str, bytes], gone: list[str]) -> None:
        self._on = None
        kind, subject = key
        if row.is_on or any(row.heard.get(way) is not False for way in self._ways()):
            self._rows[key] = row
            put[f"{ROW}{kind} {subject}"] = msgspec.json.encode(row)
        else:
            del self._rows[key]
            gone.append(f"{ROW}{kind} {subject}")


def _alarm(key: tuple[AlarmKind, str], row: _Row) -> Alarm:
    return Alarm(*key, row.text, row.since, row.over)


def _read(rows: Mapping[str, bytes]) -> Iterable[tuple[tuple[AlarmKind, str], _Row]]:
    """Of rows those that are alarms that this version knows."""
    for name, value in rows.items():
        kind, _, subject = name.removeprefix(ROW).partition(" ")
        if kind in set(AlarmKind):
            yield (AlarmKind(kind), subject), msgspec.json.decode(value, type=_Row)
