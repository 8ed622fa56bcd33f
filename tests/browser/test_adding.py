"""A domain and its site join a running office, in a real browser: form, review, password, lines to copy, DNS."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from tests.browser.looks import accessible, shot, walk
from tests.browser.pair import PASSWORD, ROOT, Pair
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

MADE = re.compile(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}")


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """An office and a site that run; no resolver answers the office."""
    with Pair(tmp_path_factory.mktemp("pair")) as pair:
        pair.office.config.write_text(
            f'{pair.office.config.read_text()}\n[dns]\nservers = ["127.0.0.1:9"]\ntimeout = "1s"\n'
        )
        pair.office.cli("reload")
        yield pair


def test_a_domain_and_its_site(pair: Pair, browser: Browser) -> None:
    """What is not needed is not asked for; the password logs in; a reload does not show it; the lines are copied."""
    with Visitor(browser, pair.office.origin) as visitor:
        page = visitor.page
        visitor.context.grant_permissions(["clipboard-read", "clipboard-write"])
        visitor.log_in(ROOT, PASSWORD, came_for="/add")
        expect(page.get_by_label("Where the site is")).to_be_hidden()
        page.get_by_role("radio", name=re.compile("^ETRN")).check()
        expect(page.get_by_label("Where the site is")).to_be_visible()
        page.get_by_role("radio", name=re.compile("^ATRN")).check()
        accessible(page)
        shot(page, "add")
        walk(page)

        visitor.allow("status of 422")
        page.get_by_label("Domains").fill("new..example")
        page.get_by_role("button", name="See what will be added").click()
        expect(page.get_by_label("Domains")).to_have_attribute("aria-invalid", "true")
        accessible(page)
        shot(page, "add-wrong")
        page.get_by_label("Domains").fill("new.example")
        page.get_by_label("When the site is expected").fill("0 14 * * *")
        page.get_by_role("button", name="See what will be added").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Add new.example?")
        accessible(page)
        shot(page, "add-review")

        page.get_by_role("button", name="Add new.example").dblclick()
        expect(page.get_by_role("heading", level=1)).to_have_text("Set up new.example")
        [password] = page.get_by_text(MADE).all_inner_texts()
        expect(page.locator("#records")).to_contain_text("not known")
        accessible(page)
        shot(page, "added")
        page.get_by_role("button", name="Copy the password").click()
        expect(page.get_by_text("copied")).to_be_visible()
        assert page.evaluate("() => navigator.clipboard.readText()") == password
        page.get_by_text("Postfix", exact=True).click()
        page.get_by_role("button", name="Copy the lines for Postfix").click()
        assert "mydestination = $myhostname, localhost, new.example" in page.evaluate(
            "() => navigator.clipboard.readText()"
        )
        page.get_by_role("link", name="Check again").click()
        expect(page.locator("#records")).to_contain_text("not known")
        page.reload()
        expect(page.get_by_text(MADE)).to_have_count(0)
        walk(page)
    with Visitor(browser, pair.office.origin) as visitor:
        visitor.log_in("new", password)
        expect(visitor.page.get_by_role("link", name="new.example")).to_be_visible()


def test_without_scripts(pair: Pair, browser: Browser) -> None:
    """All of it goes; what the DNS says comes with the page that asks for it."""
    with Visitor(browser, pair.site.origin, scripts=False) as visitor:
        page = visitor.page
        visitor.log_in(ROOT, PASSWORD, came_for="/add?role=site")
        shot(page, "add-site")
        page.get_by_label("Domains").fill("own.example")
        page.get_by_role("button", name="See what will be added").click()
        page.get_by_role("button", name="Add own.example").click()
        expect(page.get_by_role("heading", name="At the office")).to_be_visible()
        page.get_by_role("link", name="Check again").click()
        expect(page.locator("#records")).not_to_contain_text("being looked up")
        shot(page, "added-site")
