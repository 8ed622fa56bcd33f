"""Tells an office who exists in our domains, over its API, while the link is up; so that it refuses mail for others.

A list goes whole, and only where it is not what was taken there last. It goes beside the mail; what goes wrong is told
in the log, and tried again at the next call. A redirect is not followed: a password goes where it was meant to go.
"""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restante.calls.login import Login
from restante.errors import RestanteError
from restante.model import DomainName
from restante.transport.login import PasswordUnreadable

if TYPE_CHECKING:
    import httpx2

ANSWER_SECONDS = 60.0
"""For each piece of an answer, and for the connection."""
MOST_ANSWER = 64 * 1024
MOST_REASON = 200

WhoExists = Callable[[Sequence[DomainName]], Mapping[DomainName, Sequence[str]]]
"""The recipients of domains of ours, each an address or `@domain`; of all of ours where none is named."""


@dataclass(frozen=True, slots=True)
class OfficeApi:
    """Where an office's API is: a URL without a path, and who vouches for its certificate (None: whom we trust)."""

    url: str
    authorities: Path | None = None

    def digest(self, recipients: Sequence[str]) -> str:
        """Changes with the list, and with who is told."""
        return hashlib.sha256("\n".join([self.url, *recipients]).encode()).hexdigest()


def NOBODY(_: Sequence[DomainName]) -> Mapping[DomainName, Sequence[str]]:  # noqa: N802 - a value
    """There are no domains of ours."""
    return {}


@dataclass(eq=False)
class NotTold(RestanteError):
    """An office took no list, and will take no other now. Worth trying again at the next call."""

    reason: str

    def __str__(self) -> str:
        return self.reason


OF_ONE_DOMAIN = frozenset({404, 409, 413, 422})
"""HTTP statuses that say something of one list; after others an office is told no more in this call."""


Told = Callable[[DomainName, int, str], None]
"""Hears of each list that went out: the domain, how many are in it, and why it was not taken, or "" where it was."""


class Telling:
    """What one call has to tell. run() once; `told` are the digests of what the office knows, as far as known."""

    def __init__(self, api: OfficeApi, login: Login, lists: Mapping[DomainName, Sequence[str]], heard: Told) -> None:
        self._api = api
        self._login = login
        self._lists = lists
        self._heard = heard

    async def run(self, told: dict[str, str]) -> None:
        """Tells what is news, and notes in `told` what was taken. Nothing is raised but by who cancels it."""
        for domain in told.keys() - self._lists.keys():
            del told[domain]
        news = [one for one in self._news() if told.get(one[0]) != one[2]]
        if not news:
            return
        domain, recipients, digest = news[0]
        try:
            async with self._client() as client:
                for domain, recipients, digest in news:
                    reason = await self._tell(client, domain, recipients)
                    self._heard(domain, len(recipients), reason)
                    if not reason:
                        told[domain] = digest
        except (NotTold, PasswordUnreadable) as error:
            self._heard(domain, len(recipients), str(error))

    def _news(self) -> Iterator[tuple[DomainName, Sequence[str], str]]:
        for domain, recipients in self._lists.items():
            yield domain, recipients, self._api.digest(recipients)

    def _client(self) -> httpx2.AsyncClient:
        """Raises NotTold, PasswordUnreadable."""
        import httpx2  # noqa: PLC0415 - for who has an office to tell

        login = self._login.credentials(for_turn=False)
        assert login is not None, "the configuration has a user where it has an API"
        assert login.password is not None, "and a password"
        return httpx2.AsyncClient(
            base_url=self._api.url,
            auth=(login.login, login.password),
            verify=self._authorities(),
            trust_env=False,
            follow_redirects=False,
            timeout=ANSWER_SECONDS,
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "restante"},
        )

    def _authorities(self) -> ssl.SSLContext:
        file = self._api.authorities
        try:
            context = ssl.create_default_context(cafile=file)
        except OSError as error:  # ssl.SSLError is one
            raise NotTold(f"{file}: {error}") from None
        if file is not None:  # it is one's own: a certificate may vouch for itself, and need not be a perfect authority
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.verify_flags &= ~ssl.VERIFY_X509_STRICT
        return context

    async def _tell(self, client: httpx2.AsyncClient, domain: DomainName, recipients: Sequence[str]) -> str:
        """Why the list was not taken, or "". Raises NotTold."""
        import httpx2  # noqa: PLC0415

        path = f"/api/domains/{domain}/recipients"
        try:
            async with client.stream("PUT", path, json={"recipients": list(recipients)}) as response:
                said = await _read(response)
        except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError) as error:
            raise NotTold(_on_a_line(str(error)) or type(error).__name__) from None
        if response.status_code == httpx2.codes.OK:
            return ""
        reason = f"HTTP status {response.status_code}{said}"
        if response.status_code not in OF_ONE_DOMAIN:
            raise NotTold(reason)
        return reason


async def _read(response: httpx2.Response) -> str:
    """What an answer that is none of ours says, cut, on one line."""
    content = b""
    async for piece in response.aiter_raw():
        content += piece
        if len(content) > MOST_ANSWER:
            break
    text = _on_a_line(content[: 4 * MOST_REASON].decode("utf-8", "replace"))
    return f": {text}" if text else ""


def _on_a_line(text: str) -> str:
    return "".join(one if one.isprintable() else "?" for one in " ".join(text.split()))[:MOST_REASON]
