"""What the commands ask, done: with a running server's rooms, or, where none runs, with the store alone.

answers() takes a request of protocol.py and gives its answers; nothing that may go wrong leaves it as an error, each is
a Failed with its reasons. A release or a call that was asked for goes on when nobody waits for its answers any more.
Each change of an item is announced, so that the log tells who removed what.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TypeVar

from restante.admin import protocol as p
from restante.admin.choice import Choice, NotChosen, choice_of
from restante.admin.endings import Done, Redirecting, Returning
from restante.admin.listing import domain_rows, header_section, queue_item, quota_use, shown_item
from restante.calls.schedule import Caller, NoSuchCall
from restante.clock import Clock
from restante.directory.entries import EVERY_OTHER, Directory
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
from restante.release.requests import Releases
from restante.smtp.address import AddressError, parse_domain
from restante.spool.spool import ContentDamage, Filter, Spool

View = TypeVar("View", ReleaseView, CallView)

PROGRESS_SECONDS = 0.2
"""Between two answers of a release or a call that is waited for."""
IDS_AT_ONCE = 500
_WANTED = {"freeze": ItemState.FROZEN, "thaw": ItemState.WAITING}
_WHY_NOT = {
    ("freeze", ItemState.CLAIMED): "is on its way; it is frozen if it comes back",
    ("remove", ItemState.CLAIMED): "is on its way",
    ("thaw", ItemState.CLAIMED): "is on its way",
    ("bounce", ItemState.CLAIMED): "is on its way",
    ("redirect", ItemState.CLAIMED): "is on its way",
    ("freeze", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("thaw", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("bounce", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("redirect", ItemState.QUARANTINED): "is quarantined: it is damaged",
}
_MEANWHILE = "was taken up or removed meanwhile"


@dataclass(frozen=True, slots=True)
class Process:
    """What only the process knows of itself: the wall time of its start, its listeners, its open connections."""

    started: float
    listening: tuple[str, ...] = ()
    connections: int = 0


class Steering:
    """Does what is asked. Without a running server `releases`, `caller`, `reload` and `process` are None."""

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
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._releases = releases
        self._caller = caller
        self._reload = reload
        self._clock = clock
        self._announce = announce
        self._process = process

    async def answers(self, request: p.AnyRequest) -> AsyncGenerator[p.AnyAnswer, None]:
        """What is asked, done: one answer, or several until what was waited for has ended."""
        try:
            match request:
                case p.Release() | p.Call():
                    series = self._release(request) if isinstance(request, p.Release) else self._call(request)
                    async with contextlib.aclosing(series):
                        async for answer in series:
                            yield answer
                case _:
                    yield await self._answer(request)
        except (IdError, AddressError, NextHopError, NotChosen) as error:
            yield p.Failed((str(error),), p.USAGE)
        except RestanteError as error:
            yield p.Failed((str(error),))

    async def _answer(self, request: p.Status | p.Queue | p.Show | p.AnyChange | p.Reload) -> p.AnyAnswer:
        match request:
            case p.Status():
                return await self._status_answer()
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
                back = Returning(self._spool, self._directory, self._announce, self._clock, text=request.text)
                return await self._change(request, "bounce", back)
            case p.Redirect():
                aside = Redirecting(self._spool, self._directory(), self._announce, request.where)
                return await self._change(request, "redirect", aside)
            case p.Reload():
                return p.Failed((p.NO_SERVER,)) if self._reload is None else p.ReloadAnswer(await self._reload())

    # looking

    async def _status_answer(self) -> p.StatusAnswer:
        state = self._process() if self._process is not None else None
        stopped = await self._spool.stopped()
        waiting, kept = self._spool.domains(), await self._spool.stopped_domains()
        domains, left_out = await domain_rows(self._directory(), waiting, kept)
        return p.StatusAnswer(
            hostname=self._directory().hostname,
            version=version("restante"),
            now=self._clock.wall(),
            running=state is not None,
            started=state.started if state is not None else None,
            listening=state.listening if state is not None else (),
            connections=state.connections if state is not None else 0,
            domains=domains,
            domains_left_out=left_out,
            frozen=stopped.get(ItemState.FROZEN, 0),
            quarantined=stopped.get(ItemState.QUARANTINED, 0),
            releases=tuple(self._releases.views()) if self._releases is not None else (),
            calls=tuple(self._calls(self._caller)) if self._caller is not None else (),
        )

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
        async for page in self._pages(replace(choice.filter, ids=ids, after=last)):
            items += [item for item in page if choice.wants(item, now)]
            if len(items) >= limit:
                break
        items, is_cut = items[:limit], len(items) >= limit
        after = write_item_id(items[-1].id) if is_cut else None
        quotas = await self._quotas({item.domain for item in items if item.is_known})
        return p.QueueAnswer(tuple(map(queue_item, items)), self._clock.wall(), after, quotas)

    async def _quotas(self, domains: Iterable[DomainName]) -> dict[str, p.QuotaUse]:
        directory, kept = self._directory(), await self._spool.stopped_domains()
        uses = {name: quota_use(directory, name, self._spool.waiting(name), kept) for name in domains}
        return {name: use for name, use in uses.items() if use is not None}

    async def _show(self, request: p.Show) -> p.AnyAnswer:
        identifier = _id(request.id)
        named = [identifier] if identifier is not None else []
        items = [item async for page in self._named(named) for item in page]
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
        async for page in self._named(named) if choice is None else self._chosen(choice):
            done = await change(page)
            seen.update(item.id for item in page)
            seen.update(item.message for item in page)
            changed += [item.id for item in page if item.id in done.items]
            others += [item for item in page if item.id not in done.items]
            reasons |= done.reasons
            self._wake(done.arrived)
        already = [item for item in others if item.state is _WANTED.get(verb)]
        return p.ChangeAnswer(
            changed=tuple(map(write_item_id, changed)),
            already=tuple(write_item_id(item.id) for item in already),
            unchanged=tuple(_unchanged(verb, item, reasons) for item in others if item not in already),
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
                    self._announce(ItemChanged(item.id, verb))
            is_news = verb == "thaw"
            return Done(changed, arrived={item.domain for item in items if is_news and item.id in changed})

        return done

    def _wake(self, domains: Iterable[DomainName]) -> None:
        """What waits now, or again, and leaves by itself goes."""
        if self._releases is not None:
            for domain in domains:
                self._releases.arrived(domain)

    async def _named(self, ids: Iterable[MessageId | ItemId]) -> AsyncIterator[list[Item]]:
        unique = list(dict.fromkeys(ids))
        for start in range(0, len(unique), IDS_AT_ONCE):
            async for page in self._pages(Filter(ids=tuple(unique[start : start + IDS_AT_ONCE]), limit=p.PAGE)):
                yield page

    async def _chosen(self, choice: Choice) -> AsyncIterator[list[Item]]:
        """What is there now; not what comes of it, such as notices."""
        now, end = self._clock.wall(), self._spool.new_id()
        async for page in self._pages(choice.filter):
            if wanted := [item for item in page if item.message < end and choice.wants(item, now)]:
                yield wanted
            if page[-1].message > end:
                return

    async def _pages(self, wanted: Filter) -> AsyncIterator[list[Item]]:
        while page := await self._spool.listing(wanted):
            yield page
            if len(page) < wanted.limit:
                return
            wanted = replace(wanted, after=page[-1].id)

    # releases and calls

    async def _release(self, request: p.Release) -> AsyncGenerator[p.AnyAnswer, None]:
        releases = self._releases
        if releases is None:
            yield p.Failed((p.NO_SERVER,))
            return
        to = HostPort.parse(request.to) if request.to is not None else None
        entry = request.domain if request.domain == EVERY_OTHER else parse_domain(request.domain)
        view = releases.request_by_operator(entry, to)
        yield self._release_answer(replace(view, items=view.items or releases.waiting_items(entry)))
        if request.wait:
            number = view.number
            async with contextlib.aclosing(_until_ended(releases.wait(number), lambda: releases.view(number))) as seen:
                async for view in seen:
                    yield self._release_answer(view)

    def _release_answer(self, view: ReleaseView) -> p.ReleaseAnswer:
        return p.ReleaseAnswer(view, self._clock.wall())

    async def _call(self, request: p.Call) -> AsyncGenerator[p.AnyAnswer, None]:
        caller = self._caller
        if caller is None:
            yield p.Failed((p.NO_SERVER,))
            return
        yield p.CallAnswer(caller.call_now(request.name), self._clock.wall())
        if request.wait:
            name = request.name
            async with contextlib.aclosing(_until_ended(caller.wait(name), lambda: caller.view(name))) as seen:
                async for view in seen:
                    yield p.CallAnswer(view, self._clock.wall())


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


def _unchanged(verb: str, item: Item, reasons: Mapping[ItemId, str]) -> p.Unchanged:
    why = reasons.get(item.id) or _WHY_NOT.get((verb, item.state), _MEANWHILE)
    return p.Unchanged(write_item_id(item.id), why)
