"""`/api/items`: a page of what waits, one message with its header section, and what is done with items."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.web.office import CONTENT, ROOT, Office, serving

from restante.facts import ItemChanged, ItemRedirected, ItemReturned
from restante.model import ItemState, MessageId, item_id, write_item_id, write_message_id
from restante.spool.spool import Filter

ITEMS = "/api/items"


def first(message: MessageId) -> str:
    """The id of a message's first item."""
    return write_item_id(item_id(message, 1))


async def ids(client: httpx2.AsyncClient, **params: Any) -> list[str]:
    """The items that a listing has."""
    answer = await client.get(ITEMS, params=params)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["items"]]


async def state(office: Office, message: MessageId) -> ItemState | None:
    """How a message's first item stands; None: it is gone."""
    found = await office.spool.listing(Filter(ids=(message,)))
    return found[0].state if found else None


async def test_what_waits_is_listed_with_its_envelopes(tmp_path: Path) -> None:
    """In order of arrival, a page at a time."""
    async with serving(tmp_path) as office, office.client() as client:
        messages = [await office.mail(f"u{number}@test.example") for number in range(5)]
        answer = (await client.get(ITEMS, params={"limit": 2})).json()
        assert [item["id"] for item in answer["items"]] == [first(messages[0]), first(messages[1])]
        assert answer["items"][0] | {"arrived": 0.0} == {
            "id": first(messages[0]),
            "domain": "test.example",
            "state": "waiting",
            "size": len(CONTENT),
            "arrived": 0.0,
            "priority": 0,
            "attempts": 0,
            "next_attempt": 0.0,
            "reverse_path": "<carla@far.example>",
            "recipients": ["u0@test.example"],
            "recipients_total": 1,
            "detail": "",
        }
        assert await ids(client, after=answer["next"]) == [first(message) for message in messages[2:]]


async def test_filters_go_together(tmp_path: Path) -> None:
    """Domain, sender, recipient, state, age, size, id."""
    async with serving(tmp_path) as office, office.client() as client:
        one = await office.mail("anna@test.example", sender="ann@a.example")
        two = await office.mail("bert@listed.example", content=CONTENT + b"x" * 1000)
        three = await office.mail("anna@test.example")
        await office.spool.freeze([item_id(three, 1)])
        for params, wanted in (
            ({"domain": "TEST.example"}, [one, three]),
            ({"from": "@a.example"}, [one]),
            ({"to": "bert@listed.example"}, [two]),
            ({"state": "frozen"}, [three]),
            ({"state": "frozen", "to": "bert@listed.example"}, []),
            ({"older": 3000}, [one, two, three]),
            ({"older": 4000}, []),
            ({"larger": len(CONTENT)}, [two]),
            ({"id": write_message_id(two)}, [two]),
            ({"id": first(one), "domain": "listed.example"}, []),
        ):
            assert await ids(client, **params) == [first(message) for message in wanted], params


@pytest.mark.parametrize(
    "params",
    [
        {"domain": "a b"},
        {"from": "anna"},
        {"state": "lost"},
        {"older": "-1"},
        {"older": "nan"},
        {"larger": "1e3"},
        {"limit": 0},
        {"limit": 1001},
        {"after": "x"},
        {"id": "0"},
        {"unknown": "1"},
    ],
    ids=str,
)
async def test_a_filter_that_makes_no_sense_is_a_problem(tmp_path: Path, params: dict[str, str]) -> None:
    """422, and which it is."""
    async with serving(tmp_path) as office, office.client() as client:
        answer = await client.get(ITEMS, params=params)
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


async def test_a_message_is_shown_with_its_header_section(tmp_path: Path) -> None:
    """As text, whatever it is; of a message with items of others' domains, one's own alone."""
    content = b"Subject: <script>alert(1)</script>\r\nX: \xff\x00\r\n\r\nTwo barrels.\r\n"
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail("anna@test.example", "x@theirs.example", content=content)
        for identifier in (write_message_id(message), first(message)):
            answer = await client.get(f"{ITEMS}/{identifier}")
            assert answer.headers["content-type"] == "application/json"
            shown = answer.json()
            assert shown["headers"] == "Subject: <script>alert(1)</script>\r\nX: \ufffd\x00\r\n"
            assert [one["item"]["domain"] for one in shown["items"]] == ["test.example"]
            assert shown["items"][0]["recipients"] == [{"mailbox": "anna@test.example", "notify": None, "orcpt": None}]
        async with office.client(ROOT) as root:
            assert len((await root.get(f"{ITEMS}/{write_message_id(message)}")).json()["items"]) == 2


async def test_items_are_stopped_let_go_and_removed(tmp_path: Path) -> None:
    """Each is so once, and stays so when it is asked again; the log says who it was."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        for verb, counts, now in (
            ("freeze", (1, 0), ItemState.FROZEN),
            ("freeze", (0, 1), ItemState.FROZEN),
            ("thaw", (1, 0), ItemState.WAITING),
            ("remove", (1, 0), None),
        ):
            answer = await client.post(f"{ITEMS}/{first(message)}:{verb}")
            assert answer.status_code == 200, answer.text
            assert (answer.json()["changed"], answer.json()["already"]) == counts
            assert await state(office, message) == now
        assert (await client.post(f"{ITEMS}/{first(message)}:remove")).status_code == 404
        changes = [fact for fact in office.facts if isinstance(fact, ItemChanged)]
        assert [(fact.verb, fact.domain, fact.by) for fact in changes] == [
            (verb, "test.example", "127.0.0.1 user:test") for verb in ("freeze", "thaw", "remove")
        ]


async def test_an_item_on_its_way_is_left(tmp_path: Path) -> None:
    """409, and why."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        await office.spool.lend([item_id(message, 1)])
        answer = await client.post(f"{ITEMS}/{first(message)}:remove")
        assert (answer.status_code, answer.json()["errors"][0]["detail"]) == (409, f"{first(message)} is on its way")
        assert await state(office, message) is ItemState.CLAIMED
        office.spool.give_back([item_id(message, 1)])


async def test_an_item_is_sent_back_with_words(tmp_path: Path) -> None:
    """Its sender gets a notice of them."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        answer = await client.post(f"{ITEMS}/{first(message)}:bounce", json={"text": "closed for the winter"})
        assert answer.json()["changed"] == 1
        [fact] = [fact for fact in office.facts if isinstance(fact, ItemReturned)]
        assert (fact.reason, fact.by) == ("closed for the winter", "127.0.0.1 user:test")
        [notice] = await office.spool.listing(Filter())
        assert notice.domain == "far.example"


async def test_an_item_is_sent_elsewhere_among_ones_own_domains(tmp_path: Path) -> None:
    """Anywhere that this host has a way to, for administrators."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        path = f"{ITEMS}/{first(message)}:redirect"
        assert (await client.post(path, json={"where": "bert@theirs.example"})).status_code == 403
        assert (await client.post(path, json={"where": "bert@unknown.example"})).status_code == 403
        assert (await client.post(path, json={"where": "nobody@localtest.example"})).status_code == 409
        assert (await client.post(path, json={})).status_code == 422
        assert (await client.post(path, json={"where": "bert@listed.example"})).json()["changed"] == 1
        async with office.client(ROOT) as root:
            assert (await root.post(path, json={"where": "@theirs.example"})).json()["changed"] == 1
        facts = [fact for fact in office.facts if isinstance(fact, ItemRedirected)]
        assert [fact.recipients for fact in facts] == [("bert@listed.example",), ("bert@theirs.example",)]


async def test_a_manner_that_does_not_go_with_the_verb_is_a_problem(tmp_path: Path) -> None:
    """Nothing is done with what somebody has probably not meant."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        for verb, body in (
            ("remove", {"text": "away"}),
            ("bounce", {"where": "anna@test.example"}),
            ("bounce", {"text": "a\r\nb"}),
            ("bounce", {"text": "a\0b"}),
            ("bounce", {"text": "a\u2028b"}),
            ("bounce", {"text": "x" * 501}),
            ("redirect", {"where": "anna@test.example\r\nRCPT TO:<x@far.example>"}),
            ("burn", {}),
            ("freeze", {"unknown": 1}),
            ("freeze", []),
        ):
            answer = await client.post(f"{ITEMS}/{first(message)}:{verb}", json=body)
            assert answer.status_code == 422, (verb, body, answer.text)
        assert await state(office, message) is ItemState.WAITING


async def test_all_that_are_as_said_are_changed(tmp_path: Path) -> None:
    """A dry run tells which, and does nothing; only what is the asker's is meant."""
    async with serving(tmp_path) as office, office.client() as client:
        mine = [await office.mail(f"u{number}@test.example") for number in range(3)]
        theirs = await office.mail("x@theirs.example")
        await office.spool.freeze([item_id(mine[0], 1)])
        dry = (await client.post(f"{ITEMS}:freeze", json={"all": True, "dry_run": True})).json()
        assert dry == {
            "dry_run": True,
            "changed": 2,
            "already": 1,
            "unchanged": 0,
            "ids": [first(mine[1]), first(mine[2])],
            "reasons": [],
        }
        assert await state(office, mine[1]) is ItemState.WAITING
        done = (await client.post(f"{ITEMS}:freeze", json={"all": True})).json()
        assert done == dry | {"dry_run": False}
        assert await state(office, theirs) is ItemState.WAITING
        assert (await client.post(f"{ITEMS}:remove", json={"to": "u2@test.example"})).json()["changed"] == 1
        assert (await client.post(f"{ITEMS}:remove", json={"domain": "theirs.example"})).json()["changed"] == 0
        assert [await state(office, message) for message in (*mine[1:], theirs)] == [
            ItemState.FROZEN,
            None,
            ItemState.WAITING,
        ]


async def test_nothing_said_means_nothing(tmp_path: Path) -> None:
    """A forgotten filter removes no mail."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        await office.mail()
        answer = await client.post(f"{ITEMS}:remove", json={})
        assert answer.status_code == 422
        assert "options that choose items" in answer.json()["detail"]
        assert len(await office.spool.listing(Filter())) == 1


async def test_a_page_looks_at_so_many_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a filter that few pass it has fewer than it may, and tells where to go on."""
    monkeypatch.setattr("restante.web.items.LOOK", 1)
    monkeypatch.setattr("restante.admin.protocol.PAGE", 2)
    async with serving(tmp_path) as office, office.client() as client:
        for number in range(5):
            await office.mail(f"u{number}@test.example")
        seen, after, pages = [], None, 0
        while pages == 0 or after:
            params = {"to": "u4@test.example", **({"after": after} if after else {})}
            answer = (await client.get(ITEMS, params=params)).json()
            seen += [item["recipients"] for item in answer["items"]]
            after, pages = answer["next"], pages + 1
        assert (seen, pages) == ([["u4@test.example"]], 3)
