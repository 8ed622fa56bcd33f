"""The control socket: private, one at a time, and unmoved by clients that talk nonsense or go away."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import uvloop
from tests.admin.desk import ask, controlled, desk
from tests.calls.played import eventually

from restante.admin import control
from restante.admin import protocol as p
from restante.admin.control import ControlClient, ControlInUse, ControlServer, ControlUnusable, NoServer, ServerGone
from restante.model import Progress, Waiting


def raw(path: Path, line: bytes) -> list[p.AnyAnswer]:
    """What is answered to some bytes."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(60)
        client.connect(str(path))
        client.sendall(line)
        with client.makefile("rb") as lines:
            return [p.read_answer(answer) for answer in lines]


async def test_a_request_and_its_answer(tmp_path: Path) -> None:
    """As the command line and the server speak."""
    async with controlled(tmp_path) as (office, path):
        message = await office.mail()
        (answer,) = await ask(path, p.Queue())
        assert isinstance(answer, p.QueueAnswer)
        assert len(answer.items) == 1
        (changed,) = await ask(path, p.Remove((answer.items[0].id,)))
        assert changed == p.ChangeAnswer((answer.items[0].id,))
        assert message


async def test_nobody_else_may_connect(tmp_path: Path) -> None:
    """0600, whatever the umask; and it is gone when the server has stopped."""
    before = os.umask(0)
    try:
        async with controlled(tmp_path) as (_, path):
            mode = path.stat().st_mode
            assert stat.S_ISSOCK(mode)
            assert stat.S_IMODE(mode) == 0o600
    finally:
        os.umask(before)
    assert not path.exists()


async def test_a_socket_that_a_dead_process_left_is_replaced(tmp_path: Path) -> None:
    """Nobody answers there."""
    left = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(left))
    async with controlled(tmp_path) as (_, path):
        assert path == left
        assert isinstance((await ask(path, p.Status()))[0], p.StatusAnswer)


async def test_a_socket_at_which_somebody_answers_is_left_alone(tmp_path: Path) -> None:
    """The second server does not start, and the first goes on, also when the second is stopped."""
    async with controlled(tmp_path) as (office, path):
        second = ControlServer(path, office.steering)
        with pytest.raises(ControlInUse):
            await second.start()
        await second.stop()
        assert isinstance((await ask(path, p.Status()))[0], p.StatusAnswer)


async def test_what_is_no_socket_is_not_removed(tmp_path: Path) -> None:
    """Somebody put it there."""
    file = tmp_path / "control.sock"
    file.write_text("precious")
    async with desk(tmp_path) as office:
        with pytest.raises(ControlUnusable, match="no socket"):
            await ControlServer(file, office.steering).start()
    assert file.read_text() == "precious"


async def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """Is told as such."""
    async with desk(tmp_path) as office:
        with pytest.raises(ControlUnusable, match="No such file"):
            await ControlServer(tmp_path / "no" / "control.sock", office.steering).start()


async def test_a_path_longer_than_a_socket_address(tmp_path: Path) -> None:
    """Works on both ends."""
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    async with controlled(deep) as (_, path):
        assert isinstance((await ask(path, p.Status()))[0], p.StatusAnswer)
    assert not path.exists()


@pytest.mark.parametrize(
    "line",
    [
        b"hello\n",
        b"{}\n",
        b'{"verb":"queue","bad":1}\n',
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"x" * (p.MAX_REQUEST + 10),
    ],
    ids=["word", "empty", "unknown key", "not utf-8", "nested", "too long"],
)
async def test_nonsense_is_a_usage_error_and_the_server_goes_on(tmp_path: Path, line: bytes) -> None:
    """One answer, then the end."""
    async with controlled(tmp_path) as (_, path):
        (answer,) = await asyncio.to_thread(raw, path, line)
        assert isinstance(answer, p.Failed)
        assert answer.status == p.USAGE
        assert isinstance((await ask(path, p.Status()))[0], p.StatusAnswer)


async def test_a_client_that_says_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a word why."""
    monkeypatch.setattr(control, "REQUEST_SECONDS", 0.05)
    async with controlled(tmp_path) as (_, path):
        (answer,) = await asyncio.to_thread(raw, path, b"")
        assert isinstance(answer, p.Failed)


async def test_clients_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One too many is told so."""
    monkeypatch.setattr(control, "MAX_CONNECTIONS", 1)
    async with controlled(tmp_path) as (_, path):
        reader, idle = await asyncio.open_unix_connection(path)
        assert await ask(path, p.Status()) == [p.Failed(("too many clients at once",))]
        idle.write_eof()
        assert await reader.read() == b""
        idle.close()
        await idle.wait_closed()
        assert isinstance((await ask(path, p.Status()))[0], p.StatusAnswer)


async def _goes_away(folder: Path) -> None:
    async with controlled(folder) as (office, path):
        await office.mail()
        office.carrier.open.clear()
        _, client = await asyncio.open_unix_connection(path)
        client.write(p.write_line(p.Release("test.example", wait=True)))
        await eventually(lambda: any(view.progress is Progress.RUNNING for view in office.releases.views()))
        client.close()
        await client.wait_closed()
        await eventually(lambda: not any("_serve" in repr(task.get_coro()) for task in asyncio.all_tasks()))
        office.carrier.open.set()
        view = await asyncio.wait_for(office.releases.wait(1), 60)
        assert view is not None
        assert (view.delivered, view.error) == (1, "")


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
def test_a_client_that_goes_away_is_noticed_and_its_release_goes_on(
    tmp_path: Path, run: Callable[[Coroutine[Any, Any, None]], None]
) -> None:
    """On both event loops: they tell of it in different ways."""
    run(_goes_away(tmp_path))


async def test_a_client_that_waits_learns_that_the_server_has_gone(tmp_path: Path) -> None:
    """It got its first answers, and no more come."""
    async with controlled(tmp_path) as (office, path):
        await office.mail()
        office.carrier.open.clear()
        waiting = asyncio.create_task(ask(path, p.Release("test.example", wait=True)))
        await eventually(lambda: any(view.progress is Progress.RUNNING for view in office.releases.views()))
    answers = await waiting
    assert all(isinstance(answer, p.ReleaseAnswer) for answer in answers)
    last = answers[-1]
    assert isinstance(last, p.ReleaseAnswer)
    assert last.view.progress is not Progress.ENDED


def test_where_nobody_listens_there_is_no_server(tmp_path: Path) -> None:
    """Neither with no socket, nor with a dead one, nor with no folder."""
    path = tmp_path / "control.sock"
    with pytest.raises(NoServer):
        list(ControlClient(path).ask(p.Status()))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with pytest.raises(NoServer):
        list(ControlClient(path).ask(p.Status()))
    with pytest.raises(NoServer):
        list(ControlClient(tmp_path / "no" / "control.sock").ask(p.Status()))


def test_a_server_that_hangs_up_or_hangs_has_gone(tmp_path: Path) -> None:
    """A client does not wait for ever, and tells an early end from an answer."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        with pytest.raises(ServerGone, match="said nothing"):
            list(ControlClient(path, patience=0.05).ask(p.Status()))
        server.accept()[0].close()
        with ThreadPoolExecutor() as threads:
            hung_up = threads.submit(_hang_up, server)
            with pytest.raises(ServerGone, match="went away"):
                list(ControlClient(path, patience=60).ask(p.Status()))
            hung_up.result()


def test_a_server_that_goes_away_amid_its_domains_has_not_answered(tmp_path: Path) -> None:
    """What came ahead of an answer is none."""
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as server, ThreadPoolExecutor() as threads:
        server.bind(str(path))
        server.listen()
        ahead = p.Rows(("test.example",), (Waiting(),), (("hold", "192.0.2.25:25", 1),))
        hung_up = threads.submit(_hang_up, server, p.write_line(ahead))
        with pytest.raises(ServerGone, match="went away"):
            list(ControlClient(path, patience=60).ask(p.Status()))
        hung_up.result()


def _hang_up(server: socket.socket, said: bytes = b"") -> None:
    with server.accept()[0] as connection:
        connection.sendall(said)
        if said:
            connection.recv(p.MAX_REQUEST)
