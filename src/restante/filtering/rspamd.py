"""rspamd as a filter, by its own protocol: a message is posted to a worker's `/checkv2`, and a report comes back.

What the client has shown of itself goes into header fields of the request (IP, Helo, From, Rcpt, User, Queue-Id).
Connections are kept where rspamd keeps them. An answer is read up to MOST_ANSWER octets.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx2

from restante.filtering.filter import FilterError, Shown, Verdict
from restante.filtering.report import verdict_of
from restante.model import write_message_id
from restante.smtp.address import write_path

MOST_ANSWER = 1 << 20


class Rspamd:
    """One rspamd, at `url`; `hostname` is our own. No more than `at_once` messages are to be judged at once."""

    def __init__(self, url: str, hostname: str, at_once: int) -> None:
        self._where = f"{url}/checkv2"
        self._hostname = hostname
        limits = httpx2.Limits(max_connections=at_once, max_keepalive_connections=at_once)
        fields = {"User-Agent": "restante", "Accept-Encoding": "identity"}
        self._client = httpx2.AsyncClient(headers=fields, limits=limits, timeout=None, trust_env=False)

    async def judge(self, shown: Shown) -> Verdict:
        """The verdict on a message; the caller has the deadline. Raises FilterError."""
        fields = list(_fields(shown, self._hostname))
        try:
            async with self._client.stream("POST", self._where, headers=fields, content=shown.content) as response:
                answer = await _read(response)
        except httpx2.HTTPError as error:
            raise FilterError(f"{type(error).__name__}: {error}") from None
        if response.status_code != httpx2.codes.OK:
            raise FilterError(f"HTTP status {response.status_code}")
        return verdict_of(answer)

    async def close(self) -> None:
        """Lets go of its connections."""
        await self._client.aclose()


def _fields(shown: Shown, hostname: str) -> Iterator[tuple[bytes, bytes]]:
    yield b"Content-Length", b"%d" % shown.size
    yield b"IP", str(shown.principal.address).encode()
    yield b"Helo", shown.name.encode()
    yield b"MTA-Name", hostname.encode()
    yield b"Queue-Id", write_message_id(shown.message).encode()
    yield b"From", write_path(shown.reverse_path).encode()
    for recipient in shown.recipients:
        yield b"Rcpt", write_path(recipient).encode()
    if shown.principal.login is not None:
        yield b"User", shown.principal.login.encode()


async def _read(response: httpx2.Response) -> bytes:
    answer = b""
    async for piece in response.aiter_raw():
        answer += piece
        if len(answer) > MOST_ANSWER:
            raise FilterError(f"an answer of more than {MOST_ANSWER} octets")
    return answer
