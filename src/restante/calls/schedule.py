"""Calls when it is time: one watcher for each configured call, one call a name at a time, and what became of the last.

A watcher looks at the wall clock at least every LOOK_SECONDS, so that a jump or a night's sleep of the machine is seen
within that. What was missed is made up once; what falls into a call that runs is not doubled. New plans leave a call
that runs as it is. With `on_link_up` a call is also made when a route to the office appears, a boot included.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from restante.calls.call import Call
from restante.calls.going import CallRate
from restante.calls.link import LinkProbe
from restante.calls.memory import MOST_PAST, CallMemory, Remembered, to_nobody
from restante.calls.plan import CallMeans, CallPlan
from restante.calls.window import Window, followed_from, next_due, served_until
from restante.errors import RestanteError
from restante.facts import CallEnded
from restante.model import CallView, HostPort, Progress

LOOK_SECONDS = 60.0
LINK_LOOK_SECONDS = 5.0
LINK_UP_INTERVAL = 60.0
"""Seconds from the start of one call to that of the next which a link that comes and goes may cause."""
STOPPED = "restante is stopping"


@dataclass(eq=False)
class NoSuchCall(RestanteError):
    """No call of that name is configured. Trying again does not help."""

    name: str

    def __str__(self) -> str:
        return f"no call {self.name!r} is configured"


@dataclass(eq=False)
class NoCallNow(RestanteError):
    """No call is begun any more. Trying again helps after the restart."""

    reason: str

    def __str__(self) -> str:
        return self.reason


class Probe(Protocol):
    """Whether there is a route to an office."""

    async def is_up(self) -> bool:
        """Asked every few seconds."""
        ...


@dataclass(slots=True)
class _Running:
    call: Call
    task: asyncio.Task[CallEnded]


class Caller:
    """All calls of this host. Nothing happens before start(); `state` is the file that remembers over a restart, and
    `note` is told where it does not.
    """

    def __init__(
        self,
        plans: Iterable[CallPlan],
        means: CallMeans,
        *,
        state: Path | None = None,
        note: Callable[[str], None] = to_nobody,
        probe: Callable[[HostPort], Probe] = LinkProbe,
    ) -> None:
        self._plans = {plan.name: plan for plan in plans}
        self._means = means
        self._clock = means.clock
        self._memory = CallMemory(state, note)
        self._probe = probe
        self._running: dict[str, _Running] = {}
        self._went: dict[str, CallRate] = {}
        """By name: how fast the last call went, of those that were made since the start."""
        self._watchers: dict[str, list[asyncio.Task[None]]] = {}
        self._called_on_link: set[str] = set()
        """Calls made for a link that is up since then; new plans do not call for it again."""
        self._stopping = False

    def start(self) -> None:
        """Begins to watch schedules and links."""
        for plan in self._plans.values():
            self._watch(plan)

    def replace_plans(self, plans: Iterable[CallPlan], means: CallMeans | None = None) -> None:
        """Takes new plans, and new means where given; calls that run go on as they began."""
        before, self._plans = self._plans, {plan.name: plan for plan in plans}
        self._means = means or self._means
        for name in before.keys() - {name for name, plan in self._plans.items() if before.get(name) == plan}:
            for task in self._watchers.pop(name, ()):
                task.cancel()
        known = self._plans.keys() | self._running.keys()
        self._memory.forget_all_but(known)
        self._went = {name: rate for name, rate in self._went.items() if name in known}
        for name, plan in self._plans.items():
            if name not in self._watchers:
                self._watch(plan)

    # what others ask

    def call_now(self, name: str, reason: str = "operator") -> CallView:
        """Makes a call at once, or joins the one that runs. Raises NoSuchCall."""
        if name not in self._plans:
            raise NoSuchCall(name)
        if self._stopping:
            raise NoCallNow(STOPPED)
        return self._begin(self._plans[name], reason).call.view

    async def wait(self, name: str) -> CallView | None:
        """The view of a call when it has ended; the last one's where none runs."""
        if (running := self._running.get(name)) is not None:
            await asyncio.wait([running.task])
            return running.call.view
        return self.view(name)

    def view(self, name: str) -> CallView | None:
        """A call as it stands, or as the last one ended; None where there was none."""
        if (running := self._running.get(name)) is not None:
            return running.call.view
        known = self._memory.get(name)
        return known.last if known is not None else None

    def rate(self, name: str) -> CallRate:
        """How fast a call goes, or how the last one went. Raises NoSuchCall."""
        if (running := self._running.get(name)) is not None:
            return running.call.rate
        if name not in self._plans:
            raise NoSuchCall(name)
        return self._went.get(name) or CallRate(self.view(name) or self._not_yet(name))

    def past(self, name: str) -> tuple[CallView, ...]:
        """How the last calls of a name have ended, the newest first."""
        known = self._memory.get(name)
        return () if known is None or known.last is None else (known.last, *known.past)

    def views(self) -> list[CallView]:
        """Every configured call, by name: as it runs, as its last one ended, or not yet begun (`queued`)."""
        names = sorted(self._plans.keys() | self._running.keys())
        return [self.view(name) or self._not_yet(name) for name in names]

    @property
    def plans(self) -> tuple[CallPlan, ...]:
        """What is configured, by name."""
        return tuple(self._plans[name] for name in sorted(self._plans))

    def next_window(self, name: str) -> Window | None:
        """When a call is due next by its schedule. Raises NoSuchCall."""
        if name not in self._plans:
            raise NoSuchCall(name)
        plan = self._plans[name]
        return plan.schedule.window_after(self._clock.wall(), plan.window)

    async def stop(self, patience: float) -> None:
        """Calls nobody more; calls that run hang up, and have so many seconds for their `after` hooks."""
        self._stopping = True
        for task in [task for tasks in self._watchers.values() for task in tasks]:
            task.cancel()
        self._watchers.clear()
        running = list(self._running.values())
        if not running:
            return
        for one in running:
            one.call.hang_up(STOPPED)
        await asyncio.wait([one.task for one in running], timeout=patience)
        for one in running:
            one.task.cancel()
        await asyncio.wait([one.task for one in running], timeout=1)

    # calls

    def _begin(self, plan: CallPlan, reason: str) -> _Running:
        if (running := self._running.get(plan.name)) is not None:
            return running
        now, past = self._clock.wall(), self._past(plan)
        call = Call(plan, reason, self._means, past.told)
        task = asyncio.get_running_loop().create_task(call.run())
        running = self._running[plan.name] = _Running(call, task)
        self._memory.put(plan.name, replace(past, served=max(now, served_until(past.served, now)), begun=now))
        task.add_done_callback(lambda _: self._ended(plan.name, running))
        return running

    def _ended(self, name: str, running: _Running) -> None:
        del self._running[name]
        _report(running.task, f"call {name} failed")
        known = self._memory.get(name)
        if known is not None:
            self._went[name] = running.call.rate
            now = self._clock.wall()
            served = max(now, served_until(known.served, now))  # a clock set back a little repeats nothing
            before = [replace(known.last, replies=())] if known.last is not None else []
            past = (*before, *known.past)[:MOST_PAST]
            last, told = running.call.view, running.call.told
            self._memory.put(name, replace(known, served=served, last=last, past=past, told=told))

    def _past(self, plan: CallPlan) -> Remembered:
        """What is known of a call; a schedule that is new counts from now."""
        known = self._memory.get(plan.name)
        if known is None:
            return Remembered(self._clock.wall(), plan.schedule.expressions)
        if known.expressions != plan.schedule.expressions:
            return replace(known, served=self._clock.wall(), expressions=plan.schedule.expressions)
        return known

    def _not_yet(self, name: str) -> CallView:
        plan = self._plans[name]
        return CallView(name, str(plan.office), Progress.QUEUED)

    # watchers

    def _watch(self, plan: CallPlan) -> None:
        self._memory.put(plan.name, self._past(plan))
        loop = asyncio.get_running_loop()
        tasks = self._watchers[plan.name] = []
        if plan.schedule.expressions:
            tasks.append(loop.create_task(self._follow_schedule(plan)))
        if plan.on_link_up:
            tasks.append(loop.create_task(self._follow_link(plan)))
        for task in tasks:
            task.add_done_callback(lambda done: _report(done, f"the watcher of call {plan.name} failed"))

    async def _follow_schedule(self, plan: CallPlan) -> None:
        since = math.inf
        while True:
            if (running := self._running.get(plan.name)) is not None:
                await asyncio.wait([running.task])
                await asyncio.sleep(0)  # _ended() runs
                since = self._clock.wall()
                continue
            now = self._clock.wall()
            past = self._past(plan)
            if (served := served_until(past.served, now)) != past.served:
                self._memory.put(plan.name, replace(past, served=served))
            followed = followed_from(served, since, now)
            since = followed if followed < served else math.inf
            moment = next_due(plan.schedule, served, now, since)
            if moment is not None and moment <= now:
                self._begin(plan, "schedule")
                continue
            left = LOOK_SECONDS if moment is None else moment - now
            await self._clock.sleep(min(LOOK_SECONDS, max(0.001, left)))

    async def _follow_link(self, plan: CallPlan) -> None:
        probe = self._probe(plan.office)
        while True:
            if not await probe.is_up():
                self._called_on_link.discard(plan.name)
            elif plan.name not in self._called_on_link and not self._is_too_soon(plan):
                self._called_on_link.add(plan.name)
                self._begin(plan, "link-up")
            await self._clock.sleep(LINK_LOOK_SECONDS)

    def _is_too_soon(self, plan: CallPlan) -> bool:
        begun = self._past(plan).begun
        return begun is not None and 0 <= self._clock.wall() - begun < LINK_UP_INTERVAL


def _report(task: asyncio.Task[None] | asyncio.Task[CallEnded], message: str) -> None:
    """What nobody expected goes where such things go, not into silence."""
    if not task.cancelled() and (error := task.exception()) is not None:
        asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
