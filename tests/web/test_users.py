"""`/api/users`, `/api/statistics`, and tokens: who there is, how much there is, and who has shown a token."""

from __future__ import annotations

import contextlib
import io
import json
import time
from pathlib import Path
from typing import Any

import pytest
from tests.web.office import CONTENT, HASH, ROOT, Office, serving

from restante.config.tokens import add_token, revoke_tokens
from restante.facts import LoginRefused
from restante.logins.guesses import GuessLimits
from restante.logins.passwords import verify
from restante.logins.tokens import new_token
from restante.model import item_id
from restante.observe import log
from restante.store.book import open_book

KEPT = "/api/users/Kept"
FINGERPRINT = "ab" * 32
PASSWORD = "two barrels of fuel"


def row(office: Office, name: str = "kept") -> Any:
    """What the store has of a user."""
    with contextlib.closing(open_book(office.data)) as book:
        found = book.row("users", name)
    return None if found is None else json.loads(found)


def put_row(office: Office, kind: str, name: str, value: Any) -> None:
    """The store has that, in force."""
    with contextlib.closing(open_book(office.data)) as book:
        book.put(kind, [(name, json.dumps(value))])
    office.read_store()


def token_of(office: Office, name: str, expires: float | None = None) -> dict[str, str]:
    """The field of a new token that is in force."""
    text, token = new_token(name, expires)
    with contextlib.closing(open_book(office.data)) as book:
        add_token(book, name, token, 0.0)
    office.read_store()
    return {"Authorization": f"Bearer {text}"}


async def test_users_are_told_without_their_secrets(tmp_path: Path) -> None:
    """Those of the store, too."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        with contextlib.closing(open_book(office.data)) as book:
            book.put("users", [("kept", f'{{"secret": "{"s" * 20}"}}')])
        token_of(office, "test")
        listed = await client.get("/api/users", params={"limit": 3})
        assert [user["name"] for user in listed.json()["users"]] == ["kept", "root", "stranger"]
        assert listed.json()["next"] == "stranger"
        last = await client.get("/api/users", params={"after": "stranger"})
        assert last.json() == {
            "users": [
                {
                    "name": "test",
                    "admin": False,
                    "domains": [
                        "listed.example",
                        "localtest.example",
                        "other.example",
                        "sends.example",
                        "test.example",
                    ],
                    "logs_in_with": ["password"],
                    "certificates": [],
                    "tokens": 1,
                    "where": "file",
                }
            ],
            "next": None,
        }
        kept = await client.get("/api/users/KEPT")
        assert (kept.json()["logs_in_with"], kept.json()["where"]) == (["cram-md5"], "store")
        assert (await client.get("/api/users/nobody")).status_code == 404
        for answer in (listed, last, kept):
            assert HASH not in answer.text
            assert "s" * 20 not in answer.text


async def test_a_token_is_its_user(tmp_path: Path) -> None:
    """Until it expires or is revoked; another's, or half of one, is nobody's."""
    async with serving(tmp_path, limits=GuessLimits(delay=0.0)) as office, office.client(None) as client:
        good = token_of(office, "test", time.time() + 3600)
        expired = token_of(office, "test", time.time() - 1)
        assert (await client.get("/api/items", headers=good)).status_code == 200
        assert (await client.get("/api/users", headers=good)).status_code == 403
        assert (await client.get("/api/users", headers=token_of(office, "root"))).status_code == 200
        strange, _ = new_token("test", None)
        wrong = [expired, {"Authorization": f"Bearer {strange}"}, {"Authorization": good["Authorization"][:-8]}]
        for field in wrong:
            answer = await client.get("/api/items", headers=field)
            assert answer.status_code == 401, field
            assert "Bearer" in answer.headers["www-authenticate"]
        with contextlib.closing(open_book(office.data)) as book:
            revoke_tokens(book, "test")
        office.read_store()
        assert (await client.get("/api/items", headers=good)).status_code == 401
        assert {fact.login for fact in office.facts if isinstance(fact, LoginRefused)} >= {"test"}


async def test_wrong_tokens_are_bounded_and_lock_no_password_out(tmp_path: Path) -> None:
    """A job with an old token must not keep its user from logging in."""
    async with serving(tmp_path, limits=GuessLimits(pair=2, delay=0.0)) as office, office.client(None) as client:
        strange = {"Authorization": f"Bearer {new_token('test', None)[0]}"}
        statuses = [(await client.get("/api/items", headers=strange)).status_code for _ in range(3)]
        assert statuses == [401, 401, 429]
        async with office.client() as same:
            assert (await same.get("/api/items")).status_code == 200


async def test_statistics_are_of_what_one_sees(tmp_path: Path) -> None:
    """Totals of the whole host are for administrators."""
    async with serving(tmp_path) as office, office.client() as client, office.client(ROOT) as root:
        office.totals = {("messages_accepted",): 3.0, ("item_outcomes", "delivered"): 2.0}
        message = await office.mail()
        await office.mail()
        await office.mail("x@theirs.example")
        await office.spool.freeze([item_id(message, 1)])
        mine = (await client.get("/api/statistics")).json()
        assert (mine["waiting"]["domains"], mine["waiting"]["items"], mine["totals"]) == (1, 1, [])
        assert (mine["stopped"]["items"], mine["stopped"]["octets"]) == (1, len(CONTENT))
        every = (await root.get("/api/statistics")).json()
        assert (every["waiting"]["domains"], every["waiting"]["items"]) == (2, 2)
        assert every["totals"] == [
            {"name": "messages_accepted", "labels": {}, "value": 3.0},
            {"name": "item_outcomes", "labels": {"outcome": "delivered"}, "value": 2.0},
        ]


async def test_a_user_is_kept_replaced_and_removed(tmp_path: Path) -> None:
    """With its tokens; each may be said twice."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        body = {"domains": ["Kept.example"], "certificates": [FINGERPRINT], "password": PASSWORD}
        answers = [await client.put(KEPT, json=body) for _ in range(2)]
        assert [(answer.status_code, answer.json()) for answer in answers] == [
            (201, {"user": "kept"}),
            (200, {"user": "kept"}),
        ]
        first = row(office)
        assert verify(first["password"], PASSWORD)
        assert first.keys() == {"password", "scram", "domains", "certificates"}
        office.read_store()
        async with office.client(("kept", PASSWORD)) as own:
            assert (await own.get("/api/users")).status_code == 403
            assert (await client.put(KEPT, json={"admin": True})).status_code == 200
            assert row(office) == {"password": first["password"], "scram": first["scram"], "admin": True}
            office.read_store()
            shown = (await own.get(KEPT)).json()
        assert (shown["logs_in_with"], shown["where"], shown["domains"]) == (["password", "scram"], "store", [])
        token_of(office, "kept")
        assert [(await client.delete(KEPT)).status_code for _ in range(2)] == [204, 404]
        with contextlib.closing(open_book(office.data)) as book:
            assert book.row("users", "kept") is book.row("tokens", "kept") is None


async def test_what_it_logs_in_with_stays_without_a_password(tmp_path: Path) -> None:
    """Also what only the command line can write: a secret, and the file that has it."""
    (tmp_path / "secret").write_text("s" * 20)
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        for proofs in ({"secret": "t" * 20, "password": HASH}, {"secret_file": "secret"}):
            put_row(office, "users", "kept", proofs | {"domains": ["kept.example"]})
            assert (await client.put(KEPT, json={"certificates": [FINGERPRINT]})).status_code == 200
            assert row(office) == proofs | {"certificates": [FINGERPRINT]}
        assert (await client.put(KEPT, json={"password": PASSWORD})).status_code == 200
        assert row(office).keys() == {"secret_file", "password", "scram"}


async def test_a_password_is_told_nowhere(tmp_path: Path) -> None:
    """Neither in an answer nor in the log, nor in the store but as hashes; who did it is told."""
    said = io.StringIO()
    log.configure(said)
    try:
        async with serving(tmp_path) as office, office.client(ROOT) as client:
            texts = [(await client.put(KEPT, json={"password": PASSWORD, **more})).text for more in ({}, {"x": 1})]
            texts.append((await client.put(KEPT, json={"password": [PASSWORD]})).text)
            texts.append((await client.put(KEPT, json={"password": PASSWORD + "\0"})).text)
            texts.append((await client.put(KEPT, json={"password": PASSWORD, "domains": ["a b"]})).text)
            await client.delete(KEPT)
            database = b"".join(file.read_bytes() for file in office.data.glob("directory.db*"))
        assert not [text for text in [*texts, said.getvalue()] if PASSWORD in text]
        assert PASSWORD.encode() not in database
        assert 'user kept user=kept by="127.0.0.1 user:root"' in said.getvalue()
        assert 'user removed user=kept by="127.0.0.1 user:root"' in said.getvalue()
    finally:
        log.configure()


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"password": ""}, "the password is empty"),
        ({"password": "a\0b"}, "characters that no password may have"),
        ({"password": "\ud800"}, "characters that no password may have"),
        ({"password": "x" * 5000}, "the password is longer than"),
        ({"domains": ["a b"]}, "domains[0]"),
        ({"domains": "kept.example"}, "valid list"),
        ({"certificates": ["zz"]}, "certificates[0]"),
        ({"certificates": ["\ud800"]}, "not Unicode"),
        ({"admin": "yes"}, "valid boolean"),
        ({"admin": True}, "found nothing, allowed: one of password, scram, secret"),
        ({"secret_file": "/etc/passwd"}, "Extra inputs"),
        ({"scram": "SCRAM-SHA-256$"}, "Extra inputs"),
    ],
    ids=repr,
)
async def test_what_is_no_user_is_not_kept(tmp_path: Path, body: dict[str, Any], said: str) -> None:
    """By the checks of the file, and nothing that a hash should have been made of here."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        sent = json.dumps(body).encode()
        answer = await client.put(KEPT, content=sent, headers={"Content-Type": "application/json"})
        assert (answer.status_code, said in answer.text) == (422, True), answer.text
        assert (await client.put("/api/users/a b", json={})).status_code == 422
        assert (await client.delete("/api/users/a b")).status_code == 404
        assert row(office) is None


async def test_users_of_the_configuration_are_changed_there(tmp_path: Path) -> None:
    """409 for both, and nothing of it in the store."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        for answer in (
            await client.put("/api/users/TEST", json={"admin": True, "password": PASSWORD}),
            await client.delete("/api/users/test"),
        ):
            assert answer.status_code == 409
            assert answer.json()["detail"] == "the configuration has test, and wins over the store"
        assert row(office, "test") is None


async def test_a_user_whom_a_domain_names_stays(tmp_path: Path) -> None:
    """Without it the domain would not be in order, and its mail would be refused."""
    async with serving(tmp_path) as office, office.client(ROOT) as client:
        put_row(office, "users", "kept", {"password": HASH})
        table = {"action": "hold", "next_hop": "192.0.2.40", "release_from": ["user:kept"]}
        put_row(office, "domains", "named.example", table)
        answer = await client.delete(KEPT)
        assert answer.status_code == 409
        assert answer.json()["detail"] == "kept may release named.example: change release_from there first"
        assert row(office) is not None
