"""Which domains the start page lists. Where all fit on one page, all of them, those with mail first, the oldest before
the rest; where not, pages in order of names: of those with mail, of all, or of those whose names begin with a text.

Each costs a page of domains, however many there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlencode

from restante.admin import protocol as p
from restante.admin.steering import Steering
from restante.smtp.address import AddressError, parse_domain

AT_ONCE = 100
MOST_OF_A_NAME = 255


class Which(StrEnum):
    """What is listed."""

    EVERY = "every"
    """All there are, on one page."""
    WAITING = "waiting"
    ALL = "all"
    NAMED = "named"


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of domains; `more` is the path of the next one, "" where there is none."""

    which: Which
    rows: tuple[p.DomainStatus, ...]
    more: str = ""
    begins: str = ""
    exact: str = ""
    """The domain of that very name, where one was looked for and is there."""


async def listed(steering: Steering, *, show: str, after: str, begins: str) -> Listed:
    """The page for who asks: `show` is `all` or nothing; `after` is where it goes on; `begins` is looked for."""
    if begins := begins.strip()[:MOST_OF_A_NAME].lower():
        return await _named(steering, begins, after)
    first = await _page(steering, p.Domains(limit=AT_ONCE, after=after if show == "all" else ""))
    if first.after is None and not after:
        return Listed(Which.EVERY, tuple(sorted(first.domains, key=_oldest_first)))
    if show == "all":
        return Listed(Which.ALL, first.domains, _more(first.after, list="all"))
    waiting = await _page(steering, p.Domains(limit=AT_ONCE, after=after, waiting=True))
    rows = waiting.domains if after or waiting.after else tuple(sorted(waiting.domains, key=_oldest_first))
    return Listed(Which.WAITING, rows, _more(waiting.after))


async def _named(steering: Steering, begins: str, after: str) -> Listed:
    name = _ascii(begins)
    before = f"{name[:-1]}{chr(max(ord(name[-1]) - 1, 0))}\U0010ffff"  # there is no name between this and that one
    page = await _page(steering, p.Domains(limit=AT_ONCE, after=after or before))
    rows = tuple(row for row in page.domains if row.domain.startswith(name))
    is_cut = page.after is not None and len(rows) == len(page.domains)
    is_there = any(row.domain == name for row in rows[:1])
    more = _more(page.after, domain=begins) if is_cut else ""
    return Listed(Which.NAMED, rows, more, begins, name if is_there else "")


def _ascii(name: str) -> str:
    """A domain's name as the directory has it (RFC 5890)."""
    if name.isascii():
        return name
    try:
        return parse_domain.__wrapped__(name)  # without a memory, as own() does it
    except AddressError:
        return name


async def _page(steering: Steering, request: p.Domains) -> p.DomainsAnswer:
    answer = await steering.answer(request)
    assert isinstance(answer, p.DomainsAnswer), answer
    return answer


def _more(after: str | None, **query: str) -> str:
    return "" if after is None else f"/?{urlencode({**query, 'after': after})}"


def _oldest_first(row: p.DomainStatus) -> tuple[float, str]:
    return (row.oldest if row.items and row.oldest is not None else math.inf, row.domain)
