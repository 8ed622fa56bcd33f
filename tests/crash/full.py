"""A disk without room, and one without inodes, under the real server: a small tmpfs that something else fills up.

Every reply to a message is 250 or 452 4.3.1; what was refused is nowhere; what waits is released and recorded while the
disk is full, and not sent again after a restart; and once there is space, mail is taken within five seconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from bench.ledger import ENVELOPE, Texts, drain
from tests.crash.runs import STOP_SECONDS, Outcome, Stage, stage

from restante.store.check import check

Scarce = Literal["octets", "inodes"]
MEGABYTES = 64
INODES = 400  # of which the folders of the body files take 256, in time
TRIES_IN_ROUND = 5
GIVEN_UP_SECONDS = 60.0
"""After so long without it, it takes mail no more."""
SIZES = ((50, 100, 20_000), (50, 66_000, 400_000))
LEFT: dict[Scarce, tuple[int, ...]] = {"octets": (0, 4096, 300_000, 3_000_000, 6_000_000), "inodes": (0, 1, 10, 40)}
"""How much is left of what is scarce."""


def lacking_tmpfs() -> str:
    """Why no small file system can be mounted here; "" when it can."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    return "" if shutil.which("mount") else "no mount (Debian package: mount)"


class Small:
    """A mounted tmpfs, and what fills it."""

    def __init__(self, path: Path, scarce: Scarce) -> None:
        self.path = path
        self._scarce = scarce
        self._filler = path / "filler"

    def fill(self, left: int) -> None:
        """Takes all but so many octets or inodes."""
        with contextlib.suppress(OSError):
            self._filler.mkdir(exist_ok=True)
        found = os.statvfs(self.path)
        if self._scarce == "inodes":
            for number in range(found.f_ffree - left):
                (self._filler / f"{left}-{number}").touch()
        elif (octets := found.f_bavail * found.f_frsize - left) > 0:
            with (self._filler / "octets").open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, octets)

    def free(self) -> None:
        """Gives all back."""
        shutil.rmtree(self._filler, ignore_errors=True)


@contextlib.contextmanager
def small(path: Path, scarce: Scarce) -> Iterator[Small]:
    """A small tmpfs, for a while."""
    path.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m,nr_inodes={INODES},mode=0700", "restante-test", path],
        check=True,
    )
    try:
        yield Small(path, scarce)
    finally:
        subprocess.run(["umount", "-l", path], check=True)


async def full_disk(
    tries: int, folder: Path, *, scarce: Scarce = "octets", seed: int = 6, most_seconds: float = 5.0
) -> Outcome:
    """So many messages to an office whose disk is full, or becomes it while they come in."""
    chance = random.Random(seed)
    slowest, full = 0.0, 0
    with small(folder / "small", scarce) as disk:
        async with stage(folder, disk.path / "data") as on:
            texts = Texts(seed, SIZES)
            await on.office.started()
            for number in range(-(-tries // TRIES_IN_ROUND)):
                await _send(on, texts, disk, None)
                for _ in range(TRIES_IN_ROUND):
                    disk.free()
                    left = chance.choice(LEFT[scarce])
                    if chance.random() < 0.5:
                        disk.fill(left)
                        full += not await _send(on, texts, disk, None)
                    else:
                        full += not await _send(on, texts, disk, left)
                    _assert_refused_well(on)
                await drain(on.office.port, seconds=20)
                if number % 4 == 3:
                    await _restart(on, disk)
                disk.free()
                slowest = max(slowest, await _seconds_until_taken(on, texts, disk))
            await drain(on.office.port)
            status, _ = await on.office.terminate(STOP_SECONDS)
        assert status == 0
        assert check(disk.path / "data/spool", repair=False).problems == []
    totals = on.ledger.totals
    assert on.ledger.ok, on.ledger.report()
    assert totals.duplicated == totals.recovered == 0, on.ledger.report()
    assert slowest < most_seconds, f"{slowest:.1f} s until mail was taken again"
    return Outcome(totals, f"{tries} tries, {full} of them refused, taken again after {slowest:.1f} s at most")


async def _send(on: Stage, texts: Texts, disk: Small, left_meanwhile: int | None) -> bool:
    """One message, in the middle of which the disk becomes full if that is wanted; whether it was taken."""
    name = f"{random.getrandbits(128):032x}"
    name = f"{name[:8]}-{name[8:12]}-{name[12:16]}-{name[16:20]}-{name[20:]}"
    content = texts.next(name)
    on.ledger.attempted(name, content)
    reader, writer = await asyncio.open_connection("127.0.0.1", on.office.port)
    try:
        replies = [await _reply(reader)]
        for command in (b"EHLO sender.example\r\n", *(line + b"\r\n" for line in ENVELOPE.splitlines()), b"DATA\r\n"):
            writer.write(command)
            replies.append(await _reply(reader))
            if replies[-1][0] in "45":
                break
        else:
            sent = content.replace(b"\r\n.", b"\r\n..") + b".\r\n"
            writer.write(sent[: len(sent) // 2])
            await writer.drain()
            if left_meanwhile is not None:
                await asyncio.sleep(0.01)
                disk.fill(left_meanwhile)
            writer.write(sent[len(sent) // 2 :])
            replies.append(await _reply(reader))
    finally:
        writer.close()
    if replies[-1].startswith("250"):
        on.ledger.acknowledged(name)
        return True
    on.ledger.refused(name, replies[-1])
    return False


async def _reply(reader: asyncio.StreamReader) -> str:
    while (line := await reader.readline())[3:4] == b"-":
        pass
    assert line.endswith(b"\n"), "the connection ended"
    return line.decode("ascii", "replace").strip()


def _assert_refused_well(on: Stage) -> None:
    wrong = [refusal.reply for refusal in on.ledger.refusals if not refusal.reply.startswith("452 4.3.1")]
    assert not wrong, wrong


async def _seconds_until_taken(on: Stage, texts: Texts, disk: Small) -> float:
    began = time.monotonic()
    while not await _send(on, texts, disk, None):
        assert time.monotonic() < began + GIVEN_UP_SECONDS, "space again, and mail is still refused"
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def _restart(on: Stage, disk: Small) -> None:
    """An orderly end on the full disk, and a start: there, or, if that cannot be and is said, with space."""
    status, _ = await on.office.terminate(STOP_SECONDS)
    assert status == 0, f"exit status {status}"
    if not await on.office.start():
        assert "cannot start" in on.office.log().splitlines()[-1]
        on.office.kill()
        disk.free()
        await on.office.started()
