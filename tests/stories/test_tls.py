"""TLS as others see it: OpenSSL's own client, and testssl.sh, against a restante that serves."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.here import PEERS, not_here
from tests.net.authority import CLIENT, Authority, Wish, self_made
from tests.stories.peers import ENVIRONMENT, LIBRARIES
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

from restante.net.tls import Pair

pytestmark = pytest.mark.peer

OLD, NEW = self_made(Wish(("office.example",))), self_made(Wish(("office.example",)))
SITE, AUTHORITY = self_made(), Authority()
NAMED = AUTHORITY.issue(Wish(("site.example",), use=CLIENT))


@dataclass(frozen=True, slots=True)
class Served:
    """An office, its two ports, its certificate's files, and a folder for others'."""

    host: RestanteHost
    starttls: int
    implicit: int
    own: Pair
    folder: Path


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Holds a domain for whoever shows one certificate, and another for a name that the authority vouches for."""
    folder = tmp_path_factory.mktemp("tls")
    own, authority = OLD.write(folder, "office"), AUTHORITY.own.write(folder, "client-ca")
    starttls, implicit = free_port(), free_port()
    config = f"""
hostname = "office.example"
data = "data"
[tls]
certificate = "{own.certificate}"
key = "{own.key}"
client_ca = "{authority.certificate}"
[[listen]]
address = "127.0.0.1:{starttls}"
service = "mx"
[[listen]]
address = "127.0.0.1:{implicit}"
service = "mx"
tls = "implicit"
[domains."by-key.example"]
action = "hold"
next_hop = "127.0.0.1:{free_port()}"
release_from = ["cert:{SITE.fingerprint}"]
[domains."by-name.example"]
action = "hold"
next_hop = "127.0.0.1:{free_port()}"
release_from = ["cert:site.example"]
"""
    with RestanteHost(folder / "office", config) as host:
        yield Served(host, starttls, implicit, own, folder)


def s_client(port: int, *options: str | Path, say: str = "", is_starttls: bool = False) -> str:
    """What `openssl s_client` prints, and what it is told, of a connection on which `say` is said."""
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-ign_eof", *map(str, options)]
    if is_starttls:
        argv += ["-starttls", "smtp"]
    done = subprocess.run(argv, input=say or "QUIT\r\n", capture_output=True, text=True, timeout=100, check=False)
    return done.stdout + done.stderr


@pytest.mark.parametrize("is_starttls", [True, False], ids=["starttls", "implicit"])
@pytest.mark.parametrize("version", ["tls1", "tls1_1"])
def test_old_versions_are_refused(version: str, is_starttls: bool, office: Served) -> None:
    """By the server: this client would take them."""
    port = office.starttls if is_starttls else office.implicit
    said = s_client(port, f"-{version}", "-cipher", "ALL:@SECLEVEL=0", is_starttls=is_starttls)
    assert "alert protocol version" in said, said
    assert "Cipher is (NONE)" in said, said


@pytest.mark.parametrize("is_starttls", [True, False], ids=["starttls", "implicit"])
@pytest.mark.parametrize(("version", "name"), [("tls1_2", "TLSv1.2"), ("tls1_3", "TLSv1.3")])
def test_new_versions_are_spoken(version: str, name: str, is_starttls: bool, office: Served) -> None:
    """Without compression, renegotiation or tickets that could be used again."""
    port = office.starttls if is_starttls else office.implicit
    said = s_client(port, f"-{version}", say="EHLO x.example\r\nQUIT\r\n", is_starttls=is_starttls)
    assert f"New, {name}, Cipher is " in said, said
    assert "Compression: NONE" in said
    assert "221 2.0.0" in said
    assert "Reused" not in s_client(port, f"-{version}", "-reconnect", is_starttls=is_starttls)


def test_a_client_cannot_renegotiate(office: Served) -> None:
    """OpenSSL's client does it at a line that begins with R."""
    argv = ["openssl", "s_client", "-connect", f"127.0.0.1:{office.implicit}", "-tls1_2"]
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        for line in client.stdout:
            if line.startswith("220 "):
                break
        client.stdin.write("R\n")
        client.stdin.flush()
        assert "no renegotiation" in client.stdout.read()


def asked(office: Served, node: str, pair: Pair | None) -> str:
    """The reply to an ETRN of a client that shows this certificate."""
    shown = ("-cert", pair.certificate, "-key", pair.key) if pair is not None else ()
    say = f"EHLO site.example\r\nETRN {node}\r\nQUIT\r\n"
    said = s_client(office.implicit, *shown, say=say)
    [line] = [line for line in said.splitlines() if line[:3] in ("251", "459")]
    return line[:3]


def test_a_certificate_may_release_what_it_was_granted(office: Served) -> None:
    """By its fingerprint, whoever issued it; by a name, where the authority vouches for that; else it may nothing."""
    key, name = SITE.write(office.folder, "site"), NAMED.write(office.folder, "named")
    forged = Authority().issue(Wish(("site.example",), use=CLIENT)).write(office.folder, "forged")
    expired = AUTHORITY.issue(Wish(("site.example",), -9, -1, CLIENT)).write(office.folder, "expired")
    assert asked(office, "by-key.example", key) == "251"
    assert asked(office, "by-name.example", name) == "251"
    for node, pair in [
        ("by-key.example", name),
        ("by-key.example", None),
        ("by-name.example", key),
        ("by-name.example", forged),
        ("by-name.example", expired),
        ("by-name.example", None),
    ]:
        assert asked(office, node, pair) == "459", (node, pair)


def test_a_renewed_certificate_is_shown_without_a_restart(office: Served) -> None:
    """And what does not fit together is not; the log says both."""

    def shown() -> str:
        said = s_client(office.starttls, is_starttls=True)
        der = subprocess.run(
            ["openssl", "x509", "-noout", "-fingerprint", "-sha256"],
            input=said,
            capture_output=True,
            text=True,
            check=True,
        )
        return der.stdout.strip().partition("=")[2].replace(":", "").lower()

    assert shown() == OLD.fingerprint
    (office.folder / "new").mkdir()
    new = NEW.write(office.folder / "new", "office")
    new.key.replace(office.own.key)
    assert shown() == OLD.fingerprint
    office.host.wait_for_log("the one before stays in force")
    new.certificate.replace(office.own.certificate)
    assert shown() == NEW.fingerprint
    office.host.wait_for_log("is in force now")


SOUND = {
    **dict.fromkeys(("SSLv2", "SSLv3", "TLS1", "TLS1_1"), "not offered"),
    "TLS1_2": "offered",
    "TLS1_3": "offered with final",
    **{f"cipherlist_{kind}": "not offered" for kind in ("NULL", "aNULL", "EXPORT", "LOW", "3DES_IDEA", "AVERAGE")},
    "cipherlist_STRONG": "offered",
    "PFS": "offered",
    "CRIME_TLS": "not vulnerable",
}


def test_testssl_finds_nothing_weak(office: Served, tmp_path: Path) -> None:
    """TLS 1.2 and later, suites with forward secrecy and authenticated encryption, no compression."""
    testssl = PEERS / "usr/bin/testssl"
    if not testssl.exists():
        not_here("no testssl in .peers/ (script/peers fetches it on Debian or Ubuntu)")
    found = tmp_path / "found.json"
    environment = {
        **ENVIRONMENT,
        "TESTSSL_INSTALL_DIR": str(PEERS / "etc/testssl"),
        "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)),
    }
    tests = ["--protocols", "--std", "--pfs", "--crime"]
    argv = ["bash", str(testssl), "--quiet", "--color", "0", "--warnings", "off", "--nodns", "none"]
    argv += ["--openssl", shutil.which("openssl") or "", "--jsonfile", str(found), *tests, "--starttls", "smtp"]
    argv.append(f"127.0.0.1:{office.starttls}")
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=110, check=False)
    assert found.exists(), done.stdout + done.stderr
    findings = {finding["id"]: finding for finding in json.loads(found.read_text())}
    for name, expected in SOUND.items():
        assert expected in findings[name]["finding"], findings[name]
    weak = [finding for finding in findings.values() if finding["severity"] in ("LOW", "MEDIUM", "HIGH", "CRITICAL")]
    assert not weak, weak
