"""Mail in: two loads, both cheap enough that the office is what is measured.

`smtp-source`, Postfix's own, speaks in lock-step, over connections that it keeps or over a new one for each message.
`pipelined` is ours: the end of one message and MAIL, RCPT and DATA of the next in one flight (RFC 2920), each message
different. It runs as a process of its own (`python -m bench.load`), so that its processor time is known.
"""

from __future__ import annotations

import json
import os
import resource
import selectors
import socket
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

from bench.machine import CHECKOUT, BenchError
from bench.servers import PEERS, RECIPIENT, SENDER
from tests.stories.peers import ENVIRONMENT

LINE = b"x" * 76 + b"\r\n"
WAYS = ("kept", "new", "pipelined")


@dataclass(frozen=True, slots=True)
class Sent:
    """What a load took: seconds by the clock, and its own processor seconds."""

    seconds: float
    cpu: float


def send(way: str, port: int, *, messages: int, size: int, connections: int) -> Sent:
    """Sends so many messages of so many octets; returns when all were acknowledged. Raises BenchError.

    `way`: "kept" and "new" are smtp-source on kept and on new connections, "pipelined" is ours.
    """
    if way == "pipelined":
        return _pipelined(port, messages, size, connections)
    keep = ["-d"] if way == "kept" else []
    command = [str(PEERS / "usr/sbin/smtp-source"), *keep, "-s", str(connections), "-m", str(messages)]
    command += ["-l", str(size), "-f", SENDER, "-t", RECIPIENT, f"inet:127.0.0.1:{port}"]
    began = time.monotonic()
    done = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True)
    assert done.stderr is not None
    said = done.stderr.read()
    _, status, usage = os.wait4(done.pid, 0)
    done.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - began
    if done.returncode != 0:
        raise BenchError(f"smtp-source failed: {said.strip()}")
    return Sent(seconds, usage.ru_utime + usage.ru_stime)


def _pipelined(port: int, messages: int, size: int, connections: int) -> Sent:
    command = [sys.executable, "-m", "bench.load", *map(str, (port, messages, size, connections))]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BenchError(f"the pipelined load failed: {done.stderr.strip()}")
    return Sent(**json.loads(done.stdout))


class _Peer:
    """One connection of the pipelined load."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.awaited = 0
        self.opened = True
        """Whether the flight under way opens a transaction."""
        self.sent_content = False
        """Whether it ends one."""

    def hello(self) -> None:
        """Greeting and EHLO, in lock-step."""
        self.socket.recv(4096)
        self.socket.sendall(b"EHLO sender.example\r\n")
        said = b""
        while not any(line[3:4] == b" " for line in said.splitlines()):
            said += self.socket.recv(4096)

    def write(self, flight: bytes, replies: int) -> None:
        """Sends a flight that so many replies will answer."""
        self.awaited = replies
        self.socket.sendall(flight)

    def answered(self) -> bool:
        """Reads what has come: whether the flight is answered whole. Raises BenchError at a refusal."""
        said = self.socket.recv(4096)
        # Without it a server that answers in two segments, and leaves Nagle's algorithm on, waits 40 ms for our ACK.
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        if not said or any(line[:1] in (b"4", b"5") for line in said.splitlines()):
            raise BenchError(f"the office says {said!r}")
        self.awaited -= said.count(b"\n")
        return self.awaited <= 0


def _run(port: int, messages: int, size: int, connections: int) -> Sent:
    envelope = f"MAIL FROM:<{SENDER}>\r\nRCPT TO:<{RECIPIENT}>\r\nDATA\r\n".encode()
    header = f"From: <{SENDER}>\r\nTo: <{RECIPIENT}>\r\nMessage-ID: <%d.{os.getpid()}@sender.example>\r\n\r\n"
    body = LINE * max(0, (size - len(header)) // len(LINE)) + b".\r\n"
    selector = selectors.DefaultSelector()
    peers = [_Peer(port) for _ in range(min(connections, messages))]
    for peer in peers:
        peer.hello()
        selector.register(peer.socket, selectors.EVENT_READ, peer)
    began, spent = time.monotonic(), _own_cpu()
    for peer in peers:
        peer.write(envelope, 3)
    unopened, done = messages - len(peers), 0
    while done < messages:
        for key, _ in selector.select():
            peer = key.data
            if not peer.answered():
                continue
            done += peer.sent_content
            if not peer.opened:
                selector.unregister(peer.socket)
                continue
            content = (header % unopened).encode() + body
            peer.sent_content = True
            if unopened:
                unopened -= 1
                peer.write(content + envelope, 4)
            else:
                peer.opened = False
                peer.write(content, 1)
    return Sent(time.monotonic() - began, _own_cpu() - spent)


def _own_cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    print(json.dumps(asdict(_run(*map(int, sys.argv[1:])))))
