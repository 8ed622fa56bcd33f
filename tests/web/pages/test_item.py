"""`/items/{id}`: a message with its envelope, its header section, and what happened to it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.web.office import ROOT, Office, serving
from tests.web.pages.browsing import Page, logged_in

from restante.facts import ItemDeferred, ItemDelivered, ReleaseEnded, ReleaseStarted
from restante.model import (
    DeliverBy,
    DomainName,
    Envelope,
    ItemState,
    Mailbox,
    Recipient,
    item_id,
    write_item_id,
    write_message_id,
)
from restante.smtp.command import Body, Notify, Ret
from restante.smtp.wishes import ByMode
from restante.spool.spool import Arrival
from restante.web.items import Verb
from restante.web.pages.item import lines_of, verbs_for

TEST = DomainName("test.example")


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One."""
    async with serving(tmp_path) as office:
        yield office


def pre(page: Page) -> str:
    """The header section in a page, as one reads it."""
    return page.html.partition("<pre")[2].partition(">")[2].partition("</pre>")[0]


async def test_an_item_has_its_whole_envelope(office: Office) -> None:
    """What DSN asked for each recipient, and what goes with the message."""
    message, to = office.spool.new_id(), Mailbox.parse
    envelope = Envelope(
        to("carla@far.example"),
        (
            Recipient(to("anna@test.example"), (Notify.DELAY, Notify.FAILURE), "rfc822;info@far.example"),
            Recipient(to("bert@test.example")),
        ),
        body=Body.EIGHT_BIT,
        ret=Ret.HDRS,
        envid="QQ314159",
        requiretls=True,
        deliver_by=DeliverBy(office.clock.wall() + 3600, ByMode.RETURN),
    )
    await office.spool.accept(Arrival(message, b"Subject: x\r\n\r\n", 14, [(TEST, envelope)], office.clock.wall()))
    async with logged_in(office) as browser:
        text = (await browser.get(f"/items/{write_message_id(message)}")).text
    for words in (
        "State waiting",
        f"For test.example ({write_item_id(item_id(message, 1))})",
        "From <carla@far.example> To <anna@test.example> NOTIFY=DELAY,FAILURE ORCPT=rfc822;info@far.example",
        "<bert@test.example>",
        "14 octets",
        "Body 8BITMIME",
        "REQUIRETLS yes",
        "RET HDRS ENVID QQ314159",
        ", then it goes back",
    ):
        assert words in text, (words, text)


async def test_the_header_section_is_text(office: Office) -> None:
    """As it came, whatever it is, and no more of it than that; beside it what a reader would see."""
    content = (
        b"Subject: =?utf-8?B?PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==?=\r\n =?utf-8?Q?_=E2=80=AEsgip?=\r\n"
        b"From: =?iso-8859-1?Q?Andr=E9?= <andre@far.example>\r\n"
        b"X: </pre><script>ran=1</script>\r\n\tfolded \xe2\x80\xaeturned\x1b[31m\r\n\r\nTwo barrels.\r\n"
    )
    async with logged_in(office) as browser:
        message = await office.mail(content=content)
        page = await browser.get(f"/items/{write_message_id(message)}")
    assert "<script>" not in page.html.replace('<script src="', "")
    assert "\u202e" not in page.html
    assert "Subject <script>alert(1)</script> ?sgip From André <andre@far.example>" in page.text
    assert "X: &lt;/pre&gt;&lt;script&gt;ran=1&lt;/script&gt;" in pre(page)
    assert "    folded \\u202eturned\\x1b[31m" in pre(page)
    assert "Two barrels" not in page.html


async def test_a_message_is_read_from_its_arrival_to_now(office: Office) -> None:
    """What is remembered, and how far that reaches; with a link to each notice and release."""
    message = await office.mail()
    item = item_id(message, 1)
    async with logged_in(office) as browser:
        path = f"/items/{write_item_id(item)}"
        page = await browser.get(path)
        assert "it came as its record says" in page.text
        assert "This process remembers the last 5,000 things that happened here" in page.text
        for fact in (
            ReleaseStarted(7, "test.example", "operator", "192.0.2.25:25", 1, 100),
            ItemDeferred(item, TEST, 7, "192.0.2.25:25", 1, "451 4.2.1 <b>full</b>"),
            ReleaseEnded(7, "test.example", "operator", "192.0.2.25:25", 0, 1, 0, 1, 0, 1.25, ""),
        ):
            office.feed.announce(fact)
        page = await browser.get(path)
        assert "the message is older than that" in page.text
        history = page.text.partition("What happened to it")[2]
        places = [history.find(one) for one in ("it came", "release started", "item deferred", "release ended")]
        assert places == sorted(places)
        assert -1 not in places
        assert "reason 451 4.2.1 <b>full</b>" in history
        assert page.link("7") == "/releases/7"


async def test_a_message_that_has_left_has_its_history(office: Office) -> None:
    """For who saw it; for others, and once it is forgotten, there is none such."""
    message = await office.mail()
    item = item_id(message, 1)
    async with logged_in(office) as browser, logged_in(office, ("stranger", "tanstaaf")) as stranger:
        await office.spool.remove([item])
        path = f"/items/{write_item_id(item)}"
        assert (await browser.get(path)).status == 404
        office.feed.announce(ItemDelivered(item, TEST, 1, "192.0.2.25:25", 1, 100, "250 2.0.0 ok"))
        page = await browser.get(path)
        assert page.status == 200
        assert "It is not here any more." in page.text
        assert "reply 250 2.0.0 ok" in page.text
        assert (await stranger.get(path)).status == 404
        for wrong in ("0", "x", "%3Cscript%3E"):
            assert (await browser.get(f"/items/{wrong}")).status == 404


async def test_a_message_shows_all_its_items_to_who_sees_them(office: Office) -> None:
    """To a site's user his own, and nothing of the others."""
    message = await office.mail("anna@test.example", "x@theirs.example")
    async with logged_in(office) as browser, logged_in(office, ROOT) as root:
        path = f"/items/{write_message_id(message)}"
        page = await browser.get(path)
        assert "theirs.example" not in page.html
        assert (await browser.get(f"/items/{write_item_id(item_id(message, 2))}")).status == 404
        page = await root.get(path)
        assert "It waits for 2 domains, for each by itself." in page.text
        page = await root.follow(page, "Freeze …")
        assert page.title.startswith("Freeze 2 messages?")


def test_what_can_be_done_follows_from_the_state() -> None:
    """As the table of states has it."""
    assert verbs_for([ItemState.WAITING]) == [Verb.FREEZE, Verb.REMOVE, Verb.BOUNCE, Verb.REDIRECT]
    assert verbs_for([ItemState.FROZEN]) == [Verb.THAW, Verb.REMOVE, Verb.BOUNCE, Verb.REDIRECT]
    assert verbs_for([ItemState.CLAIMED]) == [Verb.FREEZE]
    assert verbs_for([ItemState.QUARANTINED]) == [Verb.REMOVE]
    assert verbs_for([ItemState.WAITING, ItemState.FROZEN]) == list(Verb)


@given(st.lists(st.text(st.characters(exclude_characters="\r\n"))))
def test_a_header_section_keeps_its_lines(lines: list[str]) -> None:
    """Each, in its order; tabs become spaces."""
    headers = "".join(f"{line}\r\n" for line in lines)
    assert lines_of(headers) == ([line.replace("\t", "    ") for line in lines] or [""])
