"""A site tells its office who exists, when it calls: two real processes, and the office's API over TLS.

The office refuses mail for others while the site is away, and nobody is bounced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.net.authority import Authority, Wish
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.test_recipients import SENDER
from tests.stories.wire import send, typed
from tests.waiting import wait_until

from restante.logins.passwords import hash_password

PASSWORD = "tanstaaf"
HASH = hash_password(PASSWORD)
OFFICE = f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{{port}}"
[[listen]]
address = "127.0.0.1:{{odmr}}"
service = "odmr"
[tls]
certificate = "office.pem"
key = "office.key"
[admin]
address = "127.0.0.1:{{api}}"
tls = true
[users.site]
password = "{HASH}"
domains = ["test.example"]
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{{site}}"
"""
SITE = """
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{site}"
[domains."test.example"]
action = "deliver"
users = ["anna"]
aliases = {{ info = ["anna"] }}
[calls.office]
host = "127.0.0.1:{contact}"
protocol = "{protocol}"
domains = ["test.example"]
user = "site"
password_file = "password"
window = "1m"
idle = "1s"
recipients_to = "https://localhost:{api}"
recipients_ca = "ca.pem"
"""


@dataclass
class Story:
    """The two hosts; the site is online for a call alone."""

    office: RestanteHost
    site: RestanteHost
    port: int

    def call(self) -> None:
        """The site comes online, calls, files what came, and is away again."""
        with self.site as site:
            site.cli("call", "office", "--wait")
            site.wait_until_empty()

    def offered(self, recipient: str) -> str:
        """What the office says to a recipient."""
        return typed(self.port, "HELO far.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{recipient}>", "QUIT")[2]

    def until(self, recipient: str, said: str) -> None:
        """Waits until the office says that to a recipient: a list is in force a moment after it was taken."""
        wait_until(lambda: self.offered(recipient).startswith(said), lambda: self.offered(recipient))


@contextmanager
def story(folder: Path, protocol: str) -> Iterator[Story]:
    """The office runs, and the site is ready to."""
    ports = {name: free_port() for name in ("port", "odmr", "api", "site")}
    contact = ports["odmr" if protocol == "atrn" else "port"]
    office = RestanteHost(folder / "office", OFFICE.format(**ports))
    site = RestanteHost(folder / "site", SITE.format(**ports, contact=contact, protocol=protocol))
    authority = Authority()
    authority.own.write(site.folder, "ca")
    authority.issue(Wish(("localhost", "office.example"))).write(office.folder, "office")
    (site.folder / "password").write_text(f"{PASSWORD}\n")
    with office:
        yield Story(office, site, ports["port"])


@pytest.mark.parametrize("protocol", ["etrn", "atrn"])
def test_an_office_knows_who_exists_from_the_first_call_on(tmp_path: Path, protocol: str) -> None:
    """Users, aliases, tags and postmaster are taken, nobody else; a user who is new is known after the next call."""
    with story(tmp_path, protocol) as they:
        assert they.offered("nobody@test.example").startswith("250")
        send(they.port, SENDER, "anna@test.example", b"Subject: hello\r\n\r\nHello.\r\n")
        they.call()
        assert len(they.site.mail("anna@test.example")) == 1
        they.until("nobody@test.example", "550 5.1.1")
        for name in ("anna", "Anna+lists", "info", "postmaster"):
            assert they.offered(f"{name}@test.example").startswith("250"), name
        shown = json.loads(they.office.cli("domain", "recipients", "test.example", "--json"))
        assert shown["where"] == "store"
        assert [row["address"].partition("@")[0] for row in shown["recipients"]] == ["anna", "info", "postmaster"]
        they.office.wait_for_log("info recipients sent ")

        they.site.config.write_text(they.site.config.read_text().replace('["anna"]\nal', '["anna", "bert"]\nal'))
        assert they.offered("bert@test.example").startswith("550 5.1.1")
        they.call()
        they.until("bert@test.example", "250")
        they.site.wait_for_log("info recipients told ", times=2)
        they.office.wait_for_log("info recipients sent ", times=2)
        assert they.site.log().count("info recipients told ") == 2
        assert they.office.log().count("info recipients sent ") == 2
        assert they.offered("nobody@test.example").startswith("550 5.1.1")
        assert they.office.waiting() == 0
