"""Each thing that one can do on a page, done there, and looked for where it must come to pass: in a mailbox of the site
or the office, or in what waits. Each asks before it is done. Without scripts, but for what is there to be watched.
"""

from __future__ import annotations

import itertools
import os
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.looks import shot
from tests.browser.pair import PASSWORD, ROOT, TEST, Host, Pair
from tests.browser.visitor import Visitor
from tests.stories.letters import letter
from tests.waiting import wait_until

pytestmark = pytest.mark.browser

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """An office and a site; each test has mail of its own."""
    with Pair(tmp_path_factory.mktemp("pair")) as running:
        yield running


@pytest.fixture
def office(pair: Pair, browser: Browser) -> Iterator[Page]:
    """An administrator at the office, who came by a browser without scripts."""
    with Visitor(browser, pair.office.origin, scripts=False) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        yield visitor.page


def waits(office: Host, domain: str, *, sender: str = "carla@far.example") -> dict[str, Any]:
    """A fresh message for somebody there waits; the item."""
    office.sends(f"anna@{domain}", letter(f"Number {next(_numbers)}"), sender=sender)
    items: list[dict[str, Any]] = items_of(office, domain)
    return items[-1]


def items_of(office: Host, domain: str) -> list[dict[str, Any]]:
    """What waits for it."""
    items: list[dict[str, Any]] = office.ask("/api/items", params={"domain": domain, "limit": 1000})["items"]
    return items


def state_of(office: Host, item: dict[str, Any]) -> str:
    """How an item is now; "" when it has left."""
    return next((one["state"] for one in items_of(office, item["domain"]) if one["id"] == item["id"]), "")


def does(page: Page, item: dict[str, Any], name: str, asked: str) -> None:
    """Chooses what to do on an item's page, and says yes."""
    page.goto(f"/items/{item['id']}")
    page.get_by_role("link", name=f"{name} …").click()
    says_yes(page, asked)


def says_yes(page: Page, asked: str) -> None:
    """The page asks that, and has a button of that name."""
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{asked}?")
    page.get_by_role("button", name=asked).click()


@pytest.mark.parametrize("user", [ROOT, TEST])
def test_a_domain_is_released(pair: Pair, browser: Browser, user: str) -> None:
    """By an administrator, or by its own user: from the start page to the mailbox at the site, and one sees it go."""
    before = len(pair.site.mail("anna@test.example"))
    item = waits(pair.office, "test.example")
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.log_in(user, PASSWORD)
        page = visitor.page
        page.get_by_role("link", name="Release test.example").click()
        says_yes(page, "Release test.example")
        page.wait_for_url(re.compile(r"/releases/\d+$"))
        expect(page.get_by_role("main")).to_contain_text("ended")
    pair.site.wait_for_mail(before + 1)
    assert state_of(pair.office, item) == ""


def test_a_message_is_frozen_and_thawed(pair: Pair, office: Page) -> None:
    """It stays when all else is released, until it is thawed."""
    before = len(pair.site.mail("anna@test.example"))
    item = waits(pair.office, "test.example")
    does(office, item, "Freeze", "Freeze 1 message")
    expect(office.get_by_role("main")).to_contain_text("frozen")
    waits(pair.office, "test.example")
    pair.office.release("test.example")
    assert [one["state"] for one in items_of(pair.office, "test.example")] == ["frozen"]

    does(office, item, "Thaw", "Thaw 1 message")
    pair.office.release("test.example")
    pair.site.wait_for_mail(before + 2)


def test_a_message_is_removed(pair: Pair, office: Page) -> None:
    """Nobody is told."""
    item = waits(pair.office, "quiet.example", sender="carla@localtest.example")
    told = len(pair.office.mail("carla@localtest.example"))
    does(office, item, "Remove", "Remove 1 message")
    assert state_of(pair.office, item) == ""
    assert len(pair.office.mail("carla@localtest.example")) == told


def test_a_message_is_sent_back(pair: Pair, office: Page) -> None:
    """Its sender reads why."""
    item = waits(pair.office, "quiet.example", sender="dora@localtest.example")
    office.goto(f"/items/{item['id']}")
    office.get_by_role("link", name="Send back …").click()
    office.fill("[name=text]", "The ship has sunk.")
    says_yes(office, "Send back 1 message")
    wait_until(lambda: pair.office.mail("dora@localtest.example"))
    [notice] = pair.office.mail("dora@localtest.example")
    assert b"The ship has sunk." in notice
    assert state_of(pair.office, item) == ""


def test_a_message_is_redirected(pair: Pair, office: Page) -> None:
    """It waits for somebody else, in another domain."""
    item = waits(pair.office, "quiet.example")
    office.goto(f"/items/{item['id']}")
    office.get_by_role("link", name="Redirect …").click()
    office.fill("[name=where]", "bert@broken.example")
    office.get_by_role("button", name="Go on …").click()
    says_yes(office, "Redirect 1 message")
    [now] = [one for one in items_of(pair.office, "broken.example") if one["id"] == item["id"]]
    assert now["recipients"] == ["bert@broken.example"]


def test_all_that_a_filter_finds_is_changed(pair: Pair, office: Page) -> None:
    """Those that were chosen, and all that are as said; what is for others stays as it was."""
    items = [waits(pair.office, "filtered.example") for _ in range(3)]
    other = waits(pair.office, "quiet.example")
    office.goto("/items?domain=filtered.example")
    for item in items[:2]:
        office.get_by_role("checkbox", name=f"Choose {item['id']}").check()
    office.get_by_role("button", name="Freeze …").click()
    says_yes(office, "Freeze 2 messages")
    assert [state_of(pair.office, item) for item in items] == ["frozen", "frozen", "waiting"]

    office.goto("/items?domain=filtered.example")
    office.get_by_role("radio", name="all that are as the filter says").check()
    office.get_by_role("button", name="Remove …").click()
    says_yes(office, "Remove 3 messages")
    assert [state_of(pair.office, item) for item in items] == ["", "", ""]
    assert state_of(pair.office, other) == "waiting"


def test_nothing_is_done_before_one_has_said_yes(pair: Pair, office: Page) -> None:
    """The way back leaves all as it was."""
    item = waits(pair.office, "quiet.example")
    for name in ("Freeze", "Remove", "Send back"):
        office.goto(f"/items/{item['id']}")
        office.get_by_role("link", name=f"{name} …").click()
        office.get_by_role("link", name="Leave it as it is").click()
        office.wait_for_url(f"**/items/{item['id']}*")
    assert state_of(pair.office, item) == "waiting"


def test_the_office_is_called(pair: Pair, browser: Browser) -> None:
    """Now, from the site's page of that call: what waited at the office is in the mailbox, and the page says so."""
    before = len(pair.site.mail("anna@test.example"))
    waits(pair.office, "test.example")
    with Visitor(browser, pair.site.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        page = visitor.page
        page.goto("/calls/office")
        page.get_by_role("link", name="Call now").click()
        page.get_by_role("main").get_by_role("button", name="Call").click()
        page.wait_for_url("**/calls/office")
        expect(page.locator("#call")).to_contain_text("The last one ended")
    pair.site.wait_for_mail(before + 1)


def test_a_page_shows_what_happens_as_it_happens(pair: Pair, browser: Browser) -> None:
    """Mail that comes while somebody looks is counted, without a click."""
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        row = visitor.page.get_by_role("row", name=re.compile(r"^live\.example"))
        expect(row).to_have_count(0)
        waits(pair.office, "live.example")
        expect(row).to_contain_text("1")
        waits(pair.office, "live.example")
        expect(row).to_contain_text("2")


def test_a_release_is_watched_as_it_goes(pair: Pair, browser: Browser) -> None:
    """How far it is, on the start page and its own; then that it has ended, and how fast it went, as a picture."""
    before = len(pair.site.mail("anna@test.example"))
    for _ in range(3):
        waits(pair.office, "test.example")
    os.kill(pair.site.pid, signal.SIGSTOP)
    try:
        number = pair.office.ask("/api/releases", method="POST", json={"domain": "test.example"})["number"]
        with Visitor(browser, pair.office.origin) as visitor:
            visitor.log_in(ROOT, PASSWORD)
            page = visitor.page
            page.locator("#now").get_by_role("link", name="Release of test.example").click()
            page.wait_for_url(f"**/releases/{number}")
            expect(page.locator("#release")).to_contain_text("It runs for")
            expect(page.locator("#release")).to_contain_text("0 of 3 messages")
            time.sleep(1.2)  # of less than a second there is no picture
            os.kill(pair.site.pid, signal.SIGCONT)
            expect(page.locator("#release")).to_contain_text("3 delivered", timeout=30_000)
            expect(page.get_by_role("img", name=re.compile("Octets a second"))).to_be_visible()
            shot(page, "office-release-ended")
    finally:
        os.kill(pair.site.pid, signal.SIGCONT)
    pair.site.wait_for_mail(before + 3)


def test_a_site_user_sees_his_own_alone(pair: Pair, browser: Browser) -> None:
    """Neither in a list nor by an address that he has guessed."""
    item = waits(pair.office, "quiet.example")
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.allow("status of (403|404)")
        visitor.log_in(TEST, PASSWORD)
        page = visitor.page
        for path in ("/", "/items", "/releases"):
            page.goto(path)
            expect(page.get_by_role("main")).not_to_contain_text("quiet.example")
        for path in (f"/items/{item['id']}", "/releases/new?domain=quiet.example", "/calls", "/add"):
            answer = page.goto(path)
            assert answer is not None
            assert answer.status in (403, 404), path
        page.goto(f"/items/change?verb=remove&which=chosen&item={item['id']}")
        expect(page.get_by_role("heading", level=1)).to_have_text("There is nothing to change")
    assert state_of(pair.office, item) == "waiting"
