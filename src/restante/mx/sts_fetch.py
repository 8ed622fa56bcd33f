"""Fetches a policy of MTA-STS over HTTPS (RFC 8461 §3.3): the certificate must be good, and nothing is followed.

The web server's name is looked up as all names of mail are, and each of its addresses is tried. No proxy, no cookies,
no cache of HTTP, no content coding.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from restante.errors import RestanteError
from restante.model import DomainName, IPAddress
from restante.mx.lookup import LookupFailed, Names
from restante.mx.sts import MOST_OCTETS, PolicyInvalid, StsPolicy, parse_policy
from restante.net.stream import ResultType

SECONDS = 60.0
"""For the whole of it (RFC 8461 §3.3)."""
CONNECT_SECONDS = 10.0
MOST_ADDRESSES = 4
PATH = "/.well-known/mta-sts.txt"


@dataclass(eq=False)
class FetchFailed(RestanteError):
    """No policy could be fetched, for a reason in the words of RFC 8460 §4.3.2.2. Worth trying again later."""

    problem: str
    result: ResultType = ResultType.STS_FETCH_ERROR

    def __str__(self) -> str:
        return self.problem


@dataclass(frozen=True, slots=True)
class PolicyFetcher:
    """Fetches policies. `authorities` makes the context that says whose certificates are good: the system's."""

    names: Names
    authorities: Callable[[], ssl.SSLContext] = ssl.create_default_context
    seconds: float = SECONDS
    port: int = 443

    async def fetch(self, domain: DomainName) -> StsPolicy:
        """The policy that a domain's web server has now. Raises FetchFailed."""
        host = f"mta-sts.{domain}"
        try:
            async with asyncio.timeout(self.seconds):
                return parse_policy(await self._from_any_address(host))
        except TimeoutError:
            raise FetchFailed(f"{host} has not answered in {self.seconds:g} s") from None
        except LookupFailed as error:
            raise FetchFailed(str(error)) from None
        except PolicyInvalid as error:
            raise FetchFailed(f"{host}: {error}", ResultType.STS_INVALID) from None

    async def _from_any_address(self, host: str) -> bytes:
        import httpx2  # noqa: PLC0415 - few domains have a policy

        found = await self.names.addresses(host)
        failed = FetchFailed(f"{host} has no address")
        for address in found.records[:MOST_ADDRESSES]:
            try:
                return await self._from(host, address)
            except httpx2.ConnectError as error:
                failed = FetchFailed(f"{host}: {_words(error)}", _result(error))
            except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError) as error:
                failed = FetchFailed(f"{host}: {_words(error)}")
        raise failed

    async def _from(self, host: str, address: IPAddress) -> bytes:
        import httpx2  # noqa: PLC0415

        authority = f"[{address}]" if address.version == 6 else str(address)
        client = httpx2.AsyncClient(
            verify=self.authorities(), trust_env=False, timeout=httpx2.Timeout(self.seconds, connect=CONNECT_SECONDS)
        )
        headers = {"Host": host, "Accept": "text/plain", "Accept-Encoding": "identity"}
        url = f"https://{authority}:{self.port}{PATH}"
        async with (
            client,
            client.stream("GET", url, headers=headers, extensions={"sni_hostname": host}) as answer,
        ):
            if answer.status_code != 200:
                raise FetchFailed(f"{host}: HTTP status {answer.status_code}")
            media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
            if media_type != "text/plain":
                raise FetchFailed(f"{host}: not text/plain but {media_type[:80]!r}", ResultType.STS_INVALID)
            content = bytearray()
            async for piece in answer.aiter_raw():
                content += piece
                if len(content) > MOST_OCTETS:
                    break
            return bytes(content)


def _result(error: BaseException) -> ResultType:
    """Whether the certificate was the reason, which lies below httpx's own errors."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return ResultType.STS_WEBPKI_INVALID
        cause = cause.__cause__ or cause.__context__
    return ResultType.STS_FETCH_ERROR


def _words(error: Exception) -> str:
    return str(error) or type(error).__name__
