"""The systemd unit in contrib/: restante does all that it does under what the unit forbids, and asks for no more."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import subprocess
import sys
from ctypes.util import find_library
from pathlib import Path

import pytest
from tests.here import CHECKOUT, not_here
from tests.stories.letters import letter
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

UNIT = CHECKOUT / "contrib/systemd/restante.service"
CONFINED = Path(__file__).with_name("confined.py")
PRIVILEGED_HOST = "127.0.25.25"  # nobody else listens on its low ports

OFFICE = """
hostname = "office.example"
data = "data"
[[listen]]
address = "{host}:{port}"
[[listen]]
address = "127.0.0.1:{odmr}"
service = "odmr"
require_tls = true
[domains."test.example"]
action = "hold"
next_hop = "caller"
[admin]
address = "127.0.0.1:{admin}"
"""
SITE = """
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[domains."test.example"]
action = "deliver"
users = ["anna"]
[calls.office]
host = "127.0.0.1:{odmr}"
protocol = "atrn"
domains = ["test.example"]
user = "site"
password_file = "office.password"
tls = "required"
schedule = "0 0 1 1 *"
window = "5m"
before = ["/bin/sh", "-c", "echo up >{folder}/data/link"]
"""


def low_port(address: str) -> int:
    """A port below 1024, for which the unit has a capability."""
    for port in range(1023, 600, -1):
        with socket.socket() as probe:
            if probe.connect_ex((address, port)):
                return port
    raise AssertionError("no low port is free")


class ConfinedHost(RestanteHost):
    """A host whose processes, those of its command line too, run under the unit's limits."""

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder, config)
        self._prefix = [sys.executable, str(CONFINED), str(UNIT), str(folder)]


@pytest.fixture
def systemd() -> None:
    """What reads units, and what filters calls as systemd does."""
    if shutil.which("systemd-analyze") is None:
        not_here("no systemd-analyze (Debian package: systemd)")
    if find_library("seccomp") is None:
        not_here("no libseccomp (Debian package: libseccomp2)")


@pytest.mark.netns
@pytest.mark.usefixtures("systemd")
def test_a_host_lives_under_the_units_limits(tmp_path: Path) -> None:
    """A low port, TLS, a login, a hook, a call, mailboxes, the API and the control socket: none of them needs more."""
    port, odmr, admin = low_port(PRIVILEGED_HOST), free_port(), free_port()
    office = ConfinedHost(tmp_path / "office", OFFICE.format(host=PRIVILEGED_HOST, port=port, odmr=odmr, admin=admin))
    site = ConfinedHost(tmp_path / "site", SITE.format(folder=tmp_path / "site", port=free_port(), odmr=odmr))
    password = site.folder / "office.password"
    password.touch(mode=0o600)
    password.write_text("tanstaaf-tanstaaf\n")
    with office, site:
        added = [*office._prefix, str(Path(sys.executable).with_name("restante")), "user", "add", "site"]
        options = ["--domain", "test.example", "--password-stdin", "--config", str(office.config)]
        subprocess.run([*added, *options], input="tanstaaf-tanstaaf\n", text=True, check=True, capture_output=True)
        office.wait_for_log("configuration reloaded")
        with smtplib.SMTP(PRIVILEGED_HOST, port, local_hostname="client.example") as client:
            client.starttls(context=ssl._create_unverified_context())
            client.sendmail("carla@far.example", "anna@test.example", letter("under limits", "x" * 300_000))
        office.cli("reload")
        site.cli("call", "office", "--wait")
        site.wait_for_mail(1)
        assert office.waiting() == 0
        assert (site.folder / "data/link").read_text() == "up\n"
        socket.create_connection(("127.0.0.1", admin), timeout=60).close()


def test_systemd_hears_of_the_start_and_that_all_goes_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As `Type=notify` and `WatchdogSec=` want it: without a word in time the host would be started again."""
    assert {"Type=notify", "WatchdogSec=60s"} <= set(UNIT.read_text().splitlines())
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(60)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "400000")
        config = f'hostname = "site.example"\ndata = "data"\n[[listen]]\naddress = "127.0.0.1:{free_port()}"\n'
        with RestanteHost(tmp_path / "site", config):
            heard: list[bytes] = []
            while b"READY=1" not in heard or heard.count(b"WATCHDOG=1") < 3:
                heard.append(systemd.recv(4096))  # raises TimeoutError where nothing is said


@pytest.mark.usefixtures("systemd")
def test_the_unit_is_in_order(tmp_path: Path) -> None:
    """Systemd finds nothing wrong with it, and little that it leaves open."""
    unit = tmp_path / "restante.service"
    unit.write_text(UNIT.read_text().replace("/usr/local/bin/restante", "/bin/true").replace("Documentation", "#"))
    found = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", str(unit)]
    rated = subprocess.run(security, capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout
