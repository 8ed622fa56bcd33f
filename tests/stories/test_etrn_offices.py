"""Postfix, Exim and Sendmail are the office, `restante etrn` asks them, and what they hold comes to a restante site."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from tests.stories.exim import Exim
from tests.stories.letters import letter, recognised
from tests.stories.peers import Postfix
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.sendmail import Sendmail
from tests.stories.test_postfix_office import office_settings, wait_until_held
from tests.stories.wire import send
from tests.waiting import wait_until

pytestmark = pytest.mark.peer

LETTERS = [
    letter(subject, body).replace(
        b"From:", b"Date: Wed, 25 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@elsewhere.example>\r\nFrom:" % number, 1
    )
    for number, (subject, body) in enumerate(
        [
            ("plain", "Nothing but a greeting.\n"),
            ("dots", ".\n..\n.leading\nmiddle . dot\n.\n"),
            ("8 bit", "Grüße aus Æbeltoft, Łódź, 東京.\n" * 50),
            ("words of SMTP", "QUIT\nRSET\nMAIL FROM:<x@y.example>\nBDAT 5 LAST\n"),
            ("large", "0123456789 " * 6 + "\n" + "0123456789 abcdefghijklmnopqrstuvwxyz\n" * 20_000),
        ]
    )
]
"""With the fields that a server may add where they are missing."""


class Office(Protocol):
    """Any of the three, as it runs."""

    port: int

    def queue(self) -> list[str]:
        """The names of the messages that wait in it."""
        ...


Kind = Callable[[int], AbstractContextManager[tuple[Office, str]]]
"""Starts one that delivers to this port."""


@contextmanager
def postfix(site_port: int) -> Iterator[tuple[Office, str]]:
    """Postfix with the mail; and what to ask it for."""
    with Postfix("office", office_settings(site_port)) as office:
        fill(office)
        wait_until_held(office, len(LETTERS))
        yield office, "test.example"


@contextmanager
def exim_by_group(site_port: int) -> Iterator[tuple[Office, str]]:
    """Exim as it is delivered: only the # form."""
    with Exim("office", site_port) as office:
        fill(office)
        office.wait_until_held(len(LETTERS))
        yield office, "#test.example"


@contextmanager
def exim_by_domain(site_port: int) -> Iterator[tuple[Office, str]]:
    """Exim with smtp_etrn_command."""
    with Exim("office", site_port, by_command=True) as office:
        fill(office)
        office.wait_until_held(len(LETTERS))
        yield office, "test.example"


@contextmanager
def sendmail(site_port: int) -> Iterator[tuple[Office, str]]:
    """Sendmail with an expensive mailer."""
    with Sendmail("office", site_port) as office:
        fill(office)
        office.wait_until_held(len(LETTERS))
        yield office, "test.example"


OFFICES: list[Kind] = [postfix, exim_by_group, exim_by_domain, sendmail]
SAY: dict[Kind, str] = {
    postfix: "250 Queuing started",
    exim_by_group: "250 OK",
    exim_by_domain: "250 OK",
    sendmail: "250 2.0.0 Queuing for node test.example started",
}
REFUSE: dict[Kind, str] = {
    postfix: "459 <nosuch.example>: service unavailable",
    exim_by_group: "501 argument must begin with #",
    exim_by_domain: "459 not a domain that is held here",
}
"""Sendmail says 250 to every domain."""


def fill(office: Office) -> None:
    """The world sends."""
    for content in LETTERS:
        send(office.port, "world@elsewhere.example", "anna@test.example", content)


def site_config(port: int, office_port: int) -> str:
    """A site that reads the mail, and may call."""
    return f"""
hostname = "site.test.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "deliver"
users = ["anna"]
[calls.office]
host = "127.0.0.1:{office_port}"
domains = ["test.example"]
window = "1m"
idle = "3s"
"""


@pytest.mark.parametrize("kind", OFFICES, ids=lambda kind: kind.__name__)
def test_restante_etrn_brings_what_the_office_holds(kind: Kind, tmp_path: Path) -> None:
    """Status 0 and the office's own words; then every message is in the site's Maildir, byte for byte, once."""
    port = free_port()
    with kind(port) as (office, node), RestanteHost(tmp_path / "site", site_config(port, office.port)) as site:
        assert site.all_mail() == [], "it was not held"
        assert SAY[kind] in site.cli("etrn", f"127.0.0.1:{office.port}", node)
        site.wait_for_mail(len(LETTERS))
        assert recognised(site.mail("anna@test.example"), LETTERS) == dict.fromkeys(LETTERS, 1)
        wait_until(lambda: not office.queue(), lambda: f"it keeps {office.queue()}")


@pytest.mark.parametrize("kind", list(REFUSE), ids=lambda kind: kind.__name__)
def test_restante_etrn_fails_where_the_office_refuses(kind: Kind, tmp_path: Path) -> None:
    """Status 1, the office's own words, and no mail."""
    port = free_port()
    with kind(port) as (office, _), RestanteHost(tmp_path / "site", site_config(port, office.port)) as site:
        assert REFUSE[kind] in site.cli("etrn", f"127.0.0.1:{office.port}", "nosuch.example", status=1)
        assert site.all_mail() == []


@pytest.mark.parametrize("kind", [exim_by_domain, sendmail], ids=lambda kind: kind.__name__)
def test_a_call_brings_what_the_office_holds_and_hangs_up(kind: Kind, tmp_path: Path) -> None:
    """A 250 tells no count: the window ends when nothing has come for a while, and the record tells what came."""
    port = free_port()
    with kind(port) as (office, _), RestanteHost(tmp_path / "site", site_config(port, office.port)) as site:
        site.cli("call", "office", "--wait")
        site.wait_for_mail(len(LETTERS))
        assert recognised(site.mail("anna@test.example"), LETTERS) == dict.fromkeys(LETTERS, 1)
        wait_until(lambda: not office.queue())
