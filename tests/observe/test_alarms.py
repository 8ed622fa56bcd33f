"""Each alarm is told once, by each way, and that it is over once."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from restante.facts import AlarmCleared, AlarmKind, AlarmRaised
from restante.observe.alarms import AlarmBook

SITE = (AlarmKind.CONTACT, "test.example")


@dataclass
class Desk:
    """A book, what it has remembered, and a clock that stands at `now`."""

    ways: set[str] = field(default_factory=lambda: {"webhook", "mail"})
    rows: dict[str, bytes] = field(default_factory=dict)
    now: float = 1000.0
    news: int = 0

    def __post_init__(self) -> None:
        self.open()

    def open(self) -> None:
        """The process starts, with what was remembered."""
        self.book = AlarmBook(
            dict(self.rows), ways=lambda: self.ways, wall=lambda: self.now, remember=self._remember, news=self._hear
        )

    def _remember(self, put: object, gone: object) -> None:
        assert isinstance(put, dict)
        assert isinstance(gone, list)
        for name in gone:
            del self.rows[name]
        self.rows |= put

    def _hear(self) -> None:
        self.news += 1

    def raised(self) -> None:
        """The site is missing."""
        self.book.heard(AlarmRaised(*SITE, "it has not come"))

    def cleared(self) -> None:
        """It is there again."""
        self.book.heard(AlarmCleared(*SITE, "it is there"))

    def tell(self, way: str) -> list[str]:
        """What a way has told now."""
        alarms = self.book.untold(way)
        self.book.told(way, alarms)
        return ["on" if alarm.over is None else "over" for alarm in alarms]


def test_an_alarm_is_told_once_by_each_way_and_so_is_its_end() -> None:
    """However often it is raised."""
    desk = Desk()
    desk.raised()
    desk.raised()
    assert desk.news == 1
    assert (desk.tell("webhook"), desk.tell("webhook"), desk.tell("mail")) == (["on"], [], ["on"])
    assert desk.book.is_on(*SITE)
    desk.cleared()
    desk.cleared()
    assert not desk.book.is_on(*SITE)
    assert (desk.tell("webhook"), desk.tell("mail"), desk.tell("mail")) == (["over"], ["over"], [])
    assert desk.rows == {}


def test_a_restart_forgets_nothing() -> None:
    """Neither what was told nor what was not."""
    desk = Desk()
    desk.raised()
    assert desk.tell("webhook") == ["on"]
    desk.open()
    assert desk.tell("webhook") == []
    assert desk.tell("mail") == ["on"]
    desk.cleared()
    desk.open()
    assert (desk.tell("webhook"), desk.tell("mail")) == (["over"], ["over"])
    assert desk.rows == {}


def test_what_was_over_before_it_could_be_told_is_told_as_over() -> None:
    """A broken spool takes no letter; after the restart there is one that says that it was."""
    desk = Desk({"mail"})
    desk.raised()
    desk.now = 2000.0
    desk.cleared()
    (alarm,) = desk.book.untold("mail")
    assert (alarm.since, alarm.over, alarm.text) == (1000.0, 2000.0, "it is there")
    assert desk.tell("mail") == ["over"]
    assert desk.rows == {}


def test_what_comes_again_before_its_end_was_told_is_no_news() -> None:
    """Who was told last that it is on needs to hear nothing."""
    desk = Desk({"mail"})
    desk.raised()
    assert desk.tell("mail") == ["on"]
    desk.cleared()
    desk.raised()
    assert desk.tell("mail") == []
    assert desk.book.is_on(*SITE)


def test_without_a_way_an_alarm_is_on_all_the_same() -> None:
    """And a way that is configured later hears of it."""
    desk = Desk(set())
    desk.raised()
    assert [alarm.subject for alarm in desk.book.on()] == ["test.example"]
    assert desk.book.counts()[AlarmKind.CONTACT] == 1
    desk.ways = {"webhook"}
    desk.book.ways_changed()
    assert desk.news == 2
    assert desk.tell("webhook") == ["on"]
    desk.cleared()
    desk.ways = set()
    desk.book.ways_changed()
    assert desk.rows == {}


def test_what_is_on_is_known_whenever_it_is_asked() -> None:
    """The longest first; who was told of it before may do with that what he likes."""
    desk = Desk()
    desk.raised()
    desk.now += 60
    desk.book.heard(AlarmRaised(AlarmKind.DISK, "spool", "it is nearly full"))
    assert [alarm.subject for alarm in desk.book.on()] == ["test.example", "spool"]
    desk.book.on().clear()
    desk.cleared()
    assert [alarm.subject for alarm in desk.book.on()] == ["spool"]
    desk.now += 60
    desk.raised()
    assert [alarm.subject for alarm in desk.book.on()] == ["spool", "test.example"]


def test_what_changed_while_it_was_told_is_told_again() -> None:
    """The end came while the letter was written."""
    desk = Desk({"mail"})
    desk.raised()
    alarms = desk.book.untold("mail")
    desk.cleared()
    desk.book.told("mail", alarms)
    assert desk.tell("mail") == ["over"]


def test_rows_of_another_version_are_left_alone() -> None:
    """A kind that is not known is not told."""
    desk = Desk(rows={"alarm flood spool": b"[1.0]"})
    assert desk.book.on() == []


@given(st.lists(st.sampled_from(["raised", "cleared", "webhook", "mail", "open"])))
def test_whatever_happens_each_way_hears_in_turn(steps: list[str]) -> None:
    """On, over, on, over; in the end it knows how things are, and what is over is forgotten."""
    desk = Desk()
    heard: dict[str, list[str]] = {"webhook": [], "mail": []}
    is_on = False
    for step in [*steps, "webhook", "mail"]:
        if step in heard:
            heard[step] += desk.tell(step)
        else:
            getattr(desk, step)()
            is_on = {"raised": True, "cleared": False}.get(step, is_on)
    for told in heard.values():
        assert all(one != other for one, other in pairwise(told) if one == "on")
        assert (told[-1:] == ["on"]) is is_on
    assert bool(desk.rows) is is_on
