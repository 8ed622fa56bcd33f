"""Mail to domains that have published how safely it wants to be sent: a real Postfix at the other end, real DNSSEC, a
real HTTPS server for policies.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.mx.web import WEB, Web, policy, serving
from tests.net.authority import Authority, Issued, Wish, self_made
from tests.stories.peers import Postfix, swaks
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.world import World

from restante.net.certificates import key_octets

pytestmark = [pytest.mark.peer, pytest.mark.netns]

MX1, MX2, BARE = "192.0.2.7", "192.0.2.8", "192.0.2.9"
AUTHORITY = Authority()
OWN = self_made(Wish(("whatever.example",), -9, -1))
"""Expired, for another name, signed by itself: what a record of DANE says of its key is enough."""
TRUSTED = AUTHORITY.issue(Wish(("mx2.plain.example",)))
DANE = ("good", "wrong", "forged", "stripped", "second", "told")
STS = ("good", "changed", "untrusted", "tested", "cached")
WEBS = AUTHORITY.issue(Wish(tuple(f"mta-sts.{name}.plain.example" for name in STS)))


def digest(of: Issued) -> str:
    """As in a record 3 1 1."""
    return hashlib.sha256(key_octets(of.certificate)).hexdigest()


SAFE = f"""
good MX 10 mx1
mx1 A {MX1}
_25._tcp.mx1 TLSA 3 1 1 {digest(OWN)}
wrong MX 10 mx3
mx3 A {MX1}
_25._tcp.mx3 TLSA 3 1 1 {"00" * 32}
forged MX 10 mx4
mx4 A {MX1}
_tcp.mx4 NS ns
stripped MX 10 mx5
mx5 A {BARE}
_25._tcp.mx5 TLSA 3 1 1 {digest(OWN)}
second MX 10 mx3
second MX 20 mx1
told MX 10 mx1
"""
PLAIN = f"""
mx1 A {MX1}
mx2 A {MX2}
good MX 10 mx2
changed MX 10 mx2
untrusted MX 10 mx1
tested MX 10 mx1
cached MX 10 mx2
"""


def zone_of_policies(**ids: str) -> str:
    """The zone, with policies of these ids; of 1 where none is said."""
    texts = (f'_mta-sts.{name} TXT "v=STSv1; id={ids.get(name, "1")};"' for name in STS)
    return "\n".join([PLAIN, *texts, *(f"mta-sts.{name} A {WEB}" for name in STS)])


@dataclass
class Around:
    """A world with an office that relays, two mail servers with TLS, and one without."""

    world: World
    office: RestanteHost
    port: int
    servers: dict[str, Postfix]
    web: Web

    def send(self, domain: str) -> None:
        """Puts a message in, for anna of that domain."""
        swaks(self.port, "--to", f"anna@{domain}", "--from", "bert@office.example", "--body", "Hello")

    def came(self, server: str, domain: str, *, messages: int = 1) -> bytes:
        """The message that came to a server for anna of a domain, the last of so many."""
        end = time.monotonic() + 90
        while True:
            found = [mail for mail in self.servers[server].mail("anna") if f"for <anna@{domain}>".encode() in mail]
            if len(found) >= messages:
                return found[-1]
            assert time.monotonic() < end, self.servers[server].log()
            time.sleep(0.05)

    def waits(self, domain: str, why: str) -> None:
        """Mail for a domain waits, the log says why, and no server was told of it."""
        end = time.monotonic() + 90
        while not re.search(rf"{re.escape(domain)}.*{re.escape(why)}", self.office.log()):
            assert time.monotonic() < end, f"{domain}: {why!r} was not said"
            time.sleep(0.05)
        assert [item["state"] for item in self.office.items() if item["domain"] == domain] == ["waiting"]
        for server in self.servers.values():
            assert f"@{domain}" not in server.log()

    def report(self, domain: str) -> list[dict[str, Any]]:
        """The policies of a report on a domain."""
        day = time.strftime("%Y-%m-%d", time.gmtime())
        report = json.loads(self.office.cli("tls-report", domain, "--date", day, "--json"))
        policies: list[dict[str, Any]] = report["policies"]
        return policies


def server(name: str, address: str, issued: Issued | None, folder: Path) -> Postfix:
    """A mail server for all of these domains; with a certificate it has TLS."""
    domains = [f"{name}.safe.example" for name in DANE] + [f"{name}.plain.example" for name in STS]
    settings = f"""\
virtual_mailbox_domains = {" ".join(domains)}
virtual_mailbox_maps = static:anna/
smtpd_tls_received_header = yes
"""
    if issued is not None:
        pair = issued.write(folder, name)
        settings += f"""\
smtpd_tls_security_level = may
smtpd_tls_cert_file = {pair.certificate}
smtpd_tls_key_file = {pair.key}
"""
    return Postfix(name, settings, port=25, address=address)


def config(port: int) -> str:
    """An office that relays for this host, by MX; what waits is tried again by hand."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
tls = "off"
[relay]
from = ["127.0.0.0/8"]
[domains."*"]
action = "relay"
next_hop = "mx"
retry = ["1h"]
{World.dns}"""


@pytest.fixture(scope="module")
def around(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Around]:
    """All of it, once."""
    folder = tmp_path_factory.mktemp("security")
    with pytest.MonkeyPatch.context() as patch, World() as world, ExitStack() as stack:
        patch.setenv("SSL_CERT_FILE", str(AUTHORITY.own.write(folder, "authority").certificate))
        world.zone("safe.example", SAFE, signed=True)
        world.zone("_tcp.mx4.safe.example", f"_25 TLSA 3 1 1 {digest(OWN)}", bogus=True)
        world.zone("plain.example", zone_of_policies())
        world.start_dns()
        web = stack.enter_context(serving(WEBS.write(folder, "web")))
        servers = {
            "mx1": server("mx1", MX1, OWN, folder),
            "mx2": server("mx2", MX2, TRUSTED, folder),
            "bare": server("bare", BARE, None, folder),
        }
        for each in servers.values():
            subprocess.run(["ip", "addr", "add", f"{each.address}/32", "dev", "lo"], check=True)  # Postfix looks
            stack.enter_context(each)
        port = free_port()
        office = stack.enter_context(RestanteHost(folder / "office", config(port)))
        yield Around(world, office, port, servers, web)


# DANE


def test_a_key_that_dane_names(around: Around) -> None:
    """Is enough, though nobody else would trust the certificate."""
    around.send("good.safe.example")
    assert b"(using TLSv1.3 " in around.came("mx1", "good.safe.example")


def test_another_key_than_dane_names(around: Around) -> None:
    """Nothing is said to it, and the mail waits."""
    around.send("wrong.safe.example")
    around.waits("wrong.safe.example", "not what the TLSA records say")


def test_the_next_host_may_be_the_right_one(around: Around) -> None:
    """The first of the two is passed over."""
    around.send("second.safe.example")
    assert b"(using TLSv1.3 " in around.came("mx1", "second.safe.example")


def test_records_that_are_forged(around: Around) -> None:
    """The host is not even dialled."""
    around.send("forged.safe.example")
    around.waits("forged.safe.example", "SERVFAIL")


def test_a_server_without_tls_that_dane_says_has_it(around: Around) -> None:
    """As when somebody on the way has taken STARTTLS out of its answer."""
    around.send("stripped.safe.example")
    around.waits("stripped.safe.example", "STARTTLS is not offered")


# MTA-STS


def test_a_policy_that_is_fulfilled(around: Around) -> None:
    """Its host has a certificate that an authority of the system has issued."""
    around.web.said["good.plain.example"] = policy("enforce", "mx2.plain.example")
    around.send("good.plain.example")
    assert b"(using TLSv1.3 " in around.came("mx2", "good.plain.example")


def test_a_certificate_that_is_not_trusted(around: Around) -> None:
    """Nothing is said there, and the mail waits."""
    around.web.said["untrusted.plain.example"] = policy("enforce", "*.plain.example")
    around.send("untrusted.plain.example")
    around.waits("untrusted.plain.example", "the certificate is not trusted")


def test_a_policy_that_is_tested(around: Around) -> None:
    """Delivers, and counts what would have been wrong, as it counts what was right."""
    around.web.said["tested.plain.example"] = policy("testing", "mx1.plain.example")
    around.send("tested.plain.example")
    assert b"(using TLSv1.3 " in around.came("mx1", "tested.plain.example")
    around.send("told.safe.example")
    around.came("mx1", "told.safe.example")
    around.office.stop()  # it writes at its end, or once a minute
    around.office.start()
    [tested], [told] = around.report("tested.plain.example"), around.report("told.safe.example")
    assert tested["policy"]["policy-type"] == "sts"
    assert tested["summary"] == {"total-successful-session-count": 0, "total-failure-session-count": 1}
    assert tested["failure-details"][0]["result-type"] == "certificate-not-trusted"
    assert told["policy"]["policy-type"] == "tlsa"
    assert told["policy"]["policy-string"] == [f"3 1 1 {digest(OWN)}"]
    assert told["summary"] == {"total-successful-session-count": 1, "total-failure-session-count": 0}


def test_a_policy_that_is_mended(around: Around) -> None:
    """The mail waits while it names another host; a new id tells of a new policy, and the mail goes."""
    around.web.said["changed.plain.example"] = policy("enforce", "mx9.plain.example")
    around.send("changed.plain.example")
    around.waits("changed.plain.example", "not one that the policy of MTA-STS names")
    around.web.said["changed.plain.example"] = policy("enforce", "mx2.plain.example")
    around.world.zone("plain.example", zone_of_policies(changed="2"))
    around.world.start_dns()
    around.office.cli("release", "*")
    around.came("mx2", "changed.plain.example")


def test_a_policy_is_kept_over_a_restart(around: Around) -> None:
    """It is in force though its web server does not have it any more, and a new id tells of another."""
    around.web.said["cached.plain.example"] = policy("enforce", "mx2.plain.example")
    around.send("cached.plain.example")
    around.came("mx2", "cached.plain.example")
    around.office.stop()
    del around.web.said["cached.plain.example"]
    around.world.zone("plain.example", zone_of_policies(cached="2").replace("cached MX 10 mx2", "cached MX 10 mx1"))
    around.world.start_dns()
    around.office.start()
    around.send("cached.plain.example")
    around.office.wait_for_log("mx1.plain.example: the MX is not one that the policy of MTA-STS names")
    assert [item["domain"] for item in around.office.items()].count("cached.plain.example") == 1
