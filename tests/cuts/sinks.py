"""Postfix's smtp-sink as a far end that refuses, hangs up and dawdles as it is told (smtp-sink(1)).

It writes down every message whose content has come, also one that it then refuses: what nobody dumped was not sent.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.here import PEERS
from tests.stories.peers import ENVIRONMENT, OWNER
from tests.stories.ports import wait_for_port

from restante.model import HostPort

MARK = re.compile(rb"^end of (\d{6})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Sink:
    """One that runs; its dumps are one file a message."""

    folder: Path
    at: HostPort

    def copies(self) -> Counter[int]:
        """How often each message's content has come, whole."""
        found: Counter[int] = Counter()
        for file in list(self.folder.iterdir()):
            with contextlib.suppress(FileNotFoundError):  # it removes what did not become a message
                found.update(int(number) for number in MARK.findall(file.read_bytes()))
        return found


@contextmanager
def sink(port: int, *options: str) -> Iterator[Sink]:
    """An smtp-sink with these options at a port of this machine, until the end of `with`."""
    folder = Path(tempfile.mkdtemp(prefix="restante-sink-"))
    as_user: list[str] = []
    if os.geteuid() == 0:
        shutil.chown(folder, OWNER)
        as_user = ["-u", OWNER]
    argv = [str(PEERS / "usr/sbin/smtp-sink"), *as_user, "-d", "m.", *options, f"127.0.0.1:{port}", "100"]
    process = subprocess.Popen(argv, env=ENVIRONMENT, cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for_port(port)
        yield Sink(folder, HostPort("127.0.0.1", port))
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)
