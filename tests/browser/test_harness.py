"""The visitor notices what it is there to notice, and what looks at pages sees what is wrong with them: each is shown a
page of our own that does just that.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import Browser
from tests.browser.looks import accessible, fits, shot, walk
from tests.browser.visitor import Visitor

pytestmark = pytest.mark.browser

HEAD = '<!doctype html><html lang="en"><title>A page</title><meta name="viewport" content="width=device-width">'
WELL = f"{HEAD}<main><h1>Mail</h1><p>Two barrels.</p><a href='/'>Start</a> <button>Go</button></main>"
BAD = {
    "a request to another origin": "<img src='http://127.0.0.2:9/x.png' alt=''>",
    "on the console": "<script>console.error('oh')</script>",
    "an error that nobody caught": "<script>nosuch()</script>",
    "a dialog": "<script>alert(1)</script>",
    "a payload ran": "<script>ran = 17</script>",
    "a further window": "<script>open('/')</script>",
    "status of 404": "<img src='/nosuch.png' alt=''>",
}


class _Page(BaseHTTPRequestHandler):
    text, policy = "", ""

    def do_GET(self) -> None:
        self.send_response(404 if self.path == "/nosuch.png" else 200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        if self.policy:
            self.send_header("Content-Security-Policy", self.policy)
        self.end_headers()
        self.wfile.write(self.text.encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@contextmanager
def served(text: str, policy: str = "") -> Iterator[str]:
    """A page of that text, and its origin."""
    page = type("Page", (_Page,), {"text": text, "policy": policy})
    with ThreadingHTTPServer(("127.0.0.1", 0), page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def complaints(browser: Browser, text: str, policy: str = "") -> list[str]:
    """What a visitor has noted who looked at a page."""
    with served(text, policy) as origin:
        visitor = Visitor(browser, origin)
        visitor.page.goto("/")
        visitor.page.wait_for_timeout(100)
        visitor.context.close()
        return visitor.wrong


def test_a_page_without_fault_passes_all_of_it(browser: Browser) -> None:
    """Nothing is noted, axe is content, it fits a phone, and Tab leads through it."""
    with served(WELL) as origin, Visitor(browser, origin) as visitor:
        visitor.page.goto("/")
        accessible(visitor.page)
        shot(visitor.page, "harness")
        assert walk(visitor.page) == ["Start", "Go"]


@pytest.mark.parametrize("fault", BAD)
def test_a_visitor_notes_what_must_not_happen(browser: Browser, fault: str) -> None:
    """One fault at a time, and it is named."""
    noted = complaints(browser, WELL + BAD[fault])
    assert [one for one in noted if fault in one], noted


def test_a_visitor_notes_a_violated_policy(browser: Browser) -> None:
    """A script that the policy stopped was in the page, which is a fault all the same."""
    noted = complaints(browser, WELL + BAD["a payload ran"], "default-src 'none'; style-src 'self'")
    assert [one for one in noted if "Content Security Policy" in one], noted
    assert not [one for one in noted if "a payload ran" in one], noted


def test_a_visit_that_went_wrong_fails_the_test(browser: Browser) -> None:
    """At its end, whatever the test itself has found; what was allowed does not."""
    with served(WELL + BAD["on the console"]) as origin:
        with pytest.raises(AssertionError, match="oh"), Visitor(browser, origin) as visitor:
            visitor.page.goto("/")
        with Visitor(browser, origin) as visitor:
            visitor.allow("oh")
            visitor.page.goto("/")


@pytest.mark.parametrize(
    ("look", "fault", "said"),
    [
        (accessible, "<p style='color: #999; background: #fff'>Faint.</p>", "color-contrast"),
        (accessible, "<input>", "label"),
        (fits, "<div style='width: 2000px'>Wide.</div>", "2000|20[0-9]{2} px wide"),
        (walk, "<style>a:focus { outline: none }</style>", "not seen that this has the focus"),
        (walk, "<a href='/' style='position: absolute; left: -999px'>Away</a>", "cannot be seen"),
        (walk, "<a href='/' tabindex='-1'>Left out</a>", "does not lead to"),
    ],
)
def test_looks_see_what_is_wrong(browser: Browser, look: object, fault: str, said: str) -> None:
    """One fault at a time, and it is named."""
    assert callable(look)
    with served(WELL + fault) as origin, Visitor(browser, origin) as visitor:
        visitor.page.goto("/")
        with pytest.raises(AssertionError, match=said):
            look(visitor.page)
