"""`/calls`: whom this host calls, a call as it goes, and one more. For administrators."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from tests.calls.played import GREETING, OFFICE, TEST, Feed, PlayedOffices, etrn, eventually, means
from tests.web.office import LOGIN, ROOT, Office, serving
from tests.web.pages.browsing import logged_in

from restante.calls.plan import CallPlan
from restante.calls.window import Schedule
from restante.model import Progress

TWO = "253 2.0.0 OK, 2 pending messages for node test.example started"


def calls(office: Office, *scripts: str, **plan: object) -> tuple[PlayedOffices, Feed]:
    """The host calls that office instead; what arrives for it is said to the feed."""
    offices, feed = PlayedOffices(*scripts), Feed()
    one = CallPlan("far", OFFICE, (TEST,), **plan)  # type: ignore[arg-type]
    office.caller.replace_plans([one], means(offices, office.clock, feed))
    return offices, feed


async def test_all_calls_are_listed_with_their_next_windows(tmp_path: Path) -> None:
    """And how the last of each went; site users are told nothing of it."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser, logged_in(office, LOGIN) as other:
        offices, _ = calls(office, f"{GREETING}wait", schedule=Schedule.parse(("0 3 * * *",)))
        page = await browser.get("/calls")
        assert page.status == 200
        assert page.title.startswith("Calls ")
        assert re.search(r"far office.example:25 never in \d+ .*, for 10 min Call now", page.text)
        assert page.link("Call now") == "/calls/far/new"
        office.caller.call_now("far")
        await eventually(lambda: offices.held)
        page = await browser.get("/calls")
        assert re.search(
            r"far office.example:25 runs for .* (connects to|asks) the office.*; nothing came or went", page.text
        )
        assert "Call now" not in page.links
        offices.go_on.set()
        await office.caller.stop(5)
        page = await browser.get("/calls")
        assert re.search(r"far office.example:25 .* ago nothing came or went went wrong", page.text)
        for path in ("/calls", "/calls/far", "/calls/far/new"):
            assert (await other.get(path)).status == 403


async def test_a_call_is_made_when_it_was_confirmed(tmp_path: Path) -> None:
    """What it will do is said before; the page that follows shows how it goes, the last one how it went."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        await office.mail("carla@other.example")
        offices, feed = calls(office, etrn(TWO), flush=("test.example",))
        await office.mail()
        asked = await browser.follow(await browser.get("/calls"), "Call now")
        assert "connects to office.example:25 now, and has 10 min for it" in asked.text
        assert "asks for the mail of test.example (ETRN)" in asked.text
        assert "takes along what waits here for test.example (1 message, 56 octets)" in asked.text
        assert office.caller.view("far") is None

        page = await browser.send(asked.form("Call far now"))
        assert (page.status, page.path) == (200, "/calls/far")
        await offices.finished()
        await eventually(lambda: (view := office.caller.view("far")) is not None and view.expected == 2)
        feed.arrives(1500)
        page = await browser.get("/calls/far")
        assert "It runs for" in page.text
        assert "1 of 2 messages that the office has counted out, 1.5 kB" in page.text
        assert f"test.example: {TWO}" in page.text
        assert re.search(r"Window ends in \d+ min .*; all that is still to come fits \(1 message\)", page.text)
        assert 'id="call" data-live="1"' in page.html

        feed.arrives(500)
        await office.caller.wait("far")
        page = await browser.get("/calls/far")
        assert re.search(r"The last one ended .* ago: 2 messages came, 0 went\.", page.text)
        assert "all was done" in page.text
        assert 'id="call" data-live>' in page.html
        assert page.link("Call now") == "/calls/far/new"


async def test_a_form_that_comes_twice_makes_one_call(tmp_path: Path) -> None:
    """Also when the first one is over."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        offices, _ = calls(office, etrn("251 2.0.0 OK, no messages waiting for node test.example"))
        asked = await browser.get("/calls/far/new")
        await browser.send(asked.form("Call far now"))
        await office.caller.wait("far")
        again = await browser.send(asked.form("Call far now"))
        assert (again.status, again.path) == (200, "/calls/far")
        assert offices.dialled == 1
        assert len(office.caller.past("far")) == 1


async def test_a_call_that_runs_is_joined(tmp_path: Path) -> None:
    """Who asks for it then is shown that one, and told so."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        offices, _ = calls(office, etrn(TWO))
        asked = await browser.get("/calls/far/new")
        office.caller.call_now("far", "schedule")
        page = await browser.send(asked.form("Call far now"))
        assert "The call far ran already; none was begun besides." in page.text
        assert "Why its schedule" in page.text
        asked = await browser.get("/calls/far/new")
        assert "It runs already" in asked.text
        assert all("Call far now" not in form.buttons for form in asked.forms)
        await offices.finished()


async def test_calls_before_are_in_a_table(tmp_path: Path) -> None:
    """With what an office said, which is no markup here."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        calls(office, etrn("459 4.7.1 <script>ran=1</script>"), schedule=Schedule.parse(("0 3 * * *",)))
        assert "It was never made." in (await browser.get("/calls/far")).text
        for _ in range(2):
            office.caller.call_now("far")
            view = await office.caller.wait("far")
            assert view is not None
            assert view.progress is Progress.ENDED
            await asyncio.sleep(0)
        page = await browser.get("/calls/far")
        assert "The last one went wrong" in page.text
        assert "<script>ran=1</script>" in page.text
        assert "<script>ran" not in page.html
        assert page.html.count('<th scope="row"><time') == 1
        assert ", in " in page.text
        assert ", for 10 min" in page.text


async def test_what_is_no_call_is_not_found(tmp_path: Path) -> None:
    """Neither a page of it nor a call."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        assert (await browser.get("/calls/none")).status == 404
        assert (await browser.get("/calls/none/new")).status == 404
        form = (await browser.get("/calls/office/new")).form("Call office now")
        assert (await browser.send(form, name="none")).status == 404
        assert office.caller.view("office") is None
