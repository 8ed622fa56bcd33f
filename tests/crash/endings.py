"""The ends of mail that no release brings, and what stops it as it comes, by the rooms that do that: expiry, notices
that mail is late, an operator who sends back and elsewhere, mail that is too large for its link.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from msgspec import structs
from tests.contract.engines import NOW, A, arrival, octets
from tests.crash.past import History

from restante.admin.endings import Redirecting, Returning
from restante.calls.window import Schedule
from restante.clock import TurnedClock
from restante.directory.entries import Directory, Held, Relayed, Retention
from restante.directory.learned import Learned
from restante.facts import Fact
from restante.model import (
    ByMode,
    DeliverBy,
    DomainName,
    Envelope,
    HostPort,
    Item,
    ItemId,
    ItemState,
    Mailbox,
    MessageId,
    Recipient,
    item_id,
)
from restante.release.ages import Ages, Mark
from restante.release.allowance import Allowance
from restante.release.contacts import Contacts
from restante.release.deadlines import Deadlines
from restante.release.destinations import destination_of
from restante.release.expiry import Sweep
from restante.release.reports import Reports
from restante.release.retention import Moment
from restante.server.admission import Admission
from restante.spool.spool import INLINE_LIMIT, Filter, Spool

DAY = 86_400.0
OLD, LATE, TIMED = DomainName("old.example"), DomainName("late.example"), DomainName("timed.example")
LINK, AWAY, ELSEWHERE = DomainName("link.example"), DomainName("away.example"), DomainName("elsewhere.example")
SENDERS = DomainName("sender.example")
SITE = HostPort("192.0.2.25")
DIRECTORY = Directory(
    "office.example",
    [
        Held(OLD, SITE, retention=Retention(30 * DAY, 0)),
        Relayed(LATE, SITE, retention=Retention(90 * DAY, warn_after=30 * DAY)),
        Held(TIMED, SITE, retention=Retention(90 * DAY, 0)),
        Held(LINK, SITE, largest=20_000),
        Held(AWAY, SITE),
        Held(ELSEWHERE, SITE),
        Relayed(SENDERS, SITE),
    ],
)
LARGE = octets(INLINE_LIMIT + 2000, 9)
_SUBJECT = re.compile(rb"^Subject: (old \d)\r$", re.MULTILINE)


class Clerk:
    """All that ends mail, for one spool whose mail of up to the id `last` is 40 days old."""

    def __init__(self, spool: Spool, last: MessageId) -> None:
        self.spool = spool
        self.clock = TurnedClock(NOW)
        self.facts: list[Fact] = []
        self.moment = Moment(NOW, 40 * DAY, NOW - 40 * DAY, Ages([Mark(0.0, last)]), {LATE: last})
        self.sweep = Sweep(
            spool=spool,
            directory=lambda: DIRECTORY,
            contacts=Contacts(),
            reports=Reports(
                spool,
                hostname=DIRECTORY.hostname,
                allowance=Allowance(self.clock.monotonic, 1000),
                can_route=self.can_route,
            ),
            routes=self,
            announce=self.facts.append,
            schedules=Schedule,
        )
        self.deadlines = Deadlines(spool, self.sweep)
        self.admission = Admission(
            directory=lambda: DIRECTORY,
            spool=spool,
            learned=Learned(),
            clock=self.clock,
            hostname=DIRECTORY.hostname,
            announce=self.facts.append,
        )

    # run.Routes

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """A destination is a domain here."""
        return (DomainName(entry),)

    def can_route(self, domain: DomainName) -> bool:
        """Whether there is an entry for it."""
        return destination_of(DIRECTORY, domain) is not None

    def arrived(self, domain: DomainName) -> None:
        """Nothing leaves here."""

    # an operator

    async def send_back(self, items: Sequence[ItemId]) -> None:
        """All of these go back."""
        back = Returning(self.spool, lambda: DIRECTORY, self.facts.append, self.clock, text="We are closed.")
        done = await back(await self.items(items))
        assert set(done.items) == set(items), done

    async def send_elsewhere(self, items: Sequence[ItemId]) -> None:
        """All of these wait for other recipients."""
        aside = Redirecting(self.spool, DIRECTORY, self.facts.append, ELSEWHERE)
        done = await aside(await self.items(items))
        assert set(done.items) == set(items), done

    async def items(self, items: Sequence[ItemId]) -> list[Item]:
        """As they stand."""
        return await self.spool.listing(Filter(ids=tuple(items)))


async def _mail(
    history: History,
    spool: Spool,
    *domains: DomainName,
    text: str,
    octets_more: bytes = b"",
    deliver_by: DeliverBy | None = None,
) -> ItemId:
    """Spools a message with REQUIRETLS, and perhaps a time; the id of its first item."""
    content = f"Subject: {text}\r\n\r\n".encode() + octets_more
    made = await arrival(spool, *domains, content=content)
    history.contents[made.id] = content
    sender = Mailbox("ann", SENDERS)
    envelopes = [
        (domain, Envelope(sender, (Recipient(Mailbox("bob", domain)),), requiretls=True, deliver_by=deliver_by))
        for domain in domains
    ]
    await spool.accept(structs.replace(made, envelopes=envelopes))
    return item_id(made.id, 1)


async def endings(history: History, spool: Spool) -> None:
    """All of them; each leaves what it should, which the history then holds every cut to."""
    clerk = Clerk(spool, await _old_mail(history, spool))
    await _by_age(history, clerk)
    await _by_time(history, clerk)
    await _by_an_operator(history, clerk)
    await _too_large(history, clerk)
    await _nothing(history, clerk)


async def _old_mail(history: History, spool: Spool) -> MessageId:
    await _mail(history, spool, OLD, text="old 1")
    await _mail(history, spool, OLD, AWAY, text="old 2", octets_more=LARGE)
    await _mail(history, spool, LATE, text="late")
    return spool.new_id()


@contextmanager
def _one_commit(history: History) -> Iterator[None]:
    """What is done meanwhile is written at once: after any cut there is all of it or nothing."""
    before = len(history.changes)
    yield
    assert len(history.changes) == before + 1, "it takes several commits"


def _of(history: History, domain: DomainName) -> list[ItemId]:
    return [item for item, shown in history.now.items() if shown.domain == domain]


async def _by_age(history: History, clerk: Clerk) -> None:
    """Two expire and of one it is told that it is late, all in one commit."""
    with _one_commit(history):
        await clerk.sweep.sweep(clerk.moment)
        await clerk.sweep.sweep(clerk.moment)
    assert _of(history, OLD) == []
    assert len(_of(history, SENDERS)) == 3
    (late,) = _of(history, LATE)
    assert history.now[late].envelope.warned
    assert history.now[late].attempts == 0


async def _by_time(history: History, clerk: Clerk) -> None:
    """One goes back when its time is over, of one it is told."""
    await _mail(history, clerk.spool, TIMED, text="back", deliver_by=DeliverBy(NOW - 5, ByMode.RETURN))
    await _mail(history, clerk.spool, TIMED, text="told", deliver_by=DeliverBy(NOW - 5, ByMode.NOTIFY))
    with _one_commit(history):
        await clerk.deadlines.look(clerk.moment)
        await clerk.deadlines.look(clerk.moment)
    (told,) = _of(history, TIMED)
    assert history.now[told].envelope.warned
    assert len(_of(history, SENDERS)) == 5


async def _by_an_operator(history: History, clerk: Clerk) -> None:
    """Waiting and frozen, small and large, of one domain and of two."""
    spool = clerk.spool
    (of_two,) = _of(history, AWAY)
    small = await _mail(history, spool, AWAY, text="small")
    frozen = await _mail(history, spool, AWAY, A, text="frozen", octets_more=LARGE)
    async with history.trying(history.states([frozen], ItemState.FROZEN)):
        await spool.freeze([frozen])
    with _one_commit(history):
        await clerk.send_elsewhere([small, frozen])
    with _one_commit(history):
        await clerk.send_back([of_two])
    assert [history.now[item].state for item in _of(history, ELSEWHERE)] == [ItemState.WAITING, ItemState.FROZEN]
    with _one_commit(history):
        await clerk.send_back([small, frozen, ItemId(frozen + 1)])
    assert len(_of(history, SENDERS)) == 9
    assert {shown.envelope.requiretls for shown in history.now.values() if shown.domain == SENDERS} == {True}


async def _too_large(history: History, clerk: Clerk) -> None:
    """Frozen as it comes, with its notice; then let go by an operator."""
    beginning = b"Subject: large\r\n\r\n"
    made = await arrival(clerk.spool, LINK, AWAY, content=beginning + LARGE)
    history.contents[made.id] = beginning + LARGE
    held = clerk.admission.hold_back(made, beginning)
    with _one_commit(history):
        await clerk.spool.accept(held)
    item, notice = _of(history, LINK)
    assert (history.now[item].state, history.now[notice].state) == (ItemState.FROZEN, ItemState.WAITING)
    async with history.trying(history.states([item], ItemState.WAITING)):
        await clerk.spool.thaw([item])
    await clerk.send_elsewhere([ItemId(item + 1)])


async def _nothing(history: History, clerk: Clerk) -> None:
    """What is lent and given back is not written about; what an earlier commit still had to do may come between."""
    written = 1
    for _ in range(20):
        before = len(history.disk.operations)
        lent = await clerk.spool.lend(_of(history, LINK), frozen=True)
        assert lent
        clerk.spool.give_back([item.id for item in lent])
        if not (written := len(history.disk.operations) - before):
            break
        await asyncio.sleep(0.05)
    assert not written


async def end_again(spool: Spool) -> None:
    """After a start what is too old goes, as it would have gone: each with one notice, and none gets a second one."""
    before = await spool.listing(Filter())
    told = await _told(spool, before)
    waiting = {item.id: await _subject(spool, item) for item in before if item.domain == OLD}
    assert not told.keys() & set(waiting.values()), "it waits, and its sender was told that it does not"
    clerk = Clerk(spool, spool.new_id())
    await clerk.sweep.sweep(clerk.moment)
    after = await spool.listing(Filter(domains=(OLD, SENDERS)))
    assert not any(item.domain == OLD for item in after)
    assert await _told(spool, after) == told | dict.fromkeys(waiting.values(), 1)


async def _told(spool: Spool, items: Sequence[Item]) -> dict[bytes, int]:
    """Of what old mail senders were told, and how often."""
    told: dict[bytes, int] = {}
    for item in items:
        if item.domain == SENDERS and (subject := await _subject(spool, item)):
            told[subject] = told.get(subject, 0) + 1
    return told


async def _subject(spool: Spool, item: Item) -> bytes:
    content = await spool.content(item)
    head = content if isinstance(content, bytes) else await anext(aiter(content))
    found = _SUBJECT.search(head)
    return b"" if found is None else found[1]
