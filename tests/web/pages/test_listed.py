"""Which domains the start page lists, on hosts with few and with many."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from restante.admin.steering import Steering
from restante.clock import TurnedClock
from restante.directory.entries import Directory, Held
from restante.model import DomainName, Envelope, HostPort, Mailbox, Recipient
from restante.spool.spool import Arrival, Spool
from restante.store.sqlite import open_spool
from restante.web.pages.listed import AT_ONCE, Listed, Which, listed

HOP = HostPort("192.0.2.25")


class Host:
    """One that knows no domain yet."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.directory = Directory("office.example", ())
        self.steering = Steering(
            spool=spool,
            directory=lambda: self.directory,
            releases=None,
            caller=None,
            reload=None,
            clock=TurnedClock(),
            announce=lambda _fact: None,
            process=None,
        )

    def knows(self, *names: str) -> None:
        """These domains."""
        self.directory = Directory("office.example", [Held(name, HOP) for name in names])

    async def mail(self, domain: str, arrived: float) -> None:
        """A message for a domain, of a wall time."""
        envelope = Envelope(Mailbox.parse("carla@far.example"), (Recipient(Mailbox.parse(f"anna@{domain}")),))
        await self.spool.accept(Arrival(self.spool.new_id(), b"x", 1, [(DomainName(domain), envelope)], arrived))

    async def lists(self, show: str = "", after: str = "", begins: str = "", own: str = "") -> Listed:
        """What is listed for the operator, or for who has one domain."""
        steering = self.steering.for_user(own, frozenset({DomainName(own)})) if own else self.steering
        return await listed(steering, show=show, after=after, begins=begins)


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    """With a spool of its own."""
    spool = await open_spool(tmp_path / "spool")
    yield Host(spool)
    await spool.close()


def names(found: Listed) -> list[str]:
    """The domains that it has."""
    return [row.domain for row in found.rows]


async def test_where_all_fit_those_with_the_oldest_mail_come_first(host: Host) -> None:
    """Then those without, by name."""
    host.knows("a.example", "b.example", "c.example", "d.example")
    await host.mail("b.example", 2000)
    await host.mail("d.example", 1000)
    found = await host.lists()
    assert (found.which, found.more) == (Which.EVERY, "")
    assert names(found) == ["d.example", "b.example", "a.example", "c.example"]


async def test_where_there_are_many_those_with_mail_are_listed(host: Host) -> None:
    """All others are a link away, in pages of names, each of them once."""
    every = [f"site{number:03}.example" for number in range(2 * AT_ONCE + 50)]
    host.knows(*every)
    await host.mail("site220.example", 1000)
    await host.mail("site001.example", 2000)
    found = await host.lists()
    assert (found.which, names(found), found.more) == (Which.WAITING, ["site220.example", "site001.example"], "")
    seen, after = list[str](), ""
    for _ in range(3):
        page = await host.lists("all", after)
        assert page.which is Which.ALL
        seen += names(page)
        after = page.rows[-1].domain
        assert page.more == ("" if len(seen) == len(every) else f"/?list=all&after={after}")
    assert seen == every


async def test_very_many_with_mail_are_pages_too(host: Host) -> None:
    """In order of names."""
    every = [f"site{number:03}.example" for number in range(AT_ONCE + 1)]
    host.knows(*every)
    for number, name in enumerate(every):
        await host.mail(name, 5000 - number)
    first = await host.lists()
    assert (first.which, names(first)) == (Which.WAITING, every[:AT_ONCE])
    assert first.more == f"/?after={every[AT_ONCE - 1]}"
    assert names(await host.lists(after=every[AT_ONCE - 1])) == every[AT_ONCE:]


async def test_a_domain_is_found_by_how_its_name_begins(host: Host) -> None:
    """However it is written; one of that very name is told apart."""
    host.knows("a.example", "mail.example", "mail.example.example", "mailing.example", "main.example")
    found = await host.lists(begins=" MAIL")
    assert (found.which, names(found), found.exact) == (
        Which.NAMED,
        ["mail.example", "mail.example.example", "mailing.example"],
        "",
    )
    assert (await host.lists(begins="mail.example")).exact == "mail.example"
    assert names(await host.lists(begins="mb")) == []
    host.knows("xn--mnchen-3ya.example")
    assert (await host.lists(begins="münchen.example")).exact == "xn--mnchen-3ya.example"
    for odd in ("\0", "\ue000", "é" * 300, "*", "[192.0.2.1]", "a" * 5000):
        assert names(await host.lists(begins=odd)) == []


async def test_found_domains_come_in_pages(host: Host) -> None:
    """Up to the last one that begins so."""
    every = [f"site{number:03}.example" for number in range(AT_ONCE + 50)]
    host.knows("a.example", *every, "z.example")
    first = await host.lists(begins="site")
    assert (names(first), first.more) == (every[:AT_ONCE], f"/?domain=site&after={every[AT_ONCE - 1]}")
    last = await host.lists(begins="site", after=every[AT_ONCE - 1])
    assert (names(last), last.more) == (every[AT_ONCE:], "")


async def test_others_domains_are_not_there(host: Host) -> None:
    """Neither in the list nor when they are looked for."""
    host.knows("test.example", "theirs.example")
    assert names(await host.lists(own="test.example")) == ["test.example"]
    assert names(await host.lists(begins="t", own="test.example")) == ["test.example"]
    assert (await host.lists(begins="theirs.example", own="test.example")).exact == ""
