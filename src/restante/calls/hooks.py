"""Runs what an operator has set to be run before and after a call: a program and its arguments, no shell.

A hook has a time limit; at the limit, or when the call is dropped, its whole process group ends: TERM, then KILL. A
hook that ends by itself may leave something behind (`pon` leaves pppd): that goes on, and its output is swallowed.
RESTANTE_CALL, RESTANTE_OFFICE and RESTANTE_REASON are in its environment. A hook never raises: it has an error text.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import Awaitable
from dataclasses import dataclass

from restante.clock import Clock
from restante.facts import HookEnded

DEFAULT_LIMIT_SECONDS = 120.0
TERM_SECONDS = 3.0
KILL_SECONDS = 5.0
MAX_OUTPUT = 8192
"""Octets of output that are kept: the last ones, where the reason of a failure stands."""
MAX_ERROR_TEXT = 500

_drains: set[asyncio.Task[None]] = set()  # the loop itself keeps only weak references to tasks


@dataclass(frozen=True, slots=True)
class Hook:
    """A program to be run: `when` is `before` or `after`; `limit` in seconds."""

    when: str
    argv: tuple[str, ...]
    limit: float = DEFAULT_LIMIT_SECONDS


@dataclass(frozen=True, slots=True)
class HookRun:
    """How a hook ended, as a fact, and the end of what it printed."""

    fact: HookEnded
    output: str

    @property
    def error(self) -> str:
        """Empty when it did its work."""
        return self.fact.error


async def run_hook(hook: Hook, *, call: str, office: str, reason: str, clock: Clock) -> HookRun:
    """Runs a hook to its end or its limit. Cancelling this ends the hook's processes first."""
    began = clock.monotonic()
    environment = {**os.environ, "RESTANTE_CALL": call, "RESTANTE_OFFICE": office, "RESTANTE_REASON": reason}
    output = _Output()
    try:
        if any("\0" in argument for argument in hook.argv):  # not every event loop notices
            error = f"{hook.argv[0]}: an argument has a NUL"
        else:
            error = await _run(hook, environment, output, clock)
    except OSError as problem:
        error = f"{hook.argv[0]}: {problem.strerror or problem}"
    text = output.text()
    if error and (said := " ".join(text.split())[-MAX_ERROR_TEXT:]):
        error = f"{error}: {said}"
    return HookRun(HookEnded(call, hook.when, hook.argv, clock.monotonic() - began, error), text)


async def _run(hook: Hook, environment: dict[str, str], output: _Output, clock: Clock) -> str:
    reading, writing = os.pipe()
    try:
        process = await asyncio.create_subprocess_exec(
            *hook.argv, stdin=DEVNULL, stdout=writing, stderr=STDOUT, env=environment, start_new_session=True
        )
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    drained: asyncio.Task[None] | None = None
    try:  # from here on the program runs: whatever happens, it is ended
        drained = await output.attach(reading)
        if not await _within(process.wait(), hook.limit, clock):
            return f"not done after {hook.limit:g} s, and stopped"
    finally:
        if process.returncode is None:
            await _end_group(process)
        # What it printed last may still be in the pipe; a child that lives on may hold the pipe open for days.
        if drained is not None:
            await asyncio.wait([drained], timeout=0.2)
    return _exit_error(process.returncode)


async def _within(work: Awaitable[int], seconds: float, clock: Clock) -> bool:
    """Whether `work` was done before so many seconds had passed; it is cancelled if not."""
    working = asyncio.ensure_future(work)
    timer = asyncio.ensure_future(clock.sleep(seconds))
    try:
        await asyncio.wait([working, timer], return_when=asyncio.FIRST_COMPLETED)
        return working.done()
    finally:
        working.cancel()
        timer.cancel()


async def _end_group(process: Process) -> None:
    """Ends the hook and all it has started; real seconds, for it is the operating system that is waited for."""
    ended = asyncio.ensure_future(process.wait())
    _signal_group(process, signal.SIGTERM)
    await asyncio.wait([ended], timeout=TERM_SECONDS)
    _signal_group(process, signal.SIGKILL)  # also what has outlived its leader
    await asyncio.wait([ended], timeout=KILL_SECONDS)
    ended.cancel()


def _signal_group(process: Process, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _exit_error(status: int | None) -> str:
    if status is None:
        return "could not be stopped"
    if status < 0:
        return f"ended by signal {-status}"
    return f"exit status {status}" if status else ""


class _Output:
    """The last octets that came out of a pipe. It is read to its end, however long somebody holds it open."""

    def __init__(self) -> None:
        self._kept = b""
        self._is_cut = False

    async def attach(self, reading: int) -> asyncio.Task[None]:
        reader = asyncio.StreamReader(limit=MAX_OUTPUT)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(reading, "rb", buffering=0)
        )
        task = loop.create_task(self._drain(reader, transport))
        _drains.add(task)
        task.add_done_callback(_drains.discard)
        return task

    async def _drain(self, reader: asyncio.StreamReader, transport: asyncio.ReadTransport) -> None:
        try:
            while data := await reader.read(MAX_OUTPUT):
                kept = self._kept + data
                self._is_cut = self._is_cut or len(kept) > MAX_OUTPUT
                self._kept = kept[-MAX_OUTPUT:]
        finally:
            transport.close()

    def text(self) -> str:
        """What was kept, fit to be printed."""
        text = self._kept.decode("utf-8", "replace")
        printable = "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
        return ("… " if self._is_cut else "") + printable.strip()
