"""Out to the world: a restante host that finds mail hosts by the DNS, a real Postfix among them, and one that hands all
to a smart host after a login.
"""

from __future__ import annotations

import email
from collections.abc import Iterator
from email.message import Message
from pathlib import Path

import pytest
from tests.stories.letters import letter, recognised
from tests.stories.peers import Postfix
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed
from tests.stories.world import World

from restante.logins.passwords import hash_password

pytestmark = [pytest.mark.peer, pytest.mark.netns]

MX = """
virtual_mailbox_domains = far.w.example, alias.w.example
virtual_mailbox_maps = inline:{ { anna@far.w.example = anna/ }, { anna@alias.w.example = anna/ } }
"""
ZONE = """
far MX 10 down
far MX 20 mx1
down A 192.0.2.66
mx1 A 192.0.2.7
alias CNAME far
null MX 0 .
self MX 10 office
office A 192.0.2.25
lost CNAME lost2
lost2 CNAME lost
"""
STATUS = "message/delivery-status"
SECRET = "9mBq2ZK-generated-for-this-site"


def office_config(more: str = "") -> str:
    """A host on the address 192.0.2.25 that sends to the world for others on this machine."""
    return f"""
hostname = "office.w.example"
data = "data"
[[listen]]
address = "192.0.2.25:25"
[relay]
from = ["192.0.2.0/24"]
[domains."local.example"]
action = "deliver"
users = ["ann"]
[domains."held.example"]
action = "hold"
next_hop = "192.0.2.26:25"
release_from = ["192.0.2.0/24"]
[domains."*"]
action = "relay"
next_hop = "mx"
{more}
{World.dns}
"""


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One zone."""
    with World() as world:
        world.zone("w.example", ZONE)
        world.start_dns()
        yield world


def out(recipient: str, content: bytes) -> None:
    """Hands a message to the office, from ann."""
    send(25, "ann@local.example", recipient, content, address="192.0.2.25")


def report_of(content: bytes) -> tuple[Message, Message]:
    """The two blocks of the machine's part of a DSN."""
    [part] = [part for part in email.message_from_bytes(content).walk() if part.get_content_type() == STATUS]
    _, about, recipient = part.walk()
    return about, recipient


def test_to_a_postfix_that_only_the_dns_knows(world: World, tmp_path: Path) -> None:
    """The best host is down, the second takes all; what it refuses comes back with its name; traps come back once."""
    del world
    letters = [letter(f"number {n}") for n in range(10)]
    with (
        Postfix("mx1", MX, port=25, address="192.0.2.7") as mx1,
        RestanteHost(tmp_path / "office", office_config()) as office,
    ):
        for content in letters:
            out("anna@far.w.example", content)
        letters.append(letter("by a CNAME"))
        out("anna@alias.w.example", letters[-1])
        mx1.wait_for_mail(11)
        assert recognised(mx1.mail("anna"), letters) == dict.fromkeys(letters, 1)
        office.wait_for_log("target=mx1.w.example[192.0.2.7]:25", times=10)

        out("nobody@far.w.example", letter("to nobody"))
        office.wait_for_mail(1)
        about, recipient = report_of(office.mail("ann@local.example")[0])
        assert about["Reporting-MTA"] == "dns; office.w.example"
        assert recipient["Remote-MTA"] == "dns; mx1.w.example"
        assert recipient["Status"] == "5.1.1"

        for name, status in (("null", "5.1.10"), ("self", "5.4.6"), ("no", "5.1.2")):
            before = len(office.mail("ann@local.example"))
            out(f"anna@{name}.w.example", letter(name))
            office.wait_for_mail(before + 1)
            _, recipient = report_of(office.mail("ann@local.example")[-1])
            assert (recipient["Status"], recipient["Remote-MTA"]) == (status, None)

        out("anna@lost.w.example", letter("its CNAMEs lead in a circle"))
        office.wait_for_log("lost.w.example: the DNS has no answer")
        assert office.waiting() == 1
        assert len(office.mail("ann@local.example")) == 4


def test_mail_that_is_held_asks_the_dns_nothing(world: World, tmp_path: Path) -> None:
    """Its next hop is a setting: a release from ETRN to delivery goes without one question."""
    site_config = """
hostname = "site.example"
data = "data"
[[listen]]
address = "192.0.2.26:25"
[domains."held.example"]
action = "deliver"
users = ["anna"]
"""
    seen = len(world.asked())
    with (
        RestanteHost(tmp_path / "office", office_config()),
        RestanteHost(tmp_path / "site", site_config) as site,
    ):
        for n in range(5):
            out("anna@held.example", letter(str(n)))
        said = typed(25, "ETRN held.example", address="192.0.2.25", source="192.0.2.26")
        assert said == ["253 2.0.0 OK, 5 pending messages for node held.example started"]
        site.wait_for_mail(5)
    assert world.asked()[seen:] == []


def test_a_reload_takes_another_resolver(world: World, tmp_path: Path) -> None:
    """The first one does not answer; what waits goes when the file names the right one."""
    del world
    config = office_config('[domains."far.w.example"]\naction = "relay"\n')
    wrong = config.replace("127.0.0.1", "192.0.2.99").replace("3s", "1s")
    with (
        Postfix("mx1", MX, port=25, address="192.0.2.7") as mx1,
        RestanteHost(tmp_path / "office", wrong) as office,
    ):
        out("anna@far.w.example", letter("waits"))
        office.wait_for_log("far.w.example: the DNS has not answered")
        office.config.write_text(config)
        office.cli("reload")
        office.cli("release", "far.w.example", "--wait")
        mx1.wait_for_mail(1)


def test_a_smart_host_that_wants_a_login(world: World, tmp_path: Path) -> None:
    """All goes to it, over TLS, as the user; with a wrong password it waits, with the right one in the file it goes. In
    clear no password is shown.
    """
    del world
    provider_config = """
hostname = "smart.example"
data = "data"
[[listen]]
address = "192.0.2.58:587"
service = "submission"
[[listen]]
address = "192.0.2.58:2587"
service = "submission"
tls = "off"
[domains."local.example"]
action = "deliver"
users = ["ann"]
[domains."elsewhere.example"]
action = "deliver"
users = ["anna"]
[users.branch]
password = "HASH"
domains = ["local.example"]
"""
    hop = '[domains."*"]\naction = "relay"\nnext_hop = "192.0.2.58:587"\nuser = "branch"\npassword_file = "password"\n'
    config = office_config().replace('[domains."*"]\naction = "relay"\nnext_hop = "mx"\n', hop)
    provider = RestanteHost(tmp_path / "smart", provider_config.replace("HASH", hash_password(SECRET)))
    office = RestanteHost(tmp_path / "office", config)
    (office.folder / "password").write_text("wrong\n")
    with provider, office:
        out("anna@elsewhere.example", letter("by the smart host"))
        office.wait_for_log("the login as branch was refused")

        (office.folder / "password").write_text(f"{SECRET}\n")
        office.cli("release", "*", "--wait")
        provider.wait_for_mail(1)
        assert b"ESMTPSA" in provider.mail("anna@elsewhere.example")[0]

        office.config.write_text(config.replace(":587", ":2587"))
        office.cli("reload")
        out("anna@elsewhere.example", letter("not in clear"))
        office.wait_for_log("no login is offered without TLS")
        assert office.waiting() == 1
        assert len(provider.mail("anna@elsewhere.example")) == 1
