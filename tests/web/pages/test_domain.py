"""`/domains/{domain}`: what waits for it, when its site was here, how it is set up; and its removal from the store."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.web.office import CONTENT, LOGIN, ROOT, STRANGER, Office, serving
from tests.web.pages.browsing import Page, logged_in

from restante.facts import AlarmKind, AlarmRaised, ReleaseEnded
from restante.model import item_id
from restante.store.book import open_book

TEST = "/domains/test.example"
KEPT = "/domains/kept.example"
TABLE = {
    "action": "hold",
    "next_hop": "192.0.2.40",
    "release_from": ["user:test", "192.0.2.0/24"],
    "contact": ["0 3 * * *"],
    "quota_items": 4,
}


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One."""
    async with serving(tmp_path) as office:
        yield office


def keep(office: Office, **rows: dict[str, Any]) -> None:
    """Domains `NAME.example` and `others` (`*`) are in the store, in force."""
    named = {"*" if name == "others" else f"{name}.example": table for name, table in rows.items()}
    with contextlib.closing(open_book(office.data)) as book:
        book.put("domains", [(name, json.dumps(table)) for name, table in named.items()])
    office.read_store()


def facts_of(page: Page) -> dict[str, str]:
    """The facts that a page tells, by their names."""
    found = re.findall(r"<dt>(.*?)</dt><dd>(.*?)</dd>", page.html, re.DOTALL)
    return {name: " ".join(re.sub(r"<[^>]+>", "", text.replace("</div>", " ")).split()) for name, text in found}


def same(page: Page) -> str:
    """A page without what differs each time: the secret of the session's forms, and the clock."""
    return re.sub(r'name="form" value="[^"]+"|<time.*?</time>', "", page.html)


async def test_what_waits_is_told_with_where_it_is_listed(office: Office) -> None:
    """How much, how old, in which state; and the first of it."""
    messages = [await office.mail(f"u{number}@test.example") for number in range(3)]
    await office.spool.freeze([item_id(messages[0], 1)])
    async with logged_in(office, LOGIN) as browser:
        page = await browser.get(TEST)
        assert (page.status, page.title.split()[0]) == (200, "test.example")
        assert f"2 messages wait, {2 * len(CONTENT)} octets; the oldest for 1 h" in page.text
        facts = facts_of(page)
        assert facts["Its mail is"] == "held until its site has it released"
        assert facts["Next hop"] == "192.0.2.25:25"
        assert facts["By state"] == "2 waiting, 1 frozen"
        assert facts["Last contact"].startswith("1970-01-12 ")
        assert "u1@test.example" in page.text
        listed = await browser.follow(page, "1 frozen")
        assert listed.path == "/items?domain=test.example&state=frozen"
        assert "u0@test.example" in listed.text
        assert "u1@test.example" not in listed.text
        assert (await browser.follow(page, "All messages for test.example")).path == "/items?domain=test.example"


async def test_all_of_it_is_released_frozen_or_thawed_after_a_question(office: Office) -> None:
    """Each by the page that asks."""
    messages = [await office.mail() for _ in range(2)]
    await office.spool.freeze([item_id(messages[0], 1)])
    async with logged_in(office, LOGIN) as browser:
        page = await browser.get(TEST)
        assert (await browser.follow(page, "Release now")).title.startswith("Release test.example")
        asked = await browser.follow(page, "Freeze all")
        assert asked.title.startswith("Freeze 1 message?")
        await browser.send(asked.form("Freeze 1 message"))
        asked = await browser.follow(await browser.get(TEST), "Thaw all")
        assert asked.title.startswith("Thaw 2 messages?")
        await browser.send(asked.form("Thaw 2 messages"))
        page = await browser.get(TEST)
        assert facts_of(page)["By state"] == "2 waiting"
        assert "Thaw all" not in page.links


async def test_others_domains_and_unknown_ones_are_one_page(office: Office) -> None:
    """So is the entry for all other domains, which is for administrators."""
    await office.mail("bert@theirs.example")
    async with logged_in(office, LOGIN) as browser, logged_in(office, ROOT) as root, logged_in(office, STRANGER) as one:
        pages = [await browser.get(f"/domains/{name}") for name in ("theirs.example", "unknown.example", "%2A", "a..b")]
        assert {page.status for page in pages} == {404}
        assert len({same(page) for page in pages}) == 1
        assert (await one.get("/domains/theirs.example")).status == 200
        assert (await root.get("/domains/theirs.example")).status == 200
        assert (await root.get("/domains/a..b")).status == 404


async def test_what_a_site_user_need_not_know_is_for_administrators(office: Office) -> None:
    """Who may release it, its table, and its removal."""
    keep(office, kept=TABLE, theirs=TABLE)
    async with logged_in(office, LOGIN) as browser, logged_in(office, ROOT) as root:
        page = await root.get(KEPT)
        facts = facts_of(page)
        assert facts["May release"] == "user:test, 192.0.2.0/24, administrators"
        assert facts["Set up"] == "in the store: its table; lines for the other end, and DNS records"
        assert "[domains.&#34;kept.example&#34;]\naction = &#34;hold&#34;\nnext_hop = &#34;192.0.2.40&#34;" in page.html
        assert page.link("lines for the other end, and DNS records") == "/add/kept.example"
        assert facts_of(await root.get(TEST))["May release"] == "user:test, administrators"
        page = await browser.get(TEST)
        assert "May release" not in page.text
        assert facts_of(page)["Set up"] == "in the configuration file"
        assert not [link for link in page.links.values() if link.startswith(("/add", f"{TEST}/remove"))]
        page = await root.get("/domains/theirs.example")
        assert "Not in force: the configuration file has theirs.example, too, and wins." in page.text
        assert "Remove from the store …" not in page.links


async def test_a_quota_is_a_meter_with_words(office: Office) -> None:
    """What is frozen counts; what is full is said."""
    keep(office, kept=TABLE)
    async with logged_in(office, ROOT) as root:
        await office.spool.freeze([item_id(await office.mail("anna@kept.example"), 1)])
        page = await root.get(KEPT)
        assert facts_of(page)["Quota"] == "1 of 4 messages"
        assert re.search(r'<meter aria-label="[^"]+" min="0" max="4" high="3.6" optimum="0" value="1">', page.html)
        assert "Nothing waits, but 1 message is frozen." in page.text
        for _ in range(4):
            await office.mail("anna@kept.example")
        page = await root.get(KEPT)
        assert facts_of(page)["Quota"] == "5 of 4 messages full: new mail is told to come again later"
        assert 'value="4"></meter>' in page.html


async def test_when_its_site_was_here_and_is_due_is_drawn_and_told(office: Office) -> None:
    """What was missed besides."""
    keep(office, kept=TABLE)
    async with logged_in(office, ROOT) as root:
        page = await root.get(TEST)
        assert "When its site was here" not in page.text
        page = await root.get(KEPT)
        facts = facts_of(page)
        assert facts["Last contact"] == "none yet"
        assert re.fullmatch(r"20\d\d-\d\d-\d\d 03:00:00, in .* \(0 3 \* \* \*\)", facts["Next contact"])
        assert page.html.count('<g class="planned"><title>') == 2
        assert "The last contacts" not in page.text
        office.past.reached(
            ReleaseEnded(7, "kept.example", "operator", "192.0.2.40:25", 12, 0, 0, 0, 4_100_000, 30.0, "")
        )
        office.past.missed("kept.example", office.clock.wall() - 86_400)
        office.feed.announce(AlarmRaised(AlarmKind.CONTACT, "kept.example", "it was due"))
        page = await root.get(KEPT)
        assert "1 contact: 12 messages delivered, 4.1 MB" in page.html
        assert '<g class="missed"><title>' in page.html
        assert "12 4.1 MB" in page.text.partition("The last contacts")[2]
        assert "Its site was expected, and has not come." in page.text
        assert facts_of(page)["Next contact"].startswith("one was missed; ")


async def test_releases_are_told_with_how_far_and_how_fast(office: Office) -> None:
    """What runs comes first, and is fetched again each second; the last one has a picture."""
    for _ in range(3):
        await office.mail()
    async with logged_in(office, LOGIN) as browser:
        first = office.releases.request_by_operator("test.example")
        await office.releases.wait(first.number)
        await office.mail()
        office.carrier.open.clear()
        second = office.releases.request_by_operator("test.example")
        async with asyncio.timeout(30):
            while (view := office.releases.view(second.number)) is None or view.items != 1:
                await asyncio.sleep(0.01)
        await asyncio.sleep(1.1)
        page = await browser.get(TEST)
        assert '<div id="releases" data-live="1">' in page.html
        rows = page.text.partition("Asked by")[2]
        assert re.match(r" 2 runs now 0 of 1 message .*operator 1 .*ago 3 delivered", rows), rows
        assert "some of them on their way" in page.text
        assert "How fast release 2 goes" in page.text
        office.carrier.open.set()
        await office.releases.wait(second.number)
        page = await browser.get(TEST)
        assert '<div id="releases" data-live>' in page.html
        assert "How fast release 2 went" in page.text
        assert '<table data-chart="Octets a second">' in page.html
        assert (await browser.follow(page, "2")).path == "/releases/2"
        assert (await browser.follow(page, "All releases of test.example")).path == "/releases?domain=test.example"


async def test_a_domain_without_an_entry_is_as_all_others(office: Office) -> None:
    """It is told so; who is no administrator does not release it."""
    await office.mail("x@other.example")
    async with logged_in(office, LOGIN) as browser, logged_in(office, ROOT) as root:
        page = await browser.get("/domains/other.example")
        assert "1 message waits" in page.text
        assert facts_of(page)["Its mail is"] == "held until its site has it released as that of all other domains"
        assert "Release now" not in page.links
        assert "/domains/%2A" not in page.links.values()
        page = await root.follow(await root.get("/domains/other.example"), "all other domains")
        assert page.title.startswith("All other domains")
        assert "1 message waits" in page.text
        assert facts_of(page)["Next hop"] == "192.0.2.27:25"
        assert (await root.follow(page, "Release now")).title.startswith("Release all other domains")


async def test_domains_of_other_kinds_are_told_as_well(office: Office) -> None:
    """Mailboxes by name for administrators, by number for others; what is passed on, by MX."""
    keep(
        office,
        relayed={"action": "relay", "next_hop": "mx"},
        refused={"action": "reject", "text": "gone"},
        calling={"action": "hold", "next_hop": "caller", "release_from": ["user:test"]},
    )
    async with logged_in(office, LOGIN) as browser, logged_in(office, ROOT) as root:
        assert facts_of(await browser.get("/domains/localtest.example"))["Mailboxes"] == "1 mailbox"
        assert facts_of(await root.get("/domains/localtest.example"))["Mailboxes"] == "1 mailbox: anna"
        relayed = facts_of(await root.get("/domains/relayed.example"))
        assert (relayed["Its mail is"], relayed["Next hop"]) == (
            "passed on at once",
            "the mail hosts of the domain, as the DNS says",
        )
        refused = await root.get("/domains/refused.example")
        assert facts_of(refused)["Its mail is"] == "refused"
        assert "Release now" not in refused.links
        calling = await root.get("/domains/calling.example")
        assert facts_of(calling)["Next hop"] == "whoever asks for it and has shown who it is"
        assert "Release now" in calling.links


async def test_what_strangers_wrote_is_text(office: Office) -> None:
    """Of markup nothing is left but its letters."""
    await office.mail("anna@test.example", sender='"<script>"@far.example')
    async with logged_in(office, LOGIN) as browser:
        page = await browser.get(TEST)
        assert "&lt;script&gt;" in page.html
        assert "<script>" not in page.html


OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "hold": (
        {"action": "hold", "next_hop": "192.0.2.50"},
        "they wait with those of all other domains, and leave when who may release those has them released, to 192.0",
    ),
    "relay": ({"action": "relay", "next_hop": "mx"}, "they leave at once, to the mail hosts of its domain."),
    "reject": (
        {"action": "reject"},
        "they stay, and nothing releases them until there is an entry for the domain again",
    ),
}


@pytest.mark.parametrize("kind", OTHERS)
async def test_before_a_removal_it_is_said_what_becomes_of_the_mail(office: Office, kind: str) -> None:
    """As the entry for all others will decide."""
    table, said = OTHERS[kind]
    office.settings.domains.pop("*")
    keep(office, kept=TABLE, others=table)
    for _ in range(2):
        await office.mail("anna@kept.example")
    await office.spool.freeze([item_id(await office.mail("anna@kept.example"), 1)])
    async with logged_in(office, ROOT) as root:
        page = await root.follow(await root.get(KEPT), "Remove from the store …")
        assert "2 messages that wait for it are not removed: " + said in page.text
        assert "1 more message is frozen or damaged, and stays so." in page.text


async def test_without_an_entry_for_all_others_the_mail_stays(office: Office) -> None:
    """And the list of recipients goes with the domain."""
    office.settings.domains.pop("*")
    keep(office, kept=TABLE)
    with contextlib.closing(open_book(office.data)) as book:
        book.put("recipients", [("kept.example", '["anna@kept.example"]')])
    office.read_store()
    await office.mail("anna@kept.example")
    async with logged_in(office, ROOT) as root:
        page = await root.get(f"{KEPT}/remove")
        assert "New mail for it is refused." in page.text
        assert "1 message that waits for it is not removed: it stays, and nothing releases it" in page.text
        assert "Its list of 1 recipient goes, too." in page.text
        asked = page
        page = await root.send(asked.form("Remove kept.example"))
        assert (page.path, "kept.example was removed from the store." in page.text) == ("/", True)
        office.read_store()
        with contextlib.closing(open_book(office.data)) as book:
            assert book.row("domains", "kept.example") is book.row("recipients", "kept.example") is None
        page = await root.send(asked.form("Remove kept.example"))
        assert "Nothing was removed: no domain kept.example in the store." in page.text
        page = await root.get(KEPT)
        assert "1 message waits" in page.text
        assert facts_of(page)["Set up"] == "by nothing any more"


async def test_what_is_not_in_the_store_is_not_removed_from_it(office: Office) -> None:
    """What the configuration has, what nobody has; and nothing by who is no administrator."""
    async with logged_in(office, ROOT) as root, logged_in(office, LOGIN) as browser:
        page = await root.get(f"{TEST}/remove")
        assert (page.status, "the configuration has test.example, and wins" in page.text) == (409, True)
        assert (await root.get("/domains/unknown.example/remove")).status == 404
        assert (await browser.get(f"{TEST}/remove")).status == 403
