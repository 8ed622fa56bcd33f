"""`/api/users`, `/api/statistics`, and tokens: who there is, how much there is, and who has shown a token."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from tests.web.office import CONTENT, HASH, ROOT, Office, serving

from restante.config.tokens import add_token, revoke_tokens
from restante.facts import LoginRefused
from restante.logins.guesses import GuessLimits
from restante.logins.tokens import new_token
from restante.model import item_id
from restante.store.book import open_book


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
