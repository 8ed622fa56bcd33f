"""`/releases`: what is let go is asked first, and then seen as it goes and as it went."""

from __future__ import annotations

from pathlib import Path

from tests.web.office import LOGIN, ROOT, STRANGER, Office, serving
from tests.web.pages.browsing import logged_in

from restante.directory.entries import Directory, Held
from restante.model import Caller, HostPort, Progress
from restante.transport.outcome import Deferred

NEW = "/releases/new?domain=test.example"
HOSTILE = "192.0.2.25:25: 554 <img src=x onerror=ran=1> \x1b[2J"


async def begun(office: Office, number: int) -> None:
    """Returns once a release runs."""
    while (view := office.releases.view(number)) is None or view.started is None:
        await office.clock.sleep(0.01)


async def test_a_release_is_asked_for_confirmed_and_seen(tmp_path: Path) -> None:
    """By its owner; first it is said how much goes where."""
    async with serving(tmp_path) as office, logged_in(office, LOGIN) as browser:
        await office.mail()
        await office.mail()
        page = await browser.get(NEW)
        assert "2 messages, 112 octets, go now to 192.0.2.25:25." in page.text
        assert page.link("Not now") == "/domains/test.example"
        assert office.releases.views() == []
        page = await browser.send(page.form("Release test.example"))
        assert (page.status, page.path) == (200, "/releases/1")
        assert page.title.startswith("Release 1 of test.example")
        await office.releases.wait(1)
        page = await browser.get(page.path)
        for said in ("It ended", ": 2 delivered.", "Asked by 127.0.0.1 user:test, ", "To 192.0.2.25:25"):
            assert said in page.text, page.text
        assert 'id="release">' in page.html
        page = await browser.get("/releases")
        assert "1 test.example 0 s ago 2 delivered 112 octets 0 s 127.0.0.1 user:test" in page.text


async def test_a_form_that_is_sent_twice_begins_one_release(tmp_path: Path) -> None:
    """Also when the first has ended meanwhile; a new form is a new release."""
    async with serving(tmp_path) as office, logged_in(office, LOGIN) as browser:
        await office.mail()
        form = (await browser.get(NEW)).form("Release test.example")
        first = await browser.send(form)
        await office.releases.wait(1)
        await office.mail()
        assert (await browser.send(form)).path == first.path == "/releases/1"
        assert len(office.releases.views()) == 1
        again = await browser.send((await browser.get(NEW)).form("Release test.example"))
        assert again.path == "/releases/2"


async def test_where_nothing_waits_there_is_nothing_to_press(tmp_path: Path) -> None:
    """And it is said."""
    async with serving(tmp_path) as office, logged_in(office, LOGIN) as browser:
        page = await browser.get(NEW)
        assert "Nothing waits for test.example now, so that there is nothing to release." in page.text
        assert not [form for form in page.forms if "Release test.example" in form.buttons]


async def test_others_releases_are_not_there(tmp_path: Path) -> None:
    """Nor can they be begun, nor can one's own go elsewhere than it does."""
    async with serving(tmp_path) as office, logged_in(office, STRANGER) as stranger, logged_in(office, LOGIN) as test:
        await office.mail()
        form = (await test.get(NEW)).form("Release test.example")
        assert "to" not in form.names
        number = office.releases.request_by_operator("test.example").number
        await office.releases.wait(number)
        for path in (f"/releases/{number}", NEW, "/releases?domain=test.example", "/releases/99"):
            page = await stranger.get(path)
            assert (page.status, "not yours" in page.text) == (404, True), path
        assert "None since this host was started." in (await stranger.get("/releases")).text
        fields = dict(form.given)
        assert (await test.client.post("/releases", data=fields | {"to": "192.0.2.9"})).status_code == 403
        assert (await test.client.post("/releases", data=fields | {"domain": "theirs.example"})).status_code == 404
        assert (await test.client.post("/releases", data={"domain": "test.example"})).status_code == 403
        assert len(office.releases.views()) == 1


async def test_an_administrator_may_send_it_elsewhere_this_once(tmp_path: Path) -> None:
    """What is no host is said beside the field, which keeps it."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        await office.mail()
        page = await browser.send((await browser.get(NEW)).form("Release test.example"), to="no host")
        assert page.status == 422
        assert office.releases.views() == []
        form = page.form("Release test.example")
        assert ("to", "no host") in form.given
        page = await browser.send(form, to="192.0.2.9:2525")
        assert page.path == "/releases/1"
        await office.releases.wait(1)
        assert office.carrier.to == HostPort("192.0.2.9", 2525)


async def test_what_is_released_to_its_caller_needs_a_host(tmp_path: Path) -> None:
    """There is none to take it to."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        entries = [Held("test.example", Caller())]
        office.directory = Directory("office.example", entries, users=office.directory.users.values())
        await office.mail()
        page = await browser.get(NEW)
        assert "1 message, 56 octets, goes now to the host that you name." in page.text
        page = await browser.send(page.form("Release test.example"), to="192.0.2.9")
        await office.releases.wait(1)
        assert office.carrier.to == HostPort("192.0.2.9")


async def test_all_others_are_released_together(tmp_path: Path) -> None:
    """By an administrator; one of them alone cannot be, and it is said why."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        await office.mail("a@one.example", "b@two.example")
        page = await browser.get("/releases/new?domain=*")
        assert "2 messages go now to where the configuration says." in page.text
        page = await browser.send(page.form("Release all other domains"))
        view = await office.releases.wait(1)
        assert view is not None
        assert (page.path, view.delivered) == ("/releases/1", 2)
        page = await browser.get("/releases/new?domain=one.example")
        assert (page.status, "its mail is released with *" in page.text) == (409, True)


async def test_one_that_runs_is_seen_as_it_goes_and_one_waits_behind_it(tmp_path: Path) -> None:
    """Both pages are fetched each second while they do, and a third question says that."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        office.carrier.open.clear()
        for _ in range(3):
            await office.mail()
        first = office.releases.request_by_operator("test.example").number
        await begun(office, first)
        second = office.releases.request_by_operator("test.example").number
        page = await browser.get(f"/releases/{first}")
        assert "It runs for" in page.text
        assert "Messages 0 of 3 messages Octets 0 octets of 168 octets" in page.text
        assert 'id="release" data-live="1">' in page.html
        page = await browser.get(f"/releases/{second}")
        assert "It waits for its turn" in page.text
        page = await browser.get("/releases")
        assert page.text.index(f"{first} test.example runs for") < page.text.index(f"{second} test.example waits for")
        assert 'id="there" data-live="1">' in page.html
        page = await browser.get(NEW)
        assert f"Release {first} runs already." in page.text
        assert f"Release {second} waits for its turn already" in page.text
        office.carrier.open.set()
        await office.releases.wait(second)


async def test_what_went_wrong_is_told_and_found(tmp_path: Path) -> None:
    """With what the other end has said, which is only text here."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        await office.mail()
        office.carrier.outcome, office.carrier.error = Deferred("451 4.3.0 later"), HOSTILE
        bad = office.releases.request_by_operator("test.example").number
        await office.releases.wait(bad)
        page = await browser.get(f"/releases/{bad}")
        for said in ("It went wrong", "554 <img src=x onerror=ran=1> \\x1b[2J", "Put off 1 message: not now"):
            assert said in page.text, page.text
        assert "<img" not in page.html
        assert page.link("What waits, and why") == "/items?domain=test.example"
        for wrong in ("", "any", "last"):
            assert str(bad) in (await browser.get("/releases", wrong=wrong)).links, wrong
        office.carrier.error = ""
        good = office.releases.request_by_operator("test.example").number
        await office.releases.wait(good)
        assert str(bad) in (await browser.get("/releases", wrong="any")).links
        assert str(good) not in (await browser.get("/releases", wrong="any")).links
        assert str(bad) not in (await browser.get("/releases", wrong="last")).links


async def test_past_releases_come_in_pages(tmp_path: Path) -> None:
    """The newest first, each of them once, of one domain where that is asked for."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        for number in range(1, 121):
            name = "theirs.example" if number == 60 else "test.example"
            view = await office.releases.wait(office.releases.request_by_operator(name).number)
            assert view is not None
            assert (view.number, view.progress) == (number, Progress.ENDED)
        page, seen = await browser.get("/releases", domain="test.example"), list[int]()
        while True:
            seen += [int(words) for words in page.links if words.isdigit()]
            if "Earlier ones" not in page.links:
                break
            page = await browser.get(page.link("Earlier ones"))
        assert seen == [number for number in range(120, 0, -1) if number != 60]
        assert (await browser.get("/releases", domain="nosuch.example")).status == 200
        assert (await browser.get("/releases?before=0")).status == 422
        assert (await browser.get("/releases/x")).status == 422
