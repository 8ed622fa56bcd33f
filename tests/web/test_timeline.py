"""`/api/timeline`: windows and calls, and when each site was there and will be."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.web.office import ROOT, Office, serving

from restante.directory.entries import Directory, Held, Retention
from restante.facts import CallEnded, CallStarted, ReleaseDecided, ReleaseEnded
from restante.model import HostPort, Principal

TIMELINE = "/api/timeline"
DAY = 86_400.0
THREE_DAYS = (3, 4)
"""So many daily windows meet them: the first may be under way when they begin."""
CALLER = Principal(ipaddress.ip_address("192.0.2.25"))


async def told(client: httpx2.AsyncClient, **params: Any) -> Any:
    """What is told of a span."""
    answer = await client.get(TIMELINE, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def seen(office: Office, *names: str) -> None:
    """Their sites have asked, and got something."""
    for name in names:
        office.past.heard(ReleaseDecided(CALLER, name, (name,), "250 2.0.0 OK"))
        office.past.reached(ReleaseEnded(1, name, "192.0.2.25", "", 2, 0, 0, 0, 700, 5.0, ""))


def expects(office: Office, name: str, *contact: str) -> None:
    """A domain more is held, whose site is expected."""
    held = Held(name, HostPort("192.0.2.25"), retention=Retention(DAY, contact=contact))
    others = (entry for entry in office.directory.entries() if entry.name != name)
    office.directory = Directory("office.example", [*others, held], users=office.directory.users.values())


async def test_calls_are_told_to_administrators(tmp_path: Path) -> None:
    """With windows, what was and what is to come, from a day back to two days ahead."""
    async with serving(tmp_path) as office, office.client(ROOT) as root, office.client() as client:
        office.past.heard(CallStarted("office", "127.0.0.1:9", "schedule"))
        office.past.heard(CallEnded("office", "127.0.0.1:9", 60.0, 1, 100, 2, 250, 0, "error", "connection lost"))
        line = await told(root)
        assert (line["now"] - line["start"], line["until"] - line["now"]) == (DAY, 2 * DAY)
        (lane,) = line["calls"]
        assert (lane["name"], lane["office"], lane["cut_at"]) == ("office", "127.0.0.1:9", None)
        assert {window["count"] for window in lane["windows"]} == {1}
        assert len(lane["windows"]) in THREE_DAYS
        assert {window["phase"] for window in lane["windows"]} <= {"past", "now", "planned"}
        assert lane["next_start"] in [window["start"] for window in lane["windows"]]
        (call,) = lane["calls"]
        assert 59 <= call.pop("end") - call.pop("start") <= 61
        assert call == {
            "window_ends": None,
            "reason": "schedule",
            "outcome": "error",
            "error": "connection lost",
            "received": 2,
            "received_octets": 250,
            "sent": 1,
            "sent_octets": 100,
        }
        assert (await told(root, after="a.example"))["calls"] == []
        assert (await told(client))["calls"] == []


async def test_a_call_that_runs_is_told(tmp_path: Path) -> None:
    """Without an end, and with that of its window."""
    async with serving(tmp_path) as office, office.client(ROOT) as root:
        office.caller.replace_plans([replace(plan, window=600) for plan in office.caller.plans])
        begun = (await root.post("/api/calls/office:call")).json()
        (call,) = (await told(root))["calls"][0]["calls"]
        assert (call["outcome"], call["end"], call["start"]) == ("running", None, begun["started"])
        assert call["window_ends"] == begun["window_ends"]


async def test_sites_are_told_to_who_may_see_them(tmp_path: Path) -> None:
    """What is of others is not there."""
    async with serving(tmp_path) as office, office.client(ROOT) as root, office.client() as client:
        seen(office, "test.example", "theirs.example")
        office.past.missed("test.example", office.clock.wall() - 7200)
        expects(office, "other.example", "0 3 * * *")
        lines = (await told(client))["domains"]
        assert [lane["domain"] for lane in lines] == ["other.example", "test.example"]
        assert [lane["domain"] for lane in (await told(root))["domains"]] == [
            "other.example",
            "test.example",
            "theirs.example",
        ]
        other, test = lines
        assert len(other["expected"]) in THREE_DAYS
        assert (other["contacts"], other["last_contact"]) == ([], None)
        assert other["next_contact"] in [span["start"] for span in other["expected"]]
        (contact,) = test["contacts"]
        assert 4 <= contact.pop("end") - contact.pop("start") <= 7
        assert contact == {"asked": 1, "releases": 1, "failed": 0, "delivered": 2, "octets": 700}
        assert (test["expected"], test["last_contact"], test["next_contact"]) == ([], 1_000_000.0, None)
        (missed,) = test["missed"]
        assert missed["due"] < missed["until"]


async def test_a_page_says_where_the_next_begins(tmp_path: Path) -> None:
    """Domains in order of names."""
    async with serving(tmp_path) as office, office.client(ROOT) as root:
        seen(office, "theirs.example", "test.example", "listed.example")
        first = await told(root, limit=2)
        assert ([lane["domain"] for lane in first["domains"]], first["next"]) == (
            ["listed.example", "test.example"],
            "test.example",
        )
        second = await told(root, limit=2, after=first["next"])
        assert ([lane["domain"] for lane in second["domains"]], second["next"]) == (["theirs.example"], None)


async def test_another_span_tells_what_falls_into_it(tmp_path: Path) -> None:
    """Nothing of today is told of next week."""
    async with serving(tmp_path) as office, office.client(ROOT) as root:
        seen(office, "test.example")
        start = office.clock.wall() + 7 * DAY
        line = await told(root, **{"from": start, "until": start + DAY})
        assert (line["start"], line["until"]) == (start, start + DAY)
        assert all(lane["windows"][0]["phase"] == "planned" for lane in line["calls"])
        assert [lane["contacts"] for lane in line["domains"]] == [[]]


@pytest.mark.parametrize(
    "params",
    [
        {"from": 5, "until": 5},
        {"from": 0, "until": 32 * DAY},
        {"from": 0},
        {"from": -1},
        {"until": 1e12},
        {"from": "nan"},
        {"until": "inf"},
        {"from": "yesterday"},
        {"limit": 0},
        {"limit": 1001},
    ],
)
async def test_what_is_no_span_is_a_problem(params: dict[str, Any], tmp_path: Path) -> None:
    """Longer than a month, ending before it begins, or no number."""
    async with serving(tmp_path) as office, office.client() as client:
        answer = await client.get(TIMELINE, params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
