"""Sixty texts that would be scripts (payloads.py) come in by every way on which others' text reaches a page: over SMTP
into envelopes, greetings and header fields, as what next hops and offices reply, and in addresses and forms of the
pages themselves. Each page is then looked at. Not one of them runs, makes an element or a request, and all that can be
printed is there to be read.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, cycle, product, repeat
from threading import Thread
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.awkward import Awkward, reply
from tests.browser.pages import pages
from tests.browser.pair import PASSWORD, ROOT, Host, Pair
from tests.browser.payloads import (
    ADDRESSES,
    BREAKOUTS,
    ELEMENTS,
    FOREIGN,
    GROUPS,
    HANDLERS,
    LONG,
    OCTETS,
    PAYLOADS,
    TEMPLATES,
    header,
    is_plain,
    local_part,
    of_group,
    xtext,
)
from tests.browser.visitor import Visitor

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

MADE_BY_THEM = ", ".join(
    (
        *("x-ran", "iframe", "object", "embed", "base", "marquee", "math", "video", "animate", "noscript p", "style"),
        *("script:not([src])", "[http-equiv]", "[srcdoc]", "[formaction]", "form:not([action^='/'])"),
        *("[onload]", "[onerror]", "[onfocus]", "[onclick]", "[onmouseover]", "[ontoggle]", "[onstart]", "[onbegin]"),
        *("[href^='javascript' i]", "[href^='java\\9']", "[href^='data' i]", "[href^='//']", "[href^='\\\\\\\\']"),
    )
)
"""What no page of ours has, and a payload would."""
ODD_DOMAINS = ("__proto__.example", "constructor", "xn--80ak6aa92e.example", "javascript.example")
MUTE = {
    "x-ran": "wants a click",
    "formaction": "wants a click",
    "xlink:href": "wants a click",
    "onmouseover": "wants a mouse",
    "autofocus": "frames have no focus of their own",
    "<base": "changes what else is on a page",
    "<scr<script>": "wants a filter that takes something out",
    "<noscript": "wants a filter that parses without scripts",
    "--&gt;": "wants a filter that parses twice",
    "<form><math": "wants a filter that parses twice",
    '\\";': "wants a page that escapes quotes alone",
    "object": "is not what browsers do any more",
    "marquee": "is not what browsers do any more",
    "{{": "wants a template",
    "[go]": "wants a reader of Markdown",
    "%3C": "wants somebody who decodes once more",
    "\udcc0": "wants a lax decoder",
    "\uff1c": "wants a database that looks for the nearest character",
}
"""What in a payload keeps it from running in a bad page by itself, and why it is here all the same."""
WHERE = (
    *("/{0}", "/?domain={0}", "/login?next={0}", "/items?domain={0}&state={0}&id={0}", "/items/{0}"),
    *("/items/change?verb=freeze&which=chosen&item={0}", "/items/change?verb={0}&which=all", "/domains/{0}"),
    *("/releases?domain={0}", "/releases/{0}", "/releases/new?domain={0}&to={0}", "/calls/{0}", "/timeline?from={0}"),
    *("/add?domain={0}", "/static/{0}/{0}", "/#{0}"),
)
"""Addresses of pages that are, and of some that are not."""
SECONDS = 60.0


@dataclass(frozen=True)
class Told:
    """A pair that was told all of it: the items that wait for broken.example, and the numbers of the releases."""

    pair: Pair
    items: list[dict[str, Any]]
    releases: list[int]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Sixty messages, each with its payload wherever it may be, and every reply to them."""
    plain = [text for text in PAYLOADS if is_plain(text)]
    with Awkward() as awkward, Pair(tmp_path_factory.mktemp("pair"), awkward=awkward.port) as pair:
        write(pair.office)
        awkward.greeting = reply(554, "5.7.1", *plain)
        pair.office.release("*")
        pair.site.call("broken")
        awkward.greeting = "220 awkward.example"
        awkward.replies = cycle(reply(451, "4.7.1", text) for text in PAYLOADS)
        pair.office.release("broken.example")
        awkward.replies = repeat(reply(250, "2.0.0", *plain))
        pair.site.call("broken")
        items = pair.office.ask("/api/items", params={"domain": "broken.example", "limit": 200})["items"]
        releases = [release["number"] for release in pair.office.ask("/api/releases")["releases"]]
        yield Told(pair, items, releases)


def write(office: Host) -> None:
    """The messages, each from a host that names itself so; and some for domains with odd names."""
    with smtplib.SMTP("127.0.0.1", office.port, timeout=30) as client:
        client.command_encoding = "utf-8"
        for text in PAYLOADS:
            put(client, text)
        client.ehlo("far.example")
        give(client, "<carla@far.example>", "<anna@broken.example>", b"Subject: " + LONG.encode() + b"\r\n\r\n")
        for domain in ODD_DOMAINS:
            give(client, "<carla@far.example>", f"<anna@{domain}>", b"Subject: x\r\n\r\n")


def put(client: smtplib.SMTP, text: str) -> None:
    """A message with a payload in its greeting, envelope, parameters and header fields."""
    client.ehlo(text if is_plain(text) else "far.example")
    sender, recipient = (local_part(text, domain) for domain in ("far.example", "broken.example"))
    coded = xtext(text)
    field = header(text)
    names = (b"Received", b"Subject", b"From", b"To", b"Message-ID", b"X-Payload")
    content = b"".join(b"%b: %b\r\n" % (name, field) for name in names)
    content += b"X-<img/src/onerror=ran=61>: x\r\n\r\n" + field + b"\r\n"
    mail = f"<{sender or 'carla@far.example'}> SMTPUTF8 BODY=8BITMIME" + (
        f" ENVID={coded}" if coded and len(coded) <= 100 else ""
    )
    rcpt = f"<{recipient or 'anna@broken.example'}>" + (f" ORCPT=rfc822;{coded}" if coded else "")
    give(client, mail, rcpt, content)


def give(client: smtplib.SMTP, mail: str, rcpt: str, content: bytes) -> None:
    """Hands it over; all of it must be taken."""
    for verb, argument in (("MAIL FROM:", mail), ("RCPT TO:", rcpt)):
        said = client.docmd(verb + argument)
        assert said[0] == 250, (verb, argument, said)
    said = client.data(content)
    assert said[0] == 250, (mail, said)


def looked_at(page: Page, path: str) -> str:
    """Opens a page; all that it says."""
    answer = page.goto(path)
    assert answer is None or answer.status < 500, path  # None: only the fragment is another one
    return seen(page)


def seen(page: Page) -> str:
    """All that a page says, white space made one blank. Nothing in it must be of a payload's making."""
    made: list[str] = page.evaluate(
        "(those) => [...document.querySelectorAll(those)].map(one => one.outerHTML.slice(0, 200))", MADE_BY_THEM
    )
    assert not made, f"{page.url} has {made}"
    page.evaluate("() => document.querySelectorAll('details').forEach(one => { one.open = true })")
    return shown(page.inner_text("body"))


def shown(text: str) -> str:
    """How a page says a text that can be printed."""
    return " ".join(text.split())


def assert_said(said: str, *texts: str) -> None:
    """A page says all of these that can be printed."""
    missing = [text for text in texts if is_plain(text) and shown(text) not in said]
    assert not missing, f"{missing} are not in\n{said}"


def test_payloads_are_no_blanks(browser: Browser) -> None:
    """They do run where a page puts them in as they are: a visitor notes all that need no hand, and no other reader."""
    frames = list(unsafe())
    wanted = set(range(len(PAYLOADS))) - {n for n, text in enumerate(PAYLOADS) if any(part in text for part in MUTE)}

    class Naive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            number = self.path.strip("/")
            body = frames[int(number)] if number.isdigit() else "".join(f"<iframe src=/{n}></iframe>" for n in everyone)
            self.send_response(200)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(f"<!doctype html><body>{body}".encode("utf-8", "replace"))

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    everyone = range(len(frames))
    with ThreadingHTTPServer(("127.0.0.1", 0), Naive) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        visitor = Visitor(browser, f"http://127.0.0.1:{server.server_port}")
        visitor.page.goto("/", wait_until="commit")
        end = time.monotonic() + SECONDS
        while not wanted <= (ran := ran_at(visitor)) and time.monotonic() < end:
            visitor.page.wait_for_timeout(50)
        visitor.context.close()
        server.shutdown()
    print(sorted(set(range(60)) - ran))
    assert wanted <= ran, [PAYLOADS[n] for n in wanted - ran]
    assert len(wanted) > 35


def ran_at(visitor: Visitor) -> set[int]:
    """The numbers of those of which something was noted."""
    return {int(number) for number in re.findall(r"ran(?:: |=)(\d+)", " ".join(visitor.wrong))}


def unsafe() -> Iterator[str]:
    """What pages would look like that do not escape what they show."""
    for group in GROUPS:
        for text in of_group(group):
            yield f'<iframe src="{text}"></iframe>' if group is ADDRESSES else f"<p>{text}</p>"
            if group is TEMPLATES:
                yield f"<style>b {{ color: {text} }}</style>"
            if group is BREAKOUTS:
                yield f'<img alt="{text}">'
                yield f"<img alt='{text}'>"
                yield f"<textarea>{text}</textarea>"
                yield f'<script>var x = {{"y": "{text}"}}</script>'
                yield f"<script>var x = '{text}'</script>"
                yield f"<!-- {text} -->"


def test_no_payload_that_came_by_smtp_runs_at_the_office(told: Told, browser: Browser) -> None:
    """In greetings, envelopes, header fields and replies; on every page that shows any of it, and there to be read."""
    with Visitor(browser, told.pair.office.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        for _, path in pages(domain="broken.example"):
            looked_at(visitor.page, path)
        said = looked_at(visitor.page, "/items?domain=broken.example")
        for text, item in zip((*PAYLOADS, LONG[:200]), told.items, strict=True):
            assert_said(said, item["detail"], item["reverse_path"], item["recipients"][0])
            in_it = looked_at(visitor.page, f"/items/{item['id']}")
            assert_said(in_it, f"Subject: {text}", item["detail"], item["reverse_path"], item["recipients"][0])


def test_no_payload_that_a_next_hop_said_runs_at_the_office(told: Told, browser: Browser) -> None:
    """As a reply to its connection, with which a release ends, and as replies to its commands."""
    plain = [text for text in PAYLOADS if is_plain(text)]
    told_of = " ".join(item["detail"] for item in told.items)
    assert_said(shown(told_of), *plain)
    with Visitor(browser, told.pair.office.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        said = [looked_at(visitor.page, path) for number in told.releases for _, path in pages(release=str(number))]
        assert_said("\n".join(said), *plain)


def test_no_payload_that_an_office_replied_runs_at_the_site(told: Told, browser: Browser) -> None:
    """In its greeting, and in its answer to ETRN."""
    with Visitor(browser, told.pair.site.origin) as visitor:
        visitor.log_in(ROOT, PASSWORD)
        said = [looked_at(visitor.page, path) for _, path in pages(call="broken")]
    assert_said("\n".join(said), *(text for text in PAYLOADS if is_plain(text)))


def test_no_payload_in_an_address_runs(told: Told, browser: Browser) -> None:
    """In the path and in the query of all pages, before and after the login."""
    bundles = [
        quote(" ".join(chain(*map(of_group, groups))), safe="", errors="surrogateescape")
        for groups in ((BREAKOUTS, ELEMENTS, HANDLERS), (ADDRESSES, FOREIGN), (TEMPLATES, OCTETS))
    ]
    with Visitor(browser, told.pair.office.origin) as visitor:
        visitor.allow("status of 4")
        for where, bundle in product(WHERE[:4], bundles):
            looked_at(visitor.page, where.format(bundle))
        visitor.log_in(ROOT, PASSWORD)
        for where, bundle in product(WHERE, bundles):
            looked_at(visitor.page, where.format(bundle))


def test_a_login_leads_to_no_payload(told: Told, browser: Browser) -> None:
    """Where one wanted to go is a page of this host, whatever the address of the login says."""
    with Visitor(browser, told.pair.site.origin) as visitor:
        for text in of_group(ADDRESSES):
            visitor.context.clear_cookies()
            visitor.log_in(ROOT, PASSWORD, came_for=text)
            seen(visitor.page)


def test_no_payload_in_a_login_runs(told: Told, browser: Browser) -> None:
    """As a name, which the page says again; one of each kind, for there are not many tries."""
    with Visitor(browser, told.pair.site.origin) as visitor:
        visitor.allow("status of 4")
        for text in ('"><script>ran=1</script>', "' autofocus onfocus='ran=2' x='", "{{7*7}}", "\x1b]0;ran=3\u202e"):
            visitor.page.goto("/login")
            visitor.page.fill("[name=name]", text)
            visitor.page.fill("[name=password]", text)
            visitor.page.click("main button")
            visitor.page.wait_for_selector("[role=alert]")
            seen(visitor.page)
            assert visitor.page.input_value("[name=name]") == text
