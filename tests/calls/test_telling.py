"""An office is told who exists at the site: once, whole, and only where the password is meant to go."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.calls.played import BYE, OFFICE, TEST, Feed, PlayedOffices, eventually, means
from tests.listening import listening
from tests.net.authority import Authority, Wish, self_made
from tests.stories.ports import free_port
from tests.web.office import PASSWORD, serving
from tests.web.test_recipients import kept

from restante.calls.call import TELL_SECONDS, Call
from restante.calls.login import Login
from restante.calls.plan import CallPlan
from restante.calls.telling import OfficeApi, Telling
from restante.clock import TurnedClock
from restante.facts import CallEnded, RecipientsTold
from restante.model import DomainName

OTHER = DomainName("theirs.example")
ANNA = ["anna@test.example", "postmaster@test.example"]


@dataclass
class Site:
    """A site: its login, its lists, what its office is known to know, and what became of telling it."""

    folder: Path
    lists: dict[DomainName, Sequence[str]] = field(default_factory=lambda: {TEST: ANNA})
    told: dict[str, str] = field(default_factory=dict)
    heard: list[tuple[DomainName, int, str]] = field(default_factory=list)

    def login(self, password: str = PASSWORD) -> Login:
        """With its password in a file."""
        (self.folder / "password").write_text(f"{password}\n")
        return Login("test", self.folder / "password")

    async def tells(self, api: OfficeApi, password: str = PASSWORD) -> list[tuple[DomainName, int, str]]:
        """What became of it this time."""
        self.heard.clear()
        await Telling(api, self.login(password), self.lists, lambda *news: self.heard.append(news)).run(self.told)
        return list(self.heard)


async def test_what_is_news_is_told_once(tmp_path: Path) -> None:
    """A list that was taken is told again when it has changed, or the office has."""
    site = Site(tmp_path)
    async with serving(tmp_path) as office:
        api = OfficeApi(f"http://{office.address}")
        assert await site.tells(api) == [(TEST, 2, "")]
        assert json.loads(kept(office) or "") == ANNA
        assert await site.tells(api) == []
        site.lists[TEST] = [*ANNA, "bert@test.example"]
        assert await site.tells(api) == [(TEST, 3, "")]
        assert await site.tells(OfficeApi(f"http://localhost:{office.address.partition(':')[2]}")) == [(TEST, 3, "")]
        site.lists = {}
        await site.tells(api)
        assert site.told == {}


async def test_a_domain_that_is_not_taken_leaves_the_others(tmp_path: Path) -> None:
    """It is told again at the next call, with the office's own words in the log."""
    site = Site(tmp_path, {OTHER: ["@theirs.example"], TEST: ANNA})
    async with serving(tmp_path) as office:
        api = OfficeApi(f"http://{office.address}")
        refused, taken = await site.tells(api)
        assert refused[:2] == (OTHER, 1)
        assert refused[2].startswith("HTTP status 404: ")
        assert "no such domain, or not yours" in refused[2]
        assert taken == (TEST, 2, "")
        assert len(await site.tells(api)) == 1


async def test_a_wrong_password_is_shown_once_a_call(tmp_path: Path) -> None:
    """However many domains there are: guesses are counted."""
    site = Site(tmp_path, {TEST: ANNA, DomainName("listed.example"): []})
    async with serving(tmp_path) as office:
        [(domain, _, reason)] = await site.tells(OfficeApi(f"http://{office.address}"), "wrong")
        assert (domain, reason[:16]) == (TEST, "HTTP status 401:")
        assert len(office.facts) == 1


@contextlib.asynccontextmanager
async def saying(octets: bytes) -> AsyncIterator[tuple[OfficeApi, list[bytes]]]:
    """A server that says these octets to whoever comes, and what was asked of it; without any it is silent."""
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            asked.append(await reader.read(65536))
            writer.write(octets)
            if not octets:
                await reader.read()

    async with listening(answer) as port:
        yield OfficeApi(f"http://127.0.0.1:{port}"), asked


async def test_a_redirect_is_not_followed(tmp_path: Path) -> None:
    """The password is shown where it was meant to be, and nowhere else."""
    async with saying(b"") as (elsewhere, asked_there):
        there = f"{elsewhere.url}/api/domains/test.example/recipients".encode()
        moved = b"HTTP/1.1 307 Temporary Redirect\r\nLocation: " + there + b"\r\nContent-Length: 0\r\n\r\n"
        async with saying(moved) as (api, asked):
            assert await Site(tmp_path).tells(api) == [(TEST, 2, "HTTP status 307")]
            assert len(asked) == 1
        assert asked_there == []


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", ""),
        (b"220 office.example ESMTP\r\n\r\n", "illegal status line"),
        (b"HTTP/1.1 500 Oops\r\nContent-Length: 12\r\n\r\na\r\n\x1b[31m\0b\xffc", "HTTP status 500: a ?[31m?b"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "HTTP status 204"),
        (b"HTTP/1.1 502 Bad\r\n\r\n" + b"x" * 1_000_000, "HTTP status 502: " + "x" * 200),
    ],
    ids=["silence", "SMTP", "control characters", "another 2xx", "without end"],
)
async def test_what_an_office_may_say_costs_a_line_of_the_log(tmp_path: Path, said: bytes, reason: str) -> None:
    """And nothing is taken for told."""
    site = Site(tmp_path)
    async with saying(said) as (api, _):
        if not said:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(site.tells(api), 0.3)
            return
        [(_, _, heard)] = await site.tells(api)
        assert heard.startswith(reason)
        assert len(heard) < 400
        assert heard.isprintable()
        assert site.told == {}


async def test_only_a_certificate_that_is_vouched_for_is_shown_a_password(tmp_path: Path) -> None:
    """By an authority of one's own, or by itself; not by anybody else, and not for another name."""
    authority, other = Authority(), Authority("other")
    authority.own.write(tmp_path, "ca")
    other.own.write(tmp_path, "other")
    self_made(Wish(("localhost",))).write(tmp_path, "own")
    site = Site(tmp_path)
    cases = [
        ("good", authority.issue(Wish(("localhost",))), "ca", True),
        ("good", authority.issue(Wish(("localhost",))), "other", False),
        ("name", authority.issue(Wish(("evil.example",))), "ca", False),
        ("late", authority.issue(Wish(("localhost",), ends=-0.5)), "ca", False),
    ]
    for name, issued, ca, is_taken in cases:
        pair = issued.write(tmp_path, name)
        port = free_port()
        async with serving(tmp_path, f'address = "127.0.0.1:{port}"\ntls = true', pair=pair) as office:
            api = OfficeApi(f"https://localhost:{port}", tmp_path / f"{ca}.pem")
            site.told.clear()
            [(_, _, reason)] = await site.tells(api)
            assert (not reason) is is_taken, reason
            assert is_taken or "CERTIFICATE_VERIFY_FAILED" in reason
            assert len(office.facts) == is_taken
    own = self_made(Wish(("localhost",))).write(tmp_path, "self")
    port = free_port()
    async with serving(tmp_path, f'address = "127.0.0.1:{port}"\ntls = true', pair=own):
        site.told.clear()
        assert await site.tells(OfficeApi(f"https://localhost:{port}", own.certificate)) == [(TEST, 2, "")]


async def test_what_cannot_be_read_here_is_told(tmp_path: Path) -> None:
    """A password's file, or who vouches."""
    site = Site(tmp_path)
    nowhere = OfficeApi("http://127.0.0.1:1")
    login = Login("test", tmp_path / "no")
    await Telling(nowhere, login, site.lists, lambda *news: site.heard.append(news)).run({})
    assert site.heard == [(TEST, 2, f"{tmp_path / 'no'}: No such file or directory")]
    [(_, _, reason)] = await site.tells(OfficeApi("https://127.0.0.1:1", tmp_path / "no.pem"))
    assert str(tmp_path / "no.pem") in reason


# in a call

GREETS = """
    S: 220 office.example ESMTP
    C: EHLO site.example
    S: 250-office.example
    S: 250-AUTH CRAM-MD5
    S: 250 ETRN
    C: AUTH CRAM-MD5
    S: 334 PDFAb2ZmaWNlLmV4YW1wbGU+
    L: dGVzdC
    S: 235 2.7.0 OK
    C: ETRN test.example
    S: 251 2.0.0 OK, no messages waiting for node test.example
"""


@dataclass
class Calling:
    """A call that runs, to an office without mail, with an API; and the feed of facts that it is told by."""

    call: Call
    task: asyncio.Task[CallEnded]
    clock: TurnedClock
    feed: Feed

    @property
    def told(self) -> list[RecipientsTold]:
        """What became of telling."""
        return [fact for fact in self.feed.facts if isinstance(fact, RecipientsTold)]

    async def ends(self) -> CallEnded:
        """Its record."""
        return await asyncio.wait_for(self.task, 60)


@contextlib.asynccontextmanager
async def calling(site: Site, api: OfficeApi, window: float = 600.0) -> AsyncIterator[Calling]:
    """Such a call."""
    offices, clock, feed = PlayedOffices(GREETS + BYE), TurnedClock(), Feed()
    plan = CallPlan("office", OFFICE, (TEST,), api=api, login=site.login(), window=window)
    handed = replace(means(offices, clock, feed), who_exists=lambda _: site.lists)
    call = Call(plan, "schedule", handed, site.told)
    task = asyncio.create_task(call.run())
    try:
        yield Calling(call, task, clock, feed)
    finally:
        task.cancel()
        await asyncio.wait([task])
        await offices.closed()


async def test_a_call_tells_its_office_beside_the_mail(tmp_path: Path) -> None:
    """It lasts until that is done, though there is no mail; the next one has nothing to tell."""
    site = Site(tmp_path)
    async with serving(tmp_path) as office:
        api = OfficeApi(f"http://{office.address}")
        async with calling(site, api) as played:
            record = await played.ends()
            assert (record.ended_by, record.error) == ("counts", "")
            assert played.told == [RecipientsTold("office", api.url, TEST, 2, "")]
            site.told = played.call.told
        async with calling(site, api) as played:
            await played.ends()
            assert played.told == []
            assert played.call.told == site.told


async def test_an_office_that_cannot_be_told_is_no_trouble_of_the_calls(tmp_path: Path) -> None:
    """A line in the log; the mail has gone and come as ever."""
    async with calling(Site(tmp_path), OfficeApi(f"http://127.0.0.1:{free_port()}")) as played:
        record = await played.ends()
        assert (record.ended_by, record.error) == ("counts", "")
        [fact] = played.told
        assert "All connection attempts failed" in fact.error
        assert played.call.told == {}


@pytest.mark.parametrize(("window", "ends_after"), [(600.0, TELL_SECONDS), (20.0, 20.0)])
async def test_a_silent_office_is_waited_for_a_while_within_the_window(
    tmp_path: Path, window: float, ends_after: float
) -> None:
    """Then the call ends; it is tried again at the next one."""
    async with saying(b"") as (api, asked), calling(Site(tmp_path), api, window) as played:
        await eventually(lambda: asked and not (played.call._ledger.asking or played.call._ledger.releasing))
        for _ in range(100):  # turns of the loop: nothing else is waited for then
            await asyncio.sleep(0)
        await played.clock.turn(ends_after - 1)
        assert not played.task.done()
        await played.clock.turn(1.5)
        assert (await played.ends()).ended_by == "counts"
        assert played.call.told == {}
