"""A real HTTPS server that has policies of MTA-STS, one for each name that it is called by."""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from restante.net.tls import Pair

WEB = "192.0.2.80"


@dataclass
class Said:
    """What one host of the server answers. `drips`: an octet a second, or without end as fast as it goes."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "text/plain"})
    drips: float | None = None


def policy(mode: str, *hosts: str, max_age: int = 86_400) -> Said:
    """A policy."""
    lines = ["version: STSv1", f"mode: {mode}", *(f"mx: {host}" for host in hosts), f"max_age: {max_age}"]
    return Said("\r\n".join(lines).encode())


@dataclass
class Web:
    """The server: what it says by the domain whose policy is asked for, and what it was asked."""

    said: dict[str, Said] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextlib.contextmanager
def serving(pair: Pair, address: str = WEB, port: int = 443) -> Iterator[Web]:
    """Such a server with this certificate."""
    web = Web()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout: ClassVar[float] = 20

        def do_GET(self) -> None:
            host = self.headers["Host"]
            web.asked.append(f"{host} {self.path}")
            said = web.said.get(host.removeprefix("mta-sts."), Said(status=404))
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.drips is None:
                self.send_header("Content-Length", str(len(said.body)))
            else:
                self.send_header("Connection", "close")
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(said.body)
                while said.drips is not None:
                    self.wfile.write(b"x" if said.drips else b"x" * 65_536)
                    time.sleep(said.drips)

        def log_message(self, *_: object) -> None:
            """It says nothing."""

    server = ThreadingHTTPServer((address, port), Handler)
    server.daemon_threads = True
    server.block_on_close = False
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
