"""`/domains/{domain}/recipients`: who exists there, and how that is known; and changing the list that the store has.

`/domains/{domain}/recipients/change` asks before (GET), and does it (POST); doing it again changes nothing more.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response

from restante.admin.words import counted
from restante.config.words import parse_named_domain
from restante.directory.entries import EVERY_OTHER
from restante.model import DomainName, Mailbox
from restante.observe import log
from restante.server.turning import Often
from restante.smtp.address import AddressError
from restante.web.lists import BadLines, Known, ListedElsewhere, Lists, NotHeld, Where
from restante.web.logins import asker_of, own_domain
from restante.web.pages.frame import Frame, form_of, see
from restante.web.problems import Problem
from restante.web.recipients import check_how_often

AT_ONCE = 50
MOST_AT_ONCE = 100
"""Addresses that are added, or removed, at once."""
MOST_NAMED = 10
"""In what is said after it."""


class Verb(StrEnum):
    """What is done with a list. `clear`: there is none any more."""

    ADD = "add"
    REMOVE = "remove"
    CLEAR = "clear"


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, with which lines: those that are `given`, as somebody has written them."""

    verb: Verb
    given: str
    lines: tuple[str, ...]
    wrong: str = ""
    """Why nothing can be done; "" where it can."""

    @staticmethod
    def of(verb: str, given: str, domain: DomainName) -> Order:
        """What a query or a form says. Raises Problem for what no page of ours has."""
        try:
            order = Order(Verb(verb), given.strip(), ())
        except ValueError:
            raise Problem(422, "nothing of that kind can be done with a list") from None
        words = order.given.split()
        if order.verb is Verb.CLEAR:
            return order
        if not words or len(words) > MOST_AT_ONCE:
            said = f"not more than {MOST_AT_ONCE} at once, please" if words else "an address is needed"
            return Order(order.verb, order.given, (), said)
        try:
            lines = dict.fromkeys(line_of(word, domain) for word in words)
        except AddressError as error:
            return Order(order.verb, order.given, (), str(error))
        return Order(order.verb, order.given, tuple(lines))


def line_of(text: str, domain: DomainName) -> str:
    """What a list of a domain has for an address, for `@domain`, or for the local part of one of its addresses.

    Raises AddressError.
    """
    whole = text if "@" in text else f"{text}@{domain}"
    if whole.startswith("@"):
        of, line = (name := parse_named_domain(whole[1:])), f"@{name}"
    else:
        mailbox = Mailbox.parse(whole)
        of, line = mailbox.domain, f"{mailbox.key}@{mailbox.domain}"
    if domain not in (of, EVERY_OTHER):
        raise AddressError(f"{text} is not of {domain}")
    return line


def recipients_pages(frame: Frame, lists: Lists) -> APIRouter:
    """Its routes."""
    router, clock = frame.router(), frame.common.clock
    often = Often(clock)

    def path_of(domain: DomainName) -> str:
        return f"/domains/{quote(domain, safe='')}/recipients"

    async def shown(request: Request, order: Order | None = None, *, find: str = "", after: str = "") -> Response:
        """The list, with what is wrong with an order."""
        domain = own_domain(request)
        where, known = await _known(lists, domain, clock.wall())
        found = [one for one in known if find.lower() in one.address.lower()] if find else known
        begin = bisect_right(found, after, key=attrgetter("address"))
        page, has_more = found[begin : begin + AT_ONCE], begin + AT_ONCE < len(found)
        query = {"find": find} if find else {}
        return frame.page(
            request,
            "recipients.html",
            422 if order is not None else 200,
            domain=domain,
            where=where,
            number=len(known),
            page=page,
            found=len(found),
            find=find,
            order=order,
            proposed=[one.address for one in known if one.verdict == "known"][:MOST_AT_ONCE],
            can_change=await asyncio.to_thread(lists.may_change, domain),
            more=f"{path_of(domain)}?{urlencode({**query, 'after': page[-1].address})}" if has_more else "",
            is_first=begin == 0,
            base=path_of(domain),
        )

    @router.get("/domains/{domain}/recipients")
    async def list_(request: Request, find: str = "", after: str = "") -> Response:
        return await shown(request, find=find.strip(), after=after)

    @router.get("/domains/{domain}/recipients/change")
    async def ask(request: Request, verb: str = "", address: str = "") -> Response:
        domain = own_domain(request)
        order = Order.of(verb, address, domain)
        if order.wrong:
            return await shown(request, order)
        where, known = await _known(lists, domain, clock.wall())
        if not await asyncio.to_thread(lists.may_change, domain):
            raise Problem(409, "this list is changed where it is kept")
        listed = {one.address for one in known} if where is Where.STORE else frozenset[str]()
        changing = [line for line in order.lines if (line in listed) is (order.verb is Verb.REMOVE)]
        if not changing and (order.verb is not Verb.CLEAR or where is Where.LEARNED):
            frame.note(request, "Nothing is to be changed: it is so already.")
            return see(path_of(domain))
        return frame.page(
            request,
            "change_recipients.html",
            domain=domain,
            order=order,
            changing=changing,
            where=where,
            number=len(listed),
            base=path_of(domain),
        )

    @router.post("/domains/{domain}/recipients/change")
    async def do(request: Request) -> Response:
        domain, form, asker = own_domain(request), await form_of(request), asker_of(request)
        order = Order.of(form.get("verb", ""), form.get("address", ""), domain)
        if order.wrong:
            return await shown(request, order)
        check_how_often(often, asker)
        try:
            count = await asyncio.to_thread(_do, lists, domain, order)
        except (NotHeld, ListedElsewhere) as error:
            raise Problem(409, str(error)) from None
        except BadLines as error:
            wrong = Order(order.verb, order.given, (), "; ".join(said for _, said in error.problems))
            return await shown(request, wrong)
        log.say("recipients changed", domain=domain, how=str(order.verb), recipients=count, by=asker.name)
        frame.note(request, _done(order, count), order.lines[:MOST_NAMED] if len(order.lines) > 1 else ())
        return see(path_of(domain))

    return router


async def _known(lists: Lists, domain: DomainName, now: float) -> tuple[Where, list[Known]]:
    """Who exists there. Raises Problem, BookUnusable."""
    try:
        return await asyncio.to_thread(lists.known, domain, now)
    except NotHeld:
        raise Problem(404, "its mail is not held here for a site, so that there is no such list") from None


def _do(lists: Lists, domain: DomainName, order: Order) -> int:
    """Changes the list; how long it is now. Raises what Lists does."""
    match order.verb:
        case Verb.ADD:
            return lists.add(domain, order.lines)
        case Verb.REMOVE:
            return lists.remove(domain, order.lines)
        case Verb.CLEAR:
            lists.clear(domain)
    return 0


def _done(order: Order, count: int) -> str:
    """What was done, as a sentence."""
    if order.verb is Verb.CLEAR:
        return "There is no list any more; that is in force within a second."
    what = "is in the list" if order.verb is Verb.ADD else "is not in the list any more"
    those = order.lines[0] if len(order.lines) == 1 else ""
    if not those:
        what = "are in the list" if order.verb is Verb.ADD else "are not in the list any more"
        those = counted(len(order.lines), "recipient")
    return f"{those} {what}, which has {count:,} now; that is in force within a second."
