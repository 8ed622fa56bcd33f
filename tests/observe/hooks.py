"""A server of HTTP on loopback that is posted to, as a chat room's is."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from tests.listening import listening


@dataclass
class Hooked:
    """What was posted, and with which status it is answered."""

    url: str = ""
    status: str = "204 No Content"
    heads: list[bytes] = field(default_factory=list)
    posts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def told(self) -> list[tuple[str, str, str]]:
        """Each alarm of all posts: its kind, its subject, its state."""
        return [(one["alarm"], one["subject"], one["state"]) for post in self.posts for one in post["alarms"]]

    async def wait(self, posts: int) -> None:
        """Until there were so many."""
        async with asyncio.timeout(60):
            while len(self.posts) < posts:
                await asyncio.sleep(0.05)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0])
            body = json.loads(await reader.readexactly(length))
            self.heads.append(head)
            self.posts.append(body)
            writer.write(f"HTTP/1.1 {self.status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            await writer.drain()


@contextlib.asynccontextmanager
async def hooked(status: str = "204 No Content") -> AsyncIterator[Hooked]:
    """Such a server."""
    made = Hooked(status=status)
    async with listening(made.serve) as port:
        made.url = f"http://127.0.0.1:{port}/hooks/restante?token=x"
        yield made
