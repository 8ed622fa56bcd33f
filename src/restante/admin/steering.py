"""What the commands ask, done: with a running server's rooms, or, where none runs, with the store alone.

answers() takes a request of protocol.py and gives its answers; nothing that may go wrong leaves it as an error, each is
a Failed with its reasons. A release or a call that was asked for goes on when nobody waits for its answers any more.
Each change of an item is announced, so that the log tells who removed what.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import TypeVar

from restante.admin import protocol as p
from restante.admin.listing import domain_rows, header_section, queue_item, shown_item
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
    ("freeze", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("thaw", ItemState.QUARANTINED): "is quarantined: it is damaged",
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
        except (IdError, AddressError, NextHopError) as error:
            yield p.Failed((str(error),), p.USAGE)
        except RestanteError as error:
            yield p.Failed((str(error),))

    async def _answer(
        self, request: p.Status | p.Queue | p.Show | p.Freeze | p.Thaw | p.Remove | p.Reload
    ) -> p.AnyAnswer:
        match request:
            case p.Status():
                return await self._status_answer()
            case p.Queue():
                return await self._queue(request)
            case p.Show():
                return await self._show(request)
            case p.Freeze():
                return await self._change(request, "freeze", self._spool.freeze)
            case p.Thaw():
                return await self._change(request, "thaw", self._spool.thaw)
            case p.Remove():
                return await self._change(request, "remove", self._spool.remove)
            case p.Reload():
                return p.Failed((p.NO_SERVER,)) if self._reload is None else p.ReloadAnswer(await self._reload())

    # looking

    async def _status_answer(self) -> p.StatusAnswer:
        state = self._process() if self._process is not None else None
        stopped = await self._spool.stopped()
        waiting = self._spool.domains()
        domains, left_out = await domain_rows(self._directory(), waiting)
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
        wanted = Filter(
            domains=tuple(map(parse_domain, request.domains)),
            ids=tuple(map(parse_id, request.ids)),
            state=request.state,
            limit=limit,
            after=_cursor(request.after),
        )
        items = await self._spool.listing(wanted)
        after = write_item_id(items[-1].id) if len(items) == limit else None
        return p.QueueAnswer(tuple(map(queue_item, items)), self._clock.wall(), after)

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
        self, request: p.Change, verb: str, change: Callable[[Sequence[ItemId]], Awaitable[list[ItemId]]]
    ) -> p.AnyAnswer:
        if bool(request.ids) == (request.domain is not None):
            return p.Failed((f"{verb} takes ids, or a domain",), p.USAGE)
        ids = {text: _id(text) for text in request.ids}
        named = [identifier for identifier in ids.values() if identifier is not None]
        pages = self._named(named) if request.domain is None else self._of_domain(parse_domain(request.domain))
        changed: list[ItemId] = []
        others: list[Item] = []
        seen: set[int] = set()
        async for page in pages:
            done = set(await change([item.id for item in page]))
            for item in page:
                seen |= {item.id, item.message}
                if item.id in done:
                    self._announce(ItemChanged(item.id, verb))
            changed += [item.id for item in page if item.id in done]
            others += [item for item in page if item.id not in done]
            if verb == "thaw":
                self._wake({item.domain for item in page if item.id in done})
        already = [item for item in others if item.state is _WANTED.get(verb)]
        return p.ChangeAnswer(
            changed=tuple(map(write_item_id, changed)),
            already=tuple(write_item_id(item.id) for item in already),
            unchanged=tuple(_unchanged(verb, item) for item in others if item not in already),
            unknown=tuple(text for text, identifier in ids.items() if identifier not in seen),
        )

    def _wake(self, domains: Iterable[DomainName]) -> None:
        """What was thawed and leaves by itself goes now."""
        if self._releases is not None:
            for domain in domains:
                self._releases.arrived(domain)

    async def _named(self, ids: Iterable[MessageId | ItemId]) -> AsyncIterator[list[Item]]:
        unique = list(dict.fromkeys(ids))
        for start in range(0, len(unique), IDS_AT_ONCE):
            async for page in self._pages(Filter(ids=tuple(unique[start : start + IDS_AT_ONCE]), limit=p.PAGE)):
                yield page

    def _of_domain(self, domain: DomainName) -> AsyncIterator[list[Item]]:
        return self._pages(Filter(domains=(domain,), limit=p.PAGE))

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


def _unchanged(verb: str, item: Item) -> p.Unchanged:
    return p.Unchanged(write_item_id(item.id), _WHY_NOT.get((verb, item.state), _MEANWHILE))
