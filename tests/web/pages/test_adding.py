"""`/add`: a domain and its site join a running host, the password is shown once, and the DNS is looked at."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import cast
from urllib.parse import urlencode

import dns.message
import dns.rcode
import pytest
from tests.stories.world import World
from tests.waiting import until
from tests.web.office import LOGIN, ROOT, Office, serving
from tests.web.pages.browsing import Browser, Page, logged_in
from tests.web.test_domains import row

from restante.config.settings import Dns
from restante.observe import log
from restante.setup.looking import Looks
from restante.web.pages import adding

PATTERN = re.compile(r"[a-z2-9]{5}(-[a-z2-9]{5}){3}")
"""A password that was made."""
REVIEW, ADD = "See what will be added", "Add new.example"
FINGERPRINT = "ab" * 32


@contextlib.asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Office, Browser]]:
    """An office that sees what is written to its store, as a server does; and an administrator's browser."""

    async def watch(office: Office) -> None:
        while True:
            office.read_store()
            await asyncio.sleep(0.05)

    async with serving(folder) as office, logged_in(office, ROOT) as browser:
        watching = asyncio.create_task(watch(office))
        try:
            yield office, browser
        finally:
            watching.cancel()


async def reviewed(browser: Browser, **fields: str) -> Page:
    """What would be done for a form."""
    return await browser.send((await browser.get("/add")).form(REVIEW), **fields)


async def test_a_domain_and_its_site(tmp_path: Path) -> None:
    """From the form to a login that works; the password is on one page, once, and nowhere else."""
    async with running(tmp_path) as (office, browser):
        review = await reviewed(
            browser, domains="new.example", contact="0 14 * * *", quota="2GB", others="192.0.2.0/24"
        )
        assert (review.status, review.title.startswith("Add new.example ")) == (200, True)
        assert 'quota = "2GB"' in review.text
        assert row(office, "domains", "new.example") is None
        made = await browser.send(review.form(ADD))
        assert (made.status, made.path) == (200, "/add/new.example?protocol=atrn")
        found = PATTERN.search(made.text)
        assert found is not None
        password = found[0]
        assert made.headers["Cache-Control"] == "no-store"
        assert row(office, "domains", "new.example") == {
            "action": "hold",
            "next_hop": "caller",
            "release_from": ["192.0.2.0/24"],
            "contact": ["0 14 * * *"],
            "quota": "2GB",
        }
        kept = row(office, "users", "new")
        assert kept.keys() == {"password", "scram", "domains"}
        assert password not in str(kept)
        again = await browser.get(made.path)
        assert again.status == 200
        assert not PATTERN.search(again.text)
        assert "--user new --office-host office.example" in again.text
        async with office.client(("new", password)) as client:
            assert [each["domain"] for each in (await client.get("/api/domains")).json()["domains"]] == ["new.example"]


@pytest.fixture
def said() -> Iterator[io.StringIO]:
    """What the log says."""
    stream = io.StringIO()
    log.configure(stream)
    yield stream
    log.configure()


async def test_the_password_is_not_in_the_log(tmp_path: Path, said: io.StringIO) -> None:
    """Who has kept what is there."""
    async with running(tmp_path) as (_, browser):
        made = await browser.send((await reviewed(browser, domains="new.example", secret="1")).form(ADD))
        found = PATTERN.search(made.text)
        assert found is not None
        secret = re.search(r"\b[0-9a-f]{48}\b", made.text)
        assert secret is not None
        assert 'domain kept domain=new.example by="127.0.0.1 user:root"' in said.getvalue()
        assert found[0] not in said.getvalue()
        assert secret[0] not in said.getvalue()


async def test_a_form_that_is_sent_twice(tmp_path: Path) -> None:
    """A double click, a reload: the second one shows what the first has done, the password included."""
    async with running(tmp_path) as (_, browser):
        form = (await reviewed(browser, domains="new.example")).form(ADD)
        sent = urlencode(form.filled({}))
        coded = {"Content-Type": "application/x-www-form-urlencoded"}
        answers = await asyncio.gather(*(browser.client.post("/add", content=sent, headers=coded) for _ in range(3)))
        assert [answer.status_code for answer in answers] == [303, 303, 303]
        assert {answer.headers["Location"] for answer in answers} == {"/add/new.example?protocol=atrn"}
        assert PATTERN.search((await browser.get("/add/new.example")).text)
        later = await browser.send(form)
        assert later.status == 200
        assert not PATTERN.search(later.text)


async def test_the_page_that_a_form_leads_to_is_there(tmp_path: Path) -> None:
    """However often the form was sent: a double click does not lead there before the domain is in force."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        form = (await reviewed(browser, domains="new.example")).form(ADD)
        sent = [asyncio.create_task(browser.send(form)) for _ in range(3)]
        await until(lambda: row(office, "domains", "new.example") is not None)
        await asyncio.sleep(0.5)  # it is kept, and nobody has read it
        office.read_store()
        assert [page.status for page in await asyncio.gather(*sent)] == [200, 200, 200]


async def test_nobody_else_is_shown_the_password(tmp_path: Path) -> None:
    """Another session of the same administrator sees the page without, and takes nothing away."""
    async with running(tmp_path) as (office, browser), logged_in(office, ROOT) as other:
        form = (await reviewed(browser, domains="new.example")).form(ADD)
        coded = {"Content-Type": "application/x-www-form-urlencoded"}
        await browser.client.post("/add", content=urlencode(form.filled({})), headers=coded)
        assert not PATTERN.search((await other.get("/add/new.example")).text)
        refreshed = await browser.client.get("/add/new.example", headers={"X-Refresh": "1"})
        assert not PATTERN.search(refreshed.text)
        assert PATTERN.search((await browser.get("/add/new.example")).text)


async def test_what_is_wrong_stands_beside_its_field(tmp_path: Path) -> None:
    """Nothing that was typed is lost; what only the whole table shows is told as well."""
    async with running(tmp_path) as (office, browser):
        page = await reviewed(browser, domains="a..b", quota="much", contact="never", others="x")
        assert page.status == 422
        assert "a..b: " in page.text
        assert 'value="much"' in page.html
        assert 'aria-describedby="domains-wrong domains-hint" aria-invalid="true"' in page.html
        page = await browser.send(page.form(REVIEW), domains="new.example", others="")
        assert page.status == 422
        assert "allowed: a cron expression" in page.text
        assert "found 'much'" in page.text
        page = await browser.send(page.form(REVIEW), contact="", quota="1GB")
        assert page.status == 200
        form = (await browser.follow(page, "Change something")).form(REVIEW)
        assert {("domains", "new.example"), ("quota", "1GB"), ("proof", "login")} <= set(form.filled({}))
        assert row(office, "users", "new") is None


async def test_a_domain_that_is_here_already(tmp_path: Path) -> None:
    """In the configuration, or in the store: it is not touched."""
    async with running(tmp_path) as (office, browser):
        page = await reviewed(browser, domains="test.example")
        assert page.status == 409
        assert "test.example: the configuration has it, and is changed by hand" in page.text
        form = (await reviewed(browser, domains="new.example")).form(ADD)
        await browser.send(form)
        page = await reviewed(browser, domains="new.example")
        assert (page.status, "new.example: it is here already" in page.text) == (422, True)
        before = row(office, "domains", "new.example")
        async with logged_in(office, ROOT) as other:
            page = await other.get("/add?" + urlencode({"domains": "newer.example", "user": "new", "review": "1"}))
            assert 'release_from = ["user:new"]' in page.text
            page = await other.send(page.form("Add newer.example"))
            assert not PATTERN.search(page.text)
        assert row(office, "domains", "new.example") == before
        assert row(office, "domains", "newer.example")["release_from"] == ["user:new"]


async def test_a_fixed_address_and_a_certificate(tmp_path: Path) -> None:
    """No password is made for those."""
    async with running(tmp_path) as (office, browser):
        by_address = {"protocol": "etrn", "proof": "address", "site": "192.0.2.66"}
        page = await browser.send((await reviewed(browser, domains="new.example", **by_address)).form(ADD))
        assert page.path == "/add/new.example?protocol=etrn"
        assert "smtpd" not in page.text
        assert "fetchmail --nodetach --protocol ETRN" in page.text
        by_certificate = {"proof": "certificate", "certificate": FINGERPRINT}
        page = await browser.send(
            (await reviewed(browser, domains="a.example b.example", user="cert", **by_certificate)).form(
                "Add 2 domains"
            )
        )
        assert page.path == "/add/a.example?protocol=atrn&also=b.example"
        assert "--proof certificate --user cert" in page.text
        assert row(office, "users", "cert") == {"certificates": [FINGERPRINT], "domains": ["a.example", "b.example"]}
        page = await reviewed(browser, domains="c.example", user="other", **by_certificate)
        assert "which users.cert has" in page.text


async def test_mailboxes_here(tmp_path: Path) -> None:
    """A call that is there, or one that the configuration is still to have; the lines are for the office."""
    async with running(tmp_path) as (office, browser):
        page = await browser.follow(await browser.get("/add"), "Its mailboxes are here")
        review = await browser.send(page.form(REVIEW), domains="new.example", mailboxes="anna bert")
        assert '[calls.office] domains = ["localtest.example", "new.example"]' in review.text
        page = await browser.send(review.form(ADD))
        assert row(office, "domains", "new.example") == {"action": "deliver", "users": ["anna", "bert"]}
        assert "At the office" in page.text
        page = await browser.get("/add?role=site")
        fields = {"domains": "far.example", "call": "", "office": "shore.example", "user": "us"}
        review = await browser.send(page.form(REVIEW), **fields)
        page = await browser.send(review.form("Add far.example"))
        assert "[calls.shore]" in page.text
        assert "far.example. MX 10 shore.example." in page.text
        assert "restante user add us --domain far.example" in page.text
        assert "[calls.shore]" in (await browser.get(page.path)).text
        async with logged_in(office, ROOT) as other:
            page = await other.get("/add/far.example?office=wrong.example&call=office")
            assert "no call of the configuration fetches it" in page.text
            assert "wrong.example" not in page.text


async def test_what_has_no_other_end(tmp_path: Path) -> None:
    """Neither a domain that is not here, nor one whose mail goes on at once, nor all others."""
    async with running(tmp_path) as (_, browser):
        for path in ("/add/nowhere.example", "/add/sends.example", "/add/*", "/add/a..b"):
            assert (await browser.get(path)).status == 404
        page = await browser.get("/add/test.example")
        assert (page.status, "Set up test.example" in page.text) == (200, True)


async def test_administrators_alone(tmp_path: Path) -> None:
    """Others see and do nothing of it, and nobody by a form of another page."""
    async with running(tmp_path) as (office, browser):
        async with logged_in(office, LOGIN) as other:
            for path in ("/add", "/add/test.example"):
                assert (await other.get(path)).status == 403
        form = (await reviewed(browser, domains="new.example")).form(ADD)
        bare = [pair for pair in form.filled({}) if pair[0] != "form"]
        coded = {"Content-Type": "application/x-www-form-urlencoded"}
        for sent in (bare, [*bare, ("form", "guessed")]):
            answer = await browser.client.post("/add", content=urlencode(sent), headers=coded)
            assert answer.status_code == 403
        assert row(office, "domains", "new.example") is None


async def test_no_table_comes_from_far(tmp_path: Path) -> None:
    """Fields that the form does not have are nothing to it: no key that names a file, no other action."""
    async with running(tmp_path) as (office, browser):
        query = {"domains": "new.example", "password_file": "/etc/passwd", "recipients": "x", "action": "relay"}
        review = await browser.get("/add?" + urlencode({**query, "review": "1"}))
        assert "passwd" not in review.html
        await browser.send(review.form(ADD))
        assert row(office, "domains", "new.example") == {"action": "hold", "next_hop": "caller"}


@pytest.mark.peer
@pytest.mark.netns
async def test_the_dns_is_looked_at(tmp_path: Path) -> None:
    """By a real resolver; the page comes at once, and who asks for it waits for what is found."""
    with World() as world:
        world.zone("test.example", '@ MX 10 office.example.\n@ TXT "v=spf1 -all"')
        world.start_dns()
        async with running(tmp_path) as (office, browser):
            settings = Dns.model_validate({"servers": ["127.0.0.1"], "timeout": "60s"})
            office.settings = office.settings.model_copy(update={"dns": settings})
            page = await browser.get("/add/test.example")
            assert "being looked up" in page.text
            assert 'id="records" data-live="2"' in page.html
            page = await browser.follow(page, "Check again")
            rows = page.text.partition("Found now")[2]
            assert re.search(r"MX 10 office\.example\. .*? as it should be ?10 office\.example", rows), rows
            assert re.search(r"TXT .*? something else ?v=spf1 -all", rows), rows
            before = len(world.asked())
            await browser.get("/add/test.example")
            assert len(world.asked()) == before


class Unwilling(asyncio.DatagramProtocol):
    """A resolver that says nothing until it is let go, and then that it cannot."""

    transport: asyncio.DatagramTransport

    def __init__(self) -> None:
        self.asked: list[tuple[bytes, tuple[str, int]]] = []
        self.is_free = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """A question."""
        self.asked.append((data, addr))
        if self.is_free:
            self.answer()

    def answer(self) -> None:
        """Answers all that was asked."""
        self.is_free = True
        while self.asked:
            data, peer = self.asked.pop()
            response = dns.message.make_response(dns.message.from_wire(data))
            response.set_rcode(dns.rcode.SERVFAIL)
            self.transport.sendto(response.to_wire(), peer)


async def test_a_dns_that_is_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every page comes at once meanwhile, but the one that waits for it."""
    monkeypatch.setattr(adding, "Looks", partial(Looks, seconds=300))
    async with running(tmp_path) as (office, browser), logged_in(office, ROOT) as other:
        at = ("127.0.0.1", 0)
        transport, resolver = await asyncio.get_running_loop().create_datagram_endpoint(Unwilling, local_addr=at)
        servers = [f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"]
        settings = Dns.model_validate({"servers": servers, "timeout": "2m"})
        office.settings = office.settings.model_copy(update={"dns": settings})
        waits = asyncio.create_task(browser.get("/add/test.example?check=1"))
        await until(lambda: len(resolver.asked) > 4)
        for _ in range(5):
            assert "being looked up" in (await other.get("/add/test.example")).text
        assert not waits.done()
        resolver.answer()
        page = await waits
        assert "not known" in page.text
        assert "SERVFAIL" in page.text
        assert "being looked up" not in page.text
        transport.close()
