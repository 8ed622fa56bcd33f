"""One call, from its `before` hook to its `after` hook, and its record.

The window's end bounds everything: an office that refuses, hangs, or talks nonsense costs the time that was set, and
no mail: what did not go or come waits where it is. Own releases, and a connection that ATRN has turned round, are let
go between messages, with GRACE_SECONDS for the one on its way. `after` runs whenever `before` was tried, also when the
call is cancelled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from restante.calls.asking import ATRN, Asking, back_off
from restante.calls.going import CallRate, Going
from restante.calls.hooks import Hook, run_hook
from restante.calls.ledger import EndedBy, Ledger
from restante.calls.notes import Notes
from restante.calls.plan import CallMeans, CallPlan
from restante.calls.telling import OfficeApi, Telling
from restante.errors import RestanteError
from restante.facts import CallEnded, CallStarted, Fact, RecipientsTold
from restante.model import CallView, DomainName, Progress

GRACE_SECONDS = 15.0
TELL_SECONDS = 60.0
"""How much longer than its mail a call may take, within the window, to tell the office who exists here."""
LOOK_SECONDS = 1.0
"""How often a call that waits looks whether octets have moved."""


class Call:
    """One contact with an office. run() once; `view` at any time.

    `told` are digests of the recipients that the office knows; when the call has ended, of those that it knows then.
    """

    def __init__(self, plan: CallPlan, reason: str, means: CallMeans, told: Mapping[str, str] | None = None) -> None:
        self._plan = plan
        self._means = means
        self._clock = means.clock
        self._began = self._clock.monotonic()
        self._until = self._began + plan.window
        wall = self._clock.wall()
        self._requester = f"call {plan.name}"
        asked = (ATRN,) if plan.turns else plan.domains
        self._ledger = Ledger(asked, self._requester, plan.idle, self._began)
        self._notes = Notes()
        self._asking = Asking(plan, means, self._ledger, self._notes, connected=self._connected)
        self._stopped = ""
        self._hook_task: asyncio.Task[str] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self.told = dict(told or {})
        self._going = Going(self._ledger, wall, self._began)
        self._view = CallView(
            name=plan.name,
            office=str(plan.office),
            progress=Progress.RUNNING,
            reason=reason,
            started=wall,
            window_ends=wall + plan.window,
        )

    @property
    def view(self) -> CallView:
        """The call as it stands."""
        ledger = self._ledger
        return replace(
            self._view,
            step=self._notes.step,
            expected=ledger.expected,
            received=ledger.received,
            received_octets=ledger.received_octets,
            sent=ledger.sent,
            sent_octets=ledger.sent_octets,
            replies=tuple(f"{node}: {said}" for node, said in self._notes.replies.items()),
            error=self._notes.error,
        )

    @property
    def rate(self) -> CallRate:
        """How fast it goes, or how it went."""
        view = self.view
        if view.progress is Progress.ENDED:
            return self._going.ended(view)
        return self._going.running(view, self._clock.monotonic(), self._left)

    def hang_up(self, why: str) -> None:
        """Ends it now, for a reason that goes into its record; the `after` hook still runs."""
        self._stopped = why
        if self._hook_task is not None and self._notes.step == "before":
            self._hook_task.cancel()
        self._notes.changed.set()

    async def run(self) -> CallEnded:
        """Makes the call. What goes wrong is in its record, not raised; cancelling it runs `after` first."""
        self._means.announce(CallStarted(self._plan.name, str(self._plan.office), self._view.reason))
        ended_by = EndedBy.ERROR
        unsubscribe = self._means.subscribe(self._take)
        try:
            ended_by = await self._between_hooks()
        except asyncio.CancelledError:
            self._notes.problems.setdefault("stopped", self._stopped or "cancelled")
            raise
        finally:
            unsubscribe()
            record = self._record(ended_by)
            self._means.announce(record)
        return record

    def _record(self, ended_by: EndedBy) -> CallEnded:
        plan, view = self._plan, self.view
        self._going.look(self._clock.monotonic())
        left = self._ledger.owed + sum(self._means.releaser.waiting_items(entry) for entry in plan.flush)
        self._notes.step = ended_by.value
        self._view = replace(self._view, progress=Progress.ENDED, ended=self._clock.wall())
        return CallEnded(
            plan.name,
            view.office,
            self._clock.monotonic() - self._began,
            view.sent,
            view.sent_octets,
            view.received,
            view.received_octets,
            left,
            ended_by.value,
            view.error,
        )

    # hooks

    async def _between_hooks(self) -> EndedBy:
        if self._stopped:
            self._notes.problems["stopped"] = self._stopped
            return EndedBy.ERROR
        try:
            if (error := await self._hook("before")) or self._stopped:
                self._notes.problems["before"] = error or self._stopped
                return EndedBy.ERROR
            return await self._talk()
        finally:
            if error := await self._hook("after"):
                self._notes.problems["after"] = error

    async def _hook(self, when: str) -> str:
        """Runs a hook where one is set; why it failed, or nothing."""
        self._notes.step = when
        hook = self._plan.hook(when)
        if hook is None:
            return ""
        self._hook_task = asyncio.get_running_loop().create_task(self._run_hook(hook))
        try:
            await asyncio.wait([self._hook_task])
        except asyncio.CancelledError:
            self._hook_task.cancel()
            await asyncio.wait([self._hook_task])
            raise
        if self._hook_task.cancelled():
            return self._stopped
        error = self._hook_task.result()
        return f"{when} hook: {error}" if error else ""

    async def _run_hook(self, hook: Hook) -> str:
        if hook.when == "before":
            hook = replace(hook, limit=min(hook.limit, self._left))
        plan = self._plan
        ended = await run_hook(
            hook, call=plan.name, office=str(plan.office), reason=self._view.reason, clock=self._clock
        )
        self._means.announce(ended.fact)
        return ended.error

    # the link is up

    @property
    def _left(self) -> float:
        """Seconds until the window's end."""
        return max(0.0, self._until - self._clock.monotonic())

    async def _talk(self) -> EndedBy:
        loop = asyncio.get_running_loop()
        asking = loop.create_task(self._ask())
        window = loop.create_task(self._clock.sleep(self._left))
        try:
            return await self._watch(window)
        except asyncio.CancelledError:
            self._stopped = self._stopped or "cancelled"
            raise
        finally:
            window.cancel()
            is_carrying = self._asking.let_go()
            await self._end("asking", asking, GRACE_SECONDS if is_carrying and not self._stopped else 0)
            if self._flushing is not None:  # the message on its way may be finished
                await self._end("flush", self._flushing, 0 if self._stopped else GRACE_SECONDS)
            if self._telling is not None:
                await self._end("recipients", self._telling, 0 if self._stopped else min(TELL_SECONDS, self._left))

    async def _end(self, topic: str, task: asyncio.Task[None], grace: float) -> None:
        """Ends a task of this call, after so many seconds; what it did not expect goes into the record."""
        if not task.done() and grace:
            timer = asyncio.get_running_loop().create_task(self._clock.sleep(grace))
            await asyncio.wait([task, timer], return_when=asyncio.FIRST_COMPLETED)
            timer.cancel()
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and (error := task.exception()) is not None:
            self._notes.problem(topic, f"{type(error).__name__}: {error}")

    async def _watch(self, window: asyncio.Task[None]) -> EndedBy:
        """Waits for the end, and says what it was."""
        octets_seen = self._octets_in()
        while True:
            now = self._clock.monotonic()
            self._going.look(now)
            if (octets := self._octets_in()) != octets_seen:
                octets_seen = octets
                self._ledger.touched(now)
            if self._stopped:
                self._notes.problems["stopped"] = self._stopped
                return EndedBy.ERROR
            ended_by = self._ledger.is_over(now)
            if ended_by is None and window.done():
                ended_by = EndedBy.WINDOW
                if self._ledger.asking and not self._asking.is_carrying and not self._notes.problems:
                    self._notes.problem("connect", f"{self._plan.office}: no answer by the window's end")
            if ended_by is not None:
                is_vain = bool(self._notes.problems) and not self._ledger.has_begun and not self._ledger.sent
                return EndedBy.ERROR if is_vain else ended_by
            await self._something(window, is_idling=self._ledger.is_idling)

    def _octets_in(self) -> int:
        return self._means.octets_in() + self._asking.received

    async def _something(self, window: asyncio.Task[None], *, is_idling: bool) -> None:
        """Waits for news, the window's end, or the time to look whether anything moves."""
        loop = asyncio.get_running_loop()
        self._notes.changed.clear()
        waits: list[asyncio.Task[None] | asyncio.Task[bool]] = [loop.create_task(self._notes.changed.wait())]
        if is_idling:
            waits.append(loop.create_task(self._clock.sleep(LOOK_SECONDS)))
        try:
            await asyncio.wait([*waits, window], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    def _take(self, fact: Fact) -> None:
        if self._ledger.take(fact, self._clock.monotonic()):
            self._notes.changed.set()

    # theirs

    async def _ask(self) -> None:
        try:
            await self._asking.run()
        finally:
            self._ledger.asking = False
            if self._flushing is None:
                self._ledger.releasing = False
            self._notes.changed.set()

    def _connected(self) -> None:
        """The office can be reached: ours may go, while theirs is asked for."""
        if not self._ledger.unanswered:  # a call for our own mail alone: the rest of the conversation is politeness
            self._ledger.asking = False
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush())
        if self._telling is None and self._plan.api is not None:
            self._telling = asyncio.get_running_loop().create_task(self._tell(self._plan.api))

    async def _tell(self, api: OfficeApi) -> None:
        """Tells the office who exists here, beside the mail; what goes wrong is no trouble of the call's."""
        lists = self._means.who_exists(self._plan.domains)

        def heard(domain: DomainName, recipients: int, error: str) -> None:
            self._means.announce(RecipientsTold(self._plan.name, api.url, domain, recipients, error))

        await Telling(api, self._plan.login, lists, heard).run(self.told)

    # ours: a release

    async def _flush(self) -> None:
        """Releases what is ours, again while the next hop cannot be reached and there is time."""
        try:
            for wait in back_off():
                releaser, line = self._means.releaser, self._asking.line
                views = await releaser.release(self._plan.flush, self._until, self._requester, line)
                self._ledger.released(views, self._clock.monotonic())
                self._notes.problem("flush", "; ".join(f"{view.domain}: {view.error}" for view in views if view.error))
                self._notes.changed.set()
                if "flush" not in self._notes.problems or self._left <= wait:
                    break
                await self._clock.sleep(wait)
        except RestanteError as error:
            self._notes.problem("flush", str(error))
        finally:
            self._ledger.releasing = False
            self._notes.changed.set()
