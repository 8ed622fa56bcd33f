"""Mail out: two sites that throw everything away, so that the office is what is measured.

`smtp-sink` is Postfix's own: PIPELINING, no CHUNKING. `chunking` is ours, with CHUNKING as a Postfix or restante site
has it; it runs as a process of its own (`python -m bench.sink`). Neither writes mail anywhere.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Self, cast

import uvloop
from bench.machine import CHECKOUT, RUN, BenchError, cpu_seconds, free_port, wait_open
from bench.servers import PEERS
from tests.stories.peers import ENVIRONMENT

KINDS = ("smtp-sink", "chunking")
COUNTER = struct.Struct("<Qd")  # messages; when the last of them was complete, on the monotonic clock
EHLO = b"".join(
    b"250-%s\r\n" % word
    for word in (b"sink.example", b"PIPELINING", b"SIZE 104857600", b"8BITMIME", b"SMTPUTF8", b"DSN", b"CHUNKING")
)
EHLO += b"250 ENHANCEDSTATUSCODES\r\n"


class Sink:
    """A running sink of either kind, at `port`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.port = free_port()
        self._counter = RUN / "sink-counter"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        RUN.mkdir(parents=True, exist_ok=True)
        self._counter.write_bytes(bytes(COUNTER.size) if self.kind == "chunking" else b"")
        with self._counter.open("ab") as counter:
            if self.kind == "chunking":
                command = [sys.executable, "-m", "bench.sink", str(self.port), str(self._counter)]
                self._process = subprocess.Popen(command, cwd=CHECKOUT)
            else:
                command = [str(PEERS / "usr/sbin/smtp-sink"), "-c", "-u", "nobody", f"127.0.0.1:{self.port}", "1000"]
                self._process = subprocess.Popen(command, env=ENVIRONMENT, stdout=counter)
        wait_open(self.port)
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()
        self._counter.unlink(missing_ok=True)

    def cpu(self) -> float:
        """Processor seconds that it has used."""
        assert self._process is not None
        return cpu_seconds(self._process.pid)

    def wait(self, messages: int, *, quiet: float = 60.0) -> float:
        """Waits until so many messages have come since it was started; the monotonic time of the last one.

        Raises BenchError when nothing comes for `quiet` seconds.
        """
        seen, changed = -1, time.monotonic()
        while True:
            count, when = self._look()
            if count >= messages:
                return when
            if count != seen:
                seen, changed = count, time.monotonic()
            elif time.monotonic() - changed > quiet:
                raise BenchError(f"{count} of {messages} messages came out, and then nothing for {quiet:.0f} s")
            time.sleep(0.002)

    def _look(self) -> tuple[int, float]:
        if self.kind == "chunking":
            count, when = COUNTER.unpack(self._counter.read_bytes())
            return count, when
        with self._counter.open("rb") as counter:  # lines of `sess=1 quit=0 mesg=12`, each ended by CR
            counter.seek(max(0, self._counter.stat().st_size - 200))
            said = counter.read()
        lines = [line for line in said.split(b"\r")[:-1] if b"mesg=" in line]
        return (int(lines[-1].rpartition(b"mesg=")[2]) if lines else 0), time.monotonic()


class _Site(asyncio.Protocol):
    """One connection of our own sink: as little as an SMTP client needs to be content."""

    def __init__(self, counter: mmap.mmap) -> None:
        self._counter = counter
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._chunk = 0  # octets of a BDAT chunk still to come
        self._last = False
        self._content = False  # inside DATA
        self._leaving = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(b"220 sink.example ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        if self._chunk > len(data):
            self._chunk -= len(data)
            return
        data = self._rest + data if self._rest else data
        at, out, messages = 0, [], 0
        while at < len(data):
            if self._chunk:
                step = min(self._chunk, len(data) - at)
                self._chunk -= step
                at += step
                if self._chunk:
                    break
                out.append(b"250 2.0.0 Ok\r\n")
                messages += self._last
                continue
            if self._content:
                end = data.find(b"\r\n.\r\n", at)
                if end < 0:
                    at = max(at, len(data) - 4)
                    break
                at = end + 5
                self._content = False
                out.append(b"250 2.0.0 Ok\r\n")
                messages += 1
                continue
            end = data.find(b"\r\n", at)
            if end < 0:
                break
            out.append(self._command(data[at:end]))
            at = end + 2
        self._rest = data[at:]
        if messages:
            count, _ = COUNTER.unpack_from(self._counter)
            COUNTER.pack_into(self._counter, 0, count + messages, time.monotonic())
        if out:
            self._transport.write(b"".join(out))
        if self._leaving:
            self._transport.close()

    def _command(self, line: bytes) -> bytes:
        verb = line[:4].upper()
        if verb in (b"MAIL", b"RCPT"):
            return b"250 2.1.0 Ok\r\n"
        if verb == b"BDAT":
            words = line.split()
            self._chunk, self._last = int(words[1]), len(words) > 2
            if self._chunk:
                return b""
            assert not self._last, "an empty last chunk is not counted"
            return b"250 2.0.0 Ok\r\n"
        if verb == b"DATA":
            self._content = True
            return b"354 Go on\r\n"
        if verb == b"EHLO":
            return EHLO
        if verb == b"QUIT":
            self._leaving = True
            return b"221 2.0.0 Bye\r\n"
        return b"250 2.0.0 Ok\r\n"


async def _serve(port: int, counter: mmap.mmap) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Site(counter), "127.0.0.1", port, backlog=1000)
    await server.serve_forever()


if __name__ == "__main__":
    with Path(sys.argv[2]).open("r+b") as file:
        uvloop.run(_serve(int(sys.argv[1]), mmap.mmap(file.fileno(), COUNTER.size)))
