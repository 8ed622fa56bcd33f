"""kill -9: what an office has acknowledged is there after it, and is released; what a site has taken is not lost."""

from __future__ import annotations

import smtplib
import threading
import time
from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import typed

SENDERS = 8


def office_config(port: int, site_port: int) -> str:
    """Holds test.example."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site_port}"
release_from = ["127.0.0.1"]
"""


def site_config(port: int) -> str:
    """Delivers it."""
    return f"""
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[domains."test.example"]
action = "deliver"
users = ["anna"]
"""


class Load:
    """Senders that send as fast as they can until the office is gone, and keep what it acknowledged with 250."""

    def __init__(self, port: int) -> None:
        self.acknowledged: list[bytes] = []
        self.begun: list[bytes] = []
        self._port = port
        self._threads = [threading.Thread(target=self._send, args=(n,)) for n in range(SENDERS)]
        for thread in self._threads:
            thread.start()

    def _send(self, sender: int) -> None:
        number = 0
        try:
            with smtplib.SMTP("127.0.0.1", self._port, local_hostname="client.example", timeout=90) as client:
                while True:
                    number += 1
                    # Every tenth is too big for a database row.
                    content = letter(f"{number} of sender {sender}", "line\n" * (20_000 if number % 10 == 0 else 20))
                    self.begun.append(content)
                    client.sendmail("load@elsewhere.example", "anna@test.example", content)
                    self.acknowledged.append(content)
        except (smtplib.SMTPException, OSError):
            return

    def wait_for(self, messages: int) -> None:
        """Returns once so many have been acknowledged."""
        end = time.monotonic() + 90
        while len(self.acknowledged) < messages:
            assert time.monotonic() < end, f"{len(self.acknowledged)} messages were acknowledged"
            time.sleep(0.005)

    def join(self) -> None:
        """Returns once all senders have given up."""
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive(), "a sender hangs"


@pytest.mark.timeout(240)
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Three times killed while mail streams in: every 250 is kept, nothing is made up, and all is released."""
    port, site_port = free_port(), free_port()
    office = RestanteHost(tmp_path / "office", office_config(port, site_port))
    acknowledged: list[bytes] = []
    begun: list[bytes] = []
    for killed in range(3):
        office.start()
        load = Load(port)
        load.wait_for(50 + 100 * killed)
        office.kill()
        load.join()
        # The same words are sent again in the next round; they count once more.
        acknowledged += load.acknowledged
        begun += load.begun

    with office, RestanteHost(tmp_path / "site", site_config(site_port)) as site:
        waiting = office.waiting()
        assert len(acknowledged) <= waiting <= len(begun)
        assert f"253 2.0.0 OK, {waiting} pending messages" in typed(port, "ETRN test.example")[0]
        site.wait_for_mail(waiting)
        office.wait_until_empty()
        arrived = recognised(site.mail("anna@test.example"), begun)
        for content in set(acknowledged):
            assert arrived[content] >= acknowledged.count(content)
        assert arrived.total() == waiting


@pytest.mark.timeout(240)
def test_a_release_that_is_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    """The office dies in the middle of a release: every message arrives, at most those in flight twice."""
    port, site_port = free_port(), free_port()
    office = RestanteHost(tmp_path / "office", office_config(port, site_port))
    letters = [letter(f"number {n}", "line of text\n" * 400) for n in range(600)]
    with RestanteHost(tmp_path / "site", site_config(site_port)) as site:
        office.start()
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=90) as client:
            for content in letters:
                client.sendmail("load@elsewhere.example", "anna@test.example", content)
        typed(port, "ETRN test.example")
        site.wait_for_mail(30)
        office.kill()
        with office:
            typed(port, "ETRN test.example")
            office.wait_until_empty()
        site.wait_until_empty()  # into the mailbox
        arrived = recognised(site.mail("anna@test.example"), letters)
        assert set(arrived) == set(letters)


@pytest.mark.timeout(240)
def test_a_site_that_is_killed_loses_nothing_that_it_has_taken(tmp_path: Path) -> None:
    """The site dies in the middle of a release; after its restart the next release brings the rest."""
    port, site_port = free_port(), free_port()
    site = RestanteHost(tmp_path / "site", site_config(site_port))
    letters = [letter(f"number {n}", "line of text\n" * 400) for n in range(600)]
    with RestanteHost(tmp_path / "office", office_config(port, site_port)) as office:
        with smtplib.SMTP("127.0.0.1", port, local_hostname="client.example", timeout=90) as client:
            for content in letters:
                client.sendmail("load@elsewhere.example", "anna@test.example", content)
        site.start()
        typed(port, "ETRN test.example")
        site.wait_for_mail(30)
        site.kill()
        with site:
            end = time.monotonic() + 90
            while office.waiting():  # the broken release ends first; an ETRN behind it is queued
                typed(port, "ETRN test.example")
                assert time.monotonic() < end, f"{office.waiting()} items still wait"
                time.sleep(0.5)
            site.wait_until_empty()
            arrived = recognised(site.mail("anna@test.example"), letters)
            assert set(arrived) == set(letters)
