"""`/`: what waits and what is wrong, at a glance, for administrators and for who has some domains."""

from __future__ import annotations

from pathlib import Path

from tests.web.office import ROOT, STRANGER, Office, serving
from tests.web.pages.browsing import Page, logged_in

from restante.directory.entries import Directory, Held, Quota
from restante.facts import AlarmKind, AlarmRaised
from restante.model import HostPort, MessageId, item_id

HOSTILE = "451 <script>ran=1</script> later"


def between(page: Page, start: str, end: str) -> str:
    """What is read between two texts."""
    assert start in page.text, page.text
    return page.text.partition(start)[2].partition(end)[0].strip()


async def freeze(office: Office, message: MessageId) -> None:
    """Stops its first item."""
    assert await office.spool.freeze([item_id(message, 1)])


async def test_what_waits_is_said_in_a_sentence_and_by_domain(tmp_path: Path) -> None:
    """How many, for how many, how large, how old; when sites were there; and what is called when."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/")
        assert "Nothing waits. Nothing is wrong." in page.text
        await office.mail()
        page = await browser.get("/")
        assert "1 message waits for 1 domain, 56 octets; the oldest for 1 h." in page.text
        for _ in range(2):
            await office.mail("anna@test.example", "x@theirs.example")
        page = await browser.get("/")
        assert "5 messages wait for 2 domains, 280 octets; the oldest for 1 h." in page.text
        rows = between(page, "Last contact Due", "Calls")
        assert rows.startswith("test.example 3 168 octets 1 h ago ")
        assert "Release theirs.example 2 112 octets 1 h ago" in rows
        assert rows.endswith("* all others none listed.example none localtest.example mailboxes here none "
                             "sends.example relayed none")  # fmt: skip
        assert between(page, "Next window", "restante").startswith("office 127.0.0.1:9 never in ")
        assert page.link("test.example") == "/domains/test.example"
        assert (await browser.get(page.link("Release"))).title.startswith("Release test.example")


async def test_only_what_can_be_released_has_a_link_to_that(tmp_path: Path) -> None:
    """What has no entry of its own goes with all others, and a user releases what is held for himself."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as root, logged_in(office) as test:
        await office.mail("anna@test.example", "anna@other.example", "anna@localtest.example")
        page = await root.get("/")
        links = [part.partition('"')[0] for part in page.html.split('href="/releases/new?domain=')[1:]]
        assert links == ["test.example", "%2A"]
        page = await test.get("/")
        assert "other.example" in page.links
        assert [where for words, where in page.links.items() if words == "Release"] == [
            "/releases/new?domain=test.example"
        ]


async def test_who_has_some_domains_sees_those(tmp_path: Path) -> None:
    """Nothing of others, and nothing of the host, is told: no mail, no alarm, no release, no call."""
    async with serving(tmp_path) as office, logged_in(office, STRANGER) as browser:
        await office.mail("anna@test.example")
        await freeze(office, await office.mail("bert@test.example"))
        await freeze(office, await office.mail("x@theirs.example"))
        office.carrier.error = "nobody answers"
        await office.releases.wait(office.releases.request_by_operator("test.example").number)
        for kind, subject in (
            (AlarmKind.DISK, "spool"),
            (AlarmKind.CONTACT, "test.example"),
            (AlarmKind.CONTACT, "theirs.example"),
        ):
            office.feed.announce(AlarmRaised(kind, subject, "some text"))
        page = await browser.get("/")
        assert "Nothing waits." in page.text
        wrong = between(page, "What is wrong", "Domains")
        assert wrong == (
            "1 message frozen: not released until thawed. Show them "
            "The site of theirs.example has not come: missed for 0 s. "
            "Look whether its link is up, and its server runs. Show the domain"
        )
        assert "test.example" not in page.html
        assert "Calls" not in page.text
        assert page.link("Show them") == "/items?state=frozen"


async def test_what_is_wrong_is_told_with_what_to_do(tmp_path: Path) -> None:
    """Alarms, stopped mail, full domains, releases and calls that failed; all of it escaped."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        hop = HostPort("192.0.2.25")
        entries = [Held("test.example", hop, quota=Quota(items=2)), Held("theirs.example", hop)]
        office.directory = Directory("office.example", entries, users=office.directory.users.values())
        for _ in range(2):
            await office.mail()
        await freeze(office, await office.mail("x@theirs.example"))
        office.carrier.error = HOSTILE
        await office.mail("x@theirs.example")
        number = office.releases.request_by_operator("theirs.example").number
        await office.releases.wait(number)
        office.caller.call_now("office")
        await office.caller.wait("office")
        office.feed.announce(AlarmRaised(AlarmKind.DISK, "spool", "the spool can take 7 MB more"))
        page = await browser.get("/")
        wrong = between(page, "What is wrong", "Domains")
        for said in (
            "The disk is nearly full: the spool can take 7 MB more (for ",
            "1 message frozen: not released until thawed. Show them",
            "test.example is full: 2 of 2 messages; new mail is refused for now. Release it",
            "The call office went wrong ",
            f" ago: {HOSTILE}. What was not confirmed waits as it was. Show the release",
        ):
            assert said in wrong, wrong
        assert "<script>ran" not in page.html
        assert page.link("Show the release") == f"/releases/{number}"
        assert "100 %" in between(page, "Last contact Due", "Calls").replace("\xa0", " ")


async def test_that_no_mail_is_taken_comes_before_all(tmp_path: Path) -> None:
    """Everybody is told that."""
    async with serving(tmp_path) as office, logged_in(office, STRANGER) as browser:
        office.is_stopping = True
        page = await browser.get("/")
        assert between(page, "What is wrong", "Domains") == "No mail is taken: it is stopping."


async def test_what_runs_is_shown_as_it_goes(tmp_path: Path) -> None:
    """That part of the page is fetched each second while it does."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        page = await browser.get("/")
        assert 'id="now" data-live>' in page.html
        office.carrier.open.clear()
        for _ in range(3):
            await office.mail()
        running = office.releases.request_by_operator("test.example")
        while (view := office.releases.view(running.number)) is None or view.started is None:
            await office.clock.sleep(0.01)
        office.releases.request_by_operator("test.example")
        page = await browser.get("/")
        assert 'id="now" data-live="1">' in page.html
        assert '<progress aria-label="Messages that were tried" max="3" value="0">' in page.html
        now = between(page, "Still needs", "Domains")
        assert "Release of test.example 0 of 3 messages" in now
        assert "1 release waits for a turn." in now
        assert page.link("Release of test.example") == f"/releases/{running.number}"


async def test_a_host_that_knows_nothing_says_what_comes_next(tmp_path: Path) -> None:
    """To who can do it, and to who cannot."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as root, logged_in(office, STRANGER) as browser:
        office.directory = Directory("office.example", (), users=office.directory.users.values())
        office.caller.replace_plans(())
        page = await root.get("/")
        assert "This host knows no domain yet." in page.text
        assert page.link("Add a domain or an office to call") == "/add"
        page = await browser.get("/")
        assert "No mail is kept here for a domain of yours." in page.text
        assert "/add" not in page.html


async def test_a_domain_is_found_by_its_name(tmp_path: Path) -> None:
    """Where there are many: its page if the name is whole, else those that begin so."""
    async with serving(tmp_path) as office, logged_in(office, ROOT) as browser:
        held = [Held(f"site{number:03}.example", HostPort("192.0.2.25")) for number in range(300)]
        office.directory = Directory("office.example", held, users=office.directory.users.values())
        await office.mail("anna@site007.example")
        page = await browser.get("/")
        assert between(page, "Last contact Due", "Calls").startswith("site007.example 1 56 octets")
        found = await browser.send(page.form("Find"), domain="site29")
        assert [words for words in found.links if words.startswith("site")] == [f"site29{n}.example" for n in range(10)]
        assert "There is none." in (await browser.send(found.form("Find"), domain='"><b>')).text
        answer = await browser.client.get("/", params={"domain": "SITE007.example"})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/domains/site007.example")
        every = await browser.get(page.link("All"))
        more = await browser.get(every.link("More domains"))
        assert "site100.example" in more.links
