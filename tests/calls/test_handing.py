"""What is acknowledged has been handed on: each message's reply is what became of it behind us."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from restante.calls.handing import HandingOn
from restante.model import DomainName, Envelope, Mailbox, Recipient
from restante.spool.spool import Arrival, NotTaken
from restante.transport.outcome import CarryEnd, Deferred, Delivered, Feed, ItemOutcome, Outcome, Refused, Report

TEST, MORE = DomainName("test.example"), DomainName("more.example")
YES = Delivered("250 2.0.0 saved")
NO = Refused("550 5.1.1 No such user", "5.1.1")
LATER = Deferred("452 4.2.2 Mailbox full")


class Store:
    """A carrier that decides by the local part, keeps what it takes, and may end before its time."""

    target = "store.example:24"

    def __init__(self, outcomes: dict[str, Outcome] | None = None) -> None:
        self._outcomes = outcomes or {}
        self.taken: list[tuple[str, bytes]] = []
        self.carried = 0
        self.leaves_after: int | None = None
        self.error = ""
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """All that there is."""
        self.carried += 1
        await self.go_on.wait()
        while (parcel := await feed.next()) is not None:
            if self.leaves_after is not None and len(self.taken) >= self.leaves_after:
                break
            content = parcel.content if isinstance(parcel.content, bytes) else await whole(parcel.content)
            recipients = [recipient.mailbox for recipient in parcel.item.envelope.recipients]
            outcomes = [(mailbox, self._outcomes.get(mailbox.local, YES)) for mailbox in recipients]
            self.taken += [(str(mailbox), content) for mailbox, outcome in outcomes if outcome is YES]
            report(ItemOutcome(parcel.item, outcomes))
        return CarryEnd(self.error)


async def whole(pieces: Callable[[], AsyncIterator[bytes]]) -> bytes:
    """A content that is not in memory."""
    return b"".join([piece async for piece in pieces()])


def arrival(inbox: HandingOn, *mailboxes: str, content: bytes = b"Subject: x\r\n\r\nhello\r\n") -> Arrival:
    """A message as a session hands it over: an envelope for each domain."""
    envelopes: dict[DomainName, list[Recipient]] = {}
    for mailbox in mailboxes:
        local, _, domain = mailbox.partition("@")
        envelopes.setdefault(DomainName(domain), []).append(Recipient(Mailbox(local, DomainName(domain))))
    pairs = [(domain, Envelope(None, tuple(recipients))) for domain, recipients in envelopes.items()]
    return Arrival(inbox.new_id(), content, len(content), pairs, 0.0)


async def handed(store: Store, *mailboxes: str) -> str:
    """The reply that the sender of one message gets; "" where all have it."""
    inbox = HandingOn(store)
    done = inbox.accept(arrival(inbox, *mailboxes))
    await asyncio.wait([done])
    refused = done.exception()
    if refused is None:
        assert inbox.failure == ""
        return ""
    assert isinstance(refused, NotTaken)
    assert inbox.failure == f"1 message not handed on: {refused.reply.text}"
    return str(refused)


async def test_all_have_it() -> None:
    """Each domain's recipients, in one message or in several."""
    store = Store()
    assert await handed(store, "anna@test.example", "bert@test.example", "carl@more.example") == ""
    assert [mailbox for mailbox, _ in store.taken] == ["anna@test.example", "bert@test.example", "carl@more.example"]


@pytest.mark.parametrize(
    ("outcomes", "reply"),
    [
        ({"anna": NO, "bert": NO}, "554 5.1.1 <anna@test.example> was refused: 550 5.1.1 No such user"),
        ({"anna": NO}, "554 5.1.1 <anna@test.example> was refused; others have it: 550 5.1.1 No such user"),
        ({"bert": LATER}, "451 4.4.0 Not now: 452 4.2.2 Mailbox full"),
        ({"anna": NO, "bert": LATER}, "451 4.4.0 Not now: 452 4.2.2 Mailbox full"),
        (
            {"anna": Refused("550 \x07\u2028 no")},
            "554 5.0.0 <anna@test.example> was refused; others have it: 550 ?? no",
        ),
    ],
    ids=["none", "one not", "one later", "one not, one later", "odd characters"],
)
async def test_one_reply_for_all(outcomes: dict[str, Outcome], reply: str) -> None:
    """Later goes before no: the sender keeps it for all; a refusal tells who, and whether others have it."""
    assert await handed(Store(outcomes), "anna@test.example", "bert@test.example") == reply


async def test_what_has_no_outcome_is_not_acknowledged() -> None:
    """The store left, or was not there; what it took before is taken."""
    store = Store()
    store.leaves_after, store.error = 1, "store.example:24: hung up"
    inbox = HandingOn(store)
    store.go_on.clear()
    first = inbox.accept(arrival(inbox, "anna@test.example"))
    await asyncio.sleep(0)
    others = [inbox.accept(arrival(inbox, "anna@test.example")) for _ in range(2)]
    store.go_on.set()
    await first
    for other in others:
        with pytest.raises(NotTaken, match=r"^451 4\.4\.0 Not now: store\.example:24: hung up"):
            await other
    assert inbox.failure == "2 messages not handed on: Not now: store.example:24: hung up"


async def test_what_comes_meanwhile_goes_together() -> None:
    """A connection for each batch, not for each message."""
    store = Store()
    inbox = HandingOn(store)
    store.go_on.clear()
    waiting = [inbox.accept(arrival(inbox, "anna@test.example"))]
    await asyncio.sleep(0)
    waiting += [inbox.accept(arrival(inbox, "anna@test.example")) for _ in range(50)]
    assert not any(one.done() for one in waiting)
    store.go_on.set()
    await asyncio.gather(*waiting)
    assert (store.carried, len(store.taken)) == (2, 51)


async def test_a_long_content_is_not_in_memory_and_is_read_once_for_each_domain() -> None:
    """A file without a name has it, which is gone afterwards."""
    store = Store()
    inbox = HandingOn(store)
    writer = await inbox.writer(inbox.new_id(), None)
    pieces = [bytes([number]) * 50_000 for number in range(10)]
    for piece in pieces:
        await writer.write(piece)
    message = arrival(inbox, "anna@test.example", "carl@more.example")
    await inbox.accept(Arrival(message.id, writer, 500_000, message.envelopes, 0.0))
    assert store.taken == [(mailbox, b"".join(pieces)) for mailbox in ("anna@test.example", "carl@more.example")]
    with pytest.raises(ValueError, match="closed"):
        await writer.write(b"more")
