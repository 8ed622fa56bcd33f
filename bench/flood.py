"""Floods against a real server: strangers who fill it, who drip, and a site that asks a thousand times.

Mail and sites must not notice. Each address of 127/8 is a host of its own here: strangers are 127.0.1.x, the site is
127.0.2.1, and mail comes from 127.0.4.x. Nothing of that is a network of the office's own. Runs of any length:
script/test plays short ones, script/soak the full ones.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import resource
import ssl
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from bench.ledger import DOMAIN, ENVELOPE, Ledger, Texts, etrn, reply
from bench.ledger_sink import Sink
from bench.machine import cpu_seconds, free_port
from tests.crash.runs import Outcome
from tests.listening import listening
from tests.stories.restante_host import RestanteHost
from tests.waiting import until

SITE = "127.0.2.1"
SMALL = ((100, 500, 4000),)
MESSAGES_A_CONNECTION = 10
P99_SECONDS = 2.0
BETWEEN_ETRNS_SECONDS = 0.5
DRIP_SECONDS = 10.0
"""Between two octets of who drips."""
GRACE_SECONDS = 15.0
"""Beyond the deadline, for a machine that has other things to do."""
REST_SECONDS = 60.0
"""The same for what is left to do once nobody asks for anything more; it is a second's."""
OPENINGS = (
    b"",
    b"EHLO far.example\r\n",
    b"EHLO far.example\r\n" + ENVELOPE,
    b"EHLO far.example\r\n" + ENVELOPE + b"DATA\r\nSubject: ",
)
"""What a stranger says before he falls silent."""


def stranger(number: int) -> str:
    """One of 500 addresses."""
    return f"127.0.1.{number % 250 + 1}" if number % 500 < 250 else f"127.0.3.{number % 250 + 1}"


class Office(RestanteHost):
    """An office that holds a site's mail, at `port` of 127.0.0.1."""

    def __init__(self, folder: Path, next_hop: int, limits: str = "") -> None:
        self.port = free_port()
        config = f"""hostname = "office.example"
data     = "data"

[[listen]]
address = "127.0.0.1:{self.port}"

[limits]
{limits}

[domains."{DOMAIN}"]
action       = "hold"
next_hop     = "127.0.0.1:{next_hop}"
release_from = ["127.0.2.0/24"]
"""
        super().__init__(folder, config)


class Stranger(asyncio.Protocol):
    """Connects, says something, and then nothing more; `said` is what it was told, `ended` is set when it is over."""

    def __init__(self, opening: bytes) -> None:
        self._opening = opening
        self.transport: asyncio.Transport | None = None
        self.said = b""
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.said += data
        if self._opening and self.said.startswith(b"220 ") and self.transport is not None:
            self.transport.write(self._opening)
            self._opening = b""

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.ended.set()


@dataclass
class Strangers:
    """Those who have come. All are gone at the end of `async with`."""

    port: int
    come: list[Stranger] = field(default_factory=list)

    async def one_comes(self) -> None:
        """From the next address, with the next opening."""
        number = len(self.come)
        one = Stranger(OPENINGS[number % len(OPENINGS)])
        self.come.append(one)
        with contextlib.suppress(OSError):
            await asyncio.get_running_loop().create_connection(
                lambda: one, "127.0.0.1", self.port, local_addr=(stranger(number), 0)
            )

    async def keep_coming(self, a_second: float) -> None:
        """Until it is cancelled."""
        began, number = time.monotonic(), 0
        while True:
            await self.one_comes()
            number += 1
            await asyncio.sleep(max(0.0, began + number / a_second - time.monotonic()))

    def leave(self) -> None:
        """All of them, without a word."""
        for one in self.come:
            if one.transport is not None:
                one.transport.abort()


@dataclass
class Mail:
    """Messages that are sent at a rate, from one address; how long each took from its MAIL to its 250."""

    port: int
    ledger: Ledger
    source: str = "127.0.4.1"
    seconds: list[float] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    async def flow(self, a_second: float, connections: int = 10) -> None:
        """Until it is cancelled; what is under way then is not counted as tried."""
        await asyncio.gather(*[self._sender(number, a_second / connections) for number in range(connections)])

    async def _sender(self, number: int, a_second: float) -> None:
        texts = Texts(number, SMALL)
        await asyncio.sleep(number / 10 / a_second)
        while True:
            try:
                await self._some(texts, 1 / a_second)
            except (OSError, EOFError) as error:
                self.failures.append(repr(error))
                await asyncio.sleep(0.1)

    async def _some(self, texts: Texts, pause: float) -> None:
        """Raises OSError, EOFError."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(self.source, 0))
        try:
            await reply(reader)
            writer.write(b"EHLO sender.example\r\n")
            await reply(reader)
            for _ in range(MESSAGES_A_CONNECTION):
                await self._one(reader, writer, texts)
                await asyncio.sleep(pause)
            writer.write(b"QUIT\r\n")
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, texts: Texts) -> None:
        name = str(uuid.uuid4())
        content = texts.next(name)
        self.ledger.attempted(name, content)
        began = time.monotonic()
        writer.write(ENVELOPE + b"BDAT %d LAST\r\n" % len(content) + content)
        said = [await reply(reader) for _ in range(3)]
        if said[-1].startswith("250"):
            self.ledger.acknowledged(name)
            self.seconds.append(time.monotonic() - began)
        else:
            self.failures.append(said[-1])

    def check(self, p99_seconds: float) -> float:
        """The 99th percentile, in seconds. Raises AssertionError where a message failed, or that is too much."""
        assert not self.failures, f"{len(self.failures)} failures: {self.failures[:5]}"
        assert self.seconds, "no mail has come"
        p99 = sorted(self.seconds)[len(self.seconds) * 99 // 100]
        assert p99 <= p99_seconds, f"a message took {p99:.1f} s, p99 of {len(self.seconds)}"
        return p99


@dataclass
class Site:
    """Says ETRN now and then, on a new connection each time."""

    port: int
    asked: int = 0

    async def keep_asking(self) -> None:
        """Until it is cancelled. Raises AssertionError, OSError, EOFError where it is not let in or not heard."""
        while True:
            answer = await etrn(self.port, source=SITE)
            assert answer.startswith("25"), f"the site is told {answer}"
            self.asked += 1
            await asyncio.sleep(BETWEEN_ETRNS_SECONDS)


async def flood(
    seconds: float,
    folder: Path,
    *,
    idle: int = 1000,
    a_second: float = 50,
    limits: str = "",
    p99_seconds: float = P99_SECONDS,
) -> Outcome:
    """So many silent strangers, and so many more each second, while mail and a site come and go.

    Strangers who are turned away or sent away are as it should be; not one message may fail, and no ETRN.
    """
    _allow_descriptors()
    ledger = Ledger()
    async with Sink(ledger) as sink:
        with Office(folder / "office", sink.port, limits) as host:
            strangers, mail, site = Strangers(host.port), Mail(host.port, ledger), Site(host.port)
            for _ in range(idle):
                await strangers.one_comes()
            async with _while(mail.flow(50), site.keep_asking()):
                await until(lambda: len(mail.seconds) > 20 and site.asked)  # the office knows both
                async with _while(strangers.keep_coming(a_second)):
                    await asyncio.sleep(seconds)
            strangers.leave()
            p99 = mail.check(p99_seconds)
            assert site.asked >= seconds / BETWEEN_ETRNS_SECONDS / 10, f"the site came {site.asked} times only"
            await _drained(host)
    gone = sum(b"421 " in one.said for one in strangers.come)
    done = (
        f"{len(strangers.come)} strangers, {gone} of them sent away; {len(mail.seconds)} messages, p99 {p99:.2f} s; "
        f"{site.asked} ETRNs"
    )
    return Outcome(_checked(ledger), done)


async def drips(
    count: int,
    folder: Path,
    *,
    timeout: float = 300.0,
    every: float = DRIP_SECONDS,
    p99_seconds: float = P99_SECONDS,
) -> Outcome:
    """So many strangers send an octet every so many seconds, in a command, in content, and either under TLS.

    Each is told 421 4.4.2 and closed by the deadline of what it drips into, and mail flows meanwhile.
    """
    _allow_descriptors()
    ledger = Ledger()
    limits = f'command_timeout = "{timeout:.0f}s"\nconnections = {2 * count + 200}'
    async with Sink(ledger) as sink:
        with Office(folder / "office", sink.port, limits) as host:
            mail = Mail(host.port, ledger)
            async with _while(mail.flow(20)):
                lasted = await asyncio.gather(*[_drip(host.port, number, timeout, every) for number in range(count)])
            p99 = mail.check(p99_seconds)
            await _drained(host)
    done = f"{count} drips, each closed after {min(lasted):.1f} to {max(lasted):.1f} s; p99 of mail {p99:.2f} s"
    return Outcome(_checked(ledger), done)


async def _drip(port: int, number: int, timeout: float, every: float) -> float:
    """One who drips; how long he could. Raises AssertionError where that was too long, or he was not told."""
    await asyncio.sleep(number * 0.01)
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(stranger(number), 0))
    await reply(reader)
    if number % 4 >= 2:
        writer.write(b"EHLO far.example\r\nSTARTTLS\r\n")
        await reply(reader)
        await reply(reader)
        await writer.start_tls(_trusting(), server_hostname="office.example")
    if number % 2:
        writer.write(b"EHLO far.example\r\n" + ENVELOPE + b"DATA\r\n")
        for _ in range(4):
            await reply(reader)
    began = time.monotonic()
    dripping = asyncio.create_task(_keep_dripping(writer, every))
    try:
        async with asyncio.timeout(timeout + GRACE_SECONDS):
            said = await _all_of(reader)
    except TimeoutError:
        raise AssertionError(f"who drips is still there {GRACE_SECONDS:.0f} s after his deadline") from None
    finally:
        dripping.cancel()
        writer.close()
    assert said.startswith(b"421 4.4.2 "), said
    return time.monotonic() - began


async def _all_of(reader: asyncio.StreamReader) -> bytes:
    """What comes until the connection is over: an octet that drips into one that was closed resets it."""
    said = b""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(4096):
            said += data
    return said


async def _keep_dripping(writer: asyncio.StreamWriter, every: float) -> None:
    with contextlib.suppress(OSError):
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(every)


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


async def etrns(count: int, folder: Path, *, seconds: float = 10.0, p99_seconds: float = P99_SECONDS) -> Outcome:
    """A site asks so many times and hangs up, its next hop silent, then not there at all: CVE-1999-1109.

    One release runs and one waits, whatever it does; where the next hop is gone nothing is left a little later.
    """
    told = []
    silent = _SilentHop()
    async with listening(silent.serve) as port:
        for next_hop, most in ((port, (1, 1)), (free_port(), (0, 0))):
            with Office(folder / f"office-{next_hop}", next_hop) as host:
                mail = Mail(host.port, Ledger(), source="127.0.4.1")
                async with _while(mail.flow(20, 1)):
                    await asyncio.sleep(1)
                mail.check(p99_seconds)
                told.append(await _ask_and_hang_up(host, count, seconds, most))
                silent.hang_up()  # else the office would wait for its release to end
                await asyncio.to_thread(host.stop)
    return Outcome(Ledger().totals, f"2 x {count} ETRNs; " + "; ".join(told))


class _SilentHop:
    """A next hop that lets a release begin, and not end before it hangs up; from then on it is not there."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []
        self._is_there = True

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        self._writers.append(writer)
        with contextlib.suppress(ConnectionError):
            if self._is_there:
                writer.write(b"220 sink.example\r\n")
                await reader.readline()
                writer.write(b"250 sink.example\r\n")
                while await reader.read(65536):
                    pass

    def hang_up(self) -> None:
        """On all."""
        self._is_there = False
        for writer in self._writers:
            writer.transport.abort()


async def _ask_and_hang_up(host: Office, count: int, seconds: float, most: tuple[int, int]) -> str:
    before = _resident_megabytes(host.pid)
    flights = 4
    for _ in range(flights):
        reader, writer = await asyncio.open_connection("127.0.0.1", host.port, local_addr=(SITE, 0))
        await reply(reader)
        writer.write(f"ETRN {DOMAIN}\r\n".encode() * (count // flights))
        assert (await reply(reader)).startswith("25")
        running, queued = await _releases(host)
        assert running <= 1, f"{running} releases run"
        assert queued <= 1, f"{queued} releases wait"
        writer.transport.abort()
        await asyncio.sleep(seconds / flights)
    running, queued = await _at_rest(host, most)
    grown = _resident_megabytes(host.pid) - before
    assert grown < 20, f"{grown:.1f} MB more are in use"
    return f"{running} run, {queued} wait, {grown:.1f} MB more"


async def _at_rest(host: Office, most: tuple[int, int]) -> tuple[int, int]:
    """How many run and how many wait, once no more than so many do and a second passes without work."""
    end = time.monotonic() + REST_SECONDS
    while True:
        await asyncio.sleep(1)
        running, queued = await _releases(host)
        used = cpu_seconds(host.pid)
        await asyncio.sleep(1)
        used = cpu_seconds(host.pid) - used
        if running <= most[0] and queued <= most[1] and used < 0.3:
            return running, queued
        assert time.monotonic() < end, f"{running} run, {queued} wait, {used:.2f} s of work in a second, long after"


async def _releases(host: Office) -> tuple[int, int]:
    """How many run, and how many wait."""
    status: dict[str, Any] = json.loads(await asyncio.to_thread(host.cli, "status", "--json"))
    progress = [release["progress"] for release in status["releases"]]
    return progress.count("running"), progress.count("queued")


def _resident_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


async def _drained(host: Office) -> None:
    end = time.monotonic() + 60
    while not (answer := await etrn(host.port, source=SITE)).startswith("251"):
        assert time.monotonic() < end, f"after 60 s the answer to ETRN is still {answer}"
        await asyncio.sleep(0.2)


def _checked(ledger: Ledger) -> Any:
    assert ledger.ok, ledger.report()
    return ledger.totals


@asynccontextmanager
async def _while(*running: Any) -> AsyncIterator[None]:
    """These run until the end of `async with`; one that fails before, fails it."""
    tasks: Sequence[asyncio.Task[None]] = [asyncio.create_task(each) for each in running]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for error in ended:
        if isinstance(error, Exception):
            raise error


def _allow_descriptors() -> None:
    """As many connections at this end as this process may have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
