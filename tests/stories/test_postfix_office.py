"""A real Postfix is the office: it holds mail for our site, which calls it with ETRN and hangs up when all has come."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.stories.letters import awkward_letters, recognised
from tests.stories.peers import Postfix, smtp_source
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send
from tests.waiting import wait_until

pytestmark = pytest.mark.peer


def office_settings(site_port: int) -> str:
    """Postfix holds test.example until it is told ETRN, then delivers to the site."""
    return f"""
relay_domains = test.example
fast_flush_domains = test.example
transport_maps = inline:{{test.example=hold:[127.0.0.1]:{site_port}}}
defer_transports = hold
smtp_line_length_limit = 0
message_size_limit = 20000000
"""


def site_config(port: int, office_port: int) -> str:
    """A site whose one office is the Postfix."""
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


def test_a_call_brings_what_postfix_holds_and_hangs_up(tmp_path: Path) -> None:
    """`250 Queuing started` tells no count: the window ends `idle` after the last message, long before the minute."""
    port = free_port()
    with (
        Postfix("office", office_settings(port)) as office,
        RestanteHost(tmp_path / "site", site_config(port, office.port)) as site,
    ):
        letters = awkward_letters(big_octets=2_000_000)
        for content in letters:
            send(office.port, "world@elsewhere.example", "anna@test.example", content)
        wait_until_held(office, len(letters))

        began = time.monotonic()
        site.cli("call", "office", "--wait")
        took = time.monotonic() - began

        site.wait_until_empty()  # into the mailbox
        assert recognised(site.mail("anna@test.example"), letters) == dict.fromkeys(letters, 1)
        assert 3 <= took < 55, f"it hung up after {took:.1f} s"
        wait_until(lambda: office.queue() == [])


def test_many_messages_on_many_connections(tmp_path: Path) -> None:
    """Postfix comes with up to 20 connections at once, one message after the other on each."""
    port = free_port()
    with (
        Postfix("office", office_settings(port)) as office,
        RestanteHost(tmp_path / "site", site_config(port, office.port)) as site,
    ):
        smtp_source(office.port, "anna@test.example", "-s", "10", messages=300)
        wait_until_held(office, 300)
        site.cli("call", "office", "--wait")
        site.wait_until_empty()
        assert len(site.mail("anna@test.example")) == 300
        wait_until(lambda: office.queue() == [])


def test_an_empty_office_is_left_after_the_idle_time(tmp_path: Path) -> None:
    """Postfix says 250 even when nothing waits; the call is a success and short."""
    port = free_port()
    with (
        Postfix("office", office_settings(port)) as office,
        RestanteHost(tmp_path / "site", site_config(port, office.port)) as site,
    ):
        began = time.monotonic()
        site.cli("call", "office", "--wait")
        assert time.monotonic() - began < 55
        assert site.all_mail() == []


def test_the_one_shot_client_prints_what_postfix_says(tmp_path: Path) -> None:
    """`restante etrn`: status 0 for a domain that it flushes, 1 for one that it does not know."""
    port = free_port()
    with (
        Postfix("office", office_settings(port)) as office,
        RestanteHost(tmp_path / "site", site_config(port, office.port)) as site,
    ):
        at = f"127.0.0.1:{office.port}"
        assert "250 Queuing started" in site.cli("etrn", at, "test.example")
        assert "459" in site.cli("etrn", at, "nosuch.example", status=1)


def wait_until_held(office: Postfix, messages: int) -> None:
    """Returns once Postfix's queue manager has put so many messages aside, which is when ETRN finds them all."""
    end = time.monotonic() + 90
    while office.log().count("deferred transport") < messages:
        assert time.monotonic() < end, f"Postfix holds {len(office.queue())} of {messages} messages\n{office.log()}"
        time.sleep(0.1)
