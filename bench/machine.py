"""What the machine says: processor time of a process and all its descendants, memory, the file system under a folder.

Everything is read from /proc, so a program under test needs no help from us and pays nothing for being watched.
"""

from __future__ import annotations

import os
import platform
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
RUN = CHECKOUT / "run" / "bench"
TICKS = os.sysconf("SC_CLK_TCK")
IN_MEMORY = frozenset({"tmpfs", "ramfs"})  # a sync there costs nothing, so that nothing could be compared


class BenchError(Exception):
    """A benchmark cannot be run, or its figures would mean nothing. The text says why."""


def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_open(port: int, seconds: float = 15.0) -> None:
    """Waits until somebody greets at that port. Raises BenchError."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            with socket.create_connection(("127.0.0.1", port), 1) as connection:
                connection.settimeout(5)
                if connection.recv(512).startswith(b"220"):
                    connection.sendall(b"QUIT\r\n")
                    return
        except OSError:
            pass
        time.sleep(0.05)
    raise BenchError(f"nobody greets at port {port}")


def fresh_folder(name: str) -> Path:
    """An empty folder of that name under run/bench."""
    folder = RUN / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o755)
    return folder


def file_system(folder: Path) -> str:
    """The type of the file system that holds a folder: `ext4`, `tmpfs`."""
    best, kind = "", "unknown"
    resolved = str(folder.resolve())
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, point, found, *_ = line.split()
        point = point.replace("\\040", " ")
        if (resolved == point or resolved.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, found
    return kind


def durable_folder() -> str:
    """Makes run/bench and says its file system. Raises BenchError where that lives in memory."""
    RUN.mkdir(parents=True, exist_ok=True)
    kind = file_system(RUN)
    if kind in IN_MEMORY:
        raise BenchError(f"{RUN} is on {kind}: durable and not durable would look the same there")
    return kind


def description() -> str:
    """The machine in one line."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return (
        f"{os.cpu_count()} cores ({model}), {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, {file_system(CHECKOUT)}"
    )


def cpu_seconds(pid: int) -> float:
    """Processor time that a process, its descendants and those of them that have ended and been awaited have used."""
    return sum(sum(times) for _, times in _family(pid)) / TICKS


def peak_megabytes(pid: int) -> float:
    """The largest resident sizes of a process and its living descendants, added up; shared pages count each time."""
    total = 0
    for member, _ in _family(pid):
        try:
            status = Path(f"/proc/{member}/status").read_text()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")), 0)
    return total / 1024


def member_pids(pid: int) -> Iterator[int]:
    """A process and its descendants."""
    return (member for member, _ in _family(pid))


def _family(root: int) -> Iterator[tuple[int, tuple[int, ...]]]:
    """A process and its descendants, each with user and system time, its own and that of its awaited children."""
    parents: dict[int, int] = {}
    times: dict[int, tuple[int, ...]] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
        except OSError:
            continue
        fields = stat.rpartition(")")[2].split()
        parents[int(entry.name)] = int(fields[1])
        times[int(entry.name)] = tuple(int(field) for field in fields[11:15])
    for pid in parents:
        ancestor = pid
        while ancestor not in (root, 0, 1):
            ancestor = parents.get(ancestor, 0)
        if ancestor == root:
            yield pid, times[pid]
