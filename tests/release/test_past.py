"""What has been is known, as much of it as is bounded, over a restart too."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from tests.release.years import BEGINNING, DAY, HELD, HOUR, RELAYED, SENDERS, SITE, Years

from restante.clock import TurnedClock
from restante.directory.entries import Directory, Grant, Held
from restante.facts import AlarmKind, AlarmRaised, CallEnded, CallStarted, Fact, ReleaseDecided, ReleaseEnded
from restante.model import ByMx, HostPort, Principal
from restante.release import past
from restante.release.been import SIZE, Been
from restante.release.past import CallDone, Past
from restante.store.history import History, HistoryUnusable

CALLER = Principal(ipaddress.ip_address("192.0.2.25"))
OTHERS = Held("*", ByMx())
NOW = int(BEGINNING)


def known(*entries: Held, rows: dict[str, bytes] | None = None) -> Past:
    """The past of a host that holds these, on the first of January."""
    directory = Directory("office.example", entries or (HELD, OTHERS))
    return Past(rows or {}, lambda: directory, TurnedClock())


def asks(node: str, *granted: str) -> ReleaseDecided:
    """Somebody has asked for a release."""
    return ReleaseDecided(CALLER, node, granted, "250 2.0.0 OK")


def release(domain: str = SITE, error: str = "") -> ReleaseEnded:
    """A release has ended, after a minute."""
    return ReleaseEnded(1, domain, "operator", "192.0.2.25:25", 4, 0, 0, 0, 900, 60.0, error)


def call(name: str = "office", error: str = "", reason: str = "schedule") -> tuple[Fact, Fact]:
    """A call of two minutes."""
    ended = CallEnded(name, "office.example:25", 120.0, 1, 100, 2, 250, 0, "counts", error)
    return CallStarted(name, "office.example:25", reason), ended


def test_a_site_that_asks_and_gets_its_mail_was_there_once() -> None:
    """From the moment at which it asked, or its release began."""
    it = known()
    it.heard(asks("site.example", "site.example"))
    it.reached(release(error="connection lost"))
    assert it.contacts(SITE) == (Been(NOW - 60, NOW, 1, 1, 1, 4, 900),)
    assert (set(it.sites()), it.misses(SITE)) == ({SITE}, ())


def test_very_many_who_ask_at_once_are_noted_in_portions() -> None:
    """An ETRN for a subtree must not hold up all others; who is looked at is known at once."""
    many = [
        Held(
            f"s{number}.ships.example",
            HostPort("192.0.2.25", 25),
            (Grant(network=ipaddress.ip_network("192.0.2.0/24")),),
        )
        for number in range(250)
    ]
    it = known(*many)
    it.heard(asks("@ships.example", "@ships.example"))
    assert it.contacts("s249.ships.example") == (Been(NOW, NOW, 1),)
    assert len(it.sites()) == 1
    assert [it.settle(), it.settle(), it.settle()] == [True, True, False]
    assert len(it.sites()) == 250
    assert it.contacts("s7.ships.example") == (Been(NOW, NOW, 1),)


def test_whom_one_etrn_means_is_found_out_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or when somebody wants to know; who asks for others meanwhile is noted at once."""
    monkeypatch.setattr(past, "LOOKED_AT_ONCE", 10)
    grants = (Grant.parse("192.0.2.25"),)
    many = [Held(f"s{number}.ships.example", HostPort("192.0.2.25"), grants) for number in range(25)]
    for wants_to_know in (False, True):
        it = known(HELD, *many)
        it.heard(asks("@ships.example", "@ships.example"))
        it.heard(asks("@ships.example", "@ships.example"))
        assert it.sites() == frozenset()
        if wants_to_know:
            assert it.contacts("s24.ships.example") == (Been(NOW, NOW, 1),)
        it.heard(asks(SITE, SITE))
        assert [it.settle(), it.settle(), it.settle()][-1] is False
        assert it.sites() == {SITE, *(entry.name for entry in many)}
        assert it.contacts("s7.ships.example") == (Been(NOW, NOW, 1),)


def test_who_is_refused_was_not_there_nor_what_has_no_entry() -> None:
    """A domain of `*` has no site of its own; nor has what is not held."""
    it = known()
    it.heard(asks("site.example"))
    for name in ("other.example", "*"):
        it.heard(asks(name, name))
        it.reached(release(name))
    assert it.sites() == frozenset()
    assert it.take_changes() == {}


def test_a_subtree_is_all_sites_that_were_granted() -> None:
    """Not those to which the caller has no right."""
    mine = [Held(f"{name}.site.example", HostPort("192.0.2.25"), (Grant.parse("192.0.2.25"),)) for name in "ab"]
    it = known(*mine, Held("c.site.example", HostPort("192.0.2.26")))
    it.heard(asks("@site.example", "@site.example"))
    assert it.sites() == {"a.site.example", "b.site.example"}


def test_calls_are_known_with_why_they_were_made() -> None:
    """In order of their beginnings, each for itself."""
    it = known()
    for fact in (*call(reason="operator"), *call("other", "x" * 500)):
        it.heard(fact)
    assert it.calls("office") == (CallDone(NOW - 120, NOW, "operator", "counts", "", 1, 100, 2, 250),)
    assert [len(one.error) for one in it.calls("other")] == [past.MOST_OF_AN_ERROR]
    assert it.calls("none") == ()


def test_many_calls_leave_few_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call a minute for a year is as many as one a day."""
    monkeypatch.setattr(past, "MOST_OF_CALLS", 40)
    it = known()
    for name in ("a", "b", "c", "d"):
        for _ in range(50):
            for fact in call(name):
                it.heard(fact)
    assert [len(it.calls(name)) for name in ("a", "b", "c", "d")] == [20, 13, 10, 8]


def test_many_sites_leave_little_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it is so many octets; the last few contacts of each are there in any case."""
    monkeypatch.setattr(past, "MOST_OCTETS", 100 * SIZE)
    entries = [Held(f"s{number}.example", HostPort("192.0.2.25")) for number in range(50)]
    clock = TurnedClock()
    directory = Directory("office.example", entries)
    it = Past({}, lambda: directory, clock)
    for _ in range(300):
        clock.jump(2 * HOUR)
        it.reached(release("s0.example"))
    assert len(it.contacts("s0.example")) == 50
    for _ in range(10):
        clock.jump(2 * HOUR)
        for entry in entries:
            it.reached(release(entry.name))
    assert {len(it.contacts(entry.name)) for entry in entries} == {past.LEAST_OF_A_SITE}


def test_rows_are_read_as_they_were_given() -> None:
    """Only what has changed is given, once; what makes no sense is passed over."""
    it = known()
    it.heard(asks("site.example", "site.example"))
    for fact in call():
        it.heard(fact)
    rows = {name: row for name, row in it.take_changes().items() if row is not None}
    assert set(rows) == {"seen site.example", "called office"}
    assert it.take_changes() == {}
    strange = {"seen a.example": b"x", "called b": b"{", "called c": b"\xff", "called d": b"[[]]", "clock": b"[1,2]"}
    again = known(rows=rows | strange)
    assert (again.contacts(SITE), again.calls("office")) == (it.contacts(SITE), it.calls("office"))
    assert (set(again.sites()), again.calls("b"), again.calls("d")) == ({SITE}, (), ())


def test_what_is_held_no_more_is_forgotten() -> None:
    """And a call that was not made for a month."""
    clock, entries = TurnedClock(), [HELD]
    it = Past({}, lambda: Directory("office.example", entries), clock)
    it.heard(asks("site.example", "site.example"))
    for fact in call():
        it.heard(fact)
    it.forget()
    assert None not in it.take_changes().values()
    entries.clear()
    clock.jump(32 * DAY)
    it.forget()
    assert it.take_changes() == {"seen site.example": None, "called office": None}
    assert (it.sites(), it.calls("office")) == (frozenset(), ())


class Host(Years):
    """The host of years.py, which hears its own alarms, as a server does, and looks for its sites every hour."""

    async def wait(self, seconds: float, step: float = HOUR) -> None:
        """Time passes."""
        while seconds > 0:
            passed = min(seconds, step)
            seconds -= passed
            await self.clock.turn(passed)
            told = len(self.facts)
            await self.upkeep.see_to_sites()
            for fact in self.facts[told:]:
                self.upkeep.heard(fact)
            self.upkeep.note()


async def test_it_outlives_the_process(tmp_path: Path) -> None:
    """Contacts, what was missed, and calls, after a stop; what was forgotten meanwhile stays so."""
    host = Host(tmp_path, (HELD, RELAYED, SENDERS))
    await host.open()
    await host.wait(2 * HOUR)
    host.release()
    for fact in call():
        host.upkeep.heard(fact)
    await host.wait(3 * DAY)
    assert [fact.alarm for fact in host.told(AlarmRaised)] == [AlarmKind.CONTACT]
    host.release()
    await host.restart(off=HOUR)
    contacts = host.upkeep.past.contacts(SITE)
    assert [(one.first - NOW, one.last - NOW) for one in contacts] == [
        (2 * HOUR - 10, 2 * HOUR),
        (3 * DAY + 2 * HOUR - 10, 3 * DAY + 2 * HOUR),
    ]
    assert host.upkeep.past.misses(SITE) == (NOW + 14 * HOUR,)
    (made,) = host.upkeep.past.calls("office")
    assert made.end == NOW + 2 * HOUR
    host.entries = (RELAYED, SENDERS)
    await host.upkeep.see_to_all()
    await host.restart()
    assert (host.upkeep.past.sites(), len(host.upkeep.past.calls("office"))) == (frozenset(), 1)
    await host.close()


async def test_a_process_that_is_killed_loses_some_minutes(tmp_path: Path) -> None:
    """Up to the last mark in the log all is kept."""
    host = Host(tmp_path, (HELD, RELAYED, SENDERS))
    await host.open()
    host.release()
    host.upkeep.note()
    await host.upkeep.save()
    await host.clock.turn(2 * HOUR)
    host.release()
    await host.die()
    assert [one.last for one in host.upkeep.past.contacts(SITE)] == [NOW]
    await host.close()


async def test_a_disk_that_takes_nothing_costs_only_what_a_restart_forgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known meanwhile, and written as soon as it can be."""
    host = Host(tmp_path, (HELD, RELAYED, SENDERS))
    await host.open()

    def full(*_: object) -> None:
        raise HistoryUnusable(tmp_path, "full")

    with monkeypatch.context() as patch:
        patch.setattr(History, "change", full)
        host.release()
        host.upkeep.note()
        await host.upkeep.save()
    assert len(host.upkeep.past.contacts(SITE)) == 1
    await host.restart()
    assert len(host.upkeep.past.contacts(SITE)) == 1
    await host.close()
