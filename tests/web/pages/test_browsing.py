"""The tests' browser: it sees what a page says, and sends what a browser would."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from tests.web.office import ROOT, serving
from tests.web.pages.browsing import logged_in, page_of

PAGE = """<!doctype html><title>A &amp; B</title><main><h1>What  waits</h1><p><a href="/x?y=1">To <b>x</b></a></p>
<form method="post" action="do"><input type="hidden" name="form" value="s&quot;">
<input type="checkbox" name="id" value="1">
<input type="checkbox" name="id" value="2" checked><select name="state"><option value="">any</option>
<option value="frozen" selected>frozen</option></select><textarea name="text">two</textarea>
<button name="verb" value="freeze">Freeze</button><button>Go</button></form></main>"""


def shown(html: str) -> httpx2.Response:
    """It, as an answer."""
    fields = {"Content-Type": "text/html; charset=utf-8"}
    request = httpx2.Request("GET", "http://office.example/items?x=1")
    return httpx2.Response(200, html=html, headers=fields, request=request)


def test_a_form_is_filled_in_as_in_a_browser() -> None:
    """What nobody touches stays; what is ticked, chosen, pressed is sent; what is not there cannot be."""
    page = page_of(shown(PAGE))
    assert (page.path, page.title, page.text) == ("/items?x=1", "A & B", "What waits To x two Freeze Go")
    assert page.link("To x") == "/x?y=1"
    form = page.form("Go")
    assert (form.method, form.action) == ("post", "do")
    assert form.filled({}) == [("form", 's"'), ("id", "2"), ("state", "frozen"), ("text", "two")]
    sent = page.form("Freeze").filled({"id": ["1"], "state": ""})
    assert sent == [("form", 's"'), ("text", "two"), ("id", "1"), ("state", ""), ("verb", "freeze")]
    for wrong in ({"idea": "1"}, {"id": "3"}, {"state": "lost"}):
        with pytest.raises(AssertionError):
            form.filled(wrong)


@pytest.mark.parametrize("html", ["<p>a", "<p><b>a</p></b>", "<p class=a class=b>a</p>", "</p>"])
def test_a_page_that_is_not_well_formed_is_found_out(html: str) -> None:
    """A browser would guess; nobody should have to."""
    with pytest.raises(AssertionError):
        page_of(shown(html))


async def test_who_logs_in_is_on_the_start_page(tmp_path: Path) -> None:
    """By the form; and is out again by the other."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/")
        assert "Logged in as root" in page.text
        page = await browser.send(page.form("Log out"))
        assert page.path == "/login"
