"""Words for people: sizes, spans, lines and tables, and nothing that moves their cursor."""

from __future__ import annotations

import json
from dataclasses import replace

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from restante.admin import protocol as p
from restante.cli import screen
from restante.model import CallView, ItemState, Progress, ReleaseView

ITEM = p.QueueItem(
    id="0QJ3K5W7T9A-1",
    domain="test.example",
    state=ItemState.WAITING,
    size=4096,
    arrived=1000.0,
    priority=0,
    attempts=2,
    next_attempt=0.0,
    reverse_path="<ann@far.example>",
    recipients=("anna@test.example",),
    recipients_total=1,
    detail="452 no space",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_nothing_that_a_peer_wrote_controls_the_terminal(capsys: pytest.CaptureFixture[str], said: str) -> None:
    """In tables, messages and headers; each stays on its line."""
    item = msgspec.structs.replace(ITEM, reverse_path=said, detail=said)
    screen.show_queue([item], 2000.0, is_cut=False)
    queue = capsys.readouterr().out
    assert len(queue.split("\n")) == 5
    shown = p.ShownItem(item, (p.ShownRecipient(said),), envid=said)
    screen.show_message(p.ShowAnswer((shown,), 2000.0, headers=f"Subject: {said}\r\n"))
    message = capsys.readouterr().out
    assert all(line.isprintable() for text in (queue, message) for line in text.split("\n"))


def test_plain_rows_are_aligned_and_ids_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    """For grep and awk; then a line for each domain."""
    long = msgspec.structs.replace(
        ITEM,
        id="0QJ3K5W7T9B-1023",
        domain="a-long-name.test.example",
        state=ItemState.FROZEN,
        recipients_total=9,
        detail="",
    )
    screen.show_queue([ITEM, long], 1060.0, is_cut=True)
    assert capsys.readouterr().out.split("\n") == [
        (
            "ID                DOMAIN                      SIZE    AGE  PRIORITY  STATE    TRIES  "
            "SENDER -> RECIPIENTS                               WHY IT WAITS"
        ),
        (
            "0QJ3K5W7T9A-1     test.example              4.1 kB  1 min         0  waiting      2  "
            "<ann@far.example> -> anna@test.example             452 no space"
        ),
        (
            "0QJ3K5W7T9B-1023  a-long-name.test.example  4.1 kB  1 min         0  frozen       2  "
            "<ann@far.example> -> anna@test.example and 8 more"
        ),
        "",
        "a-long-name.test.example: 1 message, 4.1 kB, oldest 1 min, 1 frozen",
        "test.example: 1 message, 4.1 kB, oldest 1 min",
        "these are the first 2; there are more (--limit)",
        "",
    ]


def test_what_is_used_of_a_quota(capsys: pytest.CaptureFixture[str]) -> None:
    """In percent: behind a domain that has one, and in a column of its own where any has."""
    quotas = {"test.example": p.QuotaUse(7, 4100, 100, 10_000)}
    screen.show_queue([ITEM], 1060.0, quotas, is_cut=False)
    assert capsys.readouterr().out.splitlines()[-1] == (
        "test.example: 1 message, 4.1 kB, oldest 1 min, 41 % of its quota used"
    )
    rows = (
        p.DomainStatus("a.example", "hold", "caller", 7, 4100, 1000.0, quotas["test.example"]),
        p.DomainStatus("b.example", "hold", "caller"),
    )
    status = p.StatusAnswer("office.example", "1", 1060.0, running=False, domains=rows)
    screen.show_status(status)
    assert capsys.readouterr().out.splitlines()[2:] == [
        "DOMAIN     ACTION  NEXT HOP  WAITING    SIZE  OLDEST  FULL",
        "a.example  hold    caller          7  4.1 kB  1 min   41 %",
        "b.example  hold    caller          0",
    ]
    screen.show_status(msgspec.structs.replace(status, domains=rows[1:]))
    assert "FULL" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("quota", "percent"),
    [
        (p.QuotaUse(5, 5, 10), 50),
        (p.QuotaUse(5, 5, None, 4), 125),
        (p.QuotaUse(0, 0, 1, 1), 0),
        (p.QuotaUse(99, 0, 100, 1), 99),
    ],
)
def test_a_quota_is_as_full_as_its_fuller_part(quota: p.QuotaUse, percent: int) -> None:
    """More than all, where it was overrun."""
    assert quota.percent == percent
    assert screen.full(quota) == f"{percent} %"
    assert screen.full(None) == ""


def test_nothing_waits(capsys: pytest.CaptureFixture[str]) -> None:
    """In two words."""
    screen.show_queue([], 0.0, is_cut=False)
    assert capsys.readouterr().out == "nothing waits\n"


def test_json_has_no_tags_of_the_control_socket(capsys: pytest.CaptureFixture[str]) -> None:
    """They are its own business."""
    screen.write_json(p.ChangeAnswer(("0QJ3K5W7T9A-1",)))
    assert json.loads(capsys.readouterr().out) == {
        "changed": ["0QJ3K5W7T9A-1"],
        "already": [],
        "unchanged": [],
        "unknown": [],
    }


def test_a_release_in_a_line() -> None:
    """As it goes on."""
    view = ReleaseView(3, "test.example", "operator", "", Progress.QUEUED, items=14)
    assert screen.release_line(view, 0) == "release 3 of test.example: queued, 14 messages waiting"
    view = replace(
        view, progress=Progress.RUNNING, started=10.0, target="192.0.2.25:25", delivered=5, octets_sent=20480
    )
    name = "release 3 of test.example to 192.0.2.25:25"
    assert screen.release_line(view, 12) == f"{name}: 5 of 14 delivered, 20 kB, 10 kB/s, 2 s"
    view = replace(view, progress=Progress.ENDED, ended=20.0, deferred=8, failed=1)
    assert screen.release_line(view, 99) == f"{name}: 5 of 14 delivered, 8 deferred, 1 failed, 20 kB, 2.0 kB/s, 10 s"
    nothing = ReleaseView(4, "test.example", "operator", "", Progress.ENDED, started=1.0, ended=1.0)
    assert screen.release_line(nothing, 1) == "release 4 of test.example: nothing waits"


def test_a_call_in_a_line() -> None:
    """Both ways, and the time that is left of the window."""
    view = CallView(
        "office",
        "office.example:25",
        Progress.RUNNING,
        step="waiting",
        expected=14,
        received=3,
        received_octets=12000,
        sent=2,
        sent_octets=4000,
        started=100.0,
        window_ends=700.0,
    )
    assert screen.call_line(view, 200) == (
        "call office to office.example:25: waiting: 3 of 14 received (12 kB), 2 sent (4.0 kB), "
        "1 min 40 s, 8 min 20 s left"
    )
    view = replace(view, progress=Progress.ENDED, ended=110.0)
    assert screen.call_line(view, 200) == (
        "call office to office.example:25: 3 of 14 received (12 kB), 2 sent (4.0 kB), 10 s"
    )
