"""The room as app.py sees it: opened where an address is set, moved by a reload, over TLS, else not even imported."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest
from tests.net.authority import Authority, Wish
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.web.office import PATH, Office, serving, settings_of

from restante.app import STOP_SECONDS
from restante.net.listen import CannotListen


async def health(office: Office) -> int:
    """How it is, asked at its address of now."""
    async with office.client(None) as client:
        return (await client.get("/healthz")).status_code


async def test_a_reload_moves_it_and_closes_it(tmp_path: Path) -> None:
    """The new address is open before the old one is closed."""
    async with serving(tmp_path) as office:
        assert await health(office) == 200
        old = office.address
        moved = settings_of(tmp_path)
        async with office.web.changing(moved):
            pass
        office.settings = moved
        assert office.address != old
        assert await health(office) == 200
        async with httpx2.AsyncClient(trust_env=False) as client:
            with pytest.raises(httpx2.ConnectError):
                await client.get(f"http://{old}/healthz")
        async with office.web.changing(settings_of(tmp_path, admin="")):
            pass
        with pytest.raises(httpx2.ConnectError):
            await health(office)


async def test_a_change_that_fails_elsewhere_changes_nothing(tmp_path: Path) -> None:
    """What was opened for it is closed again."""
    async with serving(tmp_path) as office:
        moved = settings_of(tmp_path)
        with pytest.raises(CannotListen):
            async with office.web.changing(moved):
                raise CannotListen
        assert await health(office) == 200
        office.settings = moved
        with pytest.raises(httpx2.ConnectError):
            await health(office)


async def test_an_address_that_is_taken_changes_nothing(tmp_path: Path) -> None:
    """It is told before anything else is done."""
    async with serving(tmp_path) as office, serving(tmp_path / "..") as other:
        with pytest.raises(CannotListen):
            async with office.web.changing(other.settings):
                raise AssertionError("this is not to begin")
        assert await health(office) == 200


async def test_it_is_served_over_tls_with_the_certificate_of_now(tmp_path: Path) -> None:
    """From one handshake to the next where it is renewed; in clear nothing is said."""
    authority = Authority()
    authority.own.write(tmp_path, "ca")
    names = Wish(("localhost",))
    pair = authority.issue(names).write(tmp_path, "office")
    port = free_port()
    admin = f'address = "127.0.0.1:{port}"\ntls = true'
    async with serving(tmp_path, admin, pair=pair) as office:
        for _ in range(2):
            async with office.client(ca=tmp_path / "ca.pem") as client:
                client.base_url = httpx2.URL(f"https://localhost:{port}")
                assert (await client.get(PATH)).status_code == 200
            issued = authority.issue(names)
            issued.write(tmp_path, "office")
        assert await office.says(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", closes=True) == b""
        plain = settings_of(tmp_path, f'address = "127.0.0.1:{port}"')
        async with office.web.changing(plain):
            pass
        assert await health(office) == 200


def test_nothing_of_it_is_imported_before_it_is_wanted() -> None:
    """It would cost a server without it a tenth of its memory."""
    code = "import sys, restante.app; print(*{m.partition('.')[0] for m in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"fastapi", "starlette", "uvicorn", "h11"} & set(done.stdout.split()) == set()


def test_a_running_server_opens_and_closes_it_at_a_reload(tmp_path: Path) -> None:
    """And ends at once though somebody is connected who says nothing."""
    smtp, port = free_port(), free_port()
    config = f'hostname = "office.example"\ndata = "data"\n[[listen]]\naddress = "127.0.0.1:{smtp}"\n'
    with RestanteHost(tmp_path / "office", config) as office:
        office.config.write_text(f'{config}[admin]\naddress = "127.0.0.1:{port}"\n')
        office.cli("reload")
        assert httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False).json() == {"status": "ok"}
        office.config.write_text(config)
        office.cli("reload")
        with pytest.raises(httpx2.ConnectError):
            httpx2.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
        office.config.write_text(f'{config}[admin]\naddress = "127.0.0.1:{port}"\n')
        office.cli("reload")
        with socket.create_connection(("127.0.0.1", port)):
            began = time.monotonic()
            office.stop()
            assert time.monotonic() - began < STOP_SECONDS
        office.start()
