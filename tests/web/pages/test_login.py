"""Logging in with a browser, and what only the pages of this host may have it do: cookies, origins, forms, headers."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from tests.net.authority import Authority, Wish
from tests.stories.ports import free_port
from tests.web.office import PASSWORD, Office, serving

from restante.logins.guesses import GuessLimits
from restante.web.pages.login import _own_path


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """One on loopback, in clear."""
    async with serving(tmp_path) as office:
        yield office


def origin(office: Office) -> dict[str, str]:
    """What a browser says of where a form came from."""
    return {"Origin": f"http://{office.address}"}


def port_of(office: Office) -> str:
    """Of its pages."""
    return office.address.rpartition(":")[2]


async def log_in(client: httpx2.AsyncClient, name: str = "test", password: str = PASSWORD) -> httpx2.Response:
    """Sends the form."""
    return await client.post(
        "/login", data={"name": name, "password": password}, headers={"Origin": str(client.base_url).rstrip("/")}
    )


def secret_of(page: str) -> str:
    """What a form of a page proves itself by."""
    found = re.search(r'name="form" value="([^"]+)"', page)
    assert found is not None, page
    return found[1]


async def test_who_is_not_logged_in_is_asked_to(office: Office) -> None:
    """And goes on to the page that he came for."""
    async with office.client(None) as client:
        answer = await client.get("/domains/test.example?x=1")
        assert (answer.status_code, answer.headers["Location"]) == (
            303,
            "/login?next=%2Fdomains%2Ftest.example%3Fx%3D1",
        )
        asked = await client.get(answer.headers["Location"])
        assert asked.status_code == 200
        assert 'value="/domains/test.example?x=1"' in asked.text
        data = {"name": "test", "password": PASSWORD, "next": "/domains/test.example?x=1"}
        answer = await client.post("/login", data=data, headers=origin(office))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/domains/test.example?x=1")


async def test_the_cookie_is_for_this_host_and_not_for_scripts(office: Office) -> None:
    """In clear it is only good on loopback, and cannot be Secure."""
    async with office.client(None) as client:
        cookie = (await log_in(client)).headers["Set-Cookie"]
        name, *flags = cookie.split("; ")
        assert name.startswith(f"restante-{port_of(office)}=")
        assert sorted(flags) == ["HttpOnly", "Path=/", "SameSite=lax"]
        assert "test.example" in (await client.get("/")).text


async def test_over_tls_the_cookie_is_secure_and_bound_to_the_host(tmp_path: Path) -> None:
    """RFC 6265bis: `__Host-` is taken over TLS alone, from this host alone, for all of it."""
    authority, port = Authority(), free_port()
    authority.own.write(tmp_path, "ca")
    pair = authority.issue(Wish(("localhost",))).write(tmp_path, "office")
    admin = f'address = "127.0.0.1:{port}"\ntls = true'
    async with serving(tmp_path, admin, pair=pair) as office, office.client(None, ca=tmp_path / "ca.pem") as client:
        client.base_url = httpx2.URL(f"https://localhost:{port}")
        name, *flags = (await log_in(client)).headers["Set-Cookie"].split("; ")
        assert name.startswith(f"__Host-restante-{port}=")
        assert sorted(flags) == ["HttpOnly", "Path=/", "SameSite=lax", "Secure"]
        assert (await client.get("/")).status_code == 200


async def test_a_wrong_password_and_an_unknown_user_are_told_the_same(office: Office) -> None:
    """The name is kept, the password is not."""
    async with office.client(None) as client:
        wrong = await log_in(client, password="hunter2")
        unknown = await log_in(client, name="nobody", password="hunter2")
        assert wrong.status_code == unknown.status_code == 401
        said = [re.sub("<time.*?</time>", "", answer.text.replace("test", "nobody")) for answer in (wrong, unknown)]
        assert said[0] == said[1]
        assert "No such user, or another password." in wrong.text
        assert 'value="test"' in wrong.text
        assert "hunter2" not in wrong.text
        assert (await client.get("/")).status_code == 303


async def test_who_logs_out_is_out(office: Office) -> None:
    """The cookie is worth nothing any more, even where it was kept."""
    async with office.client(None) as client:
        await log_in(client)
        kept = client.cookies[f"restante-{port_of(office)}"]
        secret = secret_of((await client.get("/")).text)
        answer = await client.post("/logout", data={"form": secret}, headers=origin(office))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/login")
        assert f'restante-{port_of(office)}=""' in answer.headers["Set-Cookie"]
        client.cookies.set(f"restante-{port_of(office)}", kept)
        assert (await client.get("/")).status_code == 303


async def test_a_session_has_a_new_secret_after_each_login(office: Office) -> None:
    """One that somebody else has put into the browser is never taken (session fixation)."""
    async with office.client(None) as client:
        client.cookies.set(f"restante-{port_of(office)}", "chosen-by-somebody-else")
        await log_in(client)
        secrets = {cookie.value for cookie in client.cookies.jar}
        assert len(secrets - {"chosen-by-somebody-else"}) == 1


OTHERS = [
    "http://evil.example",
    "null",
    "http://127.0.0.1",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.example",
]


@pytest.mark.parametrize("other", OTHERS)
async def test_no_form_of_another_origin_is_taken(other: str, office: Office) -> None:
    """Neither to log in nor to do something with a session that the browser sends along."""
    said = {"Origin": other.format(port=port_of(office))}
    async with office.client(None) as client:
        answer = await client.post("/login", data={"name": "test", "password": PASSWORD}, headers=said)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers
        await log_in(client)
        secret = secret_of((await client.get("/")).text)
        assert (await client.post("/logout", data={"form": secret}, headers=said)).status_code == 403
        assert (await client.get("/")).status_code == 200


async def test_a_form_shows_that_it_is_of_a_page_of_this_session(office: Office) -> None:
    """Without that, with another session's, or as something else than a form, it does nothing."""
    async with office.client(None) as client, office.client(None) as other:
        await log_in(client)
        await log_in(other)
        anothers = secret_of((await other.get("/")).text)
        for data in ({}, {"form": ""}, {"form": "x"}, {"form": anothers}):
            answer = await client.post("/logout", data=data, headers=origin(office))
            assert answer.status_code in (403, 415), data  # 415: httpx sends no kind for a form without fields
        own = secret_of((await client.get("/")).text)
        answer = await client.post("/logout", json={"form": own}, headers=origin(office))
        assert answer.status_code == 415
        assert (await client.get("/")).status_code == 200


async def test_without_an_origin_nobody_is_logged_in(office: Office) -> None:
    """Every browser names one; a program has the API."""
    async with office.client(None) as client:
        answer = await client.post("/login", data={"name": "test", "password": PASSWORD})
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize(
    "body", [b"\xff=1", b"%ff=%fe", b"a=1&" * 300, b"name"], ids=["8 bits", "no UTF-8", "many", "a word"]
)
async def test_what_is_no_form_is_answered(body: bytes, office: Office) -> None:
    """400 for what cannot be read; what can, and has no password, is a wrong one."""
    async with office.client(None) as client:
        kind = {"Content-Type": "application/x-www-form-urlencoded", **origin(office)}
        answer = await client.post("/login", content=body, headers=kind)
        assert answer.status_code == (401 if body == b"name" else 400)
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"


async def test_too_many_failures_are_told(tmp_path: Path) -> None:
    """The same bounds as over SMTP."""
    limits = GuessLimits(pair=2, delay=0.0)
    async with serving(tmp_path, limits=limits) as office, office.client(None) as client:
        for _ in range(2):
            assert (await log_in(client, password="no")).status_code == 401
        answer = await log_in(client)
        assert answer.status_code == 429
        assert "Too many failures" in answer.text


POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)


@pytest.mark.parametrize("path", ["/login", "/", "/nothing", "/domains/theirs.example"])
async def test_every_page_says_what_it_may_load(path: str, office: Office) -> None:
    """Scripts and styles of this host, none in the page; nobody frames it, and nothing is kept."""
    async with office.client(None) as client:
        await log_in(client)
        for name in ("", "nobody"):
            client.cookies.update({f"restante-{port_of(office)}": name} if name else {})
            answer = await client.get(path)
            assert answer.headers["Content-Security-Policy"] == POLICY
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "same-origin"
            assert "<script>" not in answer.text
            assert " style=" not in answer.text
            assert "<style" not in answer.text


async def test_what_pages_load_is_kept_by_its_content(office: Office) -> None:
    """For everybody; a name that is not there, or with another digest, is nothing."""
    async with office.client(None) as client:
        page = (await client.get("/login")).text
        [style] = re.findall(r'href="(/static/[0-9a-f]{16}/style\.css)"', page)
        answer = await client.get(style)
        assert answer.headers["Content-Type"] == "text/css; charset=utf-8"
        assert "immutable" in answer.headers["Cache-Control"]
        for path in ("/static/0000000000000000/style.css", style.replace("style", "README"), f"{style}/../../frame.py"):
            assert (await client.get(path)).status_code == 404


async def test_another_s_domain_and_an_unknown_one_are_the_same_page(office: Office) -> None:
    """As over the API."""
    async with office.client(None) as client:
        await log_in(client)
        theirs, nobodys = await client.get("/domains/theirs.example"), await client.get("/domains/nobodys.example")
        assert theirs.status_code == nobodys.status_code == 404
        assert "theirs.example" not in theirs.text


async def test_what_is_not_there_is_a_page_for_people_and_a_problem_for_programs(office: Office) -> None:
    """By where it is not."""
    async with office.client(None) as client:
        assert (await client.get("/nothing")).headers["Content-Type"] == "text/html; charset=utf-8"
        assert (await client.get("/api/nothing")).headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("asked", "goes"),
    [
        ("/", "/"),
        ("/items?state=frozen", "/items?state=frozen"),
        ("//evil.example/", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example/", "/"),
        ("javascript:alert(1)", "/"),
        ("evil", "/"),
        ("", "/"),
        ("http://[", "/"),
        ("/\t/evil.example", "/"),
    ],
)
def test_a_login_leads_nowhere_else(asked: str, goes: str) -> None:
    """An address that somebody has sent has no say in that (CWE-601)."""
    assert _own_path(asked) == goes
