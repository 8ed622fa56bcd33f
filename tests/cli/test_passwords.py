"""`restante password`: from a pipe, at a terminal, and for CRAM-MD5."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from restante.logins.passwords import parse_scram, verify
from restante.smtp.scram import derive_keys

RESTANTE = Path(sys.executable).with_name("restante")


def restante(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """`restante password ARGUMENTS`, with something on stdin."""
    return subprocess.run(
        [RESTANTE, "password", *arguments], input=given, capture_output=True, check=False, timeout=100
    )


def check(kept: dict[str, str], password: str) -> None:
    """Both forms are of this password."""
    assert verify(kept["password"], password)
    keys = parse_scram(kept["scram"])
    assert keys == derive_keys(password, keys.salt)


def test_a_line_from_a_pipe_becomes_two_lines_of_the_file() -> None:
    """Nothing else is on stdout, and nothing is on stderr."""
    done = restante(given=b"correct horse\nanother line\n")
    assert (done.returncode, done.stderr) == (0, b"")
    assert [line.partition(b" ")[0] for line in done.stdout.splitlines()] == [b"password", b"scram"]
    check(tomllib.loads(done.stdout.decode()), "correct horse")


def test_json_has_the_same() -> None:
    """For programs; the line's end is no part of the password, whatever it is."""
    done = restante("--json", given="h\u00f6hle\r\n".encode())
    assert done.returncode == 0
    check(json.loads(done.stdout), "h\u00f6hle")


@pytest.mark.parametrize("given", [b"", b"\n", b"\xff\n", b"bell\x07\n", b"x" * 1025])
def test_what_cannot_be_a_password_is_status_2(given: bytes) -> None:
    """One line on stderr says why."""
    done = restante(given=given)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1
    assert b"password" in done.stderr


def test_a_secret_is_made_by_chance() -> None:
    """One line for a secret_file; each time another."""
    one, other = restante("--secret"), restante("--secret")
    assert one.returncode == 0
    assert one.stdout != other.stdout
    assert len(bytes.fromhex(one.stdout.decode())) >= 20
    assert len(bytes.fromhex(json.loads(restante("--secret", "--json").stdout)["secret"])) >= 20


def at_a_terminal(*answers: bytes) -> tuple[int, str, str]:
    """Types an answer to each question: the exit status, what was on stdout, and what the terminal showed."""
    ours, theirs = pty.openpty()
    shown = b""
    with subprocess.Popen(
        [RESTANTE, "password"], stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        for number, answer in enumerate(answers, start=1):
            while shown.count(b"Password: ") + shown.count(b"Once more: ") < number:
                shown += os.read(ours, 1024)
            os.write(ours, answer + b"\n")
        assert process.stdout is not None
        written = process.stdout.read()
    with contextlib.suppress(OSError):  # Linux: nobody has the other end open any more
        while more := os.read(ours, 1024):
            shown += more
    os.close(ours)
    return process.returncode, written.decode(), shown.decode()


def test_at_a_terminal_it_asks_twice_and_shows_nothing() -> None:
    """The questions are not on stdout, so that it can be appended to a file."""
    status, written, shown = at_a_terminal(b"tanstaaf", b"tanstaaf")
    assert status == 0
    check(tomllib.loads(written), "tanstaaf")
    assert "Password: " in shown
    assert "tanstaaf" not in shown


def test_at_a_terminal_two_different_ones_are_asked_for_again() -> None:
    """A typing mistake is no password."""
    status, written, shown = at_a_terminal(b"tanstaaf", b"tanstaag", b"pencil", b"pencil")
    assert status == 0
    check(tomllib.loads(written), "pencil")
    assert "do not match" in shown
