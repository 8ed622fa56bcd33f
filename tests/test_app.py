"""The whole server process: what it says when it cannot start, what a reload changes, and how it ends."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.stories.ports import free_port
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.stories.wire import send, typed

HELD = """
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:9"
release_from = ["127.0.0.1"]
"""


def configuration(port: int, more: str = HELD) -> str:
    """An office on loopback."""
    return f'hostname = "office.example"\ndata = "data"\n[[listen]]\naddress = "127.0.0.1:{port}"\n{more}'


def refused_start(config: Path) -> tuple[int, list[str]]:
    """The exit status of a server that cannot start, and what it said."""
    done = subprocess.run(
        [str(RESTANTE), "serve", "--config", str(config)], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.stdout == ""
    return done.returncode, done.stderr.splitlines()


def until(so: Callable[[], object]) -> None:
    """Waits until it is so."""
    end = time.monotonic() + 90
    while not so():
        assert time.monotonic() < end, "it does not come about"
        time.sleep(0.05)


def test_a_bad_configuration_is_told_whole_and_ends_with_status_2(tmp_path: Path) -> None:
    """Every problem has a line; nothing is made."""
    config = tmp_path / "restante.toml"
    config.write_text(configuration(2500, '[domains."test.example"]\naction = "hold"\nnext_hop = "a b"\ncolour = 1\n'))
    status, said = refused_start(config)
    assert status == 2
    assert len(said) == 2
    assert all(str(config) in line for line in said)
    assert not (tmp_path / "data").exists()


def test_a_port_that_is_taken_is_one_clear_line_and_status_1(tmp_path: Path) -> None:
    """The line names the address; the spool is let go again."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config = tmp_path / "restante.toml"
        config.write_text(configuration(port))
        status, said = refused_start(config)
    assert status == 1
    [line] = [line for line in said if " error " in line]
    assert f"cannot listen on 127.0.0.1:{port}" in line
    with RestanteHost(tmp_path / "later", configuration(port)):
        pass


def test_a_second_server_on_the_same_data_is_refused(tmp_path: Path) -> None:
    """The first goes on."""
    port = free_port()
    with RestanteHost(tmp_path / "office", configuration(port)) as office:
        other = office.folder / "other.toml"
        other.write_text(configuration(free_port()))
        status, said = refused_start(other)
        assert status == 1
        assert len([line for line in said if " error " in line]) == 1
        assert "in use by another restante" in said[-1]
        send(port, "ann@far.example", "bert@test.example", b"Hi\r\n")
        assert office.waiting() == 1


def test_a_data_directory_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    """A file is in its place."""
    (tmp_path / "data").write_text("no folder")
    config = tmp_path / "restante.toml"
    config.write_text(configuration(free_port()))
    status, said = refused_start(config)
    assert status == 1
    assert [line for line in said if "data directory" in line and "cannot be made" in line] == said


def test_a_reload_changes_domains_listeners_and_limits_at_once(tmp_path: Path) -> None:
    """By SIGHUP and by command; connections that are open go on."""
    port, second = free_port(), free_port()
    with RestanteHost(tmp_path / "office", configuration(port)) as office:
        with socket.create_connection(("127.0.0.1", port)) as open_before:
            more = HELD.replace("test.example", "other.example") + '[limits]\nmessage_size = "1KB"\n'
            office.config.write_text(
                configuration(second, more + f'[[listen]]\naddress = "127.0.0.1:{port}"\ntls = "off"\n')
            )
            assert office.cli("reload") != ""
            assert "459 4.7.1" in typed(second, "ETRN test.example")[0]
            assert "251 2.0.0" in typed(port, "ETRN other.example")[0]
            assert "552 5.3.4" in typed(second, "EHLO a.example", "MAIL FROM:<ann@far.example> SIZE=1025")[-1]
            open_before.sendall(b"NOOP\r\n")
            assert open_before.recv(200).startswith(b"220 ")
        office.config.write_text(configuration(port))
        office._process.send_signal(signal.SIGHUP)  # type: ignore[union-attr]
        until(lambda: office.log().count("configuration") >= 2)
        assert "251 2.0.0" in typed(port, "ETRN test.example")[0]
        with pytest.raises(OSError, match="refused"):
            socket.create_connection(("127.0.0.1", second))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("hold", "hodl"), "action"),
        (lambda text: text.replace("office.example", "other.example"), "until a restart"),
        (lambda text: text + "\n[[listen]]\naddress = '192.0.2.1:25'\n", "cannot listen on 192.0.2.1:25"),
    ],
)
def test_a_reload_that_cannot_be_changes_nothing(tmp_path: Path, change: Callable[[str], str], said: str) -> None:
    """The problems are told, status 2, and the running configuration stays in force."""
    port = free_port()
    with RestanteHost(tmp_path / "office", configuration(port)) as office:
        office.config.write_text(change(configuration(port)))
        done = subprocess.run(
            [str(RESTANTE), "reload", "--config", str(office.config)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert said in done.stdout + done.stderr
        assert "251 2.0.0" in typed(port, "ETRN test.example")[0]
        office.stop(checked=False)  # the refused reload is an error in its log


def test_sigterm_lets_a_message_in_flight_finish_and_says_421_to_the_idle(tmp_path: Path) -> None:
    """Within ten seconds, exit status 0, and what was answered 250 is there at the next start."""
    port = free_port()
    office = RestanteHost(tmp_path / "office", configuration(port))
    office.start()
    with socket.create_connection(("127.0.0.1", port)) as idle, socket.create_connection(("127.0.0.1", port)) as busy:
        said = busy.makefile("rb")
        said.readline()
        busy.sendall(b"EHLO a.example\r\nMAIL FROM:<ann@far.example>\r\nRCPT TO:<bert@test.example>\r\nDATA\r\nHalf")
        while not said.readline().startswith(b"354"):
            pass
        idle.recv(200)
        office._process.send_signal(signal.SIGTERM)  # type: ignore[union-attr]
        assert idle.recv(200).startswith(b"421 4.3.2 ")
        busy.sendall(b" and half\r\n.\r\n")
        assert said.readline().startswith(b"250 ")
    began = time.monotonic()
    office.stop()
    assert time.monotonic() - began < 10
    office.start()
    assert office.waiting() == 1
    office.stop()


def test_a_site_that_is_refused_by_its_office_reports_it_and_goes_on(tmp_path: Path) -> None:
    """459 is in the call's record, and the server is none the worse."""
    port, site_port = free_port(), free_port()
    call = f"""
[domains."test.example"]
action = "deliver"
users = ["anna"]
[calls.office]
host = "127.0.0.1:{port}"
domains = ["test.example"]
window = "20s"
idle = "1s"
"""
    denied = HELD.replace('127.0.0.1"]', '192.0.2.9"]')
    with (
        RestanteHost(tmp_path / "office", configuration(port, denied)),
        RestanteHost(tmp_path / "site", configuration(site_port, call)) as site,
    ):
        said = site.cli("call", "office", "--wait", status=1)
        assert "459 4.7.1 Node test.example not allowed" in said
        assert "459" in site.cli("status")
