"""Real fetchmail is our customer (RFC 2645): it logs in, turns its connection round, and passes lines to its server.

The site behind it has no address that the office knows, and needs none.
"""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.peers import fetchmail_odmr
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

pytestmark = pytest.mark.peer

SECRET = "0bb8d1dafa8e72446250fca5b49a489bf91ec6f4e742f3f6"


def office_config(mx: int, odmr: int) -> str:
    """Holds domains of two customers, whose mail goes to whoever proves to be one."""
    held = "".join(
        f"""
[domains."{domain}"]
action = "hold"
next_hop = "caller"
"""
        for domain in ("one.example", "two.example", "other.example")
    )
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{mx}"
[[listen]]
address = "127.0.0.1:{odmr}"
service = "odmr"
{held}
[users.tim]
secret = "{SECRET}"
domains = ["one.example", "two.example"]
[users.ann]
secret = "{SECRET[::-1]}"
domains = ["other.example"]
"""


def site_config(port: int) -> str:
    """Reads the mail of both domains."""
    return f"""
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[domains."one.example"]
action = "deliver"
users = ["anna"]
[domains."two.example"]
action = "deliver"
users = ["bert"]
"""


class Customer:
    """An office, the site, and fetchmail between them."""

    def __init__(self, office: RestanteHost, site: RestanteHost, ports: tuple[int, int, int], folder: Path) -> None:
        self.office = office
        self.site = site
        self.mx, self._odmr, self._site_port = ports
        self._folder = folder

    def post(self, recipient: str, content: bytes) -> None:
        """Somebody writes to a domain that the office holds."""
        send(self.mx, "world@elsewhere.example", recipient, content)

    def fetch(self, *domains: str, secret: str = SECRET) -> CompletedProcess[str]:
        """Runs fetchmail once."""
        return fetchmail_odmr(self._odmr, self._site_port, *domains, user="tim", secret=secret, folder=self._folder)


@contextmanager
def customer(folder: Path) -> Iterator[Customer]:
    """Both hosts up."""
    ports = free_port(), free_port(), free_port()
    with (
        RestanteHost(folder / "office", office_config(*ports[:2])) as office,
        RestanteHost(folder / "site", site_config(ports[2])) as site,
    ):
        yield Customer(office, site, ports, folder)


def test_fetchmail_brings_the_mail_of_its_domains(tmp_path: Path) -> None:
    """Sixty messages that have broken mail servers, one of 5 MB, each once and byte for byte; status 0."""
    with customer(tmp_path) as made:
        letters = awkward_letters()
        for n, content in enumerate(letters):
            made.post("anna@one.example" if n % 2 else "bert@two.example", content)
        made.post("x@other.example", letter("somebody else's"))
        done = made.fetch("one.example", "two.example")
        assert done.returncode == 0, done
        assert "250 2.0.0 OK now reversing the connection" in done.stdout
        made.site.wait_for_mail(60)
        assert recognised(made.site.mail("anna@one.example"), letters) == dict.fromkeys(letters[1::2], 1)
        assert recognised(made.site.mail("bert@two.example"), letters) == dict.fromkeys(letters[0::2], 1)
        assert [item["domain"] for item in made.office.items()] == ["other.example"]
        made.office.wait_for_log('requester="127.0.0.1 user:tim by ATRN"')
        made.office.wait_for_log('granted=one.example,two.example reply="250 2.0.0 OK now')


def test_fetchmail_finds_no_mail(tmp_path: Path) -> None:
    """453 is no error to it: status 0."""
    with customer(tmp_path) as made:
        made.post("x@other.example", letter("somebody else's"))
        done = made.fetch("one.example")
        assert done.returncode == 0, done
        assert "453 4.2.0 You have no mail" in done.stdout
        assert made.office.waiting() == 1


def test_fetchmail_with_a_wrong_secret_gets_nothing(tmp_path: Path) -> None:
    """535, and a status that is not 0."""
    with customer(tmp_path) as made:
        made.post("anna@one.example", letter("stays"))
        done = made.fetch("one.example", secret=SECRET[::-1])
        assert done.returncode != 0, done
        assert "535 5.7.8 Authentication credentials invalid" in done.stdout
        assert "ATRN" not in done.stdout.replace("250-ATRN", "")
        assert made.office.waiting() == 1


@pytest.mark.parametrize("domains", [("other.example",), ("nosuch.example",), ("one.example", "other.example")])
def test_fetchmail_asks_for_what_is_not_its_own(domains: tuple[str, ...], tmp_path: Path) -> None:
    """450 for the whole command, the same words for a domain that is not there; its status 4 says: protocol error."""
    with customer(tmp_path) as made:
        made.post("anna@one.example", letter("stays"))
        made.post("x@other.example", letter("somebody else's"))
        done = made.fetch(*domains)
        assert done.returncode == 4, done
        assert "ODMR< 450 4.7.1 ATRN request refused" in done.stdout
        assert made.office.waiting() == 2


def test_a_message_without_a_line_end_is_not_the_end_of_all_mail(tmp_path: Path) -> None:
    """Fetchmail passes whole lines on, and would wait for the rest of one for ever, and every other message with it."""
    with customer(tmp_path) as made:
        with smtplib.SMTP("127.0.0.1", made.mx) as sender:
            sender.ehlo("elsewhere.example")
            sender.mail("world@elsewhere.example")
            sender.rcpt("anna@one.example")
            content = b"Subject: no line end\r\n\r\nand so on"
            sender.send(b"BDAT %d LAST\r\n%s" % (len(content), content))
            assert sender.getreply()[0] == 250
        made.post("anna@one.example", letter("behind it"))
        done = made.fetch("one.example")
        assert done.returncode == 0, done
        made.site.wait_for_mail(2)
        expected = [content + b"\r\n", letter("behind it")]
        assert recognised(made.site.mail("anna@one.example"), expected) == dict.fromkeys(expected, 1)
        assert made.office.waiting() == 0
