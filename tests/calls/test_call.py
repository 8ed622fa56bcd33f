"""One call: what it says, what it waits for, what ends it, and what its record holds. Time is turned by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.calls.played import BYE, GREETING, OFFICE, REFUSES, TEST, Feed, PlayedOffices, Shelf, etrn, eventually, means

from restante.calls.call import GRACE_SECONDS, Call
from restante.calls.plan import CallMeans, CallPlan
from restante.clock import TurnedClock
from restante.facts import CallEnded, CallStarted, HookEnded, ItemDelivered, ReleaseStarted
from restante.model import CallView, DomainName, ItemId, Progress

OTHER = DomainName("other.example")


@dataclass
class Played:
    """A call that runs, with what stands around it."""

    call: Call
    clock: TurnedClock
    feed: Feed
    offices: PlayedOffices
    task: asyncio.Task[CallEnded] = field(init=False)

    @property
    def view(self) -> CallView:
        """The call as it stands."""
        return self.call.view

    async def asked(self) -> None:
        """Until the office has answered what it was asked, and was left."""
        await eventually(lambda: self.view.step == "waiting" and self.view.replies)

    async def dialled(self) -> None:
        """Until a connection to the office stands."""
        await eventually(lambda: self.offices.dialled)

    async def shows(self, words: str) -> None:
        """Until its view has that error."""
        await eventually(lambda: words in self.view.error)

    async def ends(self) -> CallEnded:
        """The record; the call lets go of all it held."""
        record = await asyncio.wait_for(self.task, 60)
        assert self.view.progress is Progress.ENDED
        assert self.view.step == record.ended_by
        assert self.feed.listeners == 0
        assert self.feed.facts[-1] == record
        return record


@asynccontextmanager
async def calling(
    offices: PlayedOffices, plan: CallPlan | None = None, shelf: Shelf | None = None, octets: list[int] | None = None
) -> AsyncIterator[Played]:
    """A call to those offices."""
    clock, feed = TurnedClock(), Feed()
    handed: CallMeans = means(offices, clock, feed, shelf, lambda: sum(octets or ()))
    plan = plan or CallPlan("office", OFFICE, (TEST,))
    played = Played(Call(plan, "schedule", handed), clock, feed, offices)
    played.task = asyncio.create_task(played.call.run())
    await clock.turn(0)
    try:
        yield played
    finally:
        played.task.cancel()
        await asyncio.wait([played.task])
        await offices.closed()


async def test_a_call_ends_when_all_that_was_counted_has_arrived() -> None:
    """253 says two; after the second the link is not needed any more."""
    offices = PlayedOffices(etrn("253 2.0.0 OK, 2 pending messages for node test.example started"))
    async with calling(offices) as played:
        await played.asked()
        assert played.view.expected == 2
        played.feed.arrives(1000)
        await played.clock.turn(300)  # the second is slow: what is known to wait is waited for
        assert not played.task.done()
        played.feed.arrives(500)
        record = await played.ends()
        assert (record.ended_by, record.received, record.received_octets, record.left) == ("counts", 2, 1500, 0)
        assert (record.error, record.seconds) == ("", 300)
        assert played.view.replies == ("test.example: 253 2.0.0 OK, 2 pending messages for node test.example started",)
        await offices.finished()


async def test_nothing_waits_and_the_call_is_over_at_once() -> None:
    """251 is a count: zero."""
    offices = PlayedOffices(etrn("251 2.0.0 OK, no messages waiting for node test.example"))
    async with calling(offices) as played:
        assert (await played.ends()).ended_by == "counts"
        assert isinstance(played.feed.facts[0], CallStarted)


async def test_without_a_count_silence_ends_the_call() -> None:
    """250: Postfix does not tell. Each message that comes starts the waiting anew."""
    async with calling(PlayedOffices(etrn("250 Queuing started"))) as played:
        await played.asked()
        await played.clock.turn(29)
        played.feed.arrives()
        await played.clock.turn(29)
        assert not played.task.done()
        await played.clock.turn(3)
        record = await played.ends()
        assert (record.ended_by, record.received, played.view.expected) == ("idle", 1, None)


async def test_a_long_message_on_a_slow_link_is_no_silence() -> None:
    """No message is whole for minutes, but octets come in: the call goes on until they stop."""
    octets: list[int] = []
    async with calling(PlayedOffices(etrn("250 Queuing started")), octets=octets) as played:
        await played.asked()
        for _ in range(20):
            octets.append(8000)
            await played.clock.turn(20)
        assert not played.task.done()
        await played.clock.turn(32)
        assert (await played.ends()).ended_by == "idle"


async def test_mail_for_others_is_not_this_call_s() -> None:
    """What local users send meanwhile neither counts nor keeps the line open."""
    async with calling(PlayedOffices(etrn("250 Queuing started"))) as played:
        await played.asked()
        await played.clock.turn(20)
        played.feed.arrives(700, "elsewhere.example")
        await played.clock.turn(12)
        record = await played.ends()
        assert (record.ended_by, record.received) == ("idle", 0)


async def test_counts_are_kept_for_each_domain() -> None:
    """Three for one domain do not make up for the one that the other still owes."""
    script = f"""{GREETING}
        C: ETRN test.example
        S: 253 OK, 2 pending messages for node test.example started
        C: ETRN other.example
        S: 253 OK, 1 pending messages for node other.example started
    {BYE}"""
    async with calling(PlayedOffices(script), CallPlan("office", OFFICE, (TEST, OTHER))) as played:
        await eventually(lambda: played.view.expected == 3)
        for _ in range(3):
            played.feed.arrives()
        await played.clock.turn(60)
        assert not played.task.done()
        played.feed.arrives(1, OTHER)
        assert (await played.ends()).received == 4


async def test_the_window_s_end_ends_the_call_and_the_record_says_what_is_left() -> None:
    """Two of five came."""
    plan = CallPlan("office", OFFICE, (TEST,), window=600)
    async with calling(PlayedOffices(etrn("253 OK, 5 pending messages for node test.example started")), plan) as played:
        await played.asked()
        played.feed.arrives()
        played.feed.arrives()
        await played.clock.turn(601)
        record = await played.ends()
        assert (record.ended_by, record.received, record.left, record.error) == ("window", 2, 3, "")
        assert played.view.window_ends is not None
        assert played.view.started is not None
        assert played.view.window_ends - played.view.started == 600


async def test_a_jump_of_the_clock_does_not_end_a_window() -> None:
    """Windows are measured, not read."""
    async with calling(PlayedOffices(etrn("253 OK, 1 pending messages"))) as played:
        await played.asked()
        played.clock.jump(86400)
        await played.clock.turn(60)
        assert not played.task.done()
        played.feed.arrives()
        assert (await played.ends()).ended_by == "counts"


# the other direction


async def test_our_held_mail_goes_out_as_soon_as_the_office_can_be_reached() -> None:
    """Both directions at once: the release ends by the window's end, and is asked for in the call's name."""
    shelf = Shelf(waiting=3)
    plan = CallPlan("office", OFFICE, (TEST,), flush=("*",), window=600)
    async with calling(PlayedOffices(REFUSES, etrn("251 OK")), plan, shelf) as played:
        await played.clock.turn(0.5)
        assert shelf.asked == []  # not reached yet
        began = played.clock.monotonic() - 0.5
        await played.clock.turn(1)
        record = await played.ends()
        assert shelf.asked == [(("*",), began + 600, "call office")]
        assert (record.sent, record.sent_octets, record.left) == (3, 300, 0)


async def test_a_release_is_tried_again_while_its_next_hop_is_not_there() -> None:
    """A smart host that comes up a little after the link."""
    tries: list[int] = []

    async def carry(waiting: int) -> tuple[int, str]:
        tries.append(waiting)
        return (0, "smart.example:25: Connection refused") if len(tries) < 3 else (waiting, "")

    shelf = Shelf(waiting=4, carry=carry)
    plan = CallPlan("office", OFFICE, flush=("*",))
    async with calling(PlayedOffices(f"{GREETING}{BYE}"), plan, shelf) as played:
        await eventually(lambda: tries)
        assert "Connection refused" in played.view.error
        await played.clock.turn(5)
        record = await played.ends()
        assert (tries, record.sent, record.left, record.error) == ([4, 4, 4], 4, 0, "")
        assert record.ended_by == "counts"


async def test_at_the_window_s_end_the_message_on_its_way_may_be_finished() -> None:
    """The release stops by itself between messages; the call gives it a grace, and not more."""
    finish = asyncio.Event()

    async def carry(_: int) -> tuple[int, str]:
        await finish.wait()
        return 1, "the window is over"

    shelf = Shelf(waiting=5, carry=carry)
    plan = CallPlan("office", OFFICE, flush=("*",), window=600)
    async with calling(PlayedOffices(f"{GREETING}{BYE}"), plan, shelf) as played:
        await eventually(lambda: shelf.asked)
        await played.clock.turn(600 + GRACE_SECONDS / 2)
        assert not played.task.done()
        finish.set()
        record = await played.ends()
        assert (record.ended_by, record.sent, record.left) == ("window", 1, 4)


async def test_a_release_that_hangs_does_not_hold_the_link() -> None:
    """After the grace the call goes on to its `after` hook without it."""

    async def carry(_: int) -> tuple[int, str]:
        await asyncio.Event().wait()
        raise AssertionError

    shelf = Shelf(waiting=5, carry=carry)
    plan = CallPlan("office", OFFICE, (TEST,), flush=("*",), window=600)
    async with calling(PlayedOffices(etrn("251 OK")), plan, shelf) as played:
        await played.asked()
        played.feed.announce(ReleaseStarted(7, "*", "call office", "smart.example:25", 5, 500))
        played.feed.announce(ItemDelivered(ItemId(1), OTHER, 7, "smart.example:25", 1, 100, "250 OK"))
        played.feed.announce(ItemDelivered(ItemId(2), OTHER, 6, "smart.example:25", 1, 100, "250 OK"))  # another's
        assert (played.view.sent, played.view.sent_octets) == (1, 100)
        await played.clock.turn(600 + GRACE_SECONDS + 1)
        record = await played.ends()
        assert (record.ended_by, record.sent, record.left) == ("window", 1, 5)


# bad offices


async def test_an_office_that_is_not_there_is_tried_through_the_whole_window() -> None:
    """With back-off: neither a flood nor a single try; the record says why nothing came."""
    offices = PlayedOffices(REFUSES)
    async with calling(offices) as played:
        await played.clock.turn(601)
        record = await played.ends()
        assert (record.ended_by, record.error) == ("error", "office.example:25: Connection refused")
        assert 15 <= offices.dialled <= 40


async def test_an_office_that_comes_back_inside_the_window_is_used() -> None:
    """Three refusals, then all is well: no error is left in the record."""
    offices = PlayedOffices(REFUSES, REFUSES, REFUSES, etrn("251 OK"))
    async with calling(offices) as played:
        await played.clock.turn(8)
        record = await played.ends()
        assert (record.ended_by, record.error, offices.dialled) == ("counts", "", 4)


async def test_an_office_that_hangs_costs_the_window_and_not_a_second_more() -> None:
    """Silent after the greeting, or before it."""
    for script in ("...", "S: 220 office.example\n..."):
        async with calling(PlayedOffices(script)) as played:
            await played.dialled()
            await played.clock.turn(600)
            record = await played.ends()
            assert (record.ended_by, record.seconds) == ("error", 600)
            assert record.error == "office.example:25: no answer by the window's end"


async def test_nonsense_and_closed_doors_are_tried_again() -> None:
    """Garbage instead of a reply, 421, a hang-up in the middle: each is a reason to come again."""
    bad = ("S: hello, who is there?", "S: 421 4.7.0 too many", "S: 220-office", f"{GREETING}\nC: ETRN test.example")
    offices = PlayedOffices(*bad, etrn("251 OK"))
    async with calling(offices) as played:
        for tries, words in enumerate(("not a reply", "421", "hung up", "hung up"), 1):
            await eventually(lambda: (offices.dialled, played.view.step) == (tries, "waiting"))  # noqa: B023 - at once
            assert words in played.view.error
            await played.clock.turn(2 ** (tries - 1))
        assert (await played.ends()).error == ""
        assert offices.dialled == 5


async def test_not_now_is_asked_again() -> None:
    """458, then 250: only the domain that was put off is asked for again."""
    first = f"""{GREETING}
        C: ETRN test.example
        S: 458 Already processing test.example
        C: ETRN other.example
        S: 251 OK
    {BYE}"""
    offices = PlayedOffices(first, etrn("253 OK, 1 pending messages"))
    async with calling(offices, CallPlan("office", OFFICE, (TEST, OTHER))) as played:
        await played.asked()
        assert "458" in played.view.error
        await played.clock.turn(1)
        await eventually(lambda: played.view.expected == 1)
        played.feed.arrives()
        record = await played.ends()
        assert (record.ended_by, record.error) == ("counts", "")
        await offices.finished()


async def test_a_refusal_is_an_error_and_ends_nothing_else() -> None:
    """459 for one domain; the other's mail comes."""
    script = f"""{GREETING}
        C: ETRN test.example
        S: 459 4.7.1 Node test.example not allowed
        C: ETRN other.example
        S: 253 OK, 1 pending messages
    {BYE}"""
    async with calling(PlayedOffices(script), CallPlan("office", OFFICE, (TEST, OTHER))) as played:
        await eventually(lambda: played.view.expected == 1)
        played.feed.arrives(10, OTHER)
        record = await played.ends()
        assert record.ended_by == "counts"
        assert record.error == "test.example: 459 4.7.1 Node test.example not allowed"


async def test_after_5yz_no_further_domain_is_asked_for() -> None:
    """RFC 1985: such an office does not do this; the call is over, and says what was not asked."""
    script = f"{GREETING}\nC: ETRN test.example\nS: 502 5.5.1 Not here\n{BYE}"
    offices = PlayedOffices(script)
    async with calling(offices, CallPlan("office", OFFICE, (TEST, OTHER))) as played:
        record = await played.ends()
        assert record.ended_by == "error"
        assert "test.example: 502 5.5.1 Not here" in record.error
        assert "other.example: not asked after 502" in record.error
        await offices.finished()


# hooks


def hooks(folder: Path, before: str, after: str = "true") -> CallPlan:
    """A plan whose hooks leave their marks in a folder."""
    return CallPlan(
        "office",
        OFFICE,
        (TEST,),
        before=("sh", "-c", f"touch {folder}/before; {before}"),
        after=("sh", "-c", f"touch {folder}/after; {after}"),
    )


async def test_the_link_is_brought_up_and_down_around_the_conversation(tmp_path: Path) -> None:
    """Both hooks are in the books."""
    async with calling(PlayedOffices(etrn("251 OK")), hooks(tmp_path, "true")) as played:
        record = await played.ends()
        assert (record.ended_by, record.error) == ("counts", "")
        assert [fact.hook for fact in played.feed.facts if isinstance(fact, HookEnded)] == ["before", "after"]


async def test_a_link_that_does_not_come_up_ends_the_call(tmp_path: Path) -> None:
    """Nobody is called; what was half up is brought down."""
    offices = PlayedOffices(etrn("251 OK"))
    async with calling(offices, hooks(tmp_path, "echo no carrier; exit 7")) as played:
        record = await played.ends()
        assert (record.ended_by, record.error) == ("error", "before hook: exit status 7: no carrier")
        assert offices.dialled == 0
        assert (tmp_path / "after").exists()


async def test_a_link_that_does_not_go_down_is_reported_and_changes_nothing_else(tmp_path: Path) -> None:
    """The mail has come, after all."""
    async with calling(PlayedOffices(etrn("251 OK")), hooks(tmp_path, "true", "exit 1")) as played:
        record = await played.ends()
        assert (record.ended_by, record.error) == ("counts", "after hook: exit status 1")


async def test_a_stop_hangs_up_and_still_brings_the_link_down(tmp_path: Path) -> None:
    """While it waits for mail."""
    async with calling(PlayedOffices(etrn("250 OK")), hooks(tmp_path, "true")) as played:
        await played.asked()
        played.call.hang_up("restante is stopping")
        record = await played.ends()
        assert (record.ended_by, record.error) == ("error", "restante is stopping")
        assert (tmp_path / "after").exists()


async def test_a_stop_does_not_wait_for_a_modem(tmp_path: Path) -> None:
    """While the link is being brought up: the hook is ended, and what it did is undone."""
    async with calling(PlayedOffices(REFUSES), hooks(tmp_path, "exec sleep 600")) as played:
        await eventually((tmp_path / "before").exists)
        played.call.hang_up("restante is stopping")
        record = await played.ends()
        assert record.error == "restante is stopping"
        assert (tmp_path / "after").exists()


async def test_a_cancelled_call_brings_the_link_down_too(tmp_path: Path) -> None:
    """The record is written even then."""
    async with calling(PlayedOffices("..."), hooks(tmp_path, "true")) as played:
        await played.dialled()
        played.task.cancel()
        await asyncio.wait([played.task], timeout=60)
        assert played.task.cancelled()
        assert (tmp_path / "after").exists()
        assert isinstance(played.feed.facts[-1], CallEnded)
        assert played.view.progress is Progress.ENDED
