"""`/api/domains`: what waits for whom; and domains that administrators keep in the store."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import httpx2
import pytest
from tests.web.office import CONTENT, ROOT, Office, serving

from restante.config.recipients import KIND
from restante.model import item_id
from restante.store.book import open_book

DOMAINS = "/api/domains"
TABLE = {"action": "hold", "next_hop": "192.0.2.40", "release_from": ["user:test"]}


def row(office: Office, kind: str, name: str) -> Any:
    """What the store has."""
    with contextlib.closing(open_book(office.data)) as book:
        found = book.row(kind, name)
    return None if found is None else json.loads(found)


async def names(client: httpx2.AsyncClient, **params: Any) -> tuple[list[str], str | None]:
    """The names of a page, and where the next one begins."""
    answer = (await client.get(DOMAINS, params=params)).json()
    return [domain["domain"] for domain in answer["domains"]], answer["next"]


async def test_a_domain_is_told_with_what_waits(tmp_path: Path) -> None:
    """Its counters, what is done with it, and when its site was there."""
    async with serving(tmp_path) as office, office.client() as client:
        message = await office.mail()
        await office.mail()
        await office.spool.freeze([item_id(message, 1)])
        shown = (await client.get(f"{DOMAINS}/TEST.example")).json()
        arrived = office.clock.wall() - shown["oldest"]
        assert 3590 < arrived < 3900
        assert shown | {"oldest": None} == {
            "domain": "test.example",
            "action": "hold",
            "next_hop": "192.0.2.25:25",
            "items": 1,
            "octets": len(CONTENT),
            "oldest": None,
            "quota": None,
            "last_contact": 1_000_000.0,
            "next_contact": None,
            "where": "file",
            "table": None,
        }


async def test_a_quota_and_the_next_contact_are_told(tmp_path: Path) -> None:
    """What is frozen counts; contacts are expected as the configuration says."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        table = TABLE | {"quota_items": 4, "contact": ["0 3 * * *"]}
        assert (await client.put(f"{DOMAINS}/kept.example", json=table)).status_code == 201
        office.read_store()
        message = await office.mail("anna@kept.example")
        await office.spool.freeze([item_id(message, 1)])
        shown = (await client.get(f"{DOMAINS}/kept.example")).json()
        assert shown["quota"] == {
            "items": 1,
            "octets": len(CONTENT),
            "most_items": 4,
            "most_octets": None,
            "percent": 25,
        }
        assert 0 < shown["next_contact"] - office.clock.wall() <= 25 * 3600
        assert (shown["where"], shown["table"]) == ("store", table)


async def test_domains_come_in_order_a_page_at_a_time(tmp_path: Path) -> None:
    """Those of `*` with mail among them; who is no administrator sees his own, that mail is held or delivered for."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        await office.mail("x@far.example", "anna@test.example")
        own = ["listed.example", "localtest.example", "other.example", "test.example"]
        assert await names(client) == (own, None)
        assert await names(client, limit=2) == (own[:2], "localtest.example")
        assert await names(client, limit=2, after="localtest.example") == (own[2:], None)
        every = ["*", "far.example", "listed.example", "localtest.example", "sends.example"]
        every += ["test.example", "theirs.example"]
        assert await names(root) == (every, None)
        assert await names(root, limit=3, after="listed.example") == (every[3:6], "test.example")
        assert await names(root, waiting=True) == (["far.example", "test.example"], None)
        assert await names(client, waiting=True) == (["test.example"], None)


async def test_a_domain_is_kept_replaced_and_removed(tmp_path: Path) -> None:
    """With its list of recipients; each may be said twice."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        path = f"{DOMAINS}/Kept.example"
        assert [(await client.put(path, json=TABLE)).status_code for _ in range(2)] == [201, 200]
        assert row(office, "domains", "kept.example") == TABLE
        changed = {"action": "relay", "next_hop": "mx"}
        assert (await client.put(path, json=changed)).json() == {"domain": "kept.example"}
        assert row(office, "domains", "kept.example") == changed
        with contextlib.closing(open_book(office.data)) as book:
            book.put(KIND, [("kept.example", "[]")])
        assert (await client.delete(path)).status_code == 204
        assert row(office, "domains", "kept.example") is row(office, KIND, "kept.example") is None
        assert (await client.delete(path)).status_code == 404


async def test_what_the_configuration_has_is_changed_there(tmp_path: Path) -> None:
    """409 for both, and nothing of it in the store."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        for answer in (
            await client.put(f"{DOMAINS}/test.example", json=TABLE),
            await client.delete(f"{DOMAINS}/test.example"),
        ):
            assert answer.status_code == 409
            assert answer.json()["detail"] == "the configuration has test.example, and wins over the store"
        assert row(office, "domains", "test.example") is None


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "action: found nothing"),
        ({"action": "burn"}, "action: found 'burn'"),
        ({"action": "hold"}, "next_hop: found nothing"),
        ({"action": "hold", "next_hop": "192.0.2.1\r\n"}, "next_hop: found '192.0.2.1\\r\\n'"),
        ({"action": "hold", "next_hop": "192.0.2.1\0"}, "next_hop: found"),
        (TABLE | {"release_from": ["user:nobody"]}, "release_from"),
        (TABLE | {"x\r\ny\0": 1}, "unknown key"),
        (TABLE | {"quota_items": 10**400}, "quota_items"),
        (TABLE | {"recipients": "/etc/passwd"}, "names a file"),
        (TABLE | {"user": "u", "password_file": "/etc/passwd"}, "names a file"),
        ({"action": "reject", "text": "\ud800"}, "not Unicode"),
        ({"action": "hold", "next_hop": {"a": [1]}}, "next_hop: found a table"),
    ],
    ids=repr,
)
async def test_what_is_not_in_order_is_not_kept(tmp_path: Path, table: dict[str, Any], said: str) -> None:
    """By the checks of the file; and no key has this host read a file for who is far away."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        body = json.dumps(table).encode()
        answer = await client.put(f"{DOMAINS}/kept.example", content=body, headers={"Content-Type": "application/json"})
        assert answer.status_code == 422, answer.text
        assert said in json.dumps(answer.json(), ensure_ascii=False).replace("\\\\", "\\"), answer.text
        assert str(tmp_path) not in answer.text
        assert row(office, "domains", "kept.example") is None
