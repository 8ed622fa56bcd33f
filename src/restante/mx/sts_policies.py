"""Which MTA-STS policy is in force for a domain now (RFC 8461 §3.3, §5.1): asked for, fetched, kept, and kept on.

The TXT record is looked up each time. A policy is fetched when the record's id is another than that of the policy that
is kept, or the kept one is a day old. When the record or the policy cannot be had, the kept one stays in force to its
end; what has failed is not tried again for some minutes. So an attacker who hides a policy wins only where it was never
seen.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Protocol

from restante.clock import Clock
from restante.model import DomainName
from restante.mx.book import BookUnusable, Fetched, TlsBook
from restante.mx.lookup import LookupFailed, Names
from restante.mx.sts import StsPolicy, policy_id
from restante.mx.sts_fetch import FetchFailed
from restante.net.stream import ResultType

REFRESH_SECONDS = 86_400.0
RETRY_SECONDS = 300.0
"""RFC 8461 §5.1: no more often than every five minutes."""
MOST_POLICIES = 10_000
MOST_FAILURES = 10_000

Failed = Callable[[DomainName, ResultType, str], None]
"""Hears why a policy that a TXT record tells of could not be had."""


class Fetcher(Protocol):
    """Fetches a policy; mx/sts_fetch.py has it."""

    async def fetch(self, domain: DomainName) -> StsPolicy:
        """Raises FetchFailed."""
        ...


@dataclass(frozen=True, slots=True)
class _Failure:
    id: str
    until: float
    """Monotonic."""


class StsPolicies:
    """The policies that are known, in memory and, where there is one, in a book."""

    def __init__(self, names: Names, fetcher: Fetcher, clock: Clock, book: TlsBook | None = None) -> None:
        self._names = names
        self._fetcher = fetcher
        self._clock = clock
        self._book = book
        self._known: dict[str, Fetched] = {}
        self._failures: dict[str, _Failure] = {}
        self._asking: dict[DomainName, asyncio.Future[None]] = {}
        if book is not None:
            with contextlib.suppress(BookUnusable):
                self._known = book.policies()

    async def policy(self, domain: DomainName, failed: Failed) -> StsPolicy | None:
        """The policy in force; None where there is none. Takes as long as the fetcher does, at most."""
        async with self._alone(domain):
            return await self._policy(domain, failed)

    @contextlib.asynccontextmanager
    async def _alone(self, domain: DomainName) -> AsyncIterator[None]:
        """One at a time asks for a domain: those behind it find what it has found."""
        while (before := self._asking.get(domain)) is not None:
            await asyncio.shield(before)
        mine = self._asking[domain] = asyncio.get_running_loop().create_future()
        try:
            yield
        finally:
            del self._asking[domain]
            mine.set_result(None)

    async def _policy(self, domain: DomainName, failed: Failed) -> StsPolicy | None:
        kept = self._known.get(domain)
        if kept is not None and not kept.is_in_force(self._clock.wall()):
            kept = None
        announced = await self._announced(domain)
        if announced is not None and self._wants_fetch(domain, announced, kept):
            kept = await self._fetched(domain, announced, failed) or kept
        return None if kept is None else kept.policy

    async def _announced(self, domain: DomainName) -> str | None:
        """The id in the TXT record; None where there is none, or it cannot be had."""
        try:
            return policy_id((await self._names.txt(f"_mta-sts.{domain}")).records)
        except LookupFailed:
            return None

    def _wants_fetch(self, domain: DomainName, announced: str, kept: Fetched | None) -> bool:
        failure = self._failures.get(domain)
        if failure is not None and failure.id == announced and self._clock.monotonic() < failure.until:
            return False
        if kept is None or kept.id != announced:
            return True
        age = self._clock.wall() - kept.fetched
        return not 0 <= age < REFRESH_SECONDS

    async def _fetched(self, domain: DomainName, announced: str, failed: Failed) -> Fetched | None:
        try:
            policy = await self._fetcher.fetch(domain)
        except FetchFailed as error:
            self._failures.pop(domain, None)
            _make_room(self._failures, MOST_FAILURES)
            self._failures[domain] = _Failure(announced, self._clock.monotonic() + RETRY_SECONDS)
            failed(domain, error.result, str(error))
            return None
        self._failures.pop(domain, None)
        fetched = Fetched(announced, policy, self._clock.wall())
        self._keep(domain, fetched)
        return fetched

    def _keep(self, domain: DomainName, fetched: Fetched) -> None:
        self._known.pop(domain, None)
        gone = _make_room(self._known, MOST_POLICIES)
        self._known[domain] = fetched
        if self._book is not None:
            with contextlib.suppress(BookUnusable):  # it is known until this process ends
                self._book.put_policy(domain, fetched)
                self._book.remove_policies(gone)


def _make_room(table: dict[str, Fetched] | dict[str, _Failure], most: int) -> list[str]:
    """Takes the oldest out of a table until one more fits; which."""
    gone: list[str] = []
    while len(table) >= most:
        gone.append(next(iter(table)))
        del table[gone[-1]]
    return gone
