"""What Exim and Sendmail have in common as peers: an unpacked program in the foreground, its own folder and port."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.here import not_here
from tests.stories.ports import free_port, wait_for_port


class Daemon:
    """One server. What is special of a kind: `root`, where it is unpacked, `_argv`, `log` and `queue`."""

    foreground: str
    """The option with which it serves, and does not go to the background."""

    def __init__(self, name: str, root: Path, program: Path) -> None:
        if not program.exists():
            not_here(f"no {program.name} in .peers/ (script/peers fetches it on Debian or Ubuntu)")
        if os.geteuid() != 0:
            not_here(f"{program.name} must be started by root")
        self.name = name
        self.port = free_port()
        self.dir = Path(tempfile.mkdtemp(prefix=f"restante-peer-{name}-"))
        self.dir.chmod(0o755)
        self.environment = {
            "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{root}/usr/bin",
            "LANG": "C",
            "LD_LIBRARY_PATH": ":".join(map(str, root.glob("usr/lib/*-linux-gnu*"))),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def _argv(self, *options: str) -> list[str]:
        """What runs it with these options."""
        raise NotImplementedError

    def log(self) -> str:
        """What it has logged so far."""
        raise NotImplementedError

    def queue(self) -> list[str]:
        """The names of the messages that wait in it."""
        raise NotImplementedError

    def complaints(self) -> str:
        """What it was not content with."""
        return ""

    def __enter__(self) -> Self:
        with (self.dir / "output").open("wb") as output:
            self._process = subprocess.Popen(
                self._argv(self.foreground),
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        try:
            wait_for_port(self.port)
        except TimeoutError as problem:
            self.__exit__(type(problem), problem, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._process is not None, "it does not run"
        os.killpg(self._process.pid, signal.SIGTERM)  # it and its children
        self._process.wait(timeout=60)
        complaints = self.complaints()
        if error is not None:
            output = (self.dir / "output").read_text(errors="replace")
            error.add_note(f"--- {self.name}\n{output}\n{self.log()[-6000:]}")
        shutil.rmtree(self.dir, ignore_errors=True)
        assert error is not None or not complaints, f"{self.name} says {complaints}"

    def run(self, *options: str) -> str:
        """Runs the same program with other options to its end; what it printed."""
        argv = self._argv(*options)
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=100, check=True)
        return done.stdout

    def wait_until_held(self, messages: int) -> None:
        """Returns once it holds so many, fails when it does not in time."""
        end = time.monotonic() + 90
        while len(self.queue()) != messages:
            assert time.monotonic() < end, f"{self.name} holds {self.queue()}\n{self.log()}"
            time.sleep(0.1)
