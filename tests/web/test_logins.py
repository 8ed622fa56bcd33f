"""Who may ask: the users of this host, by HTTP Basic, where nobody can listen; guessing is slowed as at AUTH."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from fastapi import Request
from tests.web.office import LOGIN, PASSWORD, PATH, serving

from restante.clock import SystemClock
from restante.directory.entries import Directory
from restante.facts import LoginRefused
from restante.logins.check import Logins
from restante.logins.guesses import GuessLimits
from restante.web.logins import CHALLENGE, Porter
from restante.web.problems import Problem

NOBODY = (
    b'{"title": "Unauthorized", "status": 401, "detail": "a user of this host and the password, or a token, please"}'
)


def basic(text: str) -> str:
    """An Authorization field."""
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    "field",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic " + base64.b64encode(b"\xff\xfe").decode(),
        "Basic " + base64.b64encode(b"\xff:\xff").decode(),
        "Bearer abc",
        basic(f"test{PASSWORD}"),
        basic("test:"),
        basic(f":{PASSWORD}"),
        basic(f"test\0{PASSWORD}:{PASSWORD}"),
        basic(f"test:{PASSWORD}\0"),
        basic(f"stranger\0test:{PASSWORD}"),
        basic(f"test:{PASSWORD}\r\nX-Evil: yes"),
        basic("test:" + "x" * 5000),
    ],
    ids=ascii,
)
async def test_who_shows_no_password_of_a_user_is_nobody(tmp_path: Path, field: str | None) -> None:
    """401, the same octets for all, and how to show one (RFC 7617)."""
    async with serving(tmp_path) as office, office.client(None) as client:
        answer = await client.get(PATH, headers={"Authorization": field} if field is not None else {})
        assert (answer.status_code, answer.content) == (401, NOBODY)
        assert answer.headers["www-authenticate"] == CHALLENGE
        assert "x-evil" not in answer.headers


async def test_a_name_is_taken_in_any_case(tmp_path: Path) -> None:
    """As at AUTH; a wrong password and an unknown user look alike, and both are in the log."""
    async with serving(tmp_path) as office, office.client(("Test", PASSWORD)) as client:
        assert (await client.get(PATH)).status_code == 200
        for login in (("test", "wrong"), ("nobody", "wrong")):
            answer = await client.get(PATH, auth=login)
            assert (answer.status_code, answer.content) == (401, NOBODY)
        assert [fact.login for fact in office.facts if isinstance(fact, LoginRefused)] == ["test", "nobody"]


async def test_guessing_is_bounded(tmp_path: Path) -> None:
    """After so many failures not even the right password is looked at, for some time."""
    limits = GuessLimits(pair=2, delay=0.0)
    async with serving(tmp_path, limits=limits) as office, office.client() as client:
        statuses = [(await client.get(PATH, auth=("test", f"guess{n}"))).status_code for n in range(3)]
        assert statuses == [401, 401, 429]
        answer = await client.get(PATH, auth=LOGIN)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


async def test_nothing_of_a_body_is_read_for_nobody(tmp_path: Path) -> None:
    """The answer comes though not one octet of the body has."""
    async with serving(tmp_path) as office:
        head = f"PUT {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 8000000\r\n"
        head += "Content-Type: application/json\r\n"
        assert (await office.says(f"{head}\r\n".encode())).startswith(b"HTTP/1.1 401 ")
        wrong = f"{head}Authorization: {basic('test:wrong')}\r\n\r\n"
        assert (await office.says(wrong.encode())).startswith(b"HTTP/1.1 401 ")
        others = f"{head}Authorization: {basic(':'.join(LOGIN))}\r\n\r\n".replace("test.example", "theirs.example")
        assert (await office.says(others.encode())).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("scheme", "address", "status"),
    [("http", "192.0.2.7", 403), ("https", "192.0.2.7", 401), ("http", "127.0.0.1", 401), ("http", "2001:db8::1", 403)],
)
async def test_a_password_is_taken_where_nobody_can_listen(scheme: str, address: str, status: int) -> None:
    """Over TLS, or from this very host; in clear it is not even compared."""
    directory = Directory("office.example", ())
    logins = Logins(lambda: directory, SystemClock(), b"k" * 32, GuessLimits(delay=0.0))
    scope = {
        "type": "http",
        "scheme": scheme,
        "client": (address, 1),
        "server": ("192.0.2.1", 8025),
        "method": "GET",
        "path": PATH,
        "query_string": b"",
        "headers": [(b"authorization", basic(f"test:{PASSWORD}").encode())],
    }
    with pytest.raises(Problem) as caught:
        await Porter(logins, lambda _: None).admit(Request(scope))
    logins.close()
    assert caught.value.status_code == status
