"""The commands: what they print, what they exit with; with a server, with the store alone, on a terminal, in a pipe."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.admin.desk import CONTENT, Desk, controlled, deferred, desk
from tests.calls.played import TEST, etrn, eventually
from typer.main import get_command

from restante.cli import main
from restante.cli.verbs import app
from restante.model import Order, Progress, item_id, parse_id, write_item_id, write_message_id

VERBS = [
    "init",
    "doctor",
    "serve",
    "check",
    "reload",
    "status",
    "queue",
    "show",
    "trace",
    "freeze",
    "thaw",
    "remove",
    "bounce",
    "redirect",
    "fsck",
    "release",
    "call",
    "etrn",
    "atrn",
    "user",
    "domain",
    "tls-report",
]
RESTANTE = Path(sys.executable).with_name("restante")
CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.25"
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration in a folder of its own, which no environment points to."""
    monkeypatch.delenv("RESTANTE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "office.toml"
    file.write_text(CONFIG)
    (tmp_path / "data").mkdir(mode=0o700)
    return file


async def run(*arguments: str | Path) -> int:
    """`restante ARGUMENTS`, beside whatever runs here."""
    return await asyncio.to_thread(main, list(map(str, arguments)))


async def filled(config: Path, messages: int = 3) -> list[str]:
    """Ids of items that wait in the store when no server runs any more."""
    async with desk(config.parent / "data") as office:
        return [write_item_id(item_id(await office.mail(), 1)) for _ in range(messages)]


# starting


def test_help_loads_neither_the_store_nor_the_server() -> None:
    """It is quick: somebody waits for it at a prompt."""
    heavy = ["apsw", "uvloop", "cryptography", "structlog", "restante.app", "restante.store.sqlite", "rich.table"]
    code = (
        "import sys\n"
        "from restante.cli import main\n"
        "assert main(['--help']) == 0\n"
        f"print([name for name in {heavy!r} if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    for verb in VERBS:
        assert f"\n  {verb} " in done.stdout


def test_no_other_command_is_made_than_the_one_that_is_wanted() -> None:
    """Where the first word names none all are, to say so, or for the list of them."""
    for verb in VERBS:
        assert set(get_command(app.only(verb)).commands) == {verb}  # type: ignore[attr-defined]
    for word in ("nonsense", "", "--help"):
        assert set(VERBS) <= set(get_command(app.only(word)).commands)  # type: ignore[attr-defined]


def test_python_m_restante_is_restante() -> None:
    """For those whose PATH lacks it."""
    done = subprocess.run([sys.executable, "-m", "restante", "nonsense"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["queue", "--state", "lost"],
        ["queue", "--limit", "0"],
        ["show"],
        ["release"],
        ["freeze"],
        ["remove", "0QJ3K5W7T9A", "--domain", "test.example"],
        ["bounce", "0QJ3K5W7T9A", "--all"],
        ["bounce", "--older", "2 days"],
        ["bounce", "--larger", "big"],
        ["remove", "--from", "nobody"],
        ["redirect", "bad..name", "0QJ3K5W7T9A"],
        ["redirect"],
        ["queue", "bad..name"],
        ["etrn", "127.0.0.1"],
        ["etrn", "127.0.0.1:x", "test.example"],
        ["etrn", "127.0.0.1", "bad..name"],
        ["etrn", "127.0.0.1", "test.example", "--hostname", "not a name"],
        ["etrn", "127.0.0.1", "test.example", "--tls", "perhaps"],
        ["etrn", "127.0.0.1", "test.example", "--user", "test"],
        ["etrn", "127.0.0.1", "test.example", "--password-file", "x"],
        ["etrn", "127.0.0.1", "test.example", "--certificate", "site.pem"],
        ["etrn", "127.0.0.1", "test.example", "--tls-pin", "sha256:" + 64 * "0"],
        ["etrn", "127.0.0.1", "test.example", "--tls", "required", "--tls-pin", "sha256:00"],
        ["atrn", "127.0.0.1", "test.example"],
        ["atrn", "127.0.0.1:x", "--deliver-to", "maildir:mail"],
        ["atrn", "127.0.0.1", "example", "--deliver-to", "maildir:mail"],
        ["atrn", "127.0.0.1", "bad..name", "--deliver-to", "maildir:mail"],
        ["atrn", "127.0.0.1", "--deliver-to", "mbox:mail"],
        ["atrn", "127.0.0.1", "--deliver-to", "maildir:"],
        ["atrn", "127.0.0.1", "--deliver-to", "lmtp:127.0.0.1"],
        ["atrn", "127.0.0.1", "--deliver-to", "smtp:127.0.0.1"],
        ["atrn", "127.0.0.1", "test.example", "--deliver-to", "smtp:"],
    ],
    ids=" ".join,
)
async def test_bad_usage_is_status_2(config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]) -> None:
    """Said on stderr; stdout stays empty."""
    await filled(config, 1)
    assert await run("--config", config, *arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err


# configuration


def test_check_of_a_good_file(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--config` may stand before the verb and after it."""
    assert main(["check", "--config", str(config)]) == 0
    assert capsys.readouterr().out == f"{config}: ok\n"
    assert main(["--config", str(config), "check", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"file": str(config), "ok": True, "problems": [], "notes": []}


def test_check_tells_of_what_is_not_in_force(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As notes; the file is good."""
    config.write_text(CONFIG + '[admin]\naddress = "127.0.0.1:8025"\n')
    assert main(["check", "--config", str(config)]) == 0
    first, *notes = capsys.readouterr().out.splitlines()
    assert first.endswith(": ok")
    assert notes
    assert all(note.startswith("note: ") for note in notes)


@pytest.mark.parametrize("verb", ["check", "serve", "status", "queue", "reload"])
def test_every_problem_is_a_line_and_status_2(config: Path, capsys: pytest.CaptureFixture[str], verb: str) -> None:
    """On stderr, all at once, for each command that reads it."""
    config.write_text(CONFIG.replace("192.0.2.25", "no host") + "colour = 1\n")
    assert main([verb, "--config", str(config)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    if verb != "serve":  # its problems go into its log
        lines = said.err.splitlines()
        assert len(lines) == 2
        assert all(line.startswith(f"{config}: domains.") for line in lines)


def test_check_tells_the_problems_as_json_too(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2 as well."""
    config.write_text(CONFIG + "colour = 1\n")
    assert main(["check", "--json", "--config", str(config)]) == 2
    shown = json.loads(capsys.readouterr().out)
    assert (shown["ok"], len(shown["problems"])) == (False, 1)


def test_no_configuration_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Status 2 and a word where it was looked for."""
    monkeypatch.delenv("RESTANTE_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    if Path("/etc/restante/restante.toml").exists():
        pytest.skip("this machine has one")
    assert main(["queue"]) == 2
    assert "RESTANTE_CONFIG" in capfd.readouterr().err


def test_the_environment_names_the_file(
    config: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the command line does not."""
    monkeypatch.setenv("RESTANTE_CONFIG", str(config))
    assert main(["check"]) == 0
    assert str(config) in capsys.readouterr().out


# the store alone


def test_before_the_first_start_nothing_waits(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And nothing is made: the server's user may be another."""
    assert main(["queue", "--config", str(config)]) == 0
    assert capsys.readouterr().out == "nothing waits\n"
    assert main(["status", "--config", str(config)]) == 1
    assert list((config.parent / "data").iterdir()) == []


async def test_without_a_server_the_store_is_asked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """status, queue, show, freeze, thaw and remove do their work."""
    first, second, third = await filled(config)
    assert await run("status", "--config", config) == 0
    assert "office.example, restante" in (shown := capsys.readouterr().out)
    assert ": not running\n" in shown
    assert await run("freeze", first, second, "--config", config) == 0
    assert capsys.readouterr().out == f"{first}: frozen\n{second}: frozen\n"
    assert await run("queue", "--state", "frozen", "--json", "--config", config) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == [first, second]
    assert await run("thaw", first, "--config", config) == 0
    assert capsys.readouterr().out == f"{first}: waits again\n"
    assert await run("show", third, "--config", config) == 0
    assert "Subject: Fuel\n" in capsys.readouterr().out
    assert await run("remove", "--domain", "test.example", "--yes", "--config", config) == 0
    capsys.readouterr()
    assert await run("queue", "--config", config) == 0
    assert capsys.readouterr().out == "nothing waits\n"


async def test_items_are_sent_back_and_elsewhere_by_what_they_are(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a server; each verb tells what it did, as text and as JSON."""
    first, second, third = await filled(config)
    where = ("--config", config)
    assert await run("queue", "--from", "@far.example", "--older", "30s", "--larger", "10", "--json", *where) == 0
    assert [item["id"] for item in json.loads(capsys.readouterr().out)] == [first, second, third]
    for nothing in (("--to", "bert@test.example"), ("--older", "1h"), ("--larger", "1MB"), ("--from", "<>")):
        assert await run("queue", *nothing, *where) == 0
        assert capsys.readouterr().out == "nothing waits\n"
        assert await run("bounce", *nothing, *where) == 0
        assert capsys.readouterr().out == "nothing waits\n"
    assert await run("redirect", "bert@test.example", second, *where) == 0
    assert capsys.readouterr().out == f"{second}: redirected to bert@test.example\n"
    assert await run("bounce", "--to", "bert@test.example", "--text", "We are closed.", "--json", *where) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == [second]
    assert await run("redirect", "bert@else.example", first, *where) == 1
    assert capsys.readouterr().err == "bert@else.example: this host has no way to that domain\n"
    assert await run("freeze", "--all", *where) == 0
    assert capsys.readouterr().out == f"{first}: frozen\n{third}: frozen\n"
    assert await run("thaw", "--state", "frozen", *where) == 0
    assert capsys.readouterr().out == f"{first}: waits again\n{third}: waits again\n"


async def test_a_server_sends_items_back_and_elsewhere(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What is on its way stays; what goes elsewhere, and the notice of what went back, leave by themselves."""
    async with controlled(config.parent / "data") as (office, _):
        moving, back, aside = [item_id(await office.mail(sender="carla@fast.example"), 1) for _ in range(3)]
        await office.spool.claim([TEST], Order.ARRIVAL, 1, 99)
        where = ("--config", config)
        assert await run("redirect", "fast.example", write_item_id(aside), *where) == 0
        assert await run("bounce", write_item_id(moving), write_item_id(back), *where) == 1
        said = capsys.readouterr()
        assert said.out.splitlines() == [
            f"{write_item_id(aside)}: redirected to fast.example",
            f"{write_item_id(back)}: sent back",
        ]
        assert said.err == f"{write_item_id(moving)} is on its way\n"
        await eventually(lambda: list(office.spool.domains()) == [TEST])
        assert office.spool.waiting(TEST).items == 1


@pytest.mark.parametrize("verb", [("remove",), ("bounce",), ("redirect", "bert@test.example")], ids=" ".join)
async def test_many_items_that_are_not_named_take_a_yes(
    config: Path, capsys: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    """Where nobody can be asked; a single one, and those that are named, do not."""
    first, second, third, fourth = await filled(config, 4)
    where = ("--config", config)
    assert await run(*verb, "--domain", "test.example", *where) == 1
    assert capsys.readouterr().err == "4 items are meant: say --yes\n"
    assert await run(*verb, first, second, *where) == 0
    assert await run("remove", first, second, *where) == (0 if verb[0] == "redirect" else 1)
    await run("freeze", third, *where)
    assert await run(*verb, "--state", "frozen", *where) == 0
    await run("remove", third, *where)
    capsys.readouterr()
    assert await run(*verb, "--all", "--yes", "--json", *where) == 0
    assert json.loads(capsys.readouterr().out)["changed"] == [fourth]


async def test_an_unknown_id_is_status_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the verb; the others that were named are done."""
    (identifier,) = await filled(config, 1)
    for verb in (("show",), ("freeze",), ("thaw",), ("remove",), ("bounce",), ("redirect", "bert@test.example")):
        assert await run(*verb, "00100000000-1", "--config", config) == 1
        said = capsys.readouterr()
        assert (said.out, said.err) == ("", "00100000000-1: no such message or item\n")
    assert await run("freeze", "nonsense", identifier, "--config", config) == 1
    assert capsys.readouterr().out == f"{identifier}: frozen\n"


@pytest.mark.parametrize("arguments", [["release", "test.example"], ["call", "office"], ["reload"]], ids=" ".join)
def test_what_needs_a_server_is_one_line_and_status_1(
    config: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    """Where none runs."""
    assert main([*arguments, "--config", str(config)]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "restante serve" in said.err


async def test_a_store_in_use_is_one_line_and_status_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that starts just now, or another command."""
    async with desk(config.parent / "data"):
        assert await run("queue", "--config", config) == 1
    said = capsys.readouterr()
    assert said.err.count("\n") == 1
    assert "in use" in said.err


# a server that runs


async def test_with_a_server_it_is_asked(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its socket: the store is its own."""
    async with controlled(config.parent / "data") as (office, _):
        message = await office.mail("anna@test.example")
        assert await run("status", "--json", "--config", config) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["running"], shown["hostname"], shown["listening"]) == (True, "office.example", ["127.0.0.1:25"])
        assert shown["domains"][0]["items"] == 1
        assert await run("status", "--config", config) == 0
        assert "running for 1 min, listening on 127.0.0.1:25, 2 connections\n" in capsys.readouterr().out
        assert await run("show", write_message_id(message), "--json", "--config", config) == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["items"][0]["item"]["domain"], shown["headers"][:8]) == ("test.example", "Subject:")


async def test_queue_lists_as_many_as_wanted(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And says when there are more; its JSON is a list of all."""
    async with controlled(config.parent / "data") as (office, _):
        for _ in range(5):
            await office.mail("anna@test.example", "x@caller.example")
        assert await run("queue", "--limit", "3", "--config", config) == 0
        lines = capsys.readouterr().out.splitlines()
        assert sum("-1  " in line or "-2  " in line for line in lines) == 3
        assert lines[-1] == "these are the first 3; there are more (--limit)"
        assert await run("queue", "--limit", "10", "--config", config) == 0
        assert "more" not in capsys.readouterr().out
        assert await run("queue", "caller.example", "--json", "--config", config) == 0
        items = json.loads(capsys.readouterr().out)
        assert [item["domain"] for item in items] == ["caller.example"] * 5
        assert items[0].keys() >= {"id", "state", "size", "arrived", "priority", "attempts", "reverse_path", "detail"}


async def test_a_release_is_begun(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And not waited for."""
    async with controlled(config.parent / "data") as (office, _):
        await office.mail()
        assert await run("release", "test.example", "--config", config) == 0
        assert capsys.readouterr().out == "release 1 of test.example: queued, 1 message waiting\n"


async def test_a_release_that_is_waited_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Plain lines, the last tells how it went."""
    async with controlled(config.parent / "data") as (office, _):
        for _ in range(3):
            await office.mail()
        assert await run("release", "test.example", "--to", "192.0.2.9:2525", "--wait", "--config", config) == 0
        assert (
            capsys.readouterr()
            .out.splitlines()[-1]
            .startswith(f"release 1 of test.example to 192.0.2.9:2525: 3 of 3 delivered, {3 * len(CONTENT)} octets, ")
        )
        assert await run("release", "test.example", "--wait", "--config", config) == 0
        assert "nothing waits" in capsys.readouterr().out


async def test_a_release_that_fails_is_status_1_with_the_reason(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An error, or something that is left deferred."""
    async with controlled(config.parent / "data") as (office, _):
        await office.mail()
        office.carrier.outcome, office.carrier.error = deferred(), "192.0.2.25:25: no route"
        assert await run("release", "test.example", "--wait", "--config", config) == 1
        said = capsys.readouterr()
        assert "1 deferred" in said.out
        assert said.err == "192.0.2.25:25: no route\n"
        assert await run("release", "test.example", "--wait", "--json", "--config", config) == 1
        assert json.loads(capsys.readouterr().out)["deferred"] == 1
        assert await run("release", "nobody.example", "--config", config) == 1
        assert capsys.readouterr().err == "nobody.example is not a domain of this host\n"


async def test_a_call_that_is_waited_for(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the office's own words."""
    script = etrn("251 2.0.0 OK, no messages waiting for node test.example")
    async with controlled(config.parent / "data", script) as _:
        assert await run("call", "office", "--wait", "--config", config) == 0
        lines = capsys.readouterr().out.splitlines()
        assert lines[-1] == "test.example: 251 2.0.0 OK, no messages waiting for node test.example"
        assert lines[-2].startswith("call office to office.example:25: 0 of 0 received")
        assert await run("call", "nobody", "--config", config) == 1


async def test_a_call_that_is_refused_is_status_1(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the reason."""
    async with controlled(config.parent / "data", etrn("459 4.7.1 Node test.example not allowed")) as _:
        assert await run("call", "office", "--wait", "--config", config) == 1
        said = capsys.readouterr()
        assert "459 4.7.1" in said.out
        assert said.err


async def test_reload(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Problems that the server finds are status 2."""
    async with controlled(config.parent / "data") as (office, _):
        assert await run("reload", "--config", config) == 0
        assert capsys.readouterr().out == "reloaded\n"
        office.problems = ("office.toml: hostname: changed", "office.toml: data: changed")
        assert await run("reload", "--config", config) == 2
        assert capsys.readouterr().err.splitlines() == list(office.problems)
        assert await run("reload", "--json", "--config", config) == 2
        assert json.loads(capsys.readouterr().out) == {"problems": list(office.problems)}


# terminals, pipes, interrupts


def on_terminal(
    *arguments: str | Path, typed: bytes = b"", columns: int = 200, pieces: list[bytes] | None = None
) -> tuple[int, str]:
    """Runs `restante` at a terminal; its exit status, and what stood there. `pieces` get that as it comes."""
    pieces = [] if pieces is None else pieces
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": str(columns), "LINES": "40"}
    with subprocess.Popen(
        [RESTANTE, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        os.write(ours, typed)
        for piece in _until_closed(ours):
            pieces.append(piece)
        os.close(ours)
    return process.returncode, b"".join(pieces).decode()


def _until_closed(terminal: int) -> Iterator[bytes]:
    while True:
        try:
            piece = os.read(terminal, 65536)
        except OSError:  # EIO: nobody has it open any more
            return
        if not piece:
            return
        yield piece


async def test_a_terminal_gets_tables(config: Path) -> None:
    """With whole ids; a pipe gets no escape codes."""
    identifiers = await filled(config)
    status, shown = await asyncio.to_thread(on_terminal, "queue", "--config", config)
    assert status == 0
    assert "\x1b[" in shown
    assert all(identifier in shown for identifier in identifiers)
    piped = subprocess.run([RESTANTE, "queue", "--config", config], capture_output=True, text=True, check=True)
    assert "\x1b" not in piped.stdout
    assert all(f"\n{identifier}  " in piped.stdout for identifier in identifiers)


async def test_a_narrow_terminal_gets_lines_that_fit(config: Path) -> None:
    """A table would tear its cells apart."""
    (identifier,) = await filled(config, 1)
    status, shown = await asyncio.to_thread(on_terminal, "queue", "--config", config, columns=64)
    assert status == 0
    first, second = shown.splitlines()[:2]
    age = r"1 min( \d+ s)?"  # it was a minute old before the command was started
    assert re.fullmatch(f"{identifier}  test.example  {len(CONTENT)} octets  {age}  priority 0", first)
    assert second == "    waiting  tries 0  <carla@far.example> -> anna@test.example"


async def test_a_terminal_gets_a_live_display(config: Path) -> None:
    """While the release runs; then the line that a pipe would get."""
    async with controlled(config.parent / "data") as (office, _):
        await office.mail()
        office.carrier.open.clear()
        pieces: list[bytes] = []
        arguments = ("release", "test.example", "--wait", "--config", config)
        shown = asyncio.create_task(asyncio.to_thread(on_terminal, *arguments, pieces=pieces))
        await _runs(office)
        await eventually(lambda: all(word in b"".join(pieces) for word in (b"0/1", b"test.example running")))
        office.carrier.open.set()
        status, text = await shown
    assert status == 0
    assert "0/1" in text
    assert "test.example running" in text
    assert "release 1 of test.example to 192.0.2.25:25: 1 of 1 delivered" in text.splitlines()[-1]


@pytest.mark.parametrize(("typed", "status", "left"), [(b"n\n", 1, 3), (b"y\n", 0, 0)])
@pytest.mark.parametrize(
    ("verb", "question"), [("remove", "Remove 3 items for good? [y/N]"), ("bounce", "Send 3 items back? [y/N]")]
)
async def test_ending_many_is_asked_for_at_a_terminal(  # noqa: PLR0917 - two tables
    config: Path,
    capsys: pytest.CaptureFixture[str],
    verb: str,
    question: str,
    typed: bytes,
    status: int,
    left: int,
) -> None:
    """And only there."""
    await filled(config)
    arguments = (verb, "--domain", "test.example", "--config", config)
    ended, shown = await asyncio.to_thread(on_terminal, *arguments, typed=typed)
    assert question in shown
    assert ended == status
    assert await run("queue", "--json", "--config", config) == 0
    assert len(json.loads(capsys.readouterr().out)) == left


async def test_yes_is_not_asked_for(config: Path) -> None:
    """Nor is one item."""
    first, *_ = await filled(config)
    for arguments in ([first], ["--domain", "test.example", "--yes"]):
        status, shown = await asyncio.to_thread(on_terminal, "remove", *arguments, "--config", config)
        assert status == 0
        assert "[y/N]" not in shown


async def test_an_interrupt_is_quiet_and_the_release_goes_on(config: Path) -> None:
    """Status 130."""
    async with controlled(config.parent / "data") as (office, _):
        await office.mail()
        office.carrier.open.clear()
        process = await asyncio.create_subprocess_exec(
            RESTANTE,
            *("release", "test.example", "--wait", "--config", config),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        await _runs(office)
        assert process.stdout is not None
        await process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, complaints = await asyncio.wait_for(process.communicate(), 60)
        assert (process.returncode, complaints) == (130, b"")
        office.carrier.open.set()
        await eventually(lambda: not office.spool.domains())


async def _runs(office: Desk) -> None:
    await eventually(lambda: any(view.progress is Progress.RUNNING for view in office.releases.views()))


async def test_a_reader_that_stops_reading_is_no_trouble(config: Path) -> None:
    """`restante queue | head -1` prints no traceback."""
    await filled(config, 40)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [RESTANTE, "queue", "--config", config], stdout=writing, stderr=subprocess.PIPE, text=True, check=False
        )
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (0, 1)


# etrn


async def office_that_says(*replies: str) -> tuple[asyncio.Server, str, list[str]]:
    """An office on loopback that answers its ETRNs in turn; where it listens, and what it heard."""
    heard: list[str] = []
    answers = iter(replies)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 office.example ESMTP\r\n")
        while line := (await reader.readline()).decode().rstrip():
            heard.append(line)
            verb = line.split()[0]
            reply = {"EHLO": "250-office.example\r\n250 ETRN", "QUIT": "221 Bye"}.get(verb) or next(answers)
            writer.write(f"{reply}\r\n".encode())
            if verb == "QUIT":
                break
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    return server, f"127.0.0.1:{server.sockets[0].getsockname()[1]}", heard


async def test_etrn_prints_what_the_office_says(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a node; status 0 when all are accepted."""
    replies = ("253 2.0.0 OK, 14 pending messages for node test.example started", "250 OK, queuing for node @x.example")
    server, at, heard = await office_that_says(*replies)
    async with server:
        assert await run("etrn", at, "test.example", "@x.example", "--hostname", "site.example") == 0
    assert capsys.readouterr().out.splitlines() == [f"test.example: {replies[0]}", f"@x.example: {replies[1]}"]
    assert heard == ["EHLO site.example", "ETRN test.example", "ETRN @x.example", "QUIT"]


async def test_etrn_that_is_refused_is_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    """With the reply; as JSON too."""
    server, at, heard = await office_that_says("459 4.7.1 Node test.example not allowed")
    async with server:
        assert await run("etrn", at, "test.example", "--json", "--tls", "off") == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["office"], shown["messages"]) == (at, None)
    assert shown["replies"] == [
        {"node": "test.example", "code": 459, "reply": "459 4.7.1 Node test.example not allowed"}
    ]
    name = heard[0].removeprefix("EHLO ")
    assert name
    assert " " not in name


async def test_etrn_takes_its_name_from_a_configuration_that_is_named(config: Path) -> None:
    """It needs none."""
    server, at, heard = await office_that_says("250 OK", "250 OK")
    async with server:
        assert await run("etrn", at, "test.example", "--config", config) == 0
        assert await run("etrn", at, "test.example", "--config", config, "--hostname", "other.example") == 0
    assert [line for line in heard if line.startswith("EHLO")] == ["EHLO office.example", "EHLO other.example"]


async def test_etrn_to_nobody_is_status_1_with_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """For cron, which mails it."""
    server, at, _ = await office_that_says()
    server.close()
    await server.wait_closed()
    assert await run("etrn", at, "test.example", "--timeout", "5") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert at in said.err


# damage


def harm(config: Path, item: str) -> None:
    """Changes an item's envelope in the store, as no program of ours does."""
    database = sqlite3.connect(config.parent / "data/spool/spool.db")
    changed = "UPDATE items SET envelope = CAST(replace(envelope, 'test', 'tesu') AS BLOB) WHERE id = ?"
    database.execute(changed, (parse_id(item),))
    database.commit()
    database.close()


async def test_fsck_finds_damage_and_repairs_it(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Status 0 where there is none, 1 where some was found; afterwards the item is quarantined, and shown."""
    hurt, *_ = await filled(config)
    assert await run("--config", config, "fsck") == 0
    assert capsys.readouterr().out.endswith("spool: 3 messages, 3 items, 168 octets: no damage\n")
    harm(config, hurt)
    assert await run("fsck", "--config", config) == 1
    assert f"item {hurt}: its row is damaged\n" in capsys.readouterr().out
    assert await run("fsck", "--config", config, "--repair", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["problems"] == [
        {"kind": "item", "name": hurt, "text": "its row is damaged", "repair": "quarantined"},
    ]
    assert await run("fsck", "--config", config) == 0
    assert "no damage, 1 item quarantined" in capsys.readouterr().out
    assert await run("queue", "--config", config) == 0
    listed = capsys.readouterr().out
    assert f"{hurt}  ?" in listed
    assert "quarantined" in listed
    assert "tesu" not in listed
    assert await run("status", "--config", config) == 0
    assert "1 message quarantined" in capsys.readouterr().out
    assert await run("show", hurt, "--config", config) == 0
    shown = capsys.readouterr().out
    assert "Subject: Fuel" in shown
    assert "sender:" not in shown


async def test_fsck_leaves_a_running_server_alone(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One clear line, status 1."""
    async with controlled(config.parent / "data"):
        assert await run("fsck", "--config", config) == 1
    assert "in use by another restante" in capsys.readouterr().err


async def test_fsck_where_no_mail_ever_was(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It makes nothing."""
    assert await run("fsck", "--config", config) == 1
    assert "no mail was ever stored there" in capsys.readouterr().err
    assert not (config.parent / "data/spool").exists()
