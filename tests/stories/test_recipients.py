"""An office and its site, two real processes: what the office learns of recipients, and what is too large for the link.

Reports to senders are kept at the office, held for `far.example`, so that they can be counted.
"""

from __future__ import annotations

import email
import email.policy
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stories.letters import letter, recognised
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed
from tests.waiting import wait_until

SENDER = "ann@far.example"
SITE = """
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[domains."test.example"]
action = "deliver"
users = ["anna", "postmaster"]
"""
OFFICE = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[domains."far.example"]
action = "hold"
next_hop = "caller"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site}"
release_from = ["127.0.0.1"]
"""


class Both:
    """The two hosts."""

    def __init__(self, office: RestanteHost, site: RestanteHost, port: int) -> None:
        self.office = office
        self.site = site
        self.port = port

    def write(self, recipient: str, content: bytes = b"") -> None:
        """Somebody far away writes to a user of the site."""
        send(self.port, SENDER, recipient, content or letter("hello"))

    def offered(self, recipient: str) -> str:
        """What the office says to a recipient; nothing is sent."""
        lines = ("HELO far.example", f"MAIL FROM:<{SENDER}>", f"RCPT TO:<{recipient}>", "QUIT")
        return typed(self.port, *lines)[2]

    def call(self) -> None:
        """The site asks for its mail, and has got it."""
        seen = self.office.log().count("info release ended")
        typed(self.port, "ETRN test.example", "QUIT")
        self.office.wait_for_log("info release ended", times=seen + 1)

    def reports(self) -> int:
        """How many senders were told that something could not be delivered."""
        return sum(item["domain"] == "far.example" for item in self.office.items())

    def listed(self) -> str:
        """The office's list."""
        return self.office.cli("domain", "recipients", "test.example", "list")

    def until_listed(self, recipient: str, standing: str) -> None:
        """Waits until the office's list says that of a recipient."""
        line = re.compile(rf"^{re.escape(recipient)} +{standing} ", re.MULTILINE)
        wait_until(lambda: line.search(self.listed()), self.listed)

    def until(self, recipient: str, said: str) -> None:
        """Waits until the office says that to a recipient."""
        wait_until(lambda: self.offered(recipient).startswith(said), lambda: self.offered(recipient))


@contextmanager
def both(folder: Path, more: str = "") -> Iterator[Both]:
    """Both of them; `more` is said of the held domain."""
    port, site_port = free_port(), free_port()
    config = OFFICE.format(port=port, site=site_port) + more
    with (
        RestanteHost(folder / "office", config) as office,
        RestanteHost(folder / "site", SITE.format(port=site_port)) as site,
    ):
        yield Both(office, site, port)


def test_an_unknown_user_is_bounced_once_and_then_refused(tmp_path: Path) -> None:
    """One report; then 550 at the office, over a restart, until the time is over; by then the user exists."""
    with both(tmp_path) as they:
        they.write("nobody@test.example")
        they.write("anna@test.example")
        they.call()
        assert they.reports() == 1
        assert they.offered("nobody@test.example") == "550 5.1.1 No such user here"
        assert they.offered("postmaster@test.example").startswith("250")
        assert they.offered("anna@test.example").startswith("250")
        they.until_listed("anna@test.example", "known")
        they.until_listed("nobody@test.example", "unknown")

        they.office.stop()
        they.office.start()
        they.until("nobody@test.example", "550 5.1.1")

        they.site.config.write_text(they.site.config.read_text().replace('"anna"', '"anna", "nobody"'))
        they.site.cli("reload")
        assert they.offered("nobody@test.example").startswith("550 5.1.1")
        they.office.config.write_text(they.office.config.read_text() + 'unknown_for = "1s"\n')
        they.office.cli("reload")
        they.until("nobody@test.example", "250")
        they.write("nobody@test.example")
        they.call()
        they.site.wait_for_mail(2)
        assert len(they.site.mail("nobody@test.example")) == 1
        assert they.reports() == 1


def test_what_is_too_large_waits_for_a_word_and_a_notice_comes(tmp_path: Path) -> None:
    """Exactly one, at the next contact; after `restante thaw` the message comes, byte for byte."""
    with both(tmp_path, 'largest = "8KB"\n') as they:
        small, large = letter("small"), letter("the manual", "word " * 3000 + "\n", sender="Ann <ann@far.example>")
        they.write("anna@test.example", small)
        they.write("anna@test.example", large)
        [frozen] = [item for item in they.office.items() if item["state"] == "frozen"]
        assert frozen["detail"] == f"too large for the link: {frozen['size']} octets"
        they.call()
        they.site.wait_for_mail(2)
        [notice] = [mail for mail in they.site.mail("anna@test.example") if b"Auto-Submitted" in mail]
        assert recognised([mail for mail in they.site.all_mail() if mail != notice], [small, large]) == {small: 1}
        text = email.message_from_bytes(notice, policy=email.policy.default).get_content()
        assert "  From:     Ann <ann@far.example>" in text
        assert "  Subject:  the manual" in text

        assert typed(they.port, "ETRN test.example", "QUIT")[0].startswith("251 ")
        [command] = re.findall(r"^  restante (thaw \S+)$", text, re.MULTILINE)
        they.office.cli(*command.split())
        they.call()
        they.site.wait_for_mail(3)
        assert recognised([mail for mail in they.site.all_mail() if mail != notice], [small, large])[large] == 1
        assert they.office.items() == []
        assert they.reports() == 0


def test_a_list_and_a_quota_are_in_force_at_once_and_shown(tmp_path: Path) -> None:
    """A list that is sent to a running office is, within a second or so; how full a domain is, is told too."""
    with both(tmp_path, "quota_items = 2\n") as they:
        they.office.cli("domain", "recipients", "test.example", "add", "Anna@test.example")
        they.until("bert@test.example", "550 5.1.1")
        assert they.offered("postmaster@test.example").startswith("250")
        they.write("anna@test.example")
        they.write("anna@test.example")
        assert they.offered("anna@test.example").startswith("452 4.2.2 ")
        assert "100 % of its quota used" in they.office.cli("queue")
        assert "100 %" in they.office.cli("status")
        assert "100 %" in they.office.cli("domain", "list")
        they.call()
        they.until("anna@test.example", "250")
