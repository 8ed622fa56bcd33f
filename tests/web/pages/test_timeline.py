"""`/timeline`: windows, calls and contacts as a picture, and the same in words."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.web.office import LOGIN, ROOT, serving
from tests.web.pages.browsing import logged_in
from tests.web.test_timeline import expects, seen

from restante.facts import CallEnded, CallStarted


async def test_an_administrator_sees_calls_and_sites(tmp_path: Path) -> None:
    """Each has a lane, a name that leads to it, a text instead of its picture, and its rows in the table."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        office.past.heard(CallStarted("office", "127.0.0.1:9", "schedule"))
        office.past.heard(CallEnded("office", "127.0.0.1:9", 60.0, 1, 100, 2, 250, 0, "error", "connection <lost>"))
        seen(office, "test.example", "theirs.example")
        office.past.missed("test.example", office.clock.wall() + 60)
        page = await browser.get("/timeline")
        assert page.status == 200
        assert page.title.startswith("Time line ")
        assert page.link("office") == "/calls/office"
        assert page.link("test.example") == "/domains/test.example"
        spoken = re.findall(r'role="img" aria-label="([^"]*)"', page.html)
        assert len(spoken) == 3
        assert "1 call with an error: 2 messages came, 1 went, 350 octets: connection &lt;lost&gt;" in spoken[0]
        assert spoken[1] == "test.example: 1 contact: 2 messages delivered, 700 octets; did not come"
        assert "has not come," in page.text
        assert "1 call with an error: 2 messages came, 1 went, 350 octets: connection <lost>" in page.text
        assert "style=" not in page.html


async def test_a_call_that_runs_is_shown(tmp_path: Path) -> None:
    """As it runs."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        office.caller.replace_plans([replace(plan, window=600) for plan in office.caller.plans])
        office.caller.call_now("office")
        page = await browser.get("/timeline")
        assert "runs now" in page.text
        assert '<g class="running">' in page.html


async def test_a_user_sees_the_own_domains_and_no_calls(tmp_path: Path) -> None:
    """What is of others is not there."""
    async with serving(tmp_path) as office, logged_in(office, LOGIN) as browser:
        empty = await browser.get("/timeline")
        assert "Nothing is expected, and nothing was seen." in empty.text
        assert "a call, where one is configured" not in empty.text
        seen(office, "test.example", "theirs.example")
        expects(office, "other.example", "0 3 * * *")
        page = await browser.get("/timeline")
        assert [name for name in page.links if name.endswith(".example")] == [
            "office.example",
            "other.example",
            "test.example",
        ]
        assert "Calls" not in page.links
        assert "is expected" in page.text


@pytest.mark.parametrize(
    ("span", "ticks"), [("24h", range(7, 10)), ("3d", range(11, 14)), ("7d", range(7, 9)), ("31d", range(30, 33))]
)
async def test_one_chooses_how_long_a_time_is_seen(tmp_path: Path, span: str, ticks: range) -> None:
    """With lines by the hour or by the day; the one that is shown is marked as such."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/timeline", span=span)
        assert page.status == 200
        assert re.search(rf'href="/timeline\?span={span}" aria-current', page.html)
        assert len(re.findall(r'<line class="(?:day|hour)"', page.html)) in ticks
        assert '<line class="now" x1="50.00%"' in page.html


async def test_one_goes_back_and_forth(tmp_path: Path) -> None:
    """By half of what is seen, and to now again."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/timeline", span="24h")
        assert "Now" not in page.links
        later = await browser.follow(page, "Later")
        x = re.search(r'<line class="now" x1="([\d.]+)%"', later.html)
        assert x is not None
        assert float(x[1]) < 1
        far = await browser.follow(later, "Later")
        assert '<line class="now"' not in far.html
        assert (await browser.follow(far, "Now")).path == "/timeline?span=24h"
        assert '<line class="now"' not in (await browser.get("/timeline", **{"from": "0"})).html


async def test_domains_come_in_pages(tmp_path: Path) -> None:
    """Calls are on the first one; another span shows the same page."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        for number in range(30):
            expects(office, f"site{number:02}.example", "0 3 * * *")
        first = await browser.get("/timeline", span="7d")
        assert "site24.example" in first.links
        assert "site25.example" not in first.links
        second = await browser.follow(first, "More domains")
        assert second.path == "/timeline?span=7d&after=site24.example"
        assert [name for name in second.links if name.startswith("site")] == [f"site{n}.example" for n in range(25, 30)]
        assert "office" not in second.links
        assert second.link("24 hours") == "/timeline?span=24h&after=site24.example"
        assert (await browser.follow(second, "First page")).path == "/timeline?span=7d"


@pytest.mark.parametrize("query", [{"span": "1y"}, {"from": "nan"}, {"from": "-1"}, {"from": "1e12"}])
async def test_what_makes_no_sense_is_told(tmp_path: Path, query: dict[str, str]) -> None:
    """As a page."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        assert (await browser.get("/timeline", **query)).status == 422
