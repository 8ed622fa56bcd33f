"""Disks to cut the power of: the project's own file system that forgets, and a real ext4 in a file. Both need root.

with Forgetful(tmp_path / "disk", "strict") as disk: ... disk.cut()
with Ext4(tmp_path / "disk") as disk: ... disk.copy(tmp_path / "copy")      the disk as one moment leaves it
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal, Self

CHECKOUT = Path(__file__).resolve().parents[2]
NameModel = Literal["strict", "ext4"]
SECTOR_PROGRAMS = ("mkfs.ext4", "e2fsck", "mount", "umount")
PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
MEGABYTES = 96


def lacking_forgetful() -> str:
    """Why the file system that forgets cannot be mounted here; "" when it can."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    return "" if os.access("/dev/fuse", os.R_OK | os.W_OK) else "no /dev/fuse"


def lacking_ext4() -> str:
    """Why an ext4 in a file cannot be mounted here; "" when it can."""
    if os.geteuid() != 0:
        return "mounting a file system needs root"
    if absent := [name for name in SECTOR_PROGRAMS if shutil.which(name, path=PATH) is None]:
        return f"no {', '.join(absent)} (Debian packages: e2fsprogs, mount)"
    return "" if Path("/dev/loop-control").exists() else "no loop devices"


class Forgetful:
    """A mounted dropfs, served by a process of its own."""

    def __init__(self, folder: Path, names: NameModel) -> None:
        self.path = folder
        self.names = names
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True)
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crash.dropfs", str(self.path), self.names],
            cwd=CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._expect("mounted")
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process is not None
        self._process.communicate(timeout=90)

    def cut(self) -> None:
        """Cuts the power. What ran on it must have been killed before."""
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write("cut\n")
        self._process.stdin.flush()
        self._expect("cut")

    def _expect(self, word: str) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said == word, f"dropfs says {said!r}, status {self._process.poll()}"


class Ext4:
    """A mounted ext4. `image` is the file that it lives in: made where it is not given, else checked and used."""

    def __init__(self, folder: Path, image: Path | None = None) -> None:
        self.path = folder
        self.image = image or folder.with_name(folder.name + ".img")
        self._is_new = image is None

    def __enter__(self) -> Self:
        self.path.mkdir(parents=True, exist_ok=True)
        if self._is_new:
            with self.image.open("wb") as file:
                file.truncate(MEGABYTES * 1024 * 1024)
            _run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", str(self.image))
        else:
            _run("e2fsck", "-fy", str(self.image), allowed=(0, 1))  # 1: the journal was replayed, or errors put right
        _run("mount", "-o", "loop", str(self.image), str(self.path))
        return self

    def __exit__(self, *exc: object) -> None:
        _run("umount", str(self.path))
        self.image.unlink()

    def copy(self, to: Path) -> None:
        """Copies the file it lives in, while it is mounted: what a power cut now would leave.

        Nobody may write meanwhile: a copy takes longer than a moment, and would mix states that no cut leaves.
        """
        _run("cp", "--sparse=always", str(self.image), str(to))


def _run(*argv: str, allowed: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={**os.environ, "PATH": PATH})
    assert done.returncode in allowed, f"{argv}: {done.returncode}\n{done.stdout}{done.stderr}"
