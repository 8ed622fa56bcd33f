"""`/domains/{domain}/recipients`: who exists there, by which word; and the list that the store has, changed."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.office import LOGIN, ROOT, STRANGER, Office, serving
from tests.web.pages.browsing import Page, logged_in

from restante.directory.learned import Verdict
from restante.model import DomainName
from restante.observe import log
from restante.smtp.address import AddressError
from restante.store.book import open_book
from restante.store.learned import LearnedFile
from restante.web.pages.recipients import line_of

TEST = DomainName("test.example")
PATH = "/domains/test.example/recipients"
CHANGE = f"{PATH}/change"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One."""
    async with serving(tmp_path) as office:
        yield office


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What the log says."""
    stream = io.StringIO()
    log.configure(stream)
    yield stream
    log.configure()


def put(office: Office, *addresses: str, domain: str = TEST) -> None:
    """The store has a list, in force."""
    with contextlib.closing(open_book(office.data)) as book:
        book.put("recipients", [(domain, json.dumps(sorted(addresses)))])
    office.read_store()


def kept(office: Office) -> list[str] | None:
    """The list that the store has."""
    with contextlib.closing(open_book(office.data)) as book:
        row = book.row("recipients", TEST)
    return None if row is None else json.loads(row)


def rows_of(page: Page) -> str:
    """The lines of the table."""
    return page.text.partition("What is known")[2].partition(" Add a ")[0].strip()


async def test_what_the_site_has_said_is_told_where_there_is_no_list(office: Office) -> None:
    """What it takes, what it has refused, and since when; a list is proposed of the first."""
    now = office.clock.wall()
    file = LearnedFile(office.data)
    told = {"anna": Verdict(False, now - 90), "nobody": Verdict(True, now - 60)}
    file.write({(TEST, local): verdict for local, verdict in told.items()})
    file.close()
    async with logged_in(office) as browser:
        page = await browser.get(PATH)
        assert "There is no list: mail for anybody is taken, but for whom the site has refused lately." in page.text
        assert "anna@test.example its site takes mail for it 1 min" in rows_of(page)
        assert "nobody@test.example its site has refused it 1 min" in rows_of(page)
        form = page.form("Begin a list …")
        assert ("address", "anna@test.example") in form.given
        assert "as its site has said" in (await browser.get("/domains/test.example")).text


async def test_a_list_is_begun_after_a_warning(office: Office) -> None:
    """For it refuses all others; nothing is written before."""
    async with logged_in(office) as browser:
        page = await browser.get(PATH)
        asked = await browser.send(page.form("Begin a list …"), address="anna\r\nBert@TEST.example @test.example anna")
        assert asked.title.startswith("Add 3 recipients?")
        assert "mail for all others is refused (550 5.1.1), but for postmaster" in asked.text
        assert kept(office) is None
        page = await browser.send(asked.form("Add 3 recipients"))
        assert kept(office) == ["@test.example", "anna@test.example", "bert@test.example"]
        assert page.path == PATH
        assert "3 recipients are in the list, which has 3 now; that is in force within a second." in page.text
        assert rows_of(page).startswith("@test.example all of the domain Remove … anna@test.example listed Remove …")
        page = await browser.send(asked.form("Add 3 recipients"))
        assert "which has 3 now" in page.text


async def test_one_is_added_and_one_removed(office: Office, said: io.StringIO) -> None:
    """Each after a question; the log tells who did it."""
    put(office, "anna@test.example", "bert@test.example")
    async with logged_in(office, ROOT) as root:
        page = await root.get(PATH)
        asked = await root.send(page.form("Add …"), address="emil")
        assert "Mail for it is taken then. The list has 2 recipients so far." in asked.text
        page = await root.send(asked.form("Add 1 recipient"))
        assert "emil@test.example is in the list, which has 3 now" in page.text
        asked = await root.get(CHANGE, verb="remove", address="bert@test.example")
        assert "New mail for it is refused then (550 5.1.1). What waits already stays." in asked.text
        assert (await root.follow(asked, "Leave it as it is")).path == PATH
        page = await root.send(asked.form("Remove 1 recipient"))
        assert "bert@test.example is not in the list any more, which has 2 now" in page.text
        assert kept(office) == ["anna@test.example", "emil@test.example"]
    line = 'recipients changed domain=test.example how=remove recipients=2 by="127.0.0.1 user:root"'
    assert line in said.getvalue()


async def test_to_remove_the_last_one_is_not_to_have_no_list(office: Office) -> None:
    """It is said; and both can be had."""
    put(office, "anna@test.example")
    async with logged_in(office) as browser:
        asked = await browser.follow(await browser.get(PATH), "Remove …")
        assert "The list is empty then: mail for everybody but postmaster is refused." in asked.text
        other = await browser.follow(asked, "have no list")
        await browser.send(asked.form("Remove 1 recipient"))
        assert kept(office) == []
        assert "The list of 1 recipient is gone then." in other.text
        page = await browser.send(other.form("Have no list"))
        assert kept(office) is None
        assert "There is no list any more" in page.text
        page = await browser.get(CHANGE, verb="clear")
        assert (page.path, "Nothing is to be changed: it is so already." in page.text) == (PATH, True)


async def test_one_is_found_in_a_long_list_which_comes_in_pages(office: Office) -> None:
    """By any part of its address, in any case."""
    put(office, *(f"user{number:03}@test.example" for number in range(120)))
    async with logged_in(office) as browser:
        page = await browser.get(PATH)
        assert "120 recipients; 50 on this page" in page.text
        seen = page.text.count("listed")
        while "More" in page.links:
            page = await browser.follow(page, "More")
            seen += page.text.count("listed")
        assert seen == 120
        assert "user119@test.example" in page.text
        assert (await browser.follow(page, "Back to the first")).path == PATH
        page = await browser.send(page.form("Find"), find="USER07")
        assert "10 of 120 recipients" in page.text
        assert "user070@test.example" in page.text
        page = await browser.send(page.form("Find"), find="<b>nobody")
        assert "None has that in its address." in page.text
        assert "<b>" not in page.html
        assert "120 in a list: who exists" in (await browser.get("/domains/test.example")).text


async def test_a_list_of_the_configuration_is_changed_there(office: Office) -> None:
    """It is shown as such, with no way to change it."""
    async with logged_in(office) as browser:
        page = await browser.get("/domains/listed.example/recipients")
        assert "The list is a file that the configuration names, and is changed there." in page.text
        assert rows_of(page).startswith("bert@listed.example listed restante")
        change = "/domains/listed.example/recipients/change"
        assert (await browser.get(change, verb="remove", address="bert@listed.example")).status == 409
        old = (await browser.get(CHANGE, verb="add", address="anna")).form("Add 1 recipient")
        old.action = change
        page = await browser.send(old, address="anna@listed.example")
        assert (page.status, "names a list of recipients for listed.example, which wins" in page.text) == (409, True)


async def test_a_domain_without_an_entry_has_no_list_of_its_own(office: Office) -> None:
    """That of all others is told as far as it is about the domain; an administrator sees and changes all of it."""
    put(office, "x@other.example", "y@far.example", domain="*")
    async with logged_in(office) as browser, logged_in(office, ROOT) as root:
        page = await browser.get("/domains/other.example/recipients")
        assert "x@other.example" in page.text
        assert "far.example" not in page.text
        assert "It is that of all other domains, and is changed there." in page.text
        assert "Add …" not in page.text
        page = await root.get("/domains/%2A/recipients")
        asked = await root.send(page.form("Add …"), address="z@near.example")
        page = await root.send(asked.form("Add 1 recipient"))
        assert "z@near.example is in the list, which has 3 now" in page.text
        page = await root.send(page.form("Add …"), address="z")
        assert page.status == 422


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("anna@theirs.example", "anna@theirs.example is not of test.example"),
        ("@theirs.example", "@theirs.example is not of test.example"),
        ("a@b@c", "is not"),
        ("@[192.0.2.1]", "is an address literal"),
        ("#anna", "found '#anna@test.example', allowed: an address or @domain"),
        (" ", "an address is needed"),
        (" ".join(f"u{number}" for number in range(101)), "not more than 100 at once, please"),
    ],
)
async def test_what_is_no_recipient_is_told_and_nothing_changes(office: Office, address: str, said: str) -> None:
    """With what was written still in its field."""
    put(office, "bert@test.example")
    async with logged_in(office) as browser:
        page = await browser.send((await browser.get(PATH)).form("Add …"), address=address)
        if page.status == 200:
            page = await browser.send(page.form("Add 1 recipient"))
        assert (page.status, said in page.text, "Nothing was changed." in page.text) == (422, True, True)
        assert dict(page.form("Add …").given)["address"].startswith(address.strip())
        assert kept(office) == ["bert@test.example"]


async def test_others_lists_and_unknown_ones_are_one_page(office: Office) -> None:
    """Nor is anything done with them; and what is read here has no list."""
    async with logged_in(office, STRANGER) as stranger, logged_in(office) as browser:
        for path in (PATH, CHANGE, "/domains/unknown.example/recipients", "/domains/%2A/recipients"):
            page = await stranger.get(path, verb="clear")
            assert (page.status, "no such domain, or not yours" in page.text) == (404, True)
        form = (await browser.get(CHANGE, verb="add", address="anna")).form("Add 1 recipient")
        form.action = "/domains/theirs.example/recipients/change"
        assert (await browser.send(form)).status == 404
        page = await browser.get("/domains/localtest.example/recipients")
        assert (page.status, "its mail is not held here for a site" in page.text) == (404, True)


async def test_changes_are_bounded(office: Office) -> None:
    """As the API's are: each is written, and read by whoever watches."""
    async with logged_in(office) as browser, logged_in(office, ROOT) as root:
        form = (await browser.get(CHANGE, verb="add", address="anna")).form("Add 1 recipient")
        statuses = [(await browser.send(form)).status for _ in range(11)]
        assert statuses == [200] * 10 + [429]
        form = (await root.get(CHANGE, verb="remove", address="anna")).form("Remove 1 recipient")
        assert (await root.send(form)).status == 200


async def test_what_nobody_offers_is_refused(office: Office) -> None:
    """A verb of somebody's own."""
    async with logged_in(office, LOGIN) as browser:
        assert (await browser.get(CHANGE, verb="burn")).status == 422


@given(st.text(alphabet=st.sampled_from('ab@.#"\\ <>\r\n\0\u202eäA-test.example'), max_size=30))
def test_any_text_is_a_line_of_the_domain_or_none(text: str) -> None:
    """Never one of another domain, and never more than one line."""
    try:
        line = line_of(text, TEST)
    except AddressError:
        return
    assert line.rpartition("@")[2] == TEST
    assert line.isprintable()
