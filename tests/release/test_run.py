"""One release, from its first claim to its end."""

from __future__ import annotations

import asyncio
import email
import email.policy
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.release.host import (
    CONTENT,
    LATER,
    NEVER,
    TAKEN,
    TEST,
    Host,
    ScriptedCarrier,
    count_closed,
    ended,
    eventually,
    host,
)

from restante.facts import ItemDeferred, ItemDelivered, ItemFailed, NoticeWithheld, ReleaseEnded, ReleaseStarted
from restante.model import (
    ByMode,
    DeliverBy,
    DomainName,
    Envelope,
    Item,
    ItemState,
    Mailbox,
    Notify,
    Order,
    Progress,
    Recipient,
    ReleaseView,
)
from restante.release.allowance import Allowance
from restante.release.run import NO_REPORT, STOPPED, TOO_MANY_REPORTS, WINDOW_OVER, Means, Run, later
from restante.spool.spool import INLINE_LIMIT, STREAMED_BEYOND, Arrival, Due, SpoolBroken
from restante.transport.outcome import CarryEnd, Delivered, Feed, Hop, ItemOutcome, Outcome, Report

FAR = DomainName("far.example")


class Ways:
    """Routes: all domains of the release, what can be routed, and who was woken."""

    def __init__(self, *routable: str) -> None:
        self.routable = set(routable)
        self.woken: list[DomainName] = []

    def waiting_domains(self, entry: str) -> Sequence[DomainName]:
        """An entry is a domain here."""
        return (DomainName(entry),)

    def can_route(self, domain: DomainName) -> bool:
        """Whether it was said so."""
        return domain in self.routable

    def arrived(self, domain: DomainName) -> None:
        """Notes it."""
        self.woken.append(domain)


def run_of(made: Host, ways: Ways | None = None, per_hour: int = 20, **options: Any) -> Run:
    """Release 7 of the test domain."""
    allowance = Allowance(made.clock.monotonic, per_hour)
    means = Means(made.spool, ways or Ways(FAR), made.facts.append, made.clock, "office.example", allowance)
    view = ReleaseView(7, TEST, "operator", "", Progress.QUEUED)
    return Run(means, view, made.carrier(), order=Order.PRIORITY, **options)


def the_end(made: Host) -> ReleaseEnded:
    """The one fact of that kind, which is the last."""
    (end,) = made.told(ReleaseEnded)
    assert made.facts[-1] is end
    return end


async def test_carries_all_that_waits_and_records_it(tmp_path: Path) -> None:
    """The spool is empty, the view has the counts, and the facts come in order: started, delivered, ended."""
    async with host(tmp_path) as made:
        for _ in range(3):
            await made.mail()
        run = run_of(made)
        assert run.view.progress is Progress.RUNNING
        await ended(run.run())
        view = run.view
        assert (view.items, view.octets) == (3, 3 * len(CONTENT))
        assert (view.delivered, view.deferred, view.failed, view.octets_sent) == (3, 0, 0, 3 * len(CONTENT))
        assert (view.progress, view.error, view.target) == (Progress.ENDED, "", "192.0.2.25:25")
        assert await made.items() == []
        assert [type(fact) for fact in made.facts] == [ReleaseStarted, *[ItemDelivered] * 3, ReleaseEnded]
        assert the_end(made).left == 0


async def test_what_was_deferred_waits_with_fewer_recipients(tmp_path: Path) -> None:
    """Who was taken leaves the envelope, the others stay with the reason, and it is an attempt."""
    async with host(tmp_path) as made:
        await made.mail("anna@test.example", "bert@test.example", "cleo@test.example")
        made.carrier().says = lambda _, mailbox: TAKEN if mailbox.local == "bert" else LATER
        run = run_of(made)
        await ended(run.run())
        (item,) = await made.items()
        assert [recipient.mailbox.local for recipient in item.envelope.recipients] == ["anna", "cleo"]
        assert (item.state, item.attempts, item.detail) == (ItemState.WAITING, 1, LATER.reply)
        assert (run.view.delivered, run.view.deferred, run.view.error) == (0, 1, "")
        assert the_end(made).left == 1
        assert len(made.told(ItemDeferred)) == 1


# failures


@pytest.mark.parametrize("says", [TAKEN, LATER, NEVER])
async def test_a_release_that_dies_leaves_the_rest_as_it_was(tmp_path: Path, says: Outcome) -> None:
    """Nothing of what was not reported has changed: no attempt, no later time, no DSN, whatever was said before."""
    async with host(tmp_path) as made:
        for _ in range(10):
            await made.mail()
        before = await made.items()
        carrier = made.carrier()
        carrier.takes, carrier.error, carrier.says = 3, "192.0.2.25:25: connection reset", lambda *_: says
        run = run_of(made, Ways())
        await ended(run.run())
        assert run.view.error == "192.0.2.25:25: connection reset"
        reported = {item.id for item in carrier.drawn}
        after = {item.id: item for item in await made.items()}
        assert [after[item.id] for item in before if item.id not in reported] == before[3:]
        assert the_end(made).left == len(after)


async def test_a_next_hop_that_is_not_there_changes_nothing(tmp_path: Path) -> None:
    """A hundred times over: no attempt is counted, nothing expires, nothing bounces."""
    async with host(tmp_path) as made:
        await made.mail()
        before = await made.items()
        made.carrier().takes, made.carrier().error = 0, "192.0.2.25:25: connection refused"
        for _ in range(100):
            await ended(run_of(made).run())
            made.spool.release_ended(7)
            await made.settles(86_400)
        assert await made.items() == before


async def test_an_unexpected_error_is_in_the_view_and_in_the_log(tmp_path: Path) -> None:
    """With its traceback: the event loop's handler gets it. Items wait."""
    heard: list[dict[str, Any]] = []
    async with host(tmp_path) as made:
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        await made.mail()
        made.carrier().takes, made.carrier().error = 0, KeyError("oops")
        run = run_of(made)
        await ended(run.run())
        loop.set_exception_handler(handler)
        assert run.view.error == the_end(made).error == "KeyError: 'oops'"
        assert [type(context["exception"]) for context in heard] == [KeyError]
        assert [item.state for item in await made.items()] == [ItemState.WAITING]


async def test_a_carrier_that_forgets_an_item_is_told_on(tmp_path: Path) -> None:
    """What it drew and did not report waits, and the release does not look as if all had been offered."""

    class Forgetful(ScriptedCarrier):
        """Reports every second item."""

        async def carry(self, feed: Feed, report: Report) -> CarryEnd:
            """As it says."""
            while (parcel := await feed.next()) is not None:
                self.drawn.append(parcel.item)
                if len(self.drawn) % 2:
                    report(self.outcome(parcel.item))
            return CarryEnd()

    async with host(tmp_path) as made:
        made.carriers[TEST] = Forgetful()
        for _ in range(4):
            await made.mail()
        run = run_of(made)
        await ended(run.run())
        assert run.view.delivered == 2
        assert "has not taken all" in run.view.error
        assert [item.state for item in await made.items()] == [ItemState.WAITING] * 2


async def test_a_store_that_breaks_ends_the_release_with_that_error(tmp_path: Path) -> None:
    """What could not be recorded is announced as nothing, counts as nothing, and waits."""
    async with host(tmp_path) as made:
        for _ in range(10):
            await made.mail()
        before = await made.items()
        made.faulty.faults["settle"] = SpoolBroken("disk I/O error")
        run = run_of(made)
        await ended(run.run())
        assert "disk I/O error" in run.view.error
        assert run.view.delivered == 0
        assert made.told(ItemDelivered) == []
        made.faulty.faults.clear()
        assert await made.items() == before


async def test_a_store_that_breaks_stops_the_carrier(tmp_path: Path) -> None:
    """Nothing more is given to it, for it would be sent again: at most what is on its way is in doubt."""
    async with host(tmp_path) as made:
        for _ in range(1000):
            await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        running = asyncio.create_task(run_of(made).run())
        await eventually(lambda: carrier.drawn)
        made.faulty.faults["settle"] = SpoolBroken("disk I/O error")
        says = carrier.says

        def slowly(item: Item, mailbox: Mailbox) -> Outcome:
            carrier.answered.clear()
            asyncio.get_running_loop().call_soon(carrier.answered.set)
            return says(item, mailbox)

        carrier.says = slowly
        carrier.answered.set()
        await ended(running)
        assert len(carrier.drawn) < 20
        made.faulty.faults.clear()
        assert len(await made.items()) == 1000


async def test_cancelling_it_keeps_what_was_reported(tmp_path: Path) -> None:
    """Recorded outcomes stand, the rest waits, and the end is announced."""
    async with host(tmp_path) as made:
        for _ in range(3):
            await made.mail()
        carrier = made.carrier()
        carrier.says = lambda *_: carrier.answered.clear() or TAKEN  # type: ignore[func-returns-value]
        run = run_of(made)
        running = asyncio.create_task(run.run())
        await eventually(lambda: len(carrier.drawn) == 2)
        running.cancel()
        await asyncio.wait([running])
        assert (run.view.delivered, run.view.error) == (1, STOPPED)
        assert the_end(made).left == 2
        assert [item.state for item in await made.items()] == [ItemState.WAITING] * 2


async def test_outcomes_that_come_together_share_commits(tmp_path: Path) -> None:
    """What is reported while one commit runs goes with the next."""
    async with host(tmp_path) as made:
        for _ in range(500):
            await made.mail()
        made.faulty.calls.clear()
        await ended(run_of(made).run())
        assert 1 <= made.faulty.calls.count("settle") < 50


# windows


async def test_nothing_is_begun_after_the_window(tmp_path: Path) -> None:
    """What is on its way is finished and recorded; the error says why the rest was not offered."""
    async with host(tmp_path) as made:
        for _ in range(5):
            await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        run = run_of(made, until=made.clock.monotonic() + 600)
        running = asyncio.create_task(run.run())
        await eventually(lambda: carrier.drawn)
        await made.clock.turn(601)
        carrier.answered.set()
        await ended(running)
        assert (run.view.delivered, run.view.error) == (1, WINDOW_OVER)
        assert [item.attempts for item in await made.items()] == [0] * 4


async def test_a_window_that_ends_when_all_is_done_is_no_error(tmp_path: Path) -> None:
    """There was nothing left to begin."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        run = run_of(made, until=made.clock.monotonic() + 600)
        running = asyncio.create_task(run.run())
        await eventually(lambda: carrier.drawn)
        await made.clock.turn(601)
        carrier.answered.set()
        await ended(running)
        assert (run.view.delivered, run.view.error) == (1, "")


class Link(ScriptedCarrier):
    """A link that carries so many octets a second."""

    def __init__(self, made: Host, octets_per_second: float) -> None:
        super().__init__()
        self._made = made
        self._rate = octets_per_second

    async def carry(self, feed: Feed, report: Report) -> CarryEnd:
        """One after the other, each for as long as it takes."""
        while (parcel := await feed.next()) is not None:
            self.drawn.append(parcel.item)
            await self._made.clock.turn(parcel.item.size / self._rate)
            report(self.outcome(parcel.item))
            await eventually(lambda: len(self._made.told(ItemDelivered)) == len(self.drawn))
        return CarryEnd()


@pytest.mark.parametrize(
    ("rate", "goes"), [(100, [1000, 1001]), (1000, [1000, 50_000, 1001])], ids=["slow link", "fast link"]
)
async def test_the_rate_that_is_measured_decides_what_still_fits(tmp_path: Path, rate: float, goes: list[int]) -> None:
    """In the 90 seconds that are left, 50000 octets cannot go at 100 a second; what is smaller and behind them can."""
    async with host(tmp_path) as made:
        for octets in (1000, 50_000, 1001):
            await made.mail(octets=octets)
        link = made.carriers[TEST] = Link(made, rate)
        run = run_of(made, until=made.clock.monotonic() + 100)
        await ended(run.run())
        assert [item.size for item in link.drawn] == goes
        assert run.view.error == ""
        assert the_end(made).left == 3 - len(goes)


async def test_stop_begins_nothing_more(tmp_path: Path) -> None:
    """And says so, unless all was offered already."""
    async with host(tmp_path) as made:
        for _ in range(5):
            await made.mail()
        carrier = made.carrier()
        carrier.answered.clear()
        run = run_of(made)
        running = asyncio.create_task(run.run())
        await eventually(lambda: carrier.drawn)
        run.stop()
        carrier.answered.set()
        await ended(running)
        assert (run.view.delivered, run.view.error) == (1, STOPPED)


async def test_it_can_be_joined_until_it_draws(tmp_path: Path) -> None:
    """While it dials it has passed nothing; then the longer window holds, and all is offered, due or not."""
    async with host(tmp_path) as made:
        await made.mail()
        carrier = made.carrier()
        carrier.dialled.clear()
        run = run_of(made, until=made.clock.monotonic() + 60, due=Due(-1.0))
        running = asyncio.create_task(run.run())
        await eventually(lambda: carrier.begun)
        had_begun = run.has_begun
        run.joined(made.clock.monotonic() + 600)
        await made.clock.turn(120)
        carrier.dialled.set()
        await ended(running)
        assert (had_begun, run.has_begun) == (False, True)
        assert run.view.delivered == 1


def test_the_later_of_two_ends() -> None:
    """None is never."""
    assert later(5, 7) == later(7, 5) == 7
    assert later(None, 7) is later(7, None) is later(None, None) is None


# refusals


async def test_what_was_refused_becomes_a_report_in_the_same_commit(tmp_path: Path) -> None:
    """To the reverse-path, from <>, with the reply and the header; the fact has its id, and its domain is woken."""
    async with host(tmp_path) as made:
        await made.mail("anna@test.example", "bert@test.example")
        made.carrier().says = lambda _, mailbox: NEVER if mailbox.local == "bert" else TAKEN
        ways = Ways(FAR)
        made.faulty.calls.clear()
        run = run_of(made, ways)
        await ended(run.run())
        assert "accept" not in made.faulty.calls
        (report,) = await made.items()
        assert report.domain == FAR
        assert report.envelope.reverse_path is None
        assert [str(recipient.mailbox) for recipient in report.envelope.recipients] == ["carla@far.example"]
        (fact,) = made.told(ItemFailed)
        assert (fact.dsn, fact.recipients, fact.reason) == (report.message, 1, NEVER.reply)
        assert ways.woken == [FAR]
        content = await made.spool.content(report)
        assert isinstance(content, bytes)
        text = email.message_from_bytes(content, policy=email.policy.default)
        assert text.get_content_type() == "multipart/report"
        assert b"bert@test.example" in content
        assert b"anna@test.example" not in content
        assert b"no such user" in content
        assert b"Subject: Fuel" in content
        assert (run.view.delivered, run.view.failed) == (0, 1)


@pytest.mark.parametrize(
    ("sender", "notify", "routable"),
    [
        ("", None, True),
        ("carla@far.example", (Notify.NEVER,), True),
        ("carla@far.example", (Notify.SUCCESS, Notify.DELAY), True),
        ("carla@far.example", None, False),
    ],
    ids=["from <>", "NOTIFY=NEVER", "NOTIFY without FAILURE", "no way to the sender"],
)
async def test_no_report_is_made(
    tmp_path: Path, sender: str, notify: tuple[Notify, ...] | None, routable: bool
) -> None:
    """The item is gone all the same, and the fact tells the operator that nobody was told."""
    async with host(tmp_path) as made:
        await made.mail(sender=sender, notify=notify)
        made.carrier().says = lambda *_: NEVER
        await ended(run_of(made, Ways(*[FAR] * routable)).run())
        assert await made.items() == []
        (fact,) = made.told(ItemFailed)
        assert fact.dsn is None


@pytest.mark.parametrize("octets", [len(CONTENT), INLINE_LIMIT + 5000, STREAMED_BEYOND + 5000])
async def test_a_report_brings_the_header_back_however_large_the_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    """Of a large one only the first piece is read, and its file is closed."""
    closed = count_closed(monkeypatch)
    async with host(tmp_path) as made:
        await made.mail(octets=octets)
        made.carrier().says = lambda *_: NEVER
        await ended(run_of(made).run())
        (report,) = await made.items()
        content = await made.spool.content(report)
        assert isinstance(content, bytes)
        assert b"Subject: Fuel" in content
        assert len(content) < 5000
        assert len(closed) == (1 if octets > STREAMED_BEYOND else 0)


async def test_damage_does_not_stand_in_the_way_of_a_refusal(tmp_path: Path) -> None:
    """Content that turns out to be damaged when the report is made is reported without its header."""
    async with host(tmp_path) as made:
        messages = [await made.mail() for _ in range(3)]
        carrier = made.carrier()

        def say(item: Item, _: Mailbox) -> Outcome:
            if item.message == messages[1]:
                made.damage(item.message)
                return NEVER
            return TAKEN

        carrier.says = say
        run = run_of(made)
        await ended(run.run())
        assert (run.view.delivered, run.view.failed, run.view.error) == (2, 1, "")
        (report,) = await made.items()
        assert report.domain == FAR


async def test_whoever_asks_is_told_that_it_was_delivered(tmp_path: Path) -> None:
    """NOTIFY=SUCCESS: in a mailbox `delivered`, at a host that sends no reports `relayed`, else nothing."""
    hops = {"anna": Hop(), "bert": Hop(is_final=False), "cleo": Hop(is_final=False, dsn=True)}
    async with host(tmp_path) as made:
        carrier = made.carrier()
        for local in hops:
            await made.mail(f"{local}@test.example", notify=(Notify.SUCCESS,))
            await made.mail(f"{local}@test.example")
        carrier.says = lambda _, mailbox: Delivered("250 2.0.0 OK", hops[mailbox.local])
        run = run_of(made)
        await ended(run.run())
        assert run.view.delivered == 6
        reports = await made.items()
        contents = [await made.spool.content(report) for report in reports]
        actions = [re.findall(rb"Final-Recipient: (.*)\r\nAction: (.*)\r\n", bytes(each)) for each in contents]  # type: ignore[arg-type]
        assert actions == [
            [(b"rfc822; anna@test.example", b"delivered")],
            [(b"rfc822; bert@test.example", b"relayed")],
        ]
        assert {report.envelope.reverse_path for report in reports} == {None}


async def test_a_report_may_tell_of_several_ends(tmp_path: Path) -> None:
    """One message for one item, with each recipient that its sender wants to know of."""
    async with host(tmp_path) as made:
        await made.mail("anna@test.example", "bert@test.example", notify=(Notify.SUCCESS, Notify.FAILURE), priority=3)
        made.carrier().says = lambda _, mailbox: NEVER if mailbox.local == "bert" else TAKEN
        await ended(run_of(made).run())
        (report,) = await made.items()
        content = await made.spool.content(report)
        assert isinstance(content, bytes)
        assert re.findall(rb"Action: (.*)\r\n", content) == [b"failed", b"delivered"]
        assert report.priority == 3


@pytest.mark.parametrize(
    ("mode", "trace", "knows", "told"),
    [("N", False, False, True), ("N", False, True, False), ("N", True, True, True), ("R", True, True, True)],
)
async def test_mail_with_a_time_leaves_a_trace(
    tmp_path: Path, mode: str, *, trace: bool, knows: bool, told: bool
) -> None:
    """RFC 2852 §4.1.4.2: where it was asked for, and where the next hop does not know of times."""
    async with host(tmp_path) as made:
        by = DeliverBy(made.clock.wall() + 60, ByMode(mode), trace)
        recipient = Recipient(Mailbox.parse("anna@test.example"))
        envelope = Envelope(Mailbox.parse("carla@far.example"), (recipient,), deliver_by=by)
        await made.spool.accept(Arrival(made.spool.new_id(), CONTENT, len(CONTENT), [(TEST, envelope)], 0.0))
        hop = Hop(is_final=False, dsn=True, deliver_by=knows)
        made.carrier().says = lambda *_: Delivered("250 2.0.0 OK", hop)
        await ended(run_of(made).run())
        reports = await made.items()
        assert len(reports) == told
        for report in reports:
            content = await made.spool.content(report)
            assert isinstance(content, bytes)
            assert b"Action: relayed\r\n" in content
            assert b"Deliver-By-Date: " in content


async def test_a_sender_gets_no_more_reports_than_he_may(tmp_path: Path) -> None:
    """What was refused waits until he may get one; what was delivered is, and the log has that he was not told."""
    async with host(tmp_path) as made:
        for _ in range(3):
            await made.mail()
            await made.mail("bert@test.example", notify=(Notify.SUCCESS,))
        made.carrier().says = lambda _, mailbox: NEVER if mailbox.local == "anna" else TAKEN
        run = run_of(made, per_hour=3)
        await ended(run.run())
        assert (run.view.delivered, run.view.failed, run.view.deferred) == (3, 2, 1)
        (waiting,) = await made.items(TEST)
        assert waiting.detail == TOO_MANY_REPORTS
        assert len(await made.items(FAR)) == 3
        assert [fact.reverse_path for fact in made.told(NoticeWithheld)] == ["<carla@far.example>"] * 2


async def test_a_report_that_cannot_be_made_keeps_its_item_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others' outcomes are recorded; the odd one waits, with the reason, and the log has the traceback."""

    def odd(**_: object) -> bytes:
        raise ValueError("a bug of ours")

    heard: list[dict[str, Any]] = []
    monkeypatch.setattr("restante.message.dsn.notice", odd)
    async with host(tmp_path) as made:
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        messages = [await made.mail("anna@test.example", "bert@test.example") for _ in range(3)]
        made.carrier().says = lambda item, m: NEVER if (item.message, m.local) == (messages[1], "bert") else TAKEN
        run = run_of(made)
        await ended(run.run())
        loop.set_exception_handler(handler)
        assert (run.view.delivered, run.view.deferred, run.view.failed, run.view.error) == (2, 1, 0, "")
        (item,) = await made.items()
        assert item.message == messages[1]
        assert [recipient.mailbox.local for recipient in item.envelope.recipients] == ["bert"]
        assert item.detail == NO_REPORT
        assert [type(context["exception"]) for context in heard] == [ValueError]


async def test_a_report_for_others_than_the_carrier_was_asked_about_is_a_mistake(tmp_path: Path) -> None:
    """A carrier that reports on the wrong recipients is stopped there; nothing is recorded of that item."""

    class Confused(ScriptedCarrier):
        """Gets the recipients wrong."""

        def outcome(self, item: Item) -> ItemOutcome:
            """Of somebody else."""
            return ItemOutcome(item, [(Mailbox.parse("zoe@test.example"), Delivered("250 OK"))])

    heard: list[dict[str, Any]] = []
    async with host(tmp_path) as made:
        loop = asyncio.get_running_loop()
        handler = loop.get_exception_handler()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        made.carriers[TEST] = Confused()
        await made.mail()
        before = await made.items()
        run = run_of(made)
        await ended(run.run())
        loop.set_exception_handler(handler)
        assert run.view.error.startswith("AssertionError")
        assert await made.items() == before
        assert heard
