r"""Hosts whose configuration `restante init` makes, in an empty folder, and nobody edits.

office = MadeHost(tmp_path / "office", on=at_office)
said = office.init("--office", "--domain", "test.example", ...)
site.init(*command_in(said), stdin=f"{password_in(said)}\n")
"""

from __future__ import annotations

import io
import re
import shlex
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
from tests.stories.netns import NetHost
from tests.stories.restante_host import RestanteHost

from restante.cli import main

_PASSWORD = r"(?:[a-z2-9]{5}-){3}[a-z2-9]{5}"


class MadeHost(RestanteHost):
    """A host in a folder that is empty at first."""

    def __init__(self, folder: Path, *, on: NetHost | None = None) -> None:
        super().__init__(folder, "", on=on)
        self.config.unlink()

    def init(self, *options: str, stdin: str = "", status: int = 0) -> str:
        """Runs `restante init` for it, in this very process; what that printed."""
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed), redirect_stderr(printed):
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin.encode())))
            ended = main(["init", "--out", str(self.folder), *options])
        assert ended == status, f"{options}: {ended}\n{printed.getvalue()}"
        return printed.getvalue()


def command_in(said: str) -> list[str]:
    """The options of the `restante init` that init prints for the other end."""
    [line] = re.findall(r"^    restante init (.*)$", said, re.MULTILINE)
    return shlex.split(line)


def password_in(said: str) -> str:
    """The password that init has made up for the site."""
    [password] = re.findall(rf"^    ({_PASSWORD})$", said, re.MULTILINE)
    return str(password)


def page_in(said: str) -> tuple[str, str, str]:
    """Where init says that the page is: its URL; the administrator's name and password."""
    [page] = re.findall(rf"^    (https?://\S+)\n    user (\S+), password ({_PASSWORD})$", said, re.MULTILINE)
    url, name, password = page
    return url, name, password
