"""docs/recipes/backup-mx.md, as it stands: a real Postfix is the primary, found by the DNS, and restante stands in."""

from __future__ import annotations

import smtplib
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.netns import NetHost, Network, inside
from tests.stories.peers import Postfix
from tests.stories.recipes import block
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.stories.wire import send, typed, typed_from
from tests.stories.world import World

pytestmark = [pytest.mark.peer, pytest.mark.netns]

OFFICE, PRIMARY, WORLD = "192.0.2.1", "192.0.2.66", "192.0.2.99"
WRITER = "writer@far.example"
DATA = {"/var/lib/restante": "data"}
MAILBOXES = """
virtual_mailbox_domains = company.example
virtual_mailbox_maps = inline:{ { anna@company.example = anna/ }, { bert@company.example = bert/ } }
"""


@contextmanager
def hosts() -> Iterator[tuple[NetHost, NetHost]]:
    """The office, and the world; the test is at the primary."""
    with Network() as network:
        office, primary, world = (network.host(address) for address in (OFFICE, PRIMARY, WORLD))
        network.cable(office, primary)
        network.cable(office, world)
        with inside(primary.namespace):
            yield office, world


def primary_cf() -> str:
    """The company's own server."""
    return MAILBOXES + block("backup-mx", "main.cf")


def cron() -> str:
    """What cron does every five minutes; what that says."""
    *when, user, command = block("backup-mx", "cron", {"office.example": OFFICE}).split(maxsplit=6)
    assert (when, user) == (["*/5", "*", "*", "*", "*"], "nobody")
    program, *arguments = command.split()
    assert program == "restante"
    done = subprocess.run([RESTANTE, *arguments], capture_output=True, text=True, timeout=100, check=True)
    return done.stdout


def writes(world: NetHost, recipient: str, letters: Sequence[bytes]) -> None:
    """Somebody for whom MX 10 does not answer."""
    for content in letters:
        send(25, WRITER, recipient, content, address=OFFICE, on=world)


def test_what_the_office_holds_is_the_primary_s_when_it_asks(tmp_path: Path) -> None:
    """Octet for octet, once; nobody else gets it, and nothing is taken for who does not exist."""
    listed = tmp_path / "company.example.txt"
    listed.write_text("anna@company.example\nbert@company.example\n")
    files = {**DATA, "company.example.txt": str(listed)}
    letters = awkward_letters(big_octets=300_000)
    with (
        hosts() as (at_office, world),
        RestanteHost(tmp_path / "office", block("backup-mx", "office.toml", files), on=at_office) as office,
    ):
        writes(world, "anna@company.example", letters)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            writes(world, "nobody@company.example", letters[:1])
        assert caught.value.recipients["nobody@company.example"][0] == 550
        assert office.waiting() == len(letters) == 60
        assert typed_from(world, OFFICE, 25, "ETRN company.example")[0].startswith("459 ")
        with Postfix("primary", primary_cf(), port=25, everywhere=True) as postfix:
            assert f"$ restante etrn office.example company.example\n{cron()}" == block("backup-mx", "asked")
            postfix.wait_for_mail(60)
            assert recognised(postfix.mail("anna"), letters) == dict.fromkeys(letters, 1)
            office.wait_until_empty()
            assert "251 " in cron()
        writes(world, "bert@company.example", [letter("while it is down again")])
        cron()
        office.wait_for_log("release ended", times=2)
        assert office.waiting() == 1


FAR = """
hostname = "mail.far.example"
data = "data"
[[listen]]
address = "192.0.2.99:25"
[relay]
from = ["192.0.2.0/24"]
[domains."far.example"]
action = "deliver"
users = ["writer"]
[domains."*"]
action = "relay"
"""
AT = {"0.0.0.0": OFFICE}
"""All of a World's hosts are one."""


def by_itself() -> str:
    """The office that tries again without being asked."""
    return block("backup-mx", "by-itself.toml", {**DATA, **AT}) + World.dns


def offered(recipient: str) -> str:
    """What the office says of a recipient to a stranger."""
    return typed(25, "HELO x", f"MAIL FROM:<{WRITER}>", f"RCPT TO:<{recipient}>", address=OFFICE, source=WORLD)[2]


def test_the_world_finds_the_office_while_the_primary_is_away(tmp_path: Path) -> None:
    """By the zone. The office takes it from anybody, for that domain alone, and hands it over when it can; whom the
    primary does not know is reported once, and then refused at the office.
    """
    with World() as world:
        world.zone("company.example", block("backup-mx", "zone"))
        world.zone("office.example", f"@ A {OFFICE}")
        world.zone("far.example", f"@ MX 10 mail\nmail A {WORLD}")
        world.start_dns()
        with (
            RestanteHost(tmp_path / "far", FAR + World.dns) as far,
            RestanteHost(tmp_path / "office", by_itself()) as office,
        ):
            letters = awkward_letters(big_octets=300_000)[:14]
            for content in letters:
                send(25, WRITER, "anna@company.example", content, address=WORLD)
            far.wait_until_empty()
            assert office.waiting() == len(letters)
            assert offered("anna@elsewhere.example").startswith("550 5.7.1")
            assert offered("anna%elsewhere.example@company.example").startswith("550 5.7.1")
            with Postfix("primary", primary_cf(), port=25, address=PRIMARY) as postfix:
                office.cli("release", "company.example", "--wait")
                assert recognised(postfix.mail("anna"), letters) == dict.fromkeys(letters, 1)

                assert offered("nobody@company.example").startswith("250")
                send(25, WRITER, "nobody@company.example", letter("to nobody"), address=OFFICE)
                far.wait_for_mail(1)
                assert b"550 5.1.1" in far.mail(WRITER)[0]
                assert offered("nobody@company.example").startswith("550 5.1.1")
                assert offered("anna@company.example").startswith("250")
