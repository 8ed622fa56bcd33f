"""The article's second example: two hosts on two networks of their own, port 25, and a person who types ETRN.

Host .25 is the site, test.example; host .26 the office, localtest.example. Users of .25 write all day by plain SMTP;
what they write to localtest.example stays at .25 until someone connects to .25's port and asks for host .26.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.netns import NetHost, Network
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed_from

pytestmark = pytest.mark.netns

SITE = """
hostname = "host25.test.example"
data = "data"
[[listen]]
address = "192.0.2.25:25"
service = "mx"
[relay]
from = ["192.0.2.25", "127.0.0.0/8"]
[domains."test.example"]
action = "deliver"
users = ["anna", "bert"]
[domains."localtest.example"]
action = "hold"
next_hop = "192.0.2.26"
release_from = ["192.0.2.77", "192.0.2.26"]
"""

OFFICE = """
hostname = "host26.localtest.example"
data = "data"
[[listen]]
address = "192.0.2.26:25"
service = "mx"
[domains."localtest.example"]
action = "deliver"
users = ["carla", "dora"]
"""


def three_hosts(network: Network) -> tuple[NetHost, NetHost, NetHost]:
    """Host .25, host .26, and the administrator's, which has a cable to .25 alone."""
    site, office, admin = (network.host(f"192.0.2.{last}") for last in (25, 26, 77))
    network.cable(site, office)
    network.cable(site, admin)
    return site, office, admin


def write_all_day(site: NetHost) -> dict[str, list[bytes]]:
    """Users of .25 write 30 messages to the two users of .26; by recipient."""
    written: dict[str, list[bytes]] = {"carla@localtest.example": [], "dora@localtest.example": []}
    for n in range(15):
        for recipient, letters in written.items():
            letters.append(letter(f"{n} to {recipient}", f"Page {n}.\n.dots\n" * (n + 1)))
            send(25, "anna@test.example", recipient, letters[-1], address="192.0.2.25", on=site)
    return written


def test_all_accumulated_mail_goes_to_26_when_someone_types_its_address(tmp_path: Path) -> None:
    """Nothing leaves before: not one packet. Then everything is sent, and read at .26 from Maildir, byte for byte."""
    with Network() as network:
        net25, net26, admin = three_hosts(network)
        with (
            RestanteHost(tmp_path / "25", SITE, on=net25) as site,
            RestanteHost(tmp_path / "26", OFFICE, on=net26) as office,
        ):
            written = write_all_day(net25)

            assert site.waiting() == 30
            assert net25.sent_packets(net26) == 0

            said = typed_from(admin, "192.0.2.25", 25, "ETRN 192.0.2.26", "QUIT")
            assert said[0] == "253 2.0.0 OK, 30 pending messages for node 192.0.2.26 started"
            assert said[1].startswith("221 ")

            office.wait_for_mail(30)
            site.wait_until_empty()
            for recipient, letters in written.items():
                assert recognised(office.mail(recipient), letters) == dict.fromkeys(letters, 1)
            assert "251 2.0.0 OK, no messages waiting" in typed_from(admin, "192.0.2.25", 25, "ETRN 192.0.2.26")[0]


def test_mail_that_comes_after_the_release_waits_again(tmp_path: Path) -> None:
    """An ETRN is for what waits then; the next message waits for the next ETRN."""
    with Network() as network:
        net25, net26, admin = three_hosts(network)
        with (
            RestanteHost(tmp_path / "25", SITE, on=net25) as site,
            RestanteHost(tmp_path / "26", OFFICE, on=net26) as office,
        ):
            send(25, "anna@test.example", "carla@localtest.example", letter("first"), address="192.0.2.25", on=net25)
            typed_from(admin, "192.0.2.25", 25, "ETRN 192.0.2.26", "QUIT")
            office.wait_for_mail(1)
            site.wait_until_empty()

            packets = packets_once_quiet(net25, net26)
            send(25, "anna@test.example", "carla@localtest.example", letter("second"), address="192.0.2.25", on=net25)
            assert site.waiting() == 1
            assert net25.sent_packets(net26) == packets

            typed_from(admin, "192.0.2.25", 25, "ETRN 192.0.2.26", "QUIT")
            office.wait_for_mail(2)
            site.wait_until_empty()


def packets_once_quiet(site: NetHost, office: NetHost) -> int:
    """How many packets have gone to the office, once the connection of the release has said its last word."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        before = site.sent_packets(office)
        time.sleep(0.7)  # longer than TCP waits before it repeats itself on such a cable
        if site.sent_packets(office) == before:
            return before
    raise AssertionError("the cable does not fall silent")


def test_a_stranger_moves_nothing_and_learns_nothing(tmp_path: Path) -> None:
    """An address without the right gets the words that an unknown node gets, and not one packet goes to .26."""
    with Network() as network:
        net25, net26, _ = three_hosts(network)
        stranger = network.host("192.0.2.99")
        network.cable(net25, stranger)
        with RestanteHost(tmp_path / "25", SITE, on=net25) as site:
            send(25, "anna@test.example", "carla@localtest.example", letter("private"), address="192.0.2.25", on=net25)
            nodes = ["192.0.2.26", "[192.0.2.26]", "localtest.example", "@example", "nosuch.example"]
            said = typed_from(stranger, "192.0.2.25", 25, *(f"ETRN {node}" for node in nodes))
            assert said == [f"459 4.7.1 Node {node} not allowed" for node in nodes]
            assert site.waiting() == 1
            assert net25.sent_packets(net26) == 0


def test_a_host_that_is_not_up_costs_nothing(tmp_path: Path) -> None:
    """The release fails and all mail still waits; the ETRN after the host has come up carries it."""
    with Network() as network:
        net25, net26, admin = three_hosts(network)
        with RestanteHost(tmp_path / "25", SITE, on=net25) as site:
            letters = [letter(f"number {n}") for n in range(10)]
            for content in letters:
                send(25, "anna@test.example", "carla@localtest.example", content, address="192.0.2.25", on=net25)

            said = typed_from(admin, "192.0.2.25", 25, "ETRN localtest.example")
            assert said == ["253 2.0.0 OK, 10 pending messages for node localtest.example started"]
            with RestanteHost(tmp_path / "26", OFFICE, on=net26) as office:
                assert site.waiting() == 10
                typed_from(admin, "192.0.2.25", 25, "ETRN localtest.example")
                office.wait_for_mail(10)
                site.wait_until_empty()
                assert recognised(office.all_mail(), letters) == dict.fromkeys(letters, 1)
