"""What an operator asks for is done, told, and nothing else is touched; with a server and with the store alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from tests.admin.desk import CONTENT, Desk, deferred, desk
from tests.calls.played import TEST, etrn, eventually

from restante.admin import protocol as p
from restante.admin import steering
from restante.admin.listing import HEADERS_LIMIT, RECIPIENTS_LISTED
from restante.admin.steering import NotYours
from restante.facts import ItemChanged
from restante.model import (
    ItemId,
    ItemState,
    MessageId,
    Order,
    Progress,
    item_id,
    write_item_id,
    write_message_id,
)
from restante.release.answers import NoSuchEntry
from restante.spool.spool import Filter


def first(message: MessageId) -> str:
    """The id of a message's first item."""
    return write_item_id(item_id(message, 1))


async def states(office: Desk) -> list[ItemState]:
    """How all items stand."""
    return [item.state for item in await office.spool.listing(Filter())]


def changes(office: Desk) -> list[ItemChanged]:
    """What was announced."""
    return [fact for fact in office.feed.facts if isinstance(fact, ItemChanged)]


# looking


async def test_status_tells_what_waits_for_whom_and_what_is_done_with_it(tmp_path: Path) -> None:
    """Domains with mail come first; those without are there too."""
    async with desk(tmp_path) as office:
        await office.mail("anna@test.example")
        await office.mail("bert@test.example")
        answer = await office.ask(p.Status())
        assert isinstance(answer, p.StatusAnswer)
        assert (answer.hostname, answer.running, answer.listening) == ("office.example", True, ("127.0.0.1:25",))
        rows = {row.domain: (row.action, row.next_hop, row.items, row.octets) for row in answer.domains}
        assert next(iter(rows)) == "test.example"
        assert rows == {
            "test.example": ("hold", "192.0.2.25:25", 2, 2 * len(CONTENT)),
            "caller.example": ("hold", "caller", 0, 0),
            "fast.example": ("relay", "192.0.2.26:25", 0, 0),
        }
        oldest = answer.domains[0].oldest
        assert oldest is not None
        assert 59 < answer.now - oldest < 90


async def test_a_quota_is_told_with_what_is_used_of_it(tmp_path: Path) -> None:
    """By status and by queue, with a server and without; what is frozen counts, too."""
    async with desk(tmp_path) as office:
        for _ in range(3):
            await office.mail("anna@test.example")
        await office.spool.freeze([(await office.spool.listing(Filter()))[0].id])
        await office.mail("u@fast.example")
        used = p.QuotaUse(3, 3 * len(CONTENT), 4, 10 * len(CONTENT))
        assert used.percent == 75
        for alone in (False, True):
            status = await office.ask(p.Status(), alone=alone)
            assert isinstance(status, p.StatusAnswer)
            quotas = {row.domain: row.quota for row in status.domains}
            assert quotas == {"test.example": used, "fast.example": None, "caller.example": None}
            queue = await office.ask(p.Queue(), alone=alone)
            assert isinstance(queue, p.QueueAnswer)
            assert queue.quotas == {"test.example": used}
        queue = await office.ask(p.Queue(domains=("fast.example",)))
        assert isinstance(queue, p.QueueAnswer)
        assert queue.quotas == {}


async def test_very_many_domains_come_in_portions_ahead_of_the_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Put together they are the answer that is given at once where they are few, with quotas and without."""
    async with desk(tmp_path) as office:
        await office.mail("anna@test.example", "u@fast.example", "u@caller.example")
        whole = await office.ask(p.Status())
        assert isinstance(whole, p.StatusAnswer)
        assert {row.quota is None for row in whole.domains} == {True, False}
        monkeypatch.setattr(steering, "DOMAINS_A_TURN", 1)
        for alone in (False, True):
            parts = [p.read_answer(p.write_line(part)) for part in await office.ask_all(p.Status(), alone=alone)]
            assert len(parts) == len(whole.domains) == 3
            [answer] = p.joined(parts)
            assert isinstance(answer, p.StatusAnswer)
            assert answer.domains == whole.domains


async def test_what_one_listing_cannot_take_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Domains with mail come before the others."""
    monkeypatch.setattr(steering, "MAX_DOMAINS", 1)
    async with desk(tmp_path) as office:
        await office.mail("u@fast.example")
        answer = await office.ask(p.Status())
        assert isinstance(answer, p.StatusAnswer)
        assert ([row.domain for row in answer.domains], answer.domains_left_out) == (["fast.example"], 2)


async def test_status_tells_of_calls_and_when_they_are_due(tmp_path: Path) -> None:
    """One that was never made is there as well."""
    async with desk(tmp_path) as office:
        answer = await office.ask(p.Status())
        assert isinstance(answer, p.StatusAnswer)
        (call,) = answer.calls
        assert (call.view.name, call.view.progress) == ("office", Progress.QUEUED)
        assert call.next_start is not None
        assert call.next_end == call.next_start + 60
        assert 0 < call.next_start - answer.now <= 25 * 3600


async def test_without_a_server_status_is_of_the_store(tmp_path: Path) -> None:
    """It says that none runs."""
    async with desk(tmp_path) as office:
        await office.mail()
        answer = await office.ask(p.Status(), alone=True)
        assert isinstance(answer, p.StatusAnswer)
        assert (answer.running, answer.started, answer.releases, answer.calls) == (False, None, (), ())
        assert answer.domains[0].items == 1


async def test_queue_lists_items_in_order_with_their_envelopes(tmp_path: Path) -> None:
    """One item a domain; of many recipients the first few and their number."""
    async with desk(tmp_path) as office:
        message = await office.mail("anna@test.example", "x@fast.example")
        many = await office.mail(*(f"user{number}@test.example" for number in range(40)))
        answer = await office.ask(p.Queue())
        assert isinstance(answer, p.QueueAnswer)
        assert [item.id for item in answer.items] == [
            first(message),
            write_item_id(item_id(message, 2)),
            first(many),
        ]
        item, other, long = answer.items
        assert (item.domain, item.state, item.size) == ("test.example", ItemState.WAITING, len(CONTENT))
        assert (item.reverse_path, item.recipients) == ("<carla@far.example>", ("anna@test.example",))
        assert other.domain == "fast.example"
        assert (len(long.recipients), long.recipients_total) == (RECIPIENTS_LISTED, 40)
        assert answer.after is None


async def test_queue_filters_and_pages(tmp_path: Path) -> None:
    """By domain, state and id; the cursor of one page asks for the next."""
    async with desk(tmp_path) as office:
        messages = [await office.mail("anna@test.example", "x@fast.example") for _ in range(5)]
        await office.ask(p.Freeze((first(messages[2]),)))
        frozen = await office.ask(p.Queue(state=ItemState.FROZEN))
        assert isinstance(frozen, p.QueueAnswer)
        assert [item.id for item in frozen.items] == [first(messages[2])]
        one = await office.ask(p.Queue(ids=(write_message_id(messages[1]),), domains=("fast.EXAMPLE",)))
        assert isinstance(one, p.QueueAnswer)
        assert [item.id for item in one.items] == [write_item_id(item_id(messages[1], 2))]
        seen: list[str] = []
        after: str | None = None
        while True:
            page = await office.ask(p.Queue(domains=("test.example",), limit=2, after=after))
            assert isinstance(page, p.QueueAnswer)
            assert len(page.items) <= 2
            seen += [item.id for item in page.items]
            if (after := page.after) is None:
                break
        assert seen == list(map(first, messages))


@pytest.mark.parametrize(
    "request_",
    [
        p.Queue(domains=("no..domain",)),
        p.Queue(ids=("x",)),
        p.Queue(after="0QJ3K5W7T9A"),
        p.Remove(domain="bad..name"),
        p.Freeze(),
        p.Freeze(("0QJ3K5W7T9A",), "test.example"),
        p.Release("bad..name"),
        p.Release("test.example", "host:port"),
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, request_: p.AnyRequest) -> None:
    """With one reason, and nothing is done."""
    async with desk(tmp_path) as office:
        await office.mail()
        answer = await office.ask(request_)
        assert isinstance(answer, p.Failed)
        assert answer.status == p.USAGE
        assert len(answer.reasons) == 1
        assert await states(office) == [ItemState.WAITING]


async def test_show_gives_the_envelope_and_the_headers_and_not_the_text(tmp_path: Path) -> None:
    """Of a message all items."""
    async with desk(tmp_path) as office:
        message = await office.mail("anna@test.example", "x@fast.example")
        answer = await office.ask(p.Show(write_message_id(message)))
        assert isinstance(answer, p.ShowAnswer)
        assert [shown.item.domain for shown in answer.items] == ["test.example", "fast.example"]
        assert answer.items[0].recipients == (p.ShownRecipient("anna@test.example"),)
        assert answer.headers == "Subject: Fuel\r\nFrom: carla@far.example\r\n"
        assert not answer.cut
        one = await office.ask(p.Show(first(message)))
        assert isinstance(one, p.ShowAnswer)
        assert [shown.item.id for shown in one.items] == [first(message)]


async def test_show_of_what_is_no_id_says_so(tmp_path: Path) -> None:
    """It names nothing, as an id does whose item has left."""
    async with desk(tmp_path) as office:
        assert await office.ask(p.Show("nonsense")) == p.Failed(("nonsense: no such message or item",))


@pytest.mark.parametrize("body", [1, 200_000])
async def test_long_headers_are_cut(tmp_path: Path, body: int) -> None:
    """Whether the content lies in the row or in a file of its own; octets that are no text do no harm."""
    async with desk(tmp_path) as office:
        content = b"X: \xff\x80" + b"y" * HEADERS_LIMIT + b"\r\n\r\n" + b"z" * body
        answer = await office.ask(p.Show(first(await office.mail(content=content))))
        assert isinstance(answer, p.ShowAnswer)
        assert answer.cut
        assert answer.headers.startswith("X: \ufffd\ufffdyyy")
        assert len(answer.headers.encode("utf-8", "replace")) <= HEADERS_LIMIT + 8


async def test_show_of_nothing_says_so(tmp_path: Path) -> None:
    """Status 1."""
    async with desk(tmp_path) as office:
        answer = await office.ask(p.Show(write_message_id(MessageId(1 << 40))))
        assert answer == p.Failed(("00100000000: no such message or item",))


# changing


async def test_freeze_thaw_and_remove_do_it_and_announce_it(tmp_path: Path) -> None:
    """By item and by message."""
    async with desk(tmp_path) as office:
        message = await office.mail("anna@test.example", "x@fast.example")
        other = await office.mail()
        both = (first(message), write_item_id(item_id(message, 2)))
        assert await office.ask(p.Freeze((write_message_id(message),))) == p.ChangeAnswer(both)
        assert await states(office) == [ItemState.FROZEN, ItemState.FROZEN, ItemState.WAITING]
        assert await office.ask(p.Thaw((both[0],))) == p.ChangeAnswer((both[0],))
        assert await office.ask(p.Remove((both[0], first(other)))) == p.ChangeAnswer((both[0], first(other)))
        assert await states(office) == [ItemState.FROZEN]
        assert [(fact.verb, write_item_id(fact.item)) for fact in changes(office)] == [
            ("freeze", both[0]),
            ("freeze", both[1]),
            ("thaw", both[0]),
            ("remove", both[0]),
            ("remove", first(other)),
        ]


async def test_what_is_so_already_is_no_failure(tmp_path: Path) -> None:
    """Frozen twice is frozen; nothing is announced twice."""
    async with desk(tmp_path) as office:
        identifier = first(await office.mail())
        await office.ask(p.Freeze((identifier,)))
        again = await office.ask(p.Freeze((identifier,)))
        assert again == p.ChangeAnswer((), already=(identifier,))
        await office.ask(p.Thaw((identifier,)))
        assert await office.ask(p.Thaw((identifier,))) == p.ChangeAnswer((), already=(identifier,))
        assert [fact.verb for fact in changes(office)] == ["freeze", "thaw"]


async def test_an_unknown_id_is_told_and_the_others_are_done(tmp_path: Path) -> None:
    """Each that was named is accounted for."""
    async with desk(tmp_path) as office:
        identifier = first(await office.mail())
        answer = await office.ask(p.Freeze(("00000100000-3", identifier, "00000100001", "nonsense")))
        assert answer == p.ChangeAnswer((identifier,), unknown=("00000100000-3", "00000100001", "nonsense"))
        assert isinstance(answer, p.ChangeAnswer)
        assert answer.status == p.COULD_NOT


async def test_a_whole_domain_over_many_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other."""
    monkeypatch.setattr(p, "PAGE", 10)
    async with desk(tmp_path) as office:
        messages = [await office.mail("anna@test.example") for _ in range(35)]
        kept = await office.mail("x@caller.example")
        answer = await office.ask(p.Remove(domain="Test.Example"))
        assert answer == p.ChangeAnswer(tuple(map(first, messages)))
        assert [item.message for item in await office.spool.listing(Filter())] == [kept]
        assert await office.ask(p.Remove(domain="test.example")) == p.ChangeAnswer(())


async def test_what_is_on_its_way_is_not_removed(tmp_path: Path) -> None:
    """The answer says why."""
    async with desk(tmp_path) as office:
        await office.mail()
        (item,) = await office.spool.claim([TEST], Order.ARRIVAL, 10, 99)
        answer = await office.ask(p.Remove((write_item_id(item.id),)))
        assert answer == p.ChangeAnswer((), unchanged=(p.Unchanged(write_item_id(item.id), "is on its way"),))
        office.spool.give_back([ItemId(item.id)])
        assert len(await states(office)) == 1


async def test_what_leaves_by_itself_leaves_when_it_is_thawed(tmp_path: Path) -> None:
    """Mail for a relayed domain needs no second word."""
    async with desk(tmp_path) as office:
        identifier = first(await office.mail("x@fast.example"))
        await office.ask(p.Freeze((identifier,)))
        await office.ask(p.Thaw((identifier,)))
        await eventually(lambda: not office.spool.domains())


@pytest.mark.parametrize("verb", [p.Freeze, p.Thaw, p.Remove])
async def test_the_store_alone_is_enough_for_items(tmp_path: Path, verb: type[p.AnyChange]) -> None:
    """No server need run."""
    async with desk(tmp_path) as office:
        identifier = first(await office.mail())
        if verb is p.Thaw:
            await office.spool.freeze([item.id for item in await office.spool.listing(Filter())])
        assert await office.ask(verb((identifier,)), alone=True) == p.ChangeAnswer((identifier,))


@pytest.mark.parametrize("request_", [p.Release("test.example"), p.Call("office"), p.Reload()], ids=str)
async def test_what_needs_a_server_says_so(tmp_path: Path, request_: p.AnyRequest) -> None:
    """One line."""
    async with desk(tmp_path) as office:
        assert await office.ask(request_, alone=True) == p.Failed((p.NO_SERVER,))


# releases and calls


async def test_a_release_is_begun_and_answered_at_once(tmp_path: Path) -> None:
    """With its number, and how much waits."""
    async with desk(tmp_path) as office:
        await office.mail()
        answer = await office.ask(p.Release("TEST.example"))
        assert isinstance(answer, p.ReleaseAnswer)
        assert (answer.view.number, answer.view.domain, answer.view.items) == (1, "test.example", 1)
        await eventually(lambda: not office.spool.domains())


async def test_a_release_that_is_waited_for_ends_with_what_became_of_it(tmp_path: Path) -> None:
    """To the host that the operator named."""
    async with desk(tmp_path) as office:
        for _ in range(3):
            await office.mail()
        *_, last = await office.ask_all(p.Release("test.example", "192.0.2.99:2525", wait=True))
        assert isinstance(last, p.ReleaseAnswer)
        view = last.view
        assert (view.progress, view.delivered, view.target) == (Progress.ENDED, 3, "192.0.2.99:2525")
        assert (last.status, view.octets_sent) == (p.DONE, 3 * len(CONTENT))


async def test_progress_is_told_while_it_runs(tmp_path: Path) -> None:
    """A few times a second."""
    async with desk(tmp_path) as office:
        await office.mail()
        office.carrier.open.clear()
        answers: list[p.AnyAnswer] = []
        async for answer in office.steering.answers(p.Release("test.example", wait=True)):
            answers.append(answer)
            if len(answers) == 4:
                office.carrier.open.set()
        progress = [answer.view.progress for answer in answers if isinstance(answer, p.ReleaseAnswer)]
        assert progress[1:4] == [Progress.RUNNING] * 3
        assert progress[-1] is Progress.ENDED


async def test_a_release_that_leaves_something_deferred_could_not(tmp_path: Path) -> None:
    """Status 1; the mail waits."""
    async with desk(tmp_path) as office:
        await office.mail()
        office.carrier.outcome = deferred()
        *_, last = await office.ask_all(p.Release("test.example", wait=True))
        assert isinstance(last, p.ReleaseAnswer)
        assert (last.view.deferred, last.status) == (1, p.COULD_NOT)
        answer = await office.ask(p.Queue())
        assert isinstance(answer, p.QueueAnswer)
        assert (answer.items[0].attempts, answer.items[0].detail) == (1, "452 4.3.1 no space")


@pytest.mark.parametrize("domain", ["unknown.example", "caller.example", "*"])
async def test_what_cannot_be_released_is_refused_with_a_reason(tmp_path: Path, domain: str) -> None:
    """No such entry, or nowhere to."""
    async with desk(tmp_path) as office:
        answer = await office.ask(p.Release(domain))
        assert isinstance(answer, p.Failed)
        assert answer.status == p.COULD_NOT
        assert domain in answer.reasons[0]
        with pytest.raises(NoSuchEntry):
            office.steering.check_release(p.Release(domain))


async def test_before_a_release_it_is_known_what_it_would_offer(tmp_path: Path) -> None:
    """Nothing is begun; whose domain it is not is told what begin_release() tells him."""
    async with desk(tmp_path) as office:
        assert office.steering.check_release(p.Release("test.example")) == 0
        await office.mail()
        assert office.steering.check_release(p.Release("TEST.example")) == 1
        assert office.steering.check_release(p.Release("caller.example", "192.0.2.9")) == 0
        assert office.steering.releases() == ()
        other = office.steering.for_user("user:other", frozenset())
        for call in (other.check_release, other.begin_release):
            with pytest.raises(NotYours):
                call(p.Release("test.example"))


async def test_who_stops_listening_stops_no_release(tmp_path: Path) -> None:
    """It goes on to its end."""
    async with desk(tmp_path) as office:
        await office.mail()
        office.carrier.open.clear()
        answers = office.steering.answers(p.Release("test.example", wait=True))
        await anext(answers)
        await anext(answers)
        await answers.aclose()
        office.carrier.open.set()
        view = await asyncio.wait_for(office.releases.wait(1), 60)
        assert view is not None
        assert (view.delivered, view.error) == (1, "")


async def test_a_call_is_made_and_waited_for(tmp_path: Path) -> None:
    """Nothing waits at the office, so it ends at once."""
    async with desk(tmp_path, etrn("251 2.0.0 OK, no messages waiting for node test.example")) as office:
        *_, last = await office.ask_all(p.Call("office", wait=True))
        assert isinstance(last, p.CallAnswer)
        assert (last.view.progress, last.view.error, last.view.reason) == (Progress.ENDED, "", "operator")
        assert last.view.replies == ("test.example: 251 2.0.0 OK, no messages waiting for node test.example",)


async def test_a_call_that_nobody_configured(tmp_path: Path) -> None:
    """Status 1."""
    async with desk(tmp_path) as office:
        assert await office.ask(p.Call("nobody")) == p.Failed(("no call 'nobody' is configured",))


@pytest.mark.parametrize("problems", [(), ("r.toml: data: found nothing",)])
async def test_reload_gives_the_problems(tmp_path: Path, problems: tuple[str, ...]) -> None:
    """None: it is in force."""
    async with desk(tmp_path) as office:
        office.problems = problems
        assert await office.ask(p.Reload()) == p.ReloadAnswer(problems)


# for somebody else than the operator


async def test_a_user_sees_and_changes_what_is_of_his_domains(tmp_path: Path) -> None:
    """What is of others is not there for him: named by its id, chosen, or as the other item of his message."""
    async with desk(tmp_path) as office:
        message = await office.mail("anna@test.example", "x@fast.example")
        other = await office.mail("x@fast.example")
        user = office.steering.for_user("192.0.2.1 user:test", frozenset({TEST}))
        answer = await user.answer(p.Queue())
        assert isinstance(answer, p.QueueAnswer)
        assert [item.id for item in answer.items] == [first(message)]
        shown = await user.answer(p.Show(write_message_id(message)))
        assert isinstance(shown, p.ShowAnswer)
        assert [item.item.domain for item in shown.items] == ["test.example"]
        assert isinstance(await user.answer(p.Show(first(other))), p.Failed)
        frozen = await user.answer(p.Freeze((first(other), write_message_id(message))))
        assert frozen == p.ChangeAnswer((first(message),), unknown=(first(other),))
        removed = await user.answer(p.Remove(all=True))
        assert removed == p.ChangeAnswer((first(message),))
        assert await states(office) == [ItemState.WAITING, ItemState.WAITING]
        assert {change.by for change in changes(office)} == {"192.0.2.1 user:test"}


async def test_a_user_without_domains_sees_nothing(tmp_path: Path) -> None:
    """No domains are not all domains."""
    async with desk(tmp_path) as office:
        await office.mail()
        user = office.steering.for_user("192.0.2.1 user:none", frozenset())
        answer = await user.answer(p.Queue())
        assert isinstance(answer, p.QueueAnswer)
        assert answer.items == ()
        assert await user.answer(p.Remove(all=True)) == p.ChangeAnswer(())
        domains = await user.answer(p.Domains())
        assert isinstance(domains, p.DomainsAnswer)
        assert domains.domains == ()


async def test_what_is_of_the_whole_host_is_for_administrators(tmp_path: Path) -> None:
    """Its status, its calls, its configuration, mail for elsewhere."""
    async with desk(tmp_path) as office:
        await office.mail()
        user = office.steering.for_user("192.0.2.1 user:test", frozenset({TEST}))
        for request in (p.Status(), p.Reload(), p.Redirect(all=True, where="x@fast.example")):
            with pytest.raises(NotYours):
                await user.answer(request)
        for begin in (
            lambda: user.begin_call(p.Call("office")),
            lambda: user.begin_release(p.Release("fast.example")),
            lambda: user.begin_release(p.Release("caller.example")),
            lambda: user.begin_release(p.Release(TEST, "192.0.2.99")),
            user.calls,
        ):
            with pytest.raises(NotYours):
                begin()
        assert user.begin_release(p.Release(TEST)).view.requester == "192.0.2.1 user:test"


async def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    """And tells what would be tried, with what is known to prevent it."""
    async with desk(tmp_path) as office:
        messages = [await office.mail() for _ in range(3)]
        await office.spool.freeze([item_id(messages[0], 1)])
        await office.spool.lend([item_id(messages[1], 1)])
        before = await office.spool.listing(Filter())
        answer = await office.ask(p.Freeze(all=True, dry_run=True))
        assert answer == p.ChangeAnswer(
            (first(messages[2]),),
            (first(messages[0]),),
            (p.Unchanged(first(messages[1]), "is on its way; it is frozen if it comes back"),),
        )
        bounced = await office.ask(p.Bounce(all=True, dry_run=True))
        assert isinstance(bounced, p.ChangeAnswer)
        assert bounced.changed == (first(messages[0]), first(messages[2]))
        assert await office.spool.listing(Filter()) == before
        office.spool.give_back([item_id(messages[1], 1)])
