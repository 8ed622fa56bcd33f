"""Opens connections to a next hop, an office, a socket. The system looks a name up; each of its addresses is tried."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from restante.model import HostPort
from restante.net.asyncio_stream import AsyncioStream
from restante.net.stream import StreamClosed, StreamTimeout


async def dial(host: HostPort, *, timeout: float = 30.0, source: str | None = None) -> AsyncioStream:
    """A connection to `host`, from address `source` where given; `timeout` is in seconds and covers all addresses.

    Raises StreamClosed (refused, unreachable, unknown name) or StreamTimeout; another time may do.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, stream = await loop.create_connection(
                AsyncioStream,
                host.host,
                host.port,
                local_addr=(source, 0) if source else None,
            )
    except TimeoutError:
        raise StreamTimeout(f"{host} does not answer") from None
    except socket.gaierror as error:
        raise StreamClosed(f"{host}: {error.strerror}") from None
    except OSError as error:
        raise StreamClosed(f"{host}: {error.strerror or error}") from None
    return stream


async def dial_path(path: Path, *, timeout: float = 30.0) -> AsyncioStream:
    """A connection to a Unix socket; `timeout` is in seconds.

    Raises StreamClosed (nobody listens, or we may not) or StreamTimeout; another time may do.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout):
            _, stream = await loop.create_unix_connection(AsyncioStream, str(path))
    except TimeoutError:
        raise StreamTimeout(f"{path} does not answer") from None
    except (OSError, ValueError) as error:  # ValueError: longer than a socket's path can be
        raise StreamClosed(f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return stream
