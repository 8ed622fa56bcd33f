"""What the commands ask, done: with a running server's rooms, or, where none runs, with the store alone.

answers() takes a request of protocol.py and gives its answers; nothing that may go wrong leaves it as an error, each is
a Failed with its reasons. A release or a call that was asked for goes on when nobody waits for its answers any more.
Each change of an item is announced, so that the log tells who removed what.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TypeVar

from restante.admin import protocol as p
from restante.admin.choice import Choice, NotChosen, choice_of
from restante.admin.domains import Amount, DomainPages, LastContact, dated_rows
from restante.admin.endings import Done, Redirecting, Returning, parse_target
from restante.admin.fullness import Full, Fullness
from restante.admin.lanes import Lanes
from restante.admin.left import WANTED, tried, unchanged
from restante.admin.listing import (
    domains_listed,
    header_section,
    queue_item,
    quota_of,
    quota_use,
    rows_of,
    shown_item,
)
from restante.admin.seen import Seen
from restante.admin.timeline import Period, Timeline
from restante.calls.going import CallRate
from restante.calls.plan import CallPlan
from restante.calls.schedule import Caller, NoSuchCall
from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Directory, Held
from restante.errors import RestanteError
from restante.facts import Announce, ItemChanged
from restante.model import (
    CallView,
    DomainName,
    HostPort,
    IdError,
    Item,
    ItemId,
    ItemState,
    MessageId,
    NextHopError,
    ReleaseView,
    is_item_id,
    parse_id,
    write_item_id,
)
from restante.release.past import Past
from restante.release.rates import ReleaseRate
from restante.release.requests import OPERATOR, Releases
from restante.smtp.address import AddressError, parse_domain
from restante.spool.spool import ContentDamage, Spool

View = TypeVar("View", ReleaseView, CallView)

PROGRESS_SECONDS = 0.2
"""Between two answers of a release or a call that is waited for."""
MAX_DOMAINS = 1_000_000
"""Domains in one listing, those with mail before the others; 190 octets each."""
DOMAINS_A_TURN = 2000


class NotYours(RestanteError):
    """Only the operator may do that, or an administrator. Trying again does not help."""


@dataclass(frozen=True, slots=True)
class Process:
    """What only the process knows of itself: the wall time of its start, its listeners, its open connections."""

    started: float
    listening: tuple[str, ...] = ()
    connections: int = 0


class Steering:
    """Does what is asked, for the operator; for_user() gives one for somebody else.

    Without a running server `releases`, `caller`, `reload`, `process` and `past` are None. `last_contact`: see Upkeep.
    """

    def __init__(
        self,
        *,
        spool: Spool,
        directory: Callable[[], Directory],
        releases: Releases | None,
        caller: Caller | None,
        reload: Callable[[], Awaitable[tuple[str, ...]]] | None,
        clock: Clock,
        announce: Announce,
        process: Callable[[], Process] | None,
        last_contact: LastContact = lambda _: None,
        past: Past | None = None,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._releases = releases
        self._caller = caller
        self._reload = reload
        self._clock = clock
        self._announce = announce
        self._process = process
        self._last_contact = last_contact
        self._pages_of_domains = DomainPages()
        self._lanes = Lanes(past, last_contact)
        self._fullness = Fullness(spool, clock)
        self._seen = Seen(spool, clock)
        self._by = ""

    def for_user(self, by: str, within: frozenset[DomainName] | None) -> Steering:
        """The same for a user, whom the log will name: who sees and changes what is of these domains, or of all.

        What is of others is for him as if it were not there; what concerns the whole host raises NotYours.
        """
        other = copy.copy(self)
        other._by, other._seen = by, Seen(self._spool, self._clock, within)  # noqa: SLF001 - its own class
        return other

    async def answers(self, request: p.AnyRequest) -> AsyncGenerator[p.AnyAnswer, None]:
        """What is asked, done: one answer, or several until what was waited for has ended."""
        try:
            match request:
                case p.Release() | p.Call():
                    series = self._release(request) if isinstance(request, p.Release) else self._call(request)
                    async with contextlib.aclosing(series):
                        async for answer in series:
                            yield answer
                case p.Status():
                    async with contextlib.aclosing(self._status()) as series:
                        async for answer in series:
                            yield answer
                case _:
                    yield await self.answer(request)
        except (IdError, AddressError, NextHopError, NotChosen) as error:
            yield p.Failed((str(error),), p.USAGE)
        except RestanteError as error:
            yield p.Failed((str(error),))

    async def answer(self, request: p.Status | p.Domains | p.Queue | p.Show | p.AnyChange | p.Reload) -> p.AnyAnswer:
        """The one answer to what is not waited for. Raises IdError, AddressError, RestanteError."""
        match request:
            case p.Status():
                [answer] = p.joined([part async for part in self._status()])
                return answer
            case p.Domains():
                return await self._domains(request)
            case p.Queue():
                return await self._queue(request)
            case p.Show():
                return await self._show(request)
            case p.Freeze():
                return await self._change(request, "freeze", self._by_ids("freeze", self._spool.freeze))
            case p.Thaw():
                return await self._change(request, "thaw", self._by_ids("thaw", self._spool.thaw))
            case p.Remove():
                return await self._change(request, "remove", self._by_ids("remove", self._spool.remove))
            case p.Bounce():
                back = Returning(
                    self._spool, self._directory, self._announce, self._clock, text=request.text, by=self._by
                )
                return await self._change(request, "bounce", back)
            case p.Redirect():
                if self._seen.within is not None and parse_target(request.where)[1] not in self._seen.within:
                    raise NotYours("mail can be sent to your own domains")
                aside = Redirecting(self._spool, self._directory(), self._announce, request.where, by=self._by)
                return await self._change(request, "redirect", aside)
            case p.Reload():
                self._check_all_are_meant()
                return p.Failed((p.NO_SERVER,)) if self._reload is None else p.ReloadAnswer(await self._reload())

    def _check_all_are_meant(self) -> None:
        """What is of the whole host is not for who has a part of it. Raises NotYours."""
        if self._seen.within is not None:
            raise NotYours("that is for administrators")

    # looking

    async def _domains(self, request: p.Domains) -> p.DomainsAnswer:
        limit = max(1, min(request.limit, p.PAGE))
        directory, waiting = self._directory(), self._spool.domains()
        if request.only is not None:
            is_seen = self._seen.within is None or request.only in self._seen.within
            is_there = directory.entry_for(DomainName(request.only)) is not None or request.only in waiting
            names = [request.only] if is_seen and is_there else []
        else:
            names = self._pages_of_domains.names(
                directory, waiting, request.after, limit + 1, within=self._seen.within, with_mail=request.waiting
            )
        after = names[limit - 1] if len(names) > limit else None
        kept = await self._spool.stopped_domains()
        page = list(map(DomainName, names[:limit]))
        rows = dated_rows(page, directory, waiting, kept, last_contact=self._last_contact, clock=self._clock)
        return p.DomainsAnswer(rows, self._clock.wall(), after)

    @property
    def sees_all(self) -> bool:
        """Whether nothing of this host is kept from who asks."""
        return self._seen.within is None

    async def amounts(self) -> tuple[Amount, Amount]:
        """How much waits, and how much is stopped, of the domains that may be seen."""
        stopped = await self._spool.stopped_domains()
        if self._seen.within is None:
            return Amount.of(self._spool.domains().values()), Amount.of(stopped.values())
        waiting = map(self._spool.waiting, self._seen.within)
        return Amount.of(waiting), Amount.of(stopped[name] for name in self._seen.within if name in stopped)

    async def nearly_full(self) -> tuple[Full, ...]:
        """Which domains are nearly at their quotas, the fullest first, of those that may be seen; seconds old."""
        return await self._fullness.nearly_full(self._directory(), self._seen.within)

    async def _status(self) -> AsyncGenerator[p.Rows | p.StatusAnswer, None]:
        """How this host is, with all domains but the last ones ahead; the loop turns meanwhile."""
        self._check_all_are_meant()
        state = self._process() if self._process is not None else None
        stopped = await self._spool.stopped()
        directory, waiting, kept = self._directory(), self._spool.domains(), await self._spool.stopped_domains()
        names = domains_listed(directory, waiting)
        listed = names[:MAX_DOMAINS]
        start = 0
        while len(listed) - start > DOMAINS_A_TURN:
            yield rows_of(listed[start : start + DOMAINS_A_TURN], directory, waiting, kept)
            await asyncio.sleep(0)
            start += DOMAINS_A_TURN
        yield p.StatusAnswer(
            hostname=directory.hostname,
            version=version("restante"),
            now=self._clock.wall(),
            running=state is not None,
            started=state.started if state is not None else None,
            listening=state.listening if state is not None else (),
            connections=state.connections if state is not None else 0,
            domains=tuple(rows_of(listed[start:], directory, waiting, kept).domains()),
            domains_left_out=max(0, len(names) - MAX_DOMAINS),
            frozen=stopped.get(ItemState.FROZEN, 0),
            quarantined=stopped.get(ItemState.QUARANTINED, 0),
            releases=self.releases(),
            calls=self.calls(),
        )

    def releases(self) -> tuple[ReleaseView, ...]:
        """What runs, what waits to, and what has ended, newest first."""
        views = self._releases.views() if self._releases is not None else ()
        return tuple(view for view in views if self._seen.within is None or view.domain in self._seen.within)

    def release_rate(self, number: int) -> ReleaseRate | None:
        """How fast a release went, and what is to be expected of it; None where there is none to be seen."""
        rate = self._releases.rate(number) if self._releases is not None else None
        is_seen = rate is not None and (self._seen.within is None or rate.view.domain in self._seen.within)
        return rate if is_seen else None

    def calls(self) -> tuple[p.CallStatus, ...]:
        """Every configured call. Raises NotYours."""
        self._check_all_are_meant()
        return tuple(self._calls(self._caller)) if self._caller is not None else ()

    def past_calls(self, name: str) -> tuple[CallView, ...]:
        """How the last calls of a name have ended, the newest first. Raises NotYours."""
        self._check_all_are_meant()
        return self._caller.past(name) if self._caller is not None else ()

    def call_rate(self, name: str) -> CallRate:
        """How fast a call goes, or the last one went. Raises NoSuchCall, NotYours."""
        self._check_all_are_meant()
        if self._caller is None:
            raise NoSuchCall(name)
        return self._caller.rate(name)

    def call_plan(self, name: str) -> CallPlan:
        """What is configured of a call. Raises NoSuchCall, NotYours."""
        self._check_all_are_meant()
        for plan in self._caller.plans if self._caller is not None else ():
            if plan.name == name:
                return plan
        raise NoSuchCall(name)

    async def timeline(
        self, start: float | None = None, until: float | None = None, *, after: str = "", limit: int = p.PAGE
    ) -> Timeline:
        """What was on a line of time and what is to come, from a day back to two days ahead where nothing is said.

        Calls are on the first page, for who sees all. Raises NoSpan.
        """
        period, within = Period.of(start, until, self._clock.wall()), self._seen.within
        caller = self._caller if within is None and not after else None
        limit = max(1, min(limit, p.PAGE))
        return await self._lanes.timeline(period, self._directory(), caller, after=after, limit=limit, within=within)

    def _calls(self, caller: Caller) -> Iterable[p.CallStatus]:
        for view in caller.views():
            window = None
            with contextlib.suppress(NoSuchCall):  # one that still runs, and is configured no longer
                window = caller.next_window(view.name)
            yield p.CallStatus(view, *((window.start, window.end) if window is not None else ()))

    async def _queue(self, request: p.Queue) -> p.QueueAnswer:
        limit = max(1, min(request.limit, p.PAGE))
        choice, now = Choice.of(request, request.domains, request.state), self._clock.wall()
        ids, last = tuple(map(parse_id, request.ids)), _cursor(request.after)
        items: list[Item] = []
        looked, after = 0, None
        filtered = replace(choice.filter, ids=ids, after=last)
        filtered = replace(filtered, limit=limit) if choice.is_all_by_filter else filtered
        async for page in self._seen.pages(filtered):
            items += [item for item in page if choice.wants(item, now)]
            looked += len(page)
            if len(items) >= limit:
                after = items[limit - 1].id
            elif request.look is not None and looked >= request.look and len(page) == filtered.limit:
                after = page[-1].id
            if after is not None:
                break
        items = items[:limit]
        quotas = await self._quotas({item.domain for item in items if item.is_known})
        cursor = None if after is None else write_item_id(after)
        return p.QueueAnswer(tuple(map(queue_item, items)), self._clock.wall(), cursor, quotas)

    async def _quotas(self, domains: Iterable[DomainName]) -> dict[str, p.QuotaUse]:
        directory = self._directory()
        limited = [name for name in domains if quota_of(directory, name) is not None]
        kept = await self._spool.stopped_domains() if limited else {}  # a row is read for each item that is stopped
        uses = {name: quota_use(directory, name, self._spool.waiting(name), kept) for name in limited}
        return {name: use for name, use in uses.items() if use is not None}

    async def _show(self, request: p.Show) -> p.AnyAnswer:
        identifier = _id(request.id)
        named = [identifier] if identifier is not None else []
        items = [item async for page in self._seen.named(named) for item in page]
        if not items:
            return p.Failed((f"{request.id}: no such message or item",))
        damage, headers, cut = "", b"", False
        try:
            headers, cut = await header_section(self._spool, items[0])
        except ContentDamage as error:
            damage = str(error)
        shown = tuple(map(shown_item, items))
        return p.ShowAnswer(shown, self._clock.wall(), headers.decode("utf-8", "replace"), cut, damage)

    # changing items

    async def _change(
        self, request: p.Change, verb: str, change: Callable[[Sequence[Item]], Awaitable[Done]]
    ) -> p.AnyAnswer:
        choice = choice_of(request, verb)
        ids = {text: _id(text) for text in request.ids}
        named = [identifier for identifier in ids.values() if identifier is not None]
        changed: list[ItemId] = []
        others: list[Item] = []
        reasons: dict[ItemId, str] = {}
        seen: set[int] = set()
        async for page in self._seen.named(named) if choice is None else self._seen.chosen(choice):
            done = tried(verb, page) if request.dry_run else await change(page)
            seen.update(item.id for item in page)
            seen.update(item.message for item in page)
            changed += [item.id for item in page if item.id in done.items]
            others += [item for item in page if item.id not in done.items]
            reasons |= done.reasons
            self._wake(done.arrived)
        already = [item for item in others if item.state is WANTED.get(verb)]
        return p.ChangeAnswer(
            changed=tuple(map(write_item_id, changed)),
            already=tuple(write_item_id(item.id) for item in already),
            unchanged=tuple(unchanged(verb, item, reasons) for item in others if item not in already),
            unknown=tuple(text for text, identifier in ids.items() if identifier not in seen),
        )

    def _by_ids(
        self, verb: str, change: Callable[[Sequence[ItemId]], Awaitable[list[ItemId]]]
    ) -> Callable[[Sequence[Item]], Awaitable[Done]]:
        """A change that the spool makes by itself."""

        async def done(items: Sequence[Item]) -> Done:
            changed = set(await change([item.id for item in items]))
            for item in items:
                if item.id in changed:
                    self._announce(ItemChanged(item.id, verb, item.domain, self._by))
            is_news = verb == "thaw"
            return Done(changed, arrived={item.domain for item in items if is_news and item.id in changed})

        return done

    def _wake(self, domains: Iterable[DomainName]) -> None:
        """What waits now, or again, and leaves by itself goes."""
        if self._releases is not None:
            for domain in domains:
                self._releases.arrived(domain)

    # releases and calls

    async def _release(self, request: p.Release) -> AsyncGenerator[p.AnyAnswer, None]:
        releases = self._releases
        if releases is None:
            yield p.Failed((p.NO_SERVER,))
            return
        begun = self.begin_release(request)
        yield begun
        if request.wait:
            number = begun.view.number
            async with contextlib.aclosing(_until_ended(releases.wait(number), lambda: releases.view(number))) as seen:
                async for view in seen:
                    yield self._release_answer(view)

    def begin_release(self, request: p.Release) -> p.ReleaseAnswer:
        """Starts or queues a release: a user's, of a held domain of his own, to where it belongs.

        Raises AddressError, NextHopError, NoSuchEntry, Stopping, NotYours.
        """
        releases, entry, to = self._may_release(request)
        view = releases.request_by_operator(entry, to, self._by or OPERATOR)
        return self._release_answer(replace(view, items=view.items or releases.waiting_items(entry)))

    def check_release(self, request: p.Release) -> int:
        """How many items such a release would offer now. Raises what begin_release() does, but for Stopping."""
        releases, entry, to = self._may_release(request)
        releases.check_target(entry, to)
        return releases.waiting_items(entry)

    def _may_release(self, request: p.Release) -> tuple[Releases, str, HostPort | None]:
        assert self._releases is not None, "a server runs"
        to = HostPort.parse(request.to) if request.to is not None else None
        entry = request.domain if request.domain == EVERY_OTHER else parse_domain(request.domain)
        if self._seen.within is not None:
            is_own = entry in self._seen.within and isinstance(self._directory().entry(entry), Held)
            if to is not None or not is_own:
                raise NotYours("a held domain of your own can be released, and to its next hop")
        return self._releases, entry, to

    def _release_answer(self, view: ReleaseView) -> p.ReleaseAnswer:
        return p.ReleaseAnswer(view, self._clock.wall())

    async def _call(self, request: p.Call) -> AsyncGenerator[p.AnyAnswer, None]:
        caller = self._caller
        if caller is None:
            yield p.Failed((p.NO_SERVER,))
            return
        yield self.begin_call(request)
        if request.wait:
            name = request.name
            async with contextlib.aclosing(_until_ended(caller.wait(name), lambda: caller.view(name))) as seen:
                async for view in seen:
                    yield p.CallAnswer(view, self._clock.wall())

    def begin_call(self, request: p.Call) -> p.CallAnswer:
        """Makes a call, or joins the one that runs. Raises NoSuchCall, NoCallNow, NotYours."""
        self._check_all_are_meant()
        assert self._caller is not None, "a server runs"
        return p.CallAnswer(self._caller.call_now(request.name), self._clock.wall())


async def _until_ended(end: Awaitable[View | None], look: Callable[[], View | None]) -> AsyncGenerator[View, None]:
    """How it stands, a few times a second, and last how it ended."""
    ended = asyncio.ensure_future(end)
    try:
        while not (await asyncio.wait([ended], timeout=PROGRESS_SECONDS))[0]:
            if (view := look()) is not None:
                yield view
        if (view := ended.result()) is not None:
            yield view
    finally:
        ended.cancel()


def _id(text: str) -> MessageId | ItemId | None:
    """None for text that is no id: it names nothing, as an id does whose item has left."""
    try:
        return parse_id(text)
    except IdError:
        return None


def _cursor(text: str | None) -> ItemId | None:
    if text is None:
        return None
    identifier = parse_id(text)
    if not is_item_id(identifier):
        raise IdError(f"{text!r} is not the id of an item")
    return ItemId(identifier)
