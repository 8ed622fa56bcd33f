"""script/server as its reader uses it: it says what to try, what it says works, and Ctrl-C ends it all."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from tests.here import CHECKOUT, not_here
from tests.stories.wire import typed
from tests.waiting import wait_until

SITE, OFFICE = ("127.0.49.25", 2525), ("127.0.49.26", 2525)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of what script/server uses, so that the reader's own run/ is left alone.

    Its .venv is that of the checkout, and must not be changed from here: a bootstrap would install the copy into it
    for everybody. So script/bootstrap is one that does nothing; the real one has run before any test could.
    """
    shutil.copytree(CHECKOUT / "examples", tmp_path / "examples")
    (tmp_path / "script").mkdir()
    shutil.copy(CHECKOUT / "script/server", tmp_path / "script/server")
    bootstrap = tmp_path / "script/bootstrap"
    bootstrap.write_text("#!/bin/sh\n")
    bootstrap.chmod(0o755)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for address in (SITE, OFFICE):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(address)
            except OSError as problem:
                not_here(f"{address[0]}:{address[1]} cannot be used: {problem.strerror}; does a script/server run?")
    return tmp_path


def mailboxes(tree: Path, host: str, domain: str) -> list[Path]:
    """The messages that lie in a host's mailboxes."""
    return list((tree / "run" / host / "data/mailboxes" / domain).glob("*/new/*"))


def wait_for(tree: Path, host: str, domain: str, messages: int) -> None:
    """Returns once a host's mailboxes hold so many messages."""
    wait_until(
        lambda: len(mailboxes(tree, host, domain)) >= messages,
        lambda: f"{len(mailboxes(tree, host, domain))} of {messages} messages at {host}",
    )


def test_both_examples_work_as_told(tree: Path) -> None:
    """From the text on the screen to mail in the mailboxes, and down again with status 0 and no process left."""
    server = subprocess.Popen(
        ["sh", "script/server"],
        cwd=tree,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # a process group of its own, as a terminal's
    )
    assert server.stdout is not None
    try:
        told = ""
        while "Ctrl-C" not in told:
            line = server.stdout.readline()
            assert line, f"script/server ended: {told}"
            told += line

        def as_told(command: str, *, status: int = 0) -> str:
            assert command in told, told
            done = subprocess.run(
                command, shell=True, cwd=tree, capture_output=True, text=True, timeout=100, check=False
            )
            assert done.returncode == status, f"{command}\n{done.stdout}\n{done.stderr}"
            return done.stdout

        [password] = re.findall(r"user admin, password (\S+) \)", told)
        for url in re.findall(r"http://\S+/", told):
            with httpx2.Client(base_url=url, trust_env=False, timeout=30) as browser:
                form = {"name": "admin", "password": password}
                answer = browser.post("/login", data=form, headers={"Origin": url.rstrip("/")})
                assert (answer.status_code, answer.headers["Location"]) == (303, "/")
                assert "3 messages" in browser.get("/").text

        waits = as_told(".venv/bin/restante queue --config run/site/restante.toml")
        assert "localtest.example" in waits
        assert "test.example" in as_told(".venv/bin/restante queue --config run/office/restante.toml")
        assert mailboxes(tree, "site", "test.example") == mailboxes(tree, "office", "localtest.example") == []

        assert "ETRN 127.0.49.26" in told
        said = typed(2525, "ETRN 127.0.49.26", "QUIT", address=SITE[0])
        assert said[0] == "253 2.0.0 OK, 3 pending messages for node 127.0.49.26 started"
        wait_for(tree, "office", "localtest.example", 3)
        assert len(as_told("ls run/office/data/mailboxes/localtest.example/*/new").split()) >= 3

        as_told(".venv/bin/restante call office --wait --config run/site/restante.toml")
        wait_for(tree, "site", "test.example", 4)  # three, one of them for two
        assert len(mailboxes(tree, "site", "test.example")) == 4
        as_told("ls run/site/data/mailboxes/test.example/*/new")
        assert "251" in as_told(".venv/bin/restante etrn 127.0.49.26:2525 test.example")
    finally:
        os.killpg(server.pid, signal.SIGINT)
        rest, _ = server.communicate(timeout=90)
    assert server.returncode == 0, rest
    for host, address in (("site", SITE), ("office", OFFICE)):
        assert not re.search("Traceback|ERROR", (tree / "run" / host / "log").read_text(), re.IGNORECASE)
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(address, timeout=2)
