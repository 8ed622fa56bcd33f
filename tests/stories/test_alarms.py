"""A server that tells: its operators by webhook and by mail, systemd by its socket, Prometheus when it asks."""

from __future__ import annotations

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families as parse
from tests.net.authority import Authority, Wish
from tests.observe.hooks import hooked
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

OFFICE = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[tls]
certificate = "office.pem"
key = "office.key"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:1"
[domains."ops.example"]
action = "deliver"
users = ["ops"]
[alarms]
webhook = "{hook}"
mail = "ops@ops.example"
free_space = "1MB"
[admin]
address = "127.0.0.1:{admin}"
"""
ON, OVER = ("certificate-expires", "certificate", "on"), ("certificate-expires", "certificate", "over")


async def test_operators_hear_of_an_alarm_once_and_that_it_is_over(tmp_path: Path) -> None:
    """Over a restart, too; when they have seen to it, a reload is enough."""
    authority = Authority()
    async with hooked() as room:
        config = OFFICE.format(port=free_port(), admin=free_port(), hook=room.url)
        office = RestanteHost(tmp_path / "office", config)
        authority.issue(Wish(("office.example",), ends=3)).write(office.folder, "office")
        await asyncio.to_thread(office.start)
        await room.wait(1)
        await asyncio.to_thread(office.wait_for_mail, 1)
        await asyncio.to_thread(office.wait_for_log, "alarms told way=webhook")
        await asyncio.to_thread(office.stop)
        await asyncio.to_thread(office.start)
        authority.issue(Wish(("office.example",), ends=90)).write(office.folder, "office")
        await asyncio.to_thread(office.cli, "reload")
        await room.wait(2)
        await asyncio.to_thread(office.wait_for_mail, 2)
        await asyncio.to_thread(office.stop)
    assert room.told == [ON, OVER]
    first, second = office.mail("ops@ops.example")
    assert b"Subject: Alarm: certificate-expires certificate" in first
    assert b"Subject: All clear: certificate-expires certificate" in second
    assert office.log().count(" warning alarm alarm=certificate-expires") == 1
    assert office.log().count(" info alarm is over alarm=certificate-expires") == 1


@pytest.fixture
def systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """The socket on which systemd would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "1000000")
        yield listening


def test_systemd_hears_how_the_service_is(tmp_path: Path, systemd: socket.socket) -> None:
    """From ready over each reload to the end; and that it is alive, all the time."""
    heard: list[str] = []

    def until(said: str) -> None:
        while not heard or not heard[-1].startswith(said):
            heard.append(systemd.recv(1000).decode())

    config = OFFICE.format(port=free_port(), admin=free_port(), hook="http://127.0.0.1:1/")
    office = RestanteHost(tmp_path / "office", config)
    Authority().issue(Wish(("office.example",), ends=90)).write(office.folder, "office")
    with office:
        until("READY=1")
        until("STATUS=0 items wait for 0 domains; 0 releases run; 0 connections")
        for _ in range(3):
            until("WATCHDOG=1")
            heard.append("")
        office.cli("reload")
        until("RELOADING=1\nMONOTONIC_USEC=")
        until("READY=1")
    until("STOPPING=1")


def test_prometheus_scrapes_a_server_that_takes_mail(tmp_path: Path) -> None:
    """What comes in is counted; readyz and healthz answer."""
    ports = {"port": free_port(), "admin": free_port()}
    office = RestanteHost(tmp_path / "office", OFFICE.format(**ports, hook="http://127.0.0.1:1/"))
    Authority().issue(Wish(("office.example",), ends=90)).write(office.folder, "office")

    def asked(path: str) -> tuple[int, str]:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://127.0.0.1:{ports['admin']}{path}", timeout=90) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    with office:
        content = b"Subject: hello\r\n\r\nHello.\r\n"
        send(ports["port"], "carla@far.example", "anna@test.example", content)
        status, text = asked("/metrics")
        assert status == 200
        found = {
            (sample.name, *sample.labels.values()): sample.value for family in parse(text) for sample in family.samples
        }
        assert found["restante_messages_accepted_total",] == 1
        assert found["restante_accepted_bytes_total",] > len(content)
        assert found["restante_items", "waiting"] == 1
        assert found["restante_domain_items", "test.example"] == 1
        assert found["restante_commit_seconds_count",] == 1
        assert found["restante_alarms", "certificate-expires"] == 0
        assert found["restante_connections",] >= 1
        assert asked("/readyz") == (200, '{"status":"ok"}')
        assert asked("/healthz") == (200, '{"status":"ok"}')
        assert asked("/nothing")[0] == 404
