"""The control socket: `data/control.sock`, mode 0600, between the command line and a running server.

One request a connection (protocol.py), one line; then the answers, a line each, and the end. Whoever may connect may
do everything: the socket's mode and its folder's are the only guard. A client that goes away while it waits is
noticed at the next answer, PROGRESS_SECONDS later; what it asked for goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from restante.admin.protocol import (
    MAX_REQUEST,
    USAGE,
    AnyAnswer,
    AnyRequest,
    Failed,
    ProtocolError,
    Rows,
    joined,
    read_answer,
    read_request,
    write_line,
)
from restante.errors import RestanteError

if TYPE_CHECKING:  # the command line needs the client alone, and needs it quickly
    from restante.admin.steering import Steering

MAX_CONNECTIONS = 32
REQUEST_SECONDS = 10.0
"""How long a client may take to say what it wants."""
LINGER_SECONDS = 1.0
CLIENT_PATIENCE = 120.0
"""How long a client waits for the next line of an answer."""
MAX_ANSWER = 256 * 1024 * 1024
BUFFER_OCTETS = 1 << 18
_MAX_SOCKET_NAME = 100  # sun_path has 108


class ControlInUse(RestanteError):
    """Another process answers at the socket. Trying again helps when it has ended."""


class ControlUnusable(RestanteError):
    """The socket cannot be made, or may not be used. Trying again does not help."""


class NoServer(RestanteError):
    """Nobody answers at the socket."""


class ServerGone(RestanteError):
    """The server ended, or fell silent, before it had answered; what was asked may have been done."""


class ControlServer:
    """The server's end. start() and stop() in a running loop; several clients at once."""

    def __init__(self, path: Path, steering: Steering) -> None:
        self._path = path
        self._steering = steering
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()
        self._inode = 0

    async def start(self) -> None:
        """Opens the socket; one that a dead process left is replaced. Raises ControlInUse, ControlUnusable."""
        try:
            bound = _bind(self._path)
        except OSError as error:
            raise ControlUnusable(f"{self._path}: {error.strerror or error}") from None
        self._inode = self._path.stat().st_ino
        self._server = await asyncio.start_unix_server(self._serve, sock=bound, limit=MAX_REQUEST)

    async def stop(self) -> None:
        """Closes the socket and lets go of who waits at it."""
        if self._server is None:
            return
        self._server.close()
        with contextlib.suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()
        for client in self._clients:
            client.cancel()
        if self._clients:
            await asyncio.wait(self._clients)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._clients.add(task)
        try:
            request = await _read(reader)
            if isinstance(request, Failed):
                writer.write(write_line(request))
                writer.write_eof()
                await _linger(reader)
            elif len(self._clients) > MAX_CONNECTIONS:
                writer.write(write_line(Failed(("too many clients at once",))))
            elif request is not None:
                await self._answer(request, writer)
        except OSError:
            pass  # it went away
        except asyncio.CancelledError:
            pass  # we stop
        except Exception as error:  # noqa: BLE001 - one request fails, the server goes on
            writer.write(write_line(Failed((f"{type(error).__name__}: {error}",))))
            message = "a request on the control socket failed"
            asyncio.get_running_loop().call_exception_handler({"message": message, "exception": error})
        finally:
            self._clients.discard(task)
            writer.close()

    async def _answer(self, request: AnyRequest, writer: asyncio.StreamWriter) -> None:
        async with contextlib.aclosing(self._steering.answers(request)) as answers:
            async for answer in answers:
                writer.write(write_line(answer))
                await writer.drain()  # raises ConnectionResetError once the client is gone


async def _read(reader: asyncio.StreamReader) -> AnyRequest | Failed | None:
    """What a client asks; None when it has nothing to ask."""
    try:
        async with asyncio.timeout(REQUEST_SECONDS):
            line = await reader.readline()
        return read_request(line) if line else None
    except TimeoutError:
        return Failed((f"nothing was asked in {REQUEST_SECONDS:.0f} seconds",), USAGE)
    except ValueError:  # StreamReader's word for a line beyond its limit
        return Failed((f"a request has at most {MAX_REQUEST} octets",), USAGE)
    except ProtocolError as error:
        return Failed((str(error),), USAGE)


async def _linger(reader: asyncio.StreamReader) -> None:
    """Reads on for a moment: a socket that is closed with something unread takes our answer with it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while await reader.read(MAX_REQUEST):
                pass


class ControlClient:
    """The command line's end."""

    def __init__(self, path: Path, patience: float = CLIENT_PATIENCE) -> None:
        self._path = path
        self._patience = patience

    def ask(self, request: AnyRequest) -> Iterator[AnyAnswer]:
        """The answers as they come. Raises NoServer (nothing was asked), ServerGone, ControlUnusable."""
        return joined(self._lines(request))

    def _lines(self, request: AnyRequest) -> Iterator[AnyAnswer]:
        with _connect(self._path, self._patience) as connection:
            answered = False
            try:
                connection.sendall(write_line(request))
                with connection.makefile("rb", BUFFER_OCTETS) as lines:
                    while line := lines.readline(MAX_ANSWER):
                        answer = read_answer(line)
                        answered = line.endswith(b"\n") and not isinstance(answer, Rows)
                        yield answer
            except TimeoutError:
                raise ServerGone(f"the server has said nothing for {self._patience:.0f} seconds") from None
            except OSError as error:
                raise ServerGone(f"the server went away: {error.strerror or error}") from None
            if not answered:
                raise ServerGone("the server went away before it had answered")


def _connect(path: Path, patience: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(patience)
    try:
        with _short_name(path) as name:
            connection.connect(name)
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError):
        connection.close()
        raise NoServer(f"no server answers at {path}") from None
    except OSError as error:
        connection.close()
        raise ControlUnusable(f"{path}: {error.strerror or error}") from None
    return connection


def _bind(path: Path) -> socket.socket:
    """A socket bound to `path` that only its owner may connect to. Raises OSError, ControlInUse, ControlUnusable."""
    _make_way(path)
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        os.fchmod(bound.fileno(), 0o600)  # Linux binds with this mode: it is at no moment wider
        with _short_name(path) as name:
            bound.bind(name)
        path.chmod(0o600)
    except OSError:
        bound.close()
        raise
    return bound


def _make_way(path: Path) -> None:
    """Removes a socket at which nobody answers."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise ControlUnusable(f"{path} is in the way: it is no socket")
    except FileNotFoundError:
        return
    try:
        _connect(path, 1.0).close()
    except NoServer:
        path.unlink(missing_ok=True)
    else:
        raise ControlInUse(f"another restante answers at {path}")


@contextlib.contextmanager
def _short_name(path: Path) -> Iterator[str]:
    """A name of `path` that fits into a socket's address, however deep its folder lies."""
    if len(os.fsencode(path)) <= _MAX_SOCKET_NAME:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
