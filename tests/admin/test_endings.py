"""Mail that an operator sends back or elsewhere: with a server and with the store alone; nothing is lost or doubled."""

from __future__ import annotations

import email
from email.message import Message
from pathlib import Path

import pytest
from tests.admin.desk import CONTENT, Desk, desk
from tests.calls.played import TEST, eventually

from restante.admin import protocol as p
from restante.directory.entries import Directory, Held, Recipients, Rejected
from restante.facts import ItemRedirected, ItemReturned
from restante.model import Caller, DomainName, Item, ItemState, MessageId, Notify, Order, item_id, write_item_id
from restante.spool.spool import INLINE_LIMIT, Filter

CALLER = DomainName("caller.example")


def first(message: MessageId) -> str:
    """The id of a message's first item."""
    return write_item_id(item_id(message, 1))


async def listed(office: Desk) -> list[Item]:
    """All items."""
    return await office.spool.listing(Filter())


async def content(office: Desk, item: Item) -> bytes:
    """The octets of an item."""
    found = await office.spool.content(item)
    return found if isinstance(found, bytes) else b"".join([piece async for piece in found])


async def report_of(office: Desk, item: Item) -> tuple[Message, Message]:
    """A failure DSN: what it says of the message, and of the one recipient."""
    status = email.message_from_bytes(await content(office, item)).get_payload(1)
    assert isinstance(status, Message)
    about_message, about_recipient = status.get_payload(0), status.get_payload(1)
    assert isinstance(about_message, Message)
    assert isinstance(about_recipient, Message)
    return about_message, about_recipient


def know_more(office: Desk) -> None:
    """The host gets a domain with a list of recipients, and one that it refuses."""
    listed = Held("listed.example", Caller(), recipients=Recipients(frozenset({"anna@listed.example"})))
    entries = [*office.directory.entries(), listed, Rejected("gone.example", "We have moved")]
    office.directory = Directory("office.example", entries)


# sent back


@pytest.mark.parametrize("alone", [False, True])
async def test_what_is_sent_back_is_a_notice_to_its_sender(tmp_path: Path, alone: bool) -> None:
    """With the operator's words (RFC 3464); the item is gone, its notice waits."""
    async with desk(tmp_path) as office:
        identifier = first(await office.mail(sender="carla@caller.example"))
        answer = await office.ask(p.Bounce((identifier,), text="We are closed."), alone=alone)
        assert answer == p.ChangeAnswer((identifier,))
        [notice] = await listed(office)
        assert (notice.domain, notice.envelope.reverse_path) == (CALLER, None)
        _, about = await report_of(office, notice)
        assert (about["Action"], about["Status"]) == ("failed", "5.0.0")
        assert (about["Final-Recipient"], about["Diagnostic-Code"]) == (
            "rfc822; anna@test.example",
            "X-Restante; We are closed.",
        )
        text = email.message_from_bytes(await content(office, notice)).get_payload(0)
        assert isinstance(text, Message)
        assert "has sent your message back" in text.get_payload()
        [fact] = [fact for fact in office.feed.facts if isinstance(fact, ItemReturned)]
        assert (fact.reverse_path, fact.recipients, fact.reason) == ("<carla@caller.example>", 1, "We are closed.")
        assert fact.dsn == notice.message


async def test_a_notice_leaves_by_itself_where_its_mail_does(tmp_path: Path) -> None:
    """Nobody has to release it."""
    async with desk(tmp_path) as office:
        await office.mail(sender="carla@fast.example")
        await office.ask(p.Bounce(domain="test.example"))
        await eventually(lambda: not office.spool.domains())


async def test_whose_sender_wants_no_notice_just_ends(tmp_path: Path) -> None:
    """The null reverse-path, NOTIFY=NEVER, and senders to whom there is no way."""
    async with desk(tmp_path) as office:
        await office.mail(sender="")
        await office.mail(sender="carla@caller.example", notify=(Notify.NEVER,))
        await office.mail(sender="carla@nowhere.example")
        answer = await office.ask(p.Bounce(all=True))
        assert isinstance(answer, p.ChangeAnswer)
        assert (len(answer.changed), answer.status) == (3, p.DONE)
        assert await listed(office) == []
        assert [fact.dsn for fact in office.feed.facts if isinstance(fact, ItemReturned)] == [None] * 3


async def test_notices_of_what_is_sent_back_are_not_sent_back(tmp_path: Path) -> None:
    """All means all that was there; more of one sender's than he would get by himself."""
    async with desk(tmp_path) as office:
        for _ in range(250):
            await office.mail(sender="carla@caller.example")
        answer = await office.ask(p.Bounce(all=True))
        assert isinstance(answer, p.ChangeAnswer)
        assert len(answer.changed) == 250
        assert {domain: waiting.items for domain, waiting in office.spool.domains().items()} == {CALLER: 250}


async def test_what_is_frozen_is_sent_back_and_what_is_on_its_way_or_damaged_is_not(tmp_path: Path) -> None:
    """The answer names what was left, and why."""
    async with desk(tmp_path) as office:
        moving = first(await office.mail())
        (claimed,) = await office.spool.claim([TEST], Order.ARRIVAL, 1, 99)
        damaged, frozen = await office.mail(), await office.mail()
        await office.spool.quarantine(damaged)
        await office.spool.freeze([item_id(frozen, 1)])
        answer = await office.ask(p.Bounce((moving, first(damaged), first(frozen), "nonsense")))
        assert answer == p.ChangeAnswer(
            (first(frozen),),
            unchanged=(
                p.Unchanged(moving, "is on its way"),
                p.Unchanged(first(damaged), "is quarantined: it is damaged"),
            ),
            unknown=("nonsense",),
        )
        office.spool.give_back([claimed.id])
        assert {item.id for item in await listed(office)} == {claimed.id, item_id(damaged, 1)}


# sent elsewhere


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("octets", [len(CONTENT), INLINE_LIMIT + 1000])
async def test_what_is_redirected_waits_elsewhere_as_it_was(tmp_path: Path, alone: bool, octets: int) -> None:
    """The same item, with its content, its sender and its age; whom it was for is in ORCPT (RFC 3461 §4.2)."""
    async with desk(tmp_path) as office:
        text = CONTENT + b"x" * (octets - len(CONTENT))
        identifier = first(await office.mail("anna@test.example", content=text))
        (before,) = await listed(office)
        answer = await office.ask(p.Redirect((identifier,), where="Bert@caller.example"), alone=alone)
        assert answer == p.ChangeAnswer((identifier,))
        (item,) = await listed(office)
        assert (item.id, item.domain, item.arrived) == (before.id, CALLER, before.arrived)
        assert item.envelope.reverse_path == before.envelope.reverse_path
        assert [(str(r.mailbox), r.orcpt) for r in item.envelope.recipients] == [
            ("Bert@caller.example", "rfc822;anna@test.example")
        ]
        assert item.since > before.since
        assert await content(office, item) == text
        assert {domain: waiting.items for domain, waiting in office.spool.domains().items()} == {CALLER: 1}
        [fact] = [fact for fact in office.feed.facts if isinstance(fact, ItemRedirected)]
        assert (fact.domain, fact.before, fact.recipients) == (TEST, ("anna@test.example",), ("Bert@caller.example",))


async def test_a_domain_keeps_the_local_parts(tmp_path: Path) -> None:
    """And to an address many go as one."""
    async with desk(tmp_path) as office:
        message = await office.mail("anna@test.example", "bert@test.example")
        await office.ask(p.Redirect((first(message),), where="@caller.example"))
        (item,) = await listed(office)
        assert [str(r.mailbox) for r in item.envelope.recipients] == ["anna@caller.example", "bert@caller.example"]
        await office.ask(p.Redirect((first(message),), where="otto@test.example"))
        (item,) = await listed(office)
        assert [(str(r.mailbox), r.orcpt) for r in item.envelope.recipients] == [
            ("otto@test.example", "rfc822;anna@test.example")
        ]


async def test_what_is_redirected_to_where_mail_leaves_by_itself_leaves(tmp_path: Path) -> None:
    """It needs no second word; what is frozen does."""
    async with desk(tmp_path) as office:
        going, frozen = await office.mail(), await office.mail()
        await office.spool.freeze([item_id(frozen, 1)])
        answer = await office.ask(p.Redirect((first(going), first(frozen)), where="fast.example"))
        assert answer == p.ChangeAnswer((first(going), first(frozen)))
        await eventually(lambda: not office.spool.domains())
        (item,) = await listed(office)
        assert (item.message, item.domain, item.state) == (frozen, "fast.example", ItemState.FROZEN)


@pytest.mark.parametrize(
    ("where", "why"),
    [
        ("bert@nowhere.example", "this host has no way to that domain"),
        ("nowhere.example", "this host has no way to that domain"),
        ("bert@gone.example", "this host refuses mail for that domain"),
        ("gone.example", "this host refuses mail for that domain"),
        ("nobody@listed.example", "no such user here"),
    ],
)
async def test_nowhere_is_no_place_to_send_mail_to(tmp_path: Path, where: str, why: str) -> None:
    """Nothing is changed, and the reason is told."""
    async with desk(tmp_path) as office:
        know_more(office)
        await office.mail()
        before = await listed(office)
        assert await office.ask(p.Redirect(all=True, where=where)) == p.Failed((f"{where}: {why}",))
        assert await listed(office) == before


async def test_of_a_domain_each_item_s_recipients_must_be_known(tmp_path: Path) -> None:
    """Who has one that is not stays as it is, all of it."""
    async with desk(tmp_path) as office:
        know_more(office)
        known, half = (
            await office.mail("anna@test.example"),
            await office.mail("anna@test.example", "bert@test.example"),
        )
        answer = await office.ask(p.Redirect(domain="test.example", where="listed.example"))
        reason = "bert@listed.example: no such user here"
        assert answer == p.ChangeAnswer((first(known),), unchanged=(p.Unchanged(first(half), reason),))
        assert [(item.message, item.domain) for item in await listed(office)] == [
            (known, "listed.example"),
            (half, TEST),
        ]


@pytest.mark.parametrize("where", ["", "not a domain", "bert@", "@"])
async def test_what_is_no_place_at_all_is_a_usage_error(tmp_path: Path, where: str) -> None:
    """Nothing is changed."""
    async with desk(tmp_path) as office:
        await office.mail()
        answer = await office.ask(p.Redirect(all=True, where=where))
        assert isinstance(answer, p.Failed)
        assert answer.status == p.USAGE
