"""A restante host as a real process: its folder, its configuration, its command line, its mailboxes.

    with RestanteHost(tmp_path / "site", CONFIG) as site:
        site.cli("call", "office", "--wait")
        site.mail("anna@test.example")

At the end it gets SIGTERM and must exit with status 0 and without an error in its log.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest
from tests.stories.netns import NetHost
from tests.waiting import PATIENCE, wait_until

from restante.admin import protocol as p
from restante.admin.control import ControlClient

RESTANTE = Path(sys.executable).with_name("restante")


class RestanteHost:
    """One host. `config` is the text of its restante.toml, `on` the Network host that it runs on (None: here)."""

    def __init__(self, folder: Path, config: str, *, on: NetHost | None = None) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.config = folder / "restante.toml"
        self.config.write_text(config)
        self._log = folder / "log"
        self._prefix = on.prefix if on else []
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None and not isinstance(error, pytest.skip.Exception):
            error.add_note(f"--- log of {self.folder.name}\n{self.log()[-6000:]}")
        if self._process is not None:
            self.stop(checked=error is None)

    def start(self) -> None:
        """Starts it and returns when it has said `ready`."""
        assert self._process is None, "it runs already"
        seen = len(self.log())
        with self._log.open("ab") as log:
            argv = [*self._prefix, str(RESTANTE), "serve", "--config", str(self.config)]
            self._process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + PATIENCE
        while "ready" not in self.log()[seen:]:
            if self._process.poll() is not None:
                status, self._process = self._process.returncode, None
                raise AssertionError(f"{self.folder.name} ended at its start, status {status}\n{self.log()}")
            assert time.monotonic() < end, f"{self.folder.name} is not ready after {PATIENCE:.0f} s\n{self.log()}"
            time.sleep(0.02)

    def stop(self, *, checked: bool = True) -> None:
        """Ends it as an init system does."""
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            status = process.wait()
        if checked:
            assert status == 0, f"{self.folder.name} exited with {status}\n{self.log()}"
            assert not re.search(r"^\S+ error |^Traceback", self.log(), re.MULTILINE), self.log()

    def kill(self) -> None:
        """Ends it as a power cut does, as far as a process can tell."""
        assert self._process is not None, "it does not run"
        process, self._process = self._process, None
        process.kill()
        process.wait()

    @property
    def pid(self) -> int:
        """Of its process."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def log(self) -> str:
        """What it has logged so far, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def cli(self, *argv: str, status: int | None = 0, timeout: float = 90) -> str:
        """Runs `restante` against it; what that printed. `status`: the exit status that it must have (None: any)."""
        done = subprocess.run(
            [*self._prefix, str(RESTANTE), *argv, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        assert status is None or done.returncode == status, f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def waiting(self) -> int:
        """How many items wait in it."""
        return len(self.items())

    def items(self) -> list[dict[str, Any]]:
        """What waits in it, as `restante queue --json` tells it; where a server is known to be, it is asked itself."""
        socket = self.folder / "data" / p.SOCKET
        is_there = self._process is not None and socket.exists()
        shown: list[dict[str, Any]] = json.loads(
            msgspec.json.encode(_waiting(socket)) if is_there else self.cli("queue", "--json")
        )
        return shown

    def mail(self, mailbox: str) -> list[bytes]:
        """The messages in a mailbox, given as an address, by time of arrival."""
        user, _, domain = mailbox.partition("@")
        files = (self.folder / "data/mailboxes" / domain / user / "new").glob("*")
        return [file.read_bytes() for file in sorted(files, key=lambda file: file.stat().st_mtime_ns)]

    def all_mail(self) -> list[bytes]:
        """The messages in all of its mailboxes."""
        return [file.read_bytes() for file in (self.folder / "data/mailboxes").glob("*/*/new/*")]

    def wait_for_mail(self, messages: int, *, patience: float = PATIENCE) -> None:
        """Returns once its mailboxes hold so many messages, fails when they do not in time."""

        def found() -> int:
            return sum(1 for _ in (self.folder / "data/mailboxes").glob("*/*/new/*"))

        wait_until(
            lambda: found() >= messages,
            lambda: f"{found()} of {messages} messages are in the mailboxes of {self.folder.name}",
            patience=patience,
        )

    def wait_for_log(self, said: str, *, times: int = 1) -> None:
        """Returns once its log has said something so often; lines are kept back for moments."""
        wait_until(
            lambda: self.log().count(said) >= times, lambda: f"{self.folder.name} has not said {said!r} {times} times"
        )

    def wait_until_empty(self) -> None:
        """Returns once nothing waits in it."""
        wait_until(lambda: self.waiting() == 0, lambda: f"{self.waiting()} items still wait in {self.folder.name}")


def _waiting(socket: Path) -> list[p.QueueItem]:
    """What waits in a server, page by page."""
    items: list[p.QueueItem] = []
    request = p.Queue()
    while True:
        (answer,) = ControlClient(socket, PATIENCE).ask(request)
        assert isinstance(answer, p.QueueAnswer), answer
        items += answer.items
        if answer.after is None:
            return items
        request = p.Queue(after=answer.after)
