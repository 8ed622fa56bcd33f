"""Nobody else gets the mail: strangers at the ports of a real `restante serve`, and who may, for comparison.

At each next hop a Trap listens: had any try been granted, somebody would come there. The site itself may ask, in the
end, and then somebody does.
"""

from __future__ import annotations

import base64
import random
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.hostile.attack import connect, replies, say
from tests.hostile.office import Trap
from tests.net.authority import CLIENT, Authority, Issued, Wish, self_made
from tests.release.rights import forms
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

from restante.logins.passwords import hash_password

AUTHORITY, OTHER_AUTHORITY = Authority(), Authority()
OWN, FOREIGN = self_made(), self_made()
NAMES = ("gw.site.example",)
NAMED = AUTHORITY.issue(Wish(NAMES, use=CLIENT))
SITE, PROXY, OUTSIDE = "127.0.1.7", "127.0.3.1", "127.0.9.9"
PASSWORD = "tanstaaf"
DOMAINS = ("by-address.example", "by-user.example", "by-key.example", "by-name.example")
STRANGE_CERTIFICATES = {
    "self-signed with the name": self_made(Wish(NAMES, use=CLIENT)),
    "by another authority": OTHER_AUTHORITY.issue(Wish(NAMES, use=CLIENT)),
    "expired": AUTHORITY.issue(Wish(NAMES, -9, -1, CLIENT)),
    "another site's": AUTHORITY.issue(Wish(("gw.other.example",), use=CLIENT)),
    "another site's own": FOREIGN,
}


@dataclass(frozen=True, slots=True)
class Told:
    """The office, the port for everybody and the one behind a proxy, and where its mail would go."""

    host: RestanteHost
    port: int
    proxied: int
    odmr: int
    trap: Trap
    folder: Path


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Told]:
    """Holds a message for each of DOMAINS."""
    folder = tmp_path_factory.mktemp("rights")
    authority = AUTHORITY.own.write(folder, "clients").certificate
    port, proxied, odmr, trap = free_port(), free_port(), free_port(), Trap()
    grants = (SITE, "user:site", f"cert:{OWN.fingerprint}", "cert:gw.site.example")
    held = "".join(
        f'[domains."{name}"]\naction = "hold"\nnext_hop = "127.0.0.1:{trap.port}"\nrelease_from = ["{grant}"]\n'
        f'group = "customers"\n'
        for name, grant in zip(DOMAINS, grants, strict=True)
    )
    config = f"""
hostname = "office.example"
data = "data"
[tls]
client_ca = "{authority}"
[limits]
connections_per_address = 100000
connection_rate = 100000
[[listen]]
address = "127.0.0.1:{port}"
[[listen]]
address = "127.0.0.1:{proxied}"
proxy_from = ["{PROXY}"]
[[listen]]
address = "127.0.0.1:{odmr}"
service = "odmr"
{held}
[users.site]
password = "{hash_password(PASSWORD)}"
[users.other]
password = "{hash_password(PASSWORD)}"
"""
    try:
        with RestanteHost(folder / "office", config) as host:
            rcpt = "".join(f"RCPT TO:<anna@{name}>\r\n" for name in DOMAINS)
            heard = say(port, f"HELO x\r\nMAIL FROM:<>\r\n{rcpt}BDAT 3 LAST\r\nx\r\nQUIT\r\n".encode())
            assert [reply[:3] for reply in replies(heard)] == ["220", *["250"] * 7, "221"]
            yield Told(host, port, proxied, odmr, trap, folder)
    finally:
        trap.close()


def talk(connection: socket.socket, said: bytes, ends_with: bytes) -> bytes:
    """Says something, and hears all up to a line that ends the answer."""
    connection.sendall(said)
    heard = b""
    while not any(line.startswith(ends_with) for line in heard.split(b"\r\n")[:-1]):
        try:
            data = connection.recv(65536)
        except TimeoutError:
            raise AssertionError(f"nothing comes behind {heard!r}") from None
        assert data, f"it hung up after {heard!r}"
        heard += data
    return heard


def under_tls(office: Told, connection: socket.socket, shown: Issued | None) -> ssl.SSLSocket:
    """STARTTLS, and EHLO again."""
    talk(connection, b"EHLO x.example\r\n", b"250 ")
    talk(connection, b"STARTTLS\r\n", b"220 2.0.0")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if shown is not None:
        pair = shown.write(office.folder, shown.fingerprint)
        context.load_cert_chain(pair.certificate, pair.key)
    encrypted = context.wrap_socket(connection)
    talk(encrypted, b"EHLO x.example\r\n", b"250 ")
    return encrypted


def ask_all(connection: socket.socket, chance: random.Random) -> int:
    """ETRN for everything, in forms by chance; all is refused. How many that was."""
    arguments = [
        *DOMAINS,
        "@example",
        "#customers",
        "127.0.0.1",
        *chance.sample(forms(chance.choice(DOMAINS), chance), 9),
    ]
    for argument in arguments:
        heard = talk(connection, f"ETRN {argument}\r\nNOOP\r\n".encode(), b"250 2.0.0 OK")
        granted = [reply for reply in replies(heard) if reply[:3] in ("251", "252", "253") or "started" in reply]
        assert not granted, f"ETRN {argument!r}: {granted}"
    return len(arguments)


def plain(user: str, password: str) -> bytes:
    """AUTH PLAIN."""
    return b"AUTH PLAIN " + base64.b64encode(f"\0{user}\0{password}".encode()) + b"\r\n"


def tries(office: Told, chance: random.Random) -> int:
    """Every kind of stranger, once."""
    done = 0
    with connect(office.port, OUTSIDE) as connection:
        talk(connection, b"", b"220 ")
        done += ask_all(connection, chance)
    for source, octets in forged():
        with connect(office.port, source) as connection:
            talk(connection, octets + b"\r\nNOOP\r\n", b"250 2.0.0 OK")
            done += ask_all(connection, chance)
    for shown in (None, *STRANGE_CERTIFICATES.values()):
        with connect(office.port, OUTSIDE) as connection:
            talk(connection, b"", b"220 ")
            with under_tls(office, connection, shown) as encrypted:
                done += ask_all(encrypted, chance)
    for user, password, code in (("site", "wrong", b"535"), ("other", PASSWORD, b"235"), ("nobody", "x", b"535")):
        with connect(office.port, OUTSIDE) as connection:
            talk(connection, b"", b"220 ")
            with under_tls(office, connection, None) as encrypted:
                talk(encrypted, plain(user, password), code)
                done += ask_all(encrypted, chance)
    return done


def forged() -> Iterator[tuple[str, bytes]]:
    """A PROXY header in the name of the site, from who is no proxy here; even from the proxy's own address."""
    text = f"PROXY TCP4 {SITE} 127.0.0.1 40000 25\r\n".encode()
    addresses = socket.inet_aton(SITE) + socket.inet_aton("127.0.0.1") + (40000).to_bytes(2) + (25).to_bytes(2)
    binary = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + len(addresses).to_bytes(2) + addresses
    for octets in (text, binary, f"XCLIENT ADDR={SITE}\r\n".encode()):
        yield OUTSIDE, octets
        yield PROXY, octets


def test_strangers_get_nothing(office: Told) -> None:
    """Some hundred tries; nobody came to the next hop, and the log has each refusal with who asked."""
    done = tries(office, random.Random(7))
    assert done > 200
    assert office.trap.caught == 0
    log = office.host.log()
    assert log.count("release not granted") >= done // 2
    assert "release granted" not in log


def test_behind_the_proxy_s_port_only_the_proxy_speaks_for_others(office: Told) -> None:
    """From elsewhere a header is no header; from the proxy somebody else's address is somebody else."""
    for source, octets in forged():
        if source == PROXY:
            continue
        with connect(office.proxied, source) as connection:
            talk(connection, octets + b"\r\nNOOP\r\n", b"250 2.0.0 OK")
            ask_all(connection, random.Random(1))
    header = f"PROXY TCP4 {OUTSIDE} 127.0.0.1 40000 25\r\n".encode()
    with connect(office.proxied, PROXY) as connection:
        talk(connection, header, b"220 ")
        ask_all(connection, random.Random(1))
    assert office.trap.caught == 0


def test_strangers_get_nothing_by_atrn(office: Told) -> None:
    """530 without a login, whatever certificate is shown; 450 with another's, the same for what is unknown."""
    for shown in (None, NAMED):
        with connect(office.odmr, OUTSIDE) as connection:
            talk(connection, b"", b"220 ")
            with under_tls(office, connection, shown) as encrypted:
                for name in DOMAINS:
                    talk(encrypted, f"ATRN {name}\r\n".encode(), b"530 5.7.0")
                if shown is None:
                    talk(encrypted, plain("other", PASSWORD), b"235")
                    for argument in (" by-user.example", " by-address.example", " by-usor.example", ""):
                        talk(encrypted, f"ATRN{argument}\r\n".encode(), b"450 4.7.1 ATRN request refused")
    assert office.trap.caught == 0


def test_who_may_gets_it(office: Told) -> None:
    """By its address, by login, by key, by name, through the proxy: else the tests above would show nothing."""

    def is_granted(connection: socket.socket, name: str) -> None:
        before = office.trap.caught
        talk(connection, f"ETRN {name}\r\n".encode(), b"253 2.0.0 OK, 1 pending")
        end = time.monotonic() + 90
        while office.trap.caught == before:
            assert time.monotonic() < end, office.host.log()
            time.sleep(0.02)

    with connect(office.port, SITE) as connection:
        talk(connection, b"", b"220 ")
        is_granted(connection, "by-address.example")
    with connect(office.port, OUTSIDE) as connection:
        talk(connection, b"", b"220 ")
        with under_tls(office, connection, None) as encrypted:
            talk(encrypted, plain("site", PASSWORD), b"235")
            is_granted(encrypted, "by-user.example")
    for shown, name in ((OWN, "by-key.example"), (NAMED, "by-name.example")):
        with connect(office.port, OUTSIDE) as connection:
            talk(connection, b"", b"220 ")
            with under_tls(office, connection, shown) as encrypted:
                is_granted(encrypted, name)
    with connect(office.proxied, PROXY) as connection:
        talk(connection, f"PROXY TCP4 {SITE} 127.0.0.1 40000 25\r\n".encode(), b"220 ")
        is_granted(connection, "by-address.example")
