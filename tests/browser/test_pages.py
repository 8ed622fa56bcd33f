"""The pages as a person finds them: by keyboard, in the dark and in the light, on a phone, without scripts; and as
tools find them that read to people.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect
from tests.browser.looks import accessible, shot, walk
from tests.browser.pages import pages
from tests.browser.pair import PASSWORD, ROOT, TEST, Pair
from tests.browser.visitor import Visitor
from tests.stories.letters import letter

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """An office at which mail waits for a site, and a site that has called it once."""
    with Pair(tmp_path_factory.mktemp("pair")) as pair:
        pair.office.sends("anna@test.example", letter("What the sea gave back", "Two barrels of fuel.\n" * 40))
        pair.site.cli("call", "office", "--wait")
        for n in range(12):
            sender = f"{('carla', 'dora', 'emil')[n % 3]}@far.example"
            pair.office.sends("anna@test.example", letter(f"Page {n}", "Fuel, and bread.\n" * 40 * n), sender=sender)
        pair.office.sends("emil@quiet.example", letter("Is anybody there?"))
        yield pair


def test_one_logs_in_and_out(pair: Pair, browser: Browser) -> None:
    """With the keyboard alone; where one wanted to go is where one comes to."""
    with Visitor(browser, pair.office.origin) as visitor:
        page = visitor.page
        page.goto("/?after=a")
        expect(page.locator("[name=name]")).to_be_focused()
        page.keyboard.type(ROOT)
        page.keyboard.press("Tab")
        page.keyboard.type(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url("**/?after=a")
        [cookie] = visitor.context.cookies()
        assert cookie.get("httpOnly")
        assert cookie.get("sameSite") in ("Lax", "Strict")

        page.get_by_role("button", name="Log out").press("Enter")
        page.wait_for_url("**/login")
        page.goto("/")
        page.wait_for_url("**/login*")


def test_a_wrong_password_is_told_and_the_name_is_kept(pair: Pair, browser: Browser) -> None:
    """So that only the password is typed again; the message is one that screen readers say at once."""
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.allow("status of 401")
        page = visitor.page
        page.goto("/login")
        page.fill("[name=name]", ROOT)
        page.fill("[name=password]", "rosebud")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("another password")
        assert page.input_value("[name=name]") == ROOT
        assert page.input_value("[name=password]") == ""
        expect(page.locator("[name=password]")).to_be_focused()
        accessible(page)
        shot(page, "login-refused")


def test_the_login_is_for_everybody(pair: Pair, browser: Browser) -> None:
    """Readable, and to be walked through by Tab."""
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.page.goto("/login")
        accessible(visitor.page)
        shot(visitor.page, "login")
        assert walk(visitor.page)[-3:] == ["name", "password", "Log in"]


def test_every_page_of_the_office_is_for_everybody(pair: Pair, browser: Browser) -> None:
    """Readable in both schemes, no wider than a phone, and all of it is reached by Tab."""
    [item, *_] = pair.office.ask("/api/items", params={"domain": "test.example"})["items"]
    [release, *_] = pair.office.ask("/api/releases")["releases"]
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        for name, path in pages(item=item["id"], domain="test.example", release=str(release["number"])):
            look(visitor.page, path, f"office-{name}")


def test_every_page_of_the_site_is_for_everybody(pair: Pair, browser: Browser) -> None:
    """The same of those that only a site has something on."""
    with Visitor(browser, pair.site.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        for name, path in pages(call="office"):
            if name in ("start", "calls", "call", "new-call", "timeline"):
                look(visitor.page, path, f"site-{name}")


def test_a_site_user_has_every_page_that_is_for_him(pair: Pair, browser: Browser) -> None:
    """Each opens, and none that is not for him is in the menu."""
    [item, *_] = pair.office.ask("/api/items", params={"domain": "test.example"})["items"]
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.log_in(TEST, PASSWORD)
        for _, path in pages(admin=False, item=item["id"], domain="test.example"):
            visitor.page.goto(path)
        look(visitor.page, "/", "user-start")
        menu = visitor.page.get_by_role("navigation").get_by_role("link")
        for where in [link.get_attribute("href") for link in menu.all()]:
            visitor.page.goto(where or "")


def look(page: Page, path: str, name: str) -> None:
    """Opens a page, and has all of it looked at."""
    page.goto(path)
    accessible(page)
    shot(page, name)
    walk(page)


def test_pages_are_read_without_scripts(pair: Pair, browser: Browser) -> None:
    """The login, what waits, and the way out."""
    with Visitor(browser, pair.office.origin, scripts=False) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        expect(visitor.page.get_by_role("link", name="test.example", exact=True)).to_be_visible()
        expect(visitor.page.get_by_role("main")).to_contain_text("12")
        visitor.page.get_by_role("button", name="Log out").click()
        visitor.page.wait_for_url("**/login")
