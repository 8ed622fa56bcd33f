"""A real HAProxy before an office: who connects to it is who the office sees, in text and in binary, and under TLS."""

from __future__ import annotations

import smtplib
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.here import PEERS
from tests.stories.peers import ENVIRONMENT
from tests.stories.ports import free_port, wait_for_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import typed

pytestmark = pytest.mark.peer
PROXY = "127.0.3.1"
SITE, OTHER = "127.0.1.7", "127.0.1.8"


def office_config(plain: int, implicit: int) -> str:
    """Holds a site's mail, behind a proxy; where the proxy comes from itself, nothing is granted."""
    listeners = "".join(
        f'[[listen]]\naddress = "127.0.0.1:{port}"\ntls = "{tls}"\nproxy_from = ["{PROXY}"]\n'
        for port, tls in ((plain, "starttls"), (implicit, "implicit"))
    )
    return f"""hostname = "office.example"
data = "data"
{listeners}
[limits]
connections_per_address = 2
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{free_port()}"
release_from = ["{SITE}"]
"""


@contextmanager
def haproxy(folder: Path, servers: dict[str, tuple[int, str]]) -> Iterator[dict[str, int]]:
    """Listens on a port for each server, given as its port and the words behind it; looks at their health, too."""
    ports = {name: free_port() for name in servers}
    config = "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n"
    for name, (port, words) in servers.items():
        config += f"listen {name}\n  bind 127.0.0.1:{ports[name]}\n  source {PROXY}\n"
        config += f"  server office 127.0.0.1:{port} {words}\n"
    file = folder / "haproxy.cfg"
    file.write_text(config)
    argv = [str(PEERS / "usr/sbin/haproxy"), "-db", "-f", str(file)]
    with (folder / "haproxy.log").open("wb") as log:
        process = subprocess.Popen(argv, env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        for port in ports.values():
            wait_for_port(port)
        yield ports
    except BaseException as error:
        error.add_note((folder / "haproxy.log").read_text())
        raise
    finally:
        process.terminate()
        process.wait()


def test_who_connects_to_haproxy_is_who_the_office_sees(tmp_path: Path) -> None:
    """Rights and limits are the client's; version 1, version 2, version 2 with TLVs, and a look at our health."""
    plain, implicit = free_port(), free_port()
    servers = {
        "v1": (plain, "send-proxy"),
        "v2": (plain, "send-proxy-v2"),
        "tlvs": (plain, "send-proxy-v2 proxy-v2-options unique-id,crc32c check inter 200ms"),
        "tls": (implicit, "send-proxy-v2"),
    }
    with (
        RestanteHost(tmp_path / "office", office_config(plain, implicit)) as office,
        haproxy(tmp_path, servers) as ports,
    ):
        for name in ("v1", "v2", "tlvs"):
            assert "251 2.0.0" in typed(ports[name], "ETRN test.example", source=SITE)[0], name
            assert "459 4.7.1" in typed(ports[name], "ETRN test.example", source=OTHER)[0], name
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for source, code in ((SITE, 251), (OTHER, 459)):
            with smtplib.SMTP_SSL("127.0.0.1", ports["tls"], context=context, source_address=(source, 0)) as secured:
                assert secured.docmd("ETRN", "test.example")[0] == code
        held = [smtplib.SMTP("127.0.0.1", ports["v2"], source_address=(OTHER, 0)) for _ in range(2)]
        with pytest.raises(smtplib.SMTPConnectError, match="Too many connections from you"):
            smtplib.SMTP("127.0.0.1", ports["v2"], source_address=(OTHER, 0))
        assert "251 2.0.0" in typed(ports["v2"], "ETRN test.example", source=SITE)[0]
        for client in held:
            client.quit()
        office.wait_for_log(f"principal={SITE}")
        assert f"principal={PROXY}" not in office.log()


def test_without_a_proxy_a_header_proves_nothing(tmp_path: Path) -> None:
    """From anybody else it is a command that is not known, and rights are those of his own address."""
    plain = free_port()
    with RestanteHost(tmp_path / "office", office_config(plain, free_port())):
        said = typed(plain, f"PROXY TCP4 {SITE} 127.0.0.1 1 25", "ETRN test.example", source=OTHER)
        assert said[0].startswith("500 5.5.2")
        assert "459 4.7.1" in said[1]
        assert "251 2.0.0" in typed(plain, "ETRN test.example", source=SITE)[0]
