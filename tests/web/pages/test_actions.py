"""`/items/change`: what is to be done with items is shown before, done once, and told after."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.web.office import CONTENT, ROOT, Office, serving
from tests.web.pages.browsing import Page, logged_in

from restante.facts import ItemChanged, ItemRedirected, ItemReturned
from restante.model import (
    DomainName,
    Envelope,
    ItemState,
    Mailbox,
    MessageId,
    Recipient,
    item_id,
    write_item_id,
    write_message_id,
)
from restante.spool.spool import Arrival, Filter

CHANGE = "/items/change"


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One."""
    async with serving(tmp_path) as office:
        yield office


def first(message: MessageId) -> str:
    """The id of a message's first item."""
    return write_item_id(item_id(message, 1))


async def states(office: Office, *messages: MessageId) -> list[ItemState | None]:
    """How their first items stand; None: gone."""
    there = {item.id: item.state for item in await office.spool.listing(Filter(limit=1000))}
    return [there.get(item_id(message, 1)) for message in messages]


def main_of(page: Page) -> str:
    """What a page says between its head and its foot."""
    return page.text.partition("Log out")[2].partition("restante 0.")[0].strip()


async def test_those_that_were_ticked_are_changed(office: Office) -> None:
    """Freeze and thaw, with a page between that asks, and does nothing itself."""
    async with logged_in(office) as browser:
        messages = [await office.mail(f"u{number}@test.example") for number in range(3)]
        chosen = [first(messages[0]), first(messages[2])]
        for verb, count, done, after in (
            ("Freeze", 2, "2 messages were frozen.", [ItemState.FROZEN, ItemState.WAITING, ItemState.FROZEN]),
            ("Thaw", 2, "2 messages wait again.", [ItemState.WAITING] * 3),
        ):
            before = await states(office, *messages)
            page = await browser.get("/items", domain="test.example")
            page = await browser.send(page.form(f"{verb} …"), item=chosen)
            assert page.title.startswith(f"{verb} {count} messages?")
            assert "Nobody is told." in page.text
            assert [one for one in page.links if one in chosen] == chosen
            assert await states(office, *messages) == before
            page = await browser.send(page.form(f"{verb} {count} messages"))
            assert (page.path, await states(office, *messages)) == ("/items?domain=test.example", after)
            assert main_of(page).startswith(done)
            assert done not in (await browser.get("/items")).text
    changes = [(fact.verb, fact.by) for fact in office.facts if isinstance(fact, ItemChanged)]
    assert changes == [(verb, "127.0.0.1 user:test") for verb in ("freeze", "freeze", "thaw", "thaw")]


async def test_removing_says_that_nobody_is_told_and_can_be_left(office: Office) -> None:
    """The way back leads to where one came from, and nothing was done."""
    async with logged_in(office) as browser:
        message = await office.mail()
        page = await browser.get(f"/items/{first(message)}")
        asked = await browser.follow(page, "Remove …")
        assert "gone then, for good. Nobody is told: neither who has sent it, nor who was to get it." in asked.text
        back = await browser.follow(asked, "Leave it as it is")
        assert (back.path, await states(office, message)) == (page.path, [ItemState.WAITING])
        page = await browser.send(asked.form("Remove 1 message"))
        assert await states(office, message) == [None]
        assert page.path == f"/items/{first(message)}"
        assert main_of(page).startswith("1 message was removed. Message")
        assert "It is not here any more." in page.text
        assert "item changed" in page.text


async def test_doing_it_again_harms_nothing(office: Office) -> None:
    """A double click, a reload, an old page."""
    async with logged_in(office) as browser:
        message, other = await office.mail(), await office.mail()
        page = await browser.get(CHANGE, verb="remove", which="chosen", item=first(message))
        again = page.form("Remove 1 message")
        await browser.send(again)
        page = await browser.send(again)
        assert main_of(page).startswith(f"Nothing was changed. {first(message)} is not here any more")
        assert await states(office, message, other) == [None, ItemState.WAITING]


async def test_all_that_are_as_said_are_counted_and_changed(office: Office) -> None:
    """On all pages; what cannot be is said, with the reason."""
    async with logged_in(office, ROOT) as browser:
        mine = [await office.mail(f"u{number}@test.example") for number in range(14)]
        theirs = await office.mail("x@theirs.example")
        await office.spool.lend([item_id(mine[0], 1)])
        await office.spool.freeze([item_id(mine[1], 1)])
        page = await browser.get("/items", domain="test.example", older="30m")
        asked = await browser.send(page.form("Remove …"), which="all")
        assert asked.title.startswith("Remove 13 messages?")
        assert "Meant are all with domain test.example, an age of more than 30m; not what comes after" in asked.text
        assert "The first 10 of 13 messages" in asked.text
        assert f"Left as they are: {first(mine[0])} is on its way" in asked.text
        assert "data-live" not in asked.html  # to count takes its time; it is not done again and again
        page = await browser.send(asked.form("Remove 13 messages"))
        assert main_of(page).startswith(f"13 messages were removed. {first(mine[0])} is on its way")
        assert page.path == "/items?domain=test.example&older=30m"
        gone = [None] * 13
        waits = [ItemState.CLAIMED, ItemState.WAITING]
        assert await states(office, *mine[1:], mine[0], theirs) == [*gone, *waits]
        office.spool.give_back([item_id(mine[0], 1)])


async def test_what_comes_after_the_count_is_not_meant(office: Office) -> None:
    """However long somebody thinks before he presses the button."""
    async with logged_in(office) as browser:
        before = await office.mail()
        page = await browser.get(CHANGE, verb="remove", which="all", domain="test.example")
        late = office.spool.new_id()
        to = Envelope(None, (Recipient(Mailbox.parse("anna@test.example")),))
        await office.spool.accept(
            Arrival(late, CONTENT, len(CONTENT), [(DomainName("test.example"), to)], office.clock.wall())
        )
        await browser.send(page.form("Remove 1 message"))
        assert await states(office, before, late) == [None, ItemState.WAITING]


async def test_an_id_in_the_filter_goes_with_the_rest(office: Office) -> None:
    """All of that message that are as said."""
    async with logged_in(office, ROOT) as browser:
        message = await office.mail("anna@test.example", "x@theirs.example")
        name = write_message_id(message)
        page = await browser.get(CHANGE, verb="remove", which="all", id=name, domain="theirs.example")
        await browser.send(page.form("Remove 1 message"))
        assert [item.domain for item in await office.spool.listing(Filter())] == ["test.example"]
        page = await browser.get(CHANGE, verb="remove", which="all", id=name, domain="theirs.example")
        assert "There is nothing to change" in page.text


async def test_everything_is_meant_where_nothing_is_said(office: Office) -> None:
    """And the page says so."""
    async with logged_in(office, ROOT) as browser:
        messages = [await office.mail(), await office.mail("x@theirs.example")]
        page = await browser.send((await browser.get("/items")).form("Freeze …"), which="all")
        assert "Meant are all messages; not what comes after" in page.text
        page = await browser.send(page.form("Freeze 2 messages"))
        assert await states(office, *messages) == [ItemState.FROZEN] * 2
        page = await browser.send((await browser.get("/items")).form("Freeze …"), which="all")
        assert "There is nothing to change Because: 2 messages are frozen already" in page.text


async def test_none_chosen_is_a_hint(office: Office) -> None:
    """Nothing is asked, and the list is there as it was."""
    async with logged_in(office) as browser:
        await office.mail()
        page = await browser.get("/items", domain="test.example")
        page = await browser.send(page.form("Remove …"))
        assert page.path == "/items?domain=test.example"
        assert "No message was chosen: tick those that are meant." in page.text


async def test_sending_back_tells_the_sender_in_our_words(office: Office) -> None:
    """By a notice, that has them."""
    async with logged_in(office) as browser:
        message = await office.mail()
        page = await browser.get(CHANGE, verb="bounce", which="chosen", item=first(message))
        assert "Who has sent it is told, by a notice for each message" in page.text
        page = await browser.send(page.form("Send back 1 message"), text="closed for the <winter>")
        assert main_of(page).startswith("1 message was sent back.")
        [fact] = [fact for fact in office.facts if isinstance(fact, ItemReturned)]
        assert (fact.reason, fact.by) == ("closed for the <winter>", "127.0.0.1 user:test")
        [notice] = await office.spool.listing(Filter())
        assert notice.domain == "far.example"


async def test_redirecting_asks_where_and_takes_what_can_be(office: Office) -> None:
    """What cannot be at all is refused in the form; a user who is not on a domain's list stays where he was."""
    async with logged_in(office) as browser:
        message = await office.mail("anna@test.example")
        page = await browser.follow(await browser.get(f"/items/{write_message_id(message)}"), "Redirect …")
        for where, status, why in (
            ("bert@theirs.example", 422, "mail can be sent to your own domains"),
            ("nobody@localtest.example", 422, "no such user here"),
            ("a b", 422, "a b"),
        ):
            page = await browser.send(page.form("Go on …"), where=where)
            assert (page.status, why in page.text) == (status, True), page.text
            assert dict(page.form("Go on …").given)["where"] == where
        page = await browser.send(page.form("Go on …"), where="@listed.example")
        assert "It waits for the same local parts of listed.example then, and no more for whom it waits" in page.text
        assert [item.domain for item in await office.spool.listing(Filter())] == ["test.example"]
        page = await browser.send(page.form("Redirect 1 message"))
        assert page.path == f"/items/{write_message_id(message)}"
        assert "Nothing was changed." in page.text
        assert "anna@listed.example: no such user here" in page.text
        page = await browser.follow(page, "Redirect …")
        page = await browser.send(page.form("Go on …"), where="bert@listed.example")
        page = await browser.send(page.form("Redirect 1 message"))
        assert "1 message was redirected." in page.text
    [fact] = [fact for fact in office.facts if isinstance(fact, ItemRedirected)]
    assert fact.recipients == ("bert@listed.example",)


async def test_only_one_s_own_is_changed(office: Office) -> None:
    """What is somebody else's is as what is not there."""
    async with logged_in(office) as browser:
        theirs, mine = await office.mail("x@theirs.example"), await office.mail()
        page = await browser.get(CHANGE, verb="remove", which="chosen", item=first(theirs))
        assert "There is nothing to change" in page.text
        assert f"{first(theirs)} is not here any more" in page.text
        page = await browser.get(CHANGE, verb="remove", which="all")
        form = page.form("Remove 1 message")
        form.given = [(name, "chosen" if name == "which" else value) for name, value in form.given]
        form.given.append(("item", first(theirs)))  # as nobody can who fills in our form
        page = await browser.send(form)
        assert "Nothing was changed." in page.text
        assert await states(office, theirs, mine) == [ItemState.WAITING] * 2


async def test_only_our_own_form_does_anything(office: Office) -> None:
    """Not a link, not a form of another page, not one without its proof."""
    async with logged_in(office) as browser:
        message = await office.mail()
        sent = {"verb": "remove", "which": "chosen", "item": first(message)}
        for origin, proof, status in (("http://evil.example", "", 403), (None, "", 403), (None, "x" * 43, 403)):
            headers = {"Origin": origin} if origin else {}
            answer = await browser.client.post(CHANGE, data={**sent, "form": proof}, headers=headers)
            assert answer.status_code == status
        assert (await browser.get(CHANGE, **sent, then="0", confirmed="1")).status == 200
        assert await states(office, message) == [ItemState.WAITING]


async def test_an_order_that_makes_no_sense_is_refused(office: Office) -> None:
    """And does nothing."""
    async with logged_in(office) as browser:
        message = await office.mail()
        for query in (
            {"verb": "burn", "which": "all"},
            {"which": "all"},
            {"verb": "remove"},
            {"verb": "remove", "which": "all", "text": "x"},
            {"verb": "bounce", "which": "all", "text": "a\r\nb"},
            {"verb": "bounce", "which": "all", "text": "x" * 501},
            {"verb": "freeze", "which": "all", "where": "@test.example"},
        ):
            page = await browser.get(CHANGE, **query)
            assert (page.status, page.forms[1:]) == (422, []), query
        too_many = "&".join(f"item={number}" for number in range(101))
        assert (await browser.get(f"{CHANGE}?verb=freeze&which=chosen&{too_many}")).status == 422
        assert await states(office, message) == [ItemState.WAITING]
