"""What is wrong, as the start page says it, of values."""

from __future__ import annotations

from restante.admin.protocol import CallStatus, QuotaUse
from restante.facts import AlarmKind
from restante.model import CallView, Progress, ReleaseView
from restante.observe.alarms import Alarm
from restante.web.pages.wrong import MOST_OF_A_KIND, Link, Looked, findings, last_failed, visible

NOW = 1_800_000_000.0


def missed(domain: str) -> Alarm:
    """Its site was missed two minutes ago."""
    return Alarm(AlarmKind.CONTACT, domain, f"the site of {domain} was expected and has not come", NOW - 120)


def broken() -> Alarm:
    """The spool is broken since an hour."""
    return Alarm(AlarmKind.BROKEN, "spool", "the spool takes nothing until a restart: disk I/O error", NOW - 3600)


def release(number: int, domain: str, error: str = "", progress: Progress = Progress.ENDED) -> ReleaseView:
    """A release that ended three minutes ago, or has not."""
    ended = NOW - 180 if progress is Progress.ENDED else None
    return ReleaseView(number, domain, "operator", "192.0.2.25:25", progress, ended=ended, error=error)


def whats(looked: Looked) -> list[str]:
    """What is said in a few words."""
    return [finding.what for finding in findings(looked)]


def test_where_all_is_well_nothing_is_said() -> None:
    """Frozen mail, calls and releases are not wrong for being there."""
    call = CallView("office", "office.example", Progress.ENDED, ended=NOW)
    looked = Looked(NOW, calls=(CallStatus(call),), releases=(release(1, "test.example"),))
    assert findings(looked) == ()


def test_what_is_grave_comes_first_whatever_it_is() -> None:
    """Mail is refused, or damaged; the rest follows in its order."""
    looked = Looked(
        NOW,
        alarms=(missed("test.example"), broken()),
        full=(("full.example", QuotaUse(12, 5_000_000, 10, 20_000_000)), ("near.example", QuotaUse(9, 0, 10))),
        frozen=1,
        quarantined=2,
    )
    found = findings(looked)
    assert [(finding.is_grave, finding.what) for finding in found] == [
        (True, "No mail is taken"),
        (True, "2 messages damaged"),
        (True, "full.example is full"),
        (False, "1 message frozen"),
        (False, "near.example is 90 % full"),
        (False, "The site of test.example has not come"),
    ]
    assert found[0].why == "the spool takes nothing until a restart: disk I/O error (for 1 h)"
    assert found[2].why == "12 of 10 messages, 5.0 MB of 20 MB; new mail is refused for now"
    assert found[5].why == "missed for 2 min"


def test_why_it_is_not_ready_is_said_once() -> None:
    """The alarm that says the same says more."""
    not_ready = "the spool takes nothing until a restart"
    assert whats(Looked(NOW, not_ready=not_ready)) == ["No mail is taken"]
    assert whats(Looked(NOW, not_ready=not_ready, alarms=(broken(),))) == ["No mail is taken"]


def test_damaged_items_are_told_by_their_number_not_by_their_alarm() -> None:
    """It is looked at once a minute, the number is of now; where it was not counted to its end, that is said."""
    alarm = Alarm(AlarmKind.QUARANTINED, "spool", "items that are damaged, and quarantined: 7", NOW)
    assert whats(Looked(NOW, alarms=(alarm,))) == []
    assert whats(Looked(NOW, quarantined=1000, are_more_quarantined=True)) == ["At least 1,000 messages damaged"]


def test_who_has_a_part_sees_alarms_of_it() -> None:
    """What is wrong with the host is for administrators."""
    alarms = [missed("test.example"), missed("theirs.example"), broken()]
    assert visible(alarms, None) == alarms
    assert visible(alarms, {"test.example"}) == alarms[:1]
    assert visible(alarms, set()) == []


def test_a_release_that_went_wrong_is_told_until_another_is_asked_for() -> None:
    """The last of each destination counts, and that it runs or waits again is enough."""
    views = [
        release(9, "again.example", progress=Progress.RUNNING),
        release(8, "test.example", "nobody answers"),
        release(7, "healed.example"),
        release(6, "healed.example", "nobody answers"),
        release(5, "again.example", "nobody answers"),
        release(4, "test.example", "an older error"),
    ]
    assert [view.number for view in last_failed(views)] == [8]
    (found,) = findings(Looked(NOW, releases=views))
    assert (found.what, found.why) == ("The last release of test.example went wrong 3 min ago", "nobody answers")
    assert found.links == (Link("Show the release", "/releases/8"),)


def test_a_call_that_went_wrong_is_told_until_the_next_one() -> None:
    """One that runs is not over; its name may be anything that fits into a path."""
    failed = CallView("by sea/1", "office.example", Progress.ENDED, ended=NOW - 60, error="Connection refused")
    (found,) = findings(Looked(NOW, calls=(CallStatus(failed),)))
    assert (found.what, found.why) == ("The call by sea/1 went wrong 1 min ago", "Connection refused")
    assert found.links == (Link("Show the call", "/calls/by%20sea%2F1"),)
    again = CallView("by sea/1", "office.example", Progress.RUNNING, error="Connection refused")
    assert findings(Looked(NOW, calls=(CallStatus(again),))) == ()


def test_a_hundred_thousand_of_a_kind_are_a_few_and_a_number() -> None:
    """Of each kind."""
    many = 100_000
    use = QuotaUse(95, 0, 100)
    view = CallView("office", "office.example", Progress.ENDED, ended=NOW, error="no")
    looked = Looked(
        NOW,
        alarms=[missed(f"site{number}.example") for number in range(many)],
        full=[(f"site{number}.example", use) for number in range(many)],
        calls=[CallStatus(view)] * 7,
        releases=[release(number, f"site{number}.example", "no") for number in range(400)],
    )
    found = whats(looked)
    assert len(found) == 4 * (MOST_OF_A_KIND + 1)
    for said in (
        "99,995 more domains nearly full",
        "99,995 more sites expected in vain",
        "2 more calls went wrong",
        "The last releases of 395 more domains went wrong",
    ):
        assert said in found
