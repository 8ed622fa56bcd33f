"""What every engine promises (spool/spool.py), one promise a test."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest
from msgspec import structs
from tests.contract.engines import NOW, A, B, Engine, arrival, claimed, envelope, ids, octets, put, whole

from restante.model import (
    ByMode,
    DeliverBy,
    DomainName,
    Envelope,
    ItemId,
    ItemState,
    Mailbox,
    MessageId,
    Notify,
    Order,
    Recipient,
    Waiting,
    item_id,
    message_of,
)
from restante.smtp.command import Body, Ret
from restante.spool.spool import (
    INLINE_LIMIT,
    STREAMED_BEYOND,
    Arrival,
    ContentDamage,
    Due,
    Filter,
    Settlement,
    Spool,
)

LARGE = octets(INLINE_LIMIT * 9 + 7)
NOBODY = DomainName("nobody.example")


async def reopened(engine: Engine, spool: Spool) -> Spool:
    """The same store, after an orderly end."""
    await spool.close()
    return await engine.open()


# coming in


async def test_what_was_accepted_is_there_after_an_end(engine: Engine) -> None:
    """Content, envelope with all its parameters, time, priority, and the counters."""
    spool = await engine.open()
    message = spool.new_id()
    given = Envelope(
        Mailbox("a b", DomainName("sender.example")),
        (
            Recipient(Mailbox("bob", A), (Notify.FAILURE, Notify.DELAY), "rfc822;bob@a.example"),
            Recipient(Mailbox("é", A)),
        ),
        Body.EIGHT_BIT,
        smtputf8=True,
        ret=Ret.HDRS,
        envid="x+2By",
        requiretls=True,
        deliver_by=DeliverBy(NOW + 90.5, ByMode.RETURN, trace=True),
    )
    await spool.accept(Arrival(message, b"hello\r\n", 7, [(A, given)], NOW + 0.25, 3))
    spool = await reopened(engine, spool)
    assert spool.waiting(A) == Waiting(1, 7, NOW + 0.25)
    (item,) = await spool.claim([A], Order.PRIORITY, 10, 1)
    assert (item.message, item.domain, item.envelope) == (message, A, given)
    assert (item.size, item.arrived, item.priority) == (7, NOW + 0.25, 3)
    assert (item.attempts, item.next_attempt, item.detail, item.state) == (0, 0.0, "", ItemState.CLAIMED)
    assert await spool.content(item) == b"hello\r\n"
    await spool.close()


async def test_a_message_for_two_domains_is_an_item_each(spool: Spool) -> None:
    """They share the content and go their own ways; the content goes with the last."""
    first = await put(spool, A, B)
    assert spool.domains() == {A: Waiting(1, 25, NOW), B: Waiting(1, 25, NOW)}
    (of_a,) = await spool.claim([A], Order.PRIORITY, 10, 1)
    (of_b,) = await spool.claim([B], Order.PRIORITY, 10, 2)
    assert (of_a.id, of_a.message) == (first, of_b.message)
    await spool.settle([Settlement(of_a.id, None)])
    assert spool.domains() == {B: Waiting(1, 25, NOW)}
    assert await spool.content(of_b) == b"Subject: hello\r\n\r\nhello\r\n"
    await spool.settle([Settlement(of_b.id, None)])
    assert spool.domains() == {}
    with pytest.raises(ContentDamage):
        await spool.content(of_b)


async def test_a_large_message_is_streamed_and_comes_out_whole(engine: Engine) -> None:
    """In pieces, also after an end; nothing is in memory at once."""
    large = octets(3 * STREAMED_BEYOND)
    spool = await engine.open()
    await put(spool, A, content=large)
    spool = await reopened(engine, spool)
    (item,) = await spool.claim([A], Order.PRIORITY, 10, 1)
    content = await spool.content(item)
    assert not isinstance(content, bytes)
    pieces = [piece async for piece in content]
    assert b"".join(pieces) == large
    assert max(map(len, pieces)) < STREAMED_BEYOND
    await spool.settle([Settlement(item.id, None)])
    assert await spool.listing(Filter()) == []
    await spool.close()


async def test_a_content_that_is_not_accepted_is_not_there(engine: Engine) -> None:
    """Discarded once, twice, or forgotten: nothing of it is visible, then or later."""
    spool = await engine.open()
    writer = await spool.writer(spool.new_id(), None)
    await writer.write(LARGE)
    await writer.discard()
    await writer.discard()
    forgotten = await spool.writer(spool.new_id(), 10)
    await forgotten.write(LARGE)
    spool = await reopened(engine, spool)
    assert await spool.listing(Filter()) == []
    assert spool.domains() == {}
    await spool.close()


async def test_accept_enters_the_commit_at_the_call(spool: Spool) -> None:
    """Many may be under way at once, and nobody needs to wait for them one by one."""
    awaited = [spool.accept(await arrival(spool, A)) for _ in range(600)]
    await asyncio.gather(*awaited)
    assert spool.waiting(A).items == 600


async def test_an_empty_content_is_a_content(spool: Spool) -> None:
    """None of it is missing."""
    await put(spool, content=b"")
    (item,) = await spool.claim([A], Order.PRIORITY, 1, 1)
    assert await spool.content(item) == b""
    assert await spool.contents([item]) == [b""]


async def test_ids_grow_across_an_end_and_a_clock_that_goes_back(engine: Engine) -> None:
    """So an id is never given twice while mail with it waits, and sorts by arrival."""
    spool = await engine.open()
    before = [spool.new_id() for _ in range(5000)]
    assert sorted(set(before)) == before
    last = message_of(await put(spool))
    engine.now -= 86400 * 400  # type: ignore[attr-defined] # the test's own clock
    spool = await reopened(engine, spool)
    assert spool.new_id() > last
    await spool.close()


async def test_there_is_room_for_a_message_but_not_for_the_disks_size(spool: Spool) -> None:
    """As MAIL asks; the look is cheap."""
    assert spool.room_for(50 * 1024 * 1024)
    assert not spool.room_for(1 << 60)


async def test_an_envelope_that_cannot_be_stored_fails_alone(spool: Spool) -> None:
    """What no UTF-8 can hold is that message's own trouble."""
    bad = structs.replace(await arrival(spool), envelopes=[(A, envelope(A, local="\udc80"))])
    good = spool.accept(await arrival(spool))
    with pytest.raises(UnicodeEncodeError):
        await spool.accept(bad)
    await good
    assert spool.waiting(A).items == 1


# counters


async def test_oldest_is_right_whatever_leaves(spool: Spool) -> None:
    """It is what arrived first of that which still waits, in whatever order it came in."""
    second = await put(spool, arrived=NOW + 20)
    first = await put(spool, arrived=NOW + 10)
    third = await put(spool, arrived=NOW + 30)
    await claimed(spool)
    for gone, oldest in ((first, NOW + 20), (second, NOW + 30), (third, None)):
        await spool.settle([Settlement(gone, None)])
        assert spool.waiting(A).oldest == oldest


async def test_what_is_claimed_counts_and_what_is_stopped_does_not(spool: Spool) -> None:
    """A claim is only lent; a stop is an operator's word."""
    one, other = await put(spool), await put(spool, arrived=NOW + 1)
    await claimed(spool, limit=1)
    assert spool.waiting(A) == Waiting(2, 50, NOW)
    assert await spool.freeze([other]) == [other]
    assert spool.waiting(A) == Waiting(1, 25, NOW)
    assert await spool.thaw([other]) == [other]
    await spool.settle([Settlement(one, None)])
    assert spool.waiting(A) == Waiting(1, 25, NOW + 1)
    assert spool.waiting(NOBODY) == Waiting()


# going out


async def test_the_three_orders(spool: Spool) -> None:
    """Priority comes first in each; then arrival, or size and arrival."""
    sizes = ((5, 0), (3, 0), (9, 4), (3, 4), (5, -2), (1, 0))
    items = [await put(spool, content=b"x" * size, priority=priority) for size, priority in sizes]
    arrival_order = [items[n] for n in (2, 3, 0, 1, 5, 4)]
    assert await claimed(spool, release=1) == arrival_order
    spool.release_ended(1)
    assert await claimed(spool, release=2, order=Order.ARRIVAL) == arrival_order
    spool.release_ended(2)
    assert await claimed(spool, release=3, order=Order.SMALLEST) == [items[n] for n in (3, 2, 5, 1, 0, 4)]


@pytest.mark.parametrize("order", Order)
async def test_many_small_claims_give_what_one_large_one_gives(spool: Spool, order: Order) -> None:
    """In the same order, over two domains, with other domains' mail between."""
    chance = random.Random(4)
    await asyncio.gather(
        *[
            spool.accept(
                await arrival(
                    spool,
                    chance.choice((A, B, NOBODY)),
                    content=b"x" * chance.randrange(1, 9),
                    priority=chance.choice((0, 0, 0, 3)),
                )
            )
            for _ in range(500)
        ]
    )
    at_once = await claimed(spool, A, B, order=order, release=1)
    spool.release_ended(1)
    in_parts: list[ItemId] = []
    while part := await claimed(spool, A, B, order=order, release=2, limit=7):
        in_parts += part
    assert in_parts == at_once
    assert len(at_once) == spool.waiting(A).items + spool.waiting(B).items


async def test_what_one_release_has_another_does_not_get(spool: Spool) -> None:
    """Until it is given back; and the one that had it is not offered it again."""
    one, two = await put(spool), await put(spool)
    assert await claimed(spool, release=1, limit=1) == [one]
    assert await claimed(spool, release=2) == [two]
    assert await claimed(spool, release=2) == []
    spool.give_back([one])
    assert await claimed(spool, release=1) == []
    assert await claimed(spool, release=2) == [one]
    spool.give_back([one, two])
    assert await claimed(spool, release=2) == []
    assert sorted(await claimed(spool, release=1)) == [two]


async def test_a_release_that_ended_is_forgotten_and_leaves_nothing_lent(spool: Spool) -> None:
    """Whatever it had is there for the next."""
    one = await put(spool)
    assert await claimed(spool, release=1) == [one]
    spool.release_ended(1)
    assert await claimed(spool, release=2) == [one]
    spool.give_back([one])
    spool.release_ended(2)
    spool.release_ended(2)
    assert await claimed(spool, release=3) == [one]


async def test_giving_back_changes_nothing(spool: Spool) -> None:
    """It waits as before: no attempt is counted, nothing is written."""
    one = await put(spool)
    (before,) = await spool.listing(Filter())
    await claimed(spool)
    spool.give_back([one])
    spool.give_back([one, ItemId(one + 1)])
    assert await spool.listing(Filter()) == [before]


async def test_what_arrives_while_a_release_runs_is_offered_by_it(spool: Spool) -> None:
    """Also when it comes before what was passed already: with a higher priority, or an older id."""
    late = await arrival(spool, A)
    first, second = await put(spool), await put(spool)
    assert await claimed(spool, limit=1) == [first]
    urgent = await put(spool, priority=5)
    await spool.accept(late)
    assert set(await claimed(spool, limit=10)) == {second, urgent, (late.id << 10) | 1}
    after = await put(spool)
    assert await claimed(spool) == [after]
    assert await claimed(spool) == []


async def test_a_domain_that_joins_a_release_is_offered_whole(spool: Spool) -> None:
    """The entry `*` gets further domains while it is released; what leaves it is not offered, until it is back."""
    first = await put(spool, A)
    old = await put(spool, B)
    second = await put(spool, A)
    assert await claimed(spool, A, limit=1) == [first]
    assert await claimed(spool, B) == [old]
    assert await claimed(spool, A, B) == [second]


async def test_only_what_is_due_is_claimed(spool: Spool) -> None:
    """Unless nobody asks for the hour. due() tells the next one."""
    early, late, fresh = await put(spool), await put(spool), await put(spool)
    await claimed(spool, limit=2)
    await spool.settle([_left(early, NOW + 100), _left(late, NOW + 200)])
    assert await spool.due([A]) == 0.0
    assert await claimed(spool, release=2, due=Due(NOW)) == [fresh]
    assert await spool.due([A, NOBODY]) == NOW + 100
    assert await claimed(spool, release=2, due=Due(NOW + 150)) == [early]
    assert await spool.due([A]) == NOW + 200
    assert await claimed(spool, release=3) == [late]
    assert await spool.due([A]) is None
    assert await spool.due([NOBODY]) is None


@pytest.mark.parametrize("order", Order)
async def test_what_is_due_later_than_any_wait_is_due_now(spool: Spool, order: Order) -> None:
    """The clock was set back since: what was written as its hour is no hour of this clock."""
    soon, later, stray, other = await put(spool), await put(spool), await put(spool), await put(spool, B)
    await claimed(spool, A, B)
    hours = {soon: NOW + 5, later: NOW + 100, stray: NOW + 101, other: NOW + 9e8}
    await spool.settle([_left(item, hour) for item, hour in hours.items()])
    assert await spool.due([A, B], NOW + 100) == 0.0
    assert await spool.due([A, B], NOW + 9e8) == NOW + 5
    due = Due(NOW, NOW + 100)
    assert await claimed(spool, A, B, release=2, order=order, due=due) == [stray, other]
    assert await spool.due([A, B], NOW + 100) == NOW + 5
    spool.release_ended(2)
    assert await claimed(spool, A, release=3, order=order, due=due) == [stray]


async def test_what_is_left_of_an_item_waits_with_its_reason(engine: Engine) -> None:
    """Fewer recipients, one attempt more, the hour of the next; after an end too."""
    spool = await engine.open()
    one = await put(spool)
    await claimed(spool)
    rest = envelope(A, local="carol")
    await spool.settle([Settlement(one, rest, "450 4.2.0 later", NOW + 60)])
    assert await claimed(spool) == []
    spool = await reopened(engine, spool)
    (item,) = await spool.claim([A], Order.PRIORITY, 10, 1)
    assert (item.envelope, item.detail, item.next_attempt, item.attempts) == (rest, "450 4.2.0 later", NOW + 60, 1)
    assert spool.waiting(A) == Waiting(1, 25, NOW)
    await spool.close()


async def test_a_settlement_and_its_dsn_are_one(engine: Engine) -> None:
    """The item is gone and its report waits."""
    spool = await engine.open()
    one = await put(spool)
    await claimed(spool)
    report = await arrival(spool, B, content=b"it failed\r\n")
    await spool.settle([Settlement(one, None, dsn=report)])
    assert spool.domains() == {B: Waiting(1, 11, NOW)}
    spool = await reopened(engine, spool)
    (item,) = await spool.claim([B], Order.PRIORITY, 10, 1)
    assert await spool.content(item) == b"it failed\r\n"
    assert await spool.listing(Filter(domains=(A,))) == []
    await spool.close()


async def test_what_is_being_settled_is_nobodys(spool: Spool) -> None:
    """Neither a return nor another release gets hold of it between the call and the commit."""
    one = await put(spool)
    await claimed(spool)
    settling = spool.settle([Settlement(one, None)])
    spool.give_back([one])
    assert await claimed(spool, release=2) == []
    await settling
    assert await claimed(spool, release=3) == []


async def test_many_contents_at_once(spool: Spool) -> None:
    """In the order asked; None for what is not handed over whole."""
    small = [await put(spool, content=octets(size, size)) for size in (1, 4096, INLINE_LIMIT)]
    large = await put(spool, content=LARGE)
    items = {item.id: item for item in await spool.claim([A], Order.PRIORITY, 10, 1)}
    asked = [items[each] for each in (small[2], large, small[0], small[1])]
    assert await spool.contents(asked) == [octets(INLINE_LIMIT, INLINE_LIMIT), None, octets(1, 1), octets(4096, 4096)]
    assert await whole(await spool.content(items[large])) == LARGE


# operators


async def test_a_frozen_item_is_passed_by_until_it_is_thawed(engine: Engine) -> None:
    """Also by a release that has begun, and over an end."""
    spool = await engine.open()
    one, two, three = await put(spool), await put(spool), await put(spool)
    assert await claimed(spool, limit=1) == [one]
    assert await spool.freeze([two, three, ItemId(7)]) == [two, three]
    assert await spool.freeze([two]) == []
    assert await claimed(spool) == []
    assert await spool.thaw([three, one]) == [three]
    assert await claimed(spool) == [three]
    spool = await reopened(engine, spool)
    assert await claimed(spool) == [one, three]
    assert await spool.thaw([two]) == [two]
    assert await claimed(spool) == [two]
    await spool.close()


async def test_an_item_may_be_frozen_from_the_start_and_a_notice_come_with_it(engine: Engine) -> None:
    """In one commit: no release ever saw it waiting; the notice waits in its place, and thaw ends the stop."""
    spool = await engine.open()
    await put(spool, A)
    assert len(await claimed(spool, A, B, release=9)) == 1  # a release that has begun
    made, notice = await arrival(spool, A, B, content=LARGE), await arrival(spool, A, content=b"told")
    await spool.accept(structs.replace(made, frozen={A: "too large"}, notices=(notice,)))
    stopped, other, told = (item_id(made.id, 1), item_id(made.id, 2), item_id(notice.id, 1))
    assert sorted(await claimed(spool, A, B, release=9)) == [other, told]
    spool.release_ended(9)
    spool = await reopened(engine, spool)
    assert (spool.waiting(A).items, spool.waiting(B)) == (2, Waiting(1, len(LARGE), NOW))
    (item,) = await spool.listing(Filter(state=ItemState.FROZEN))
    assert (item.id, item.detail, item.size) == (stopped, "too large", len(LARGE))
    assert await whole(await spool.content(item)) == LARGE
    assert await spool.thaw([stopped]) == [stopped]
    assert stopped in await claimed(spool)
    await spool.close()


async def test_what_is_stopped_is_told_by_domain(spool: Spool) -> None:
    """Frozen or quarantined; what waits or is on its way is in the other counters."""
    one, two = await put(spool, A, B), await put(spool, A, arrived=NOW - 7)
    three = await put(spool, A)
    await claimed(spool, A, limit=1)
    assert await spool.stopped_domains() == {}
    await spool.freeze([two])
    await spool.quarantine(message_of(three))
    assert await spool.stopped_domains() == {A: Waiting(2, 50, NOW - 7)}
    await spool.freeze([one])
    assert (await spool.stopped_domains())[A] == Waiting(3, 75, NOW - 7)
    await spool.thaw([two])
    await spool.remove([three])
    assert (await spool.stopped_domains())[A].items == 1


async def test_what_has_waited_long_enough_is_found_by_ids(spool: Spool) -> None:
    """Of each domain up to a message, in order of ids, in pages; not what somebody has, nor what is stopped."""
    first = [await put(spool, A, B, priority=priority) for priority in (0, -3, 5, 0)]
    later = await put(spool, A, B)
    lent, frozen = first[1], first[2]
    assert await claimed(spool, A, limit=1) == [first[2]]  # the highest priority; it comes back
    spool.give_back([first[2]])
    await spool.freeze([frozen])
    assert ids(await spool.lend([lent])) == [lent]
    bounds = [(A, message_of(first[3])), (B, message_of(first[0])), (NOBODY, message_of(later))]
    found = await spool.aged(bounds, None, 10)
    assert ids(found) == [first[0], ItemId(first[0] + 1), first[3]]
    assert {item.state for item in found} == {ItemState.WAITING}
    assert ids(await spool.aged(bounds, None, 2)) == [first[0], ItemId(first[0] + 1)]
    assert ids(await spool.aged(bounds, ItemId(first[0] + 1), 2)) == [first[3]]
    assert await spool.aged(bounds, first[3], 2) == []
    assert await spool.aged([(A, MessageId(message_of(first[0]) - 1))], None, 10) == []
    spool.give_back([lent])
    assert ids(await spool.aged(bounds, None, 10)) == [first[0], ItemId(first[0] + 1), lent, first[3]]


async def test_what_has_a_time_is_found_among_the_rest(spool: Spool) -> None:
    """In portions, in order of ids, whatever its state; each look goes on where the last one ended."""
    by = DeliverBy(NOW + 60, ByMode.RETURN)
    found = []
    for number in range(7):
        made = await arrival(spool, A)
        asked = structs.replace(envelope(A, local='"deliver_by":'), deliver_by=by if number % 3 == 0 else None)
        await spool.accept(structs.replace(made, envelopes=[(A, asked)]))
        found.append(item_id(made.id, 1))
    await claimed(spool, limit=1)
    await spool.freeze([found[6]])
    items, last = await spool.timed(None, 5)
    assert ([item.id for item in items], last) == ([found[0], found[3]], found[4])
    assert [(item.state, item.envelope.deliver_by) for item in items] == [
        (ItemState.CLAIMED, by),
        (ItemState.WAITING, by),
    ]
    items, last = await spool.timed(last, 5)
    assert ([item.id for item in items], last) == ([found[6]], found[6])
    assert await spool.timed(last, 5) == ([], None)


async def test_items_are_lent_by_their_ids(spool: Spool) -> None:
    """To nobody's release: those that wait and are free. What comes back is offered by the releases that run."""
    one, two, three, four = [await put(spool) for _ in range(4)]
    assert await claimed(spool, limit=1) == [one]
    await spool.freeze([three])
    lent = await spool.lend([four, one, two, three, two, ItemId(5)])
    assert sorted(ids(lent)) == [two, four]
    assert {item.state for item in lent} == {ItemState.CLAIMED}
    assert await spool.lend([two, four]) == []
    assert await claimed(spool) == []
    assert await spool.remove([two]) == []
    await spool.settle([Settlement(two, None)])
    spool.give_back([four, three])
    assert await claimed(spool) == [four]
    spool.release_ended(1)
    assert await claimed(spool, release=2) == [one, four]


async def test_frozen_items_are_lent_only_where_that_is_asked_for(spool: Spool) -> None:
    """What comes back, or remains, of one is frozen as before; what has ended is gone."""
    one, two, three = [await put(spool) for _ in range(3)]
    await spool.freeze([one, two, three])
    assert await spool.lend([one, two, three]) == []
    lent = await spool.lend([one, two, three], frozen=True)
    assert sorted(ids(lent)) == [one, two, three]
    assert await spool.lend([one], frozen=True) == []
    await spool.settle([Settlement(one, None), Settlement(two, lent[1].envelope, is_attempt=False)])
    spool.give_back([three])
    assert await claimed(spool) == []
    assert [(item.id, item.state) for item in await spool.listing(Filter())] == [
        (two, ItemState.FROZEN),
        (three, ItemState.FROZEN),
    ]
    assert await spool.thaw([two, three]) == [two, three]
    assert await claimed(spool) == [two, three]


async def test_what_remains_may_wait_for_another_domain(engine: Engine) -> None:
    """In one commit, after which it is that domain's alone: its counters', its listing's, its releases'."""
    spool = await engine.open()
    one, two, stopped = [await put(spool) for _ in range(3)]
    await spool.freeze([stopped])
    assert await claimed(spool, A, B, limit=1, release=1) == [one]
    assert await claimed(spool, B, release=2) == []
    lent = await spool.lend([two, stopped], frozen=True)
    elsewhere = envelope(B)
    await spool.settle([Settlement(item.id, elsewhere, is_attempt=False, domain=B) for item in lent])
    assert {domain: waiting.items for domain, waiting in spool.domains().items()} == {A: 1, B: 1}
    assert await claimed(spool, B, release=2) == [two]
    spool.release_ended(1)
    spool.release_ended(2)
    spool = await reopened(engine, spool)
    assert {domain: waiting.items for domain, waiting in spool.domains().items()} == {A: 1, B: 1}
    listed = await spool.listing(Filter(domains=(B,)))
    assert [(item.id, item.envelope, item.attempts, item.state) for item in listed] == [
        (two, elsewhere, 0, ItemState.WAITING),
        (stopped, elsewhere, 0, ItemState.FROZEN),
    ]
    assert await spool.thaw([stopped]) == [stopped]
    assert spool.waiting(B).items == 2
    await spool.close()


async def test_what_is_no_attempt_counts_as_none(spool: Spool) -> None:
    """Its sender was told; else nothing has changed."""
    one = await put(spool)
    await claimed(spool)
    await spool.settle([_left(one, NOW + 60)])
    spool.release_ended(1)
    (item,) = await spool.lend([one])
    told = structs.replace(item.envelope, warned=True)
    dsn = await arrival(spool, B)
    await spool.settle([Settlement(one, told, item.detail, item.next_attempt, dsn, is_attempt=False)])
    (waiting,) = await spool.listing(Filter(domains=(A,)))
    assert waiting == replace(item, envelope=told, state=ItemState.WAITING)
    assert (waiting.attempts, spool.waiting(B).items) == (1, 1)


async def test_a_claimed_item_is_stopped_if_it_comes_back(spool: Spool) -> None:
    """What is on its way goes on; what is delivered is gone; what returns is frozen."""
    one, two, three = await put(spool), await put(spool), await put(spool)
    await claimed(spool)
    assert await spool.freeze([one, two, three]) == [one, two, three]
    assert [item.state for item in await spool.listing(Filter())] == [ItemState.CLAIMED] * 3
    spool.give_back([one])
    await spool.settle([_left(two, 0.0), Settlement(three, None)])
    assert [(item.id, item.state) for item in await spool.listing(Filter())] == [
        (one, ItemState.FROZEN),
        (two, ItemState.FROZEN),
    ]
    assert await claimed(spool, release=2) == []
    assert spool.waiting(A) == Waiting()


async def test_what_is_on_its_way_is_not_removed(spool: Spool) -> None:
    """Whatever else is, with its content, frozen or not."""
    one, two, three = await put(spool), await put(spool, content=LARGE), await put(spool)
    await claimed(spool, limit=1)
    await spool.freeze([three])
    assert sorted(await spool.remove([one, two, three, three, ItemId(5)])) == [two, three]
    assert ids(await spool.listing(Filter())) == [one]
    assert spool.waiting(A) == Waiting(1, 25, NOW)


async def test_a_damaged_message_is_set_aside_whole(engine: Engine) -> None:
    """All its items, claimed or not; no release is offered them, thaw does not bring them back, remove ends them."""
    spool = await engine.open()
    first = await put(spool, A, B)
    second = ItemId(first + 1)
    assert await claimed(spool, A) == [first]
    assert await spool.quarantine(message_of(first)) == [first, second]
    assert await spool.quarantine(message_of(first)) == []
    assert spool.domains() == {}
    assert await claimed(spool, A, B, release=2) == []
    assert await spool.thaw([first, second]) == []
    spool = await reopened(engine, spool)
    assert [item.state for item in await spool.listing(Filter())] == [ItemState.QUARANTINED] * 2
    assert await spool.remove([first, second]) == [first, second]
    assert await spool.listing(Filter()) == []
    await spool.close()


async def test_listing_finds_by_domain_id_and_state(spool: Spool) -> None:
    """In order of ids, in pages."""
    one = await put(spool, A, B)
    two = await put(spool, B)
    three, four = await put(spool, A), await put(spool, A)
    other = ItemId(one + 1)
    await claimed(spool, A, limit=1)
    await spool.freeze([three, two])

    async def found(wanted: Filter) -> list[ItemId]:
        return ids(await spool.listing(wanted))

    assert await found(Filter()) == [one, other, two, three, four]
    assert await found(Filter(limit=2)) == [one, other]
    assert await found(Filter(limit=2, after=other)) == [two, three]
    assert await found(Filter(domains=(A,))) == [one, three, four]
    assert await found(Filter(domains=(A,), after=one, limit=1)) == [three]
    assert await found(Filter(domains=(A, B, NOBODY))) == [one, other, two, three, four]
    assert await found(Filter(ids=(message_of(one), four))) == [one, other, four]
    assert await found(Filter(ids=(message_of(one),), domains=(B,))) == [other]
    assert await found(Filter(ids=(ItemId(four + 99),))) == []
    assert await found(Filter(state=ItemState.CLAIMED)) == [one]
    assert await found(Filter(state=ItemState.WAITING)) == [other, four]
    assert await found(Filter(state=ItemState.FROZEN)) == [two, three]
    assert await found(Filter(state=ItemState.FROZEN, domains=(B,))) == [two]
    assert await found(Filter(state=ItemState.QUARANTINED)) == []


async def test_a_claim_dies_with_the_process(engine: Engine) -> None:
    """What was lent waits at the next start."""
    spool = await engine.open()
    one = await put(spool)
    await claimed(spool)
    spool = await reopened(engine, spool)
    assert await claimed(spool) == [one]
    await spool.close()


def _left(item: ItemId, next_attempt: float) -> Settlement:
    return Settlement(item, envelope(A), "450 later", next_attempt)


async def test_it_tells_how_it_is(spool: Spool) -> None:
    """What it can still take, what is on its way, how long commits took; and of each job whether it was answered."""
    before = spool.health()
    assert (before.broken, before.claimed, before.unanswered) == ("", 0, None)
    assert before.octets > 0
    arrivals = [await arrival(spool, A) for _ in range(3)]
    under_way = [spool.accept(each) for each in arrivals]
    first = spool.health().unanswered
    assert first is not None
    await asyncio.gather(*under_way)
    assert spool.health().unanswered is None
    await spool.claim([A], Order.PRIORITY, 2, 1)
    assert spool.health().claimed == 2
    seconds = spool.health().commits
    assert sum(seconds.counts) == 1, "one at a time is timed"
    assert 0 < seconds.total < 60
    await put(spool, A)
    assert sum(spool.health().commits.counts) == 2
    await spool.close()
    assert "closed" in spool.health().broken


async def test_a_large_message_that_is_being_written_is_no_unanswered_job(spool: Spool) -> None:
    """Its file may take long to be safe; the store that has not been asked yet cannot answer."""
    under_way = spool.accept(await arrival(spool, A, content=LARGE))
    assert spool.health().unanswered is None
    await under_way
    assert spool.health().unanswered is None
