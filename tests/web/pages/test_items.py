"""`/items`: what waits, item by item, with a filter, a page at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.web.office import CONTENT, ROOT, serving
from tests.web.pages.browsing import Page, logged_in

from restante.model import MessageId, item_id, write_item_id


def first(message: MessageId) -> str:
    """The id of a message's first item."""
    return write_item_id(item_id(message, 1))


def ids(page: Page) -> list[str]:
    """The items that a page has."""
    return [words for words, where in page.links.items() if where == f"/items/{words}"]


async def test_what_waits_is_listed_with_all_that_is_known_of_it(tmp_path: Path) -> None:
    """Who it is for and from, how large, how old, its state, and why it waits."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/items")
        assert page.title.startswith("Messages")
        assert "No message waits." in page.text
        one = await office.mail("anna@test.example", "bert@test.example")
        two = await office.mail("x@theirs.example", content=CONTENT + b"x" * 2000)
        await office.spool.freeze([item_id(two, 1)])
        page = await browser.get("/items")
        assert ids(page) == [first(one), first(two)]
        for words in (
            f"test.example <carla@far.example> → anna@test.example, bert@test.example {len(CONTENT)} octets 1 h",
            "theirs.example <carla@far.example> → x@theirs.example 2.1 kB 1 h",
            "frozen",
            "2 messages on this page",
        ):
            assert words in page.text, words


async def test_filters_go_together_and_stay_in_the_form(tmp_path: Path) -> None:
    """With units as in the configuration."""
    async with serving(tmp_path) as office, logged_in(office) as browser:
        one = await office.mail("anna@test.example", sender="ann@a.example")
        two = await office.mail("bert@listed.example", content=CONTENT + b"x" * 2000)
        three = await office.mail("anna@test.example")
        await office.spool.freeze([item_id(three, 1)])
        page = await browser.get("/items")
        for filled, wanted in (
            ({"domain": "TEST.example "}, [one, three]),
            ({"from_": "@a.example"}, [one]),
            ({"to": "bert@listed.example"}, [two]),
            ({"state": "frozen"}, [three]),
            ({"older": "30 m"}, [one, two, three]),
            ({"older": "2h"}, []),
            ({"larger": "1kB"}, [two]),
            ({"larger": "1MB"}, []),
            ({"id": first(two)}, [two]),
            ({"domain": "test.example", "state": "waiting", "older": "1m", "larger": "1"}, [one]),
        ):
            shown = await browser.send(page.form("Show"), **filled)
            assert ids(shown) == [first(message) for message in wanted], filled
            stayed = dict(shown.form("Show").given)
            assert {name: stayed[name] for name, _ in (p for p in stayed.items() if p[1])} == {
                name.removesuffix("_"): text.strip() for name, text in filled.items()
            }


NO_SENSE = (
    ("domain", "a b", "a b"),
    ("from", "anna", "anna"),
    ("to", "a<script>alert(1)</script>", "a<script>alert(1)</script"),
    ("state", "lost", "'lost' is none of waiting"),
    ("older", "5", "'5' is not a duration such as 30s, 10m"),
    ("older", "-1m", "'-1m' is not a duration"),
    ("larger", "1 barrel", "'1barrel' is not a size such as 512KB"),
    ("id", "0", "0"),
)


async def test_a_filter_that_makes_no_sense_is_said_beside_it(tmp_path: Path) -> None:
    """The form is there as it was filled in, nothing is listed, and nothing is done with what is so."""
    async with serving(tmp_path) as office, logged_in(office) as browser:
        await office.mail()
        for name, text, why in NO_SENSE:
            page = await browser.get("/items", **{name: text})
            assert page.status == 422
            assert why in page.text
            assert "<script>alert" not in page.html
            assert name == "state" or dict(page.form("Show").given)[name] == text
            assert ids(page) == []
            page = await browser.get("/items/change", verb="remove", which="all", **{name: text})
            assert page.status == 422


async def test_a_long_queue_is_read_a_page_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the oldest on; what has left meanwhile takes nothing with it."""
    monkeypatch.setattr("restante.web.pages.items.AT_ONCE", 2)
    async with serving(tmp_path) as office, logged_in(office) as browser:
        messages = [await office.mail(f"u{number}@test.example") for number in range(5)]
        page = await browser.get("/items", domain="test.example")
        assert ids(page) == [first(message) for message in messages[:2]]
        await office.spool.remove([item_id(messages[1], 1)])
        page = await browser.follow(page, "Younger messages")
        assert ids(page) == [first(message) for message in messages[2:4]]
        page = await browser.follow(page, "Younger messages")
        assert ids(page) == [first(messages[4])]
        assert "Younger messages" not in page.links
        page = await browser.follow(page, "Back to the oldest")
        assert (page.path, ids(page)[0]) == ("/items?domain=test.example", first(messages[0]))


async def test_a_page_looks_at_so_many_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is behind them is found by going on, also where a page has found nothing."""
    monkeypatch.setattr("restante.web.items.LOOK", 2)
    monkeypatch.setattr("restante.web.pages.items.LOOK", 2)
    monkeypatch.setattr("restante.admin.protocol.PAGE", 2)
    async with serving(tmp_path) as office, logged_in(office) as browser:
        messages = [await office.mail(f"u{number}@test.example") for number in range(5)]
        page = await browser.get("/items", to="u4@test.example")
        assert ids(page) == []
        assert "None is so among the 2 messages that were looked at; there are more behind them." in page.text
        page = await browser.follow(await browser.follow(page, "Look further"), "Look further")
        assert ids(page) == [first(messages[4])]
        assert "Look further" not in page.links


async def test_a_site_s_user_sees_his_own(tmp_path: Path) -> None:
    """Of a message that others get, too, his item alone; nothing of domains of others, or that he only sends from."""
    async with serving(tmp_path) as office, logged_in(office) as browser:
        both = await office.mail("x@theirs.example", "anna@test.example", "bert@sends.example")
        await office.mail("x@theirs.example")
        page = await browser.get("/items")
        assert ids(page) == [write_item_id(item_id(both, 2))]
        assert "theirs.example" not in page.html
        assert ids(await browser.get("/items", domain="theirs.example")) == []


async def test_what_a_peer_has_written_is_text(tmp_path: Path) -> None:
    """No markup; and nothing that a filter says is any."""
    async with serving(tmp_path) as office, logged_in(office) as browser:
        await office.mail('"<img src=x onerror=alert(1)>"@test.example', sender='"</bdi><img>"@far.example')
        page = await browser.get("/items", to='"<img src=x onerror=alert(1)>"@test.example')
        assert "<img" not in page.html
        assert page.html.count("</bdi>") == page.html.count("<bdi>")
        assert '"<img src=x onerror=alert(1)>"@test.example' in page.text
