"""docs/recipes/beside-postfix.md, as it stands: a real Postfix before restante, and one behind it."""

from __future__ import annotations

import smtplib
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.netns import NetHost, Network, inside
from tests.stories.peers import Postfix
from tests.stories.recipes import block
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send, typed_from

pytestmark = [pytest.mark.peer, pytest.mark.netns]

OFFICE, SITE, BRANCH = "192.0.2.1", "192.0.2.66", "192.0.2.67"
DATA = {"/var/lib/restante": "data"}
BRANCH_SITE = """
hostname = "branch.example"
data = "data"
[[listen]]
address = "192.0.2.67:25"
[domains."branch.example"]
action = "deliver"
users = ["carl", "dora"]
"""


@contextmanager
def hosts(*others: str) -> Iterator[list[NetHost]]:
    """The office, and others that are joined to it; the test is at the office."""
    with Network() as network:
        made = [network.host(address) for address in (OFFICE, *others)]
        for other in made[1:]:
            network.cable(made[0], other)
        with inside(made[0].namespace):
            yield made


def wait_until(so: Callable[[], bool]) -> None:
    """Returns once it is so."""
    end = time.monotonic() + 90
    while not so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.1)


def test_a_postfix_in_front_hands_held_domains_on_by_smtp_and_by_lmtp(tmp_path: Path) -> None:
    """Octet for octet; recipients whom restante does not know are refused at Postfix's door; each site gets its own."""
    (tmp_path / "test.example.txt").write_text("anna@test.example\nbert@test.example\n")
    files = {**DATA, "test.example.txt": str(tmp_path / "test.example.txt")}
    with (
        hosts(SITE, BRANCH) as (office, at_site, at_branch),
        Postfix("office", main_cf(), port=25, everywhere=True) as postfix,
        RestanteHost(tmp_path / "hold", block("beside-postfix", "restante.toml", files), on=office) as held,
        RestanteHost(tmp_path / "site", block("beside-postfix", "site.toml", DATA), on=at_site) as site,
        RestanteHost(tmp_path / "branch", BRANCH_SITE, on=at_branch) as branch,
    ):

        def sends(recipients: list[str], content: bytes) -> None:
            send(25, "world@far.example", recipients, content, address=OFFICE, on=at_branch)

        letters = awkward_letters(big_octets=300_000)[:20]
        for content in letters:
            sends(["anna@test.example"], content)
            sends(["carl@branch.example"], content)
        to_two = letter("to two of a branch")
        sends(["carl@branch.example", "dora@branch.example"], to_two)
        with pytest.raises(smtplib.SMTPRecipientsRefused) as caught:
            sends(["nobody@test.example"], letter("to nobody"))
        assert caught.value.recipients["nobody@test.example"][0] == 550

        wait_until(lambda: held.waiting() == 41 and postfix.queue() == [])
        wait_until(lambda: postfix.log().count("postfix/lmtp") >= 21)
        assert site.all_mail() == branch.all_mail() == []

        site.cli("call", "office", "--wait")
        site.wait_for_mail(20)
        assert recognised(site.mail("anna@test.example"), letters) == dict.fromkeys(letters, 1)
        assert typed_from(at_site, OFFICE, 2525, "ETRN branch.example")[0].startswith("459 ")
        assert typed_from(at_branch, OFFICE, 2525, "ETRN branch.example")[0].startswith("253 ")
        branch.wait_for_mail(22)
        assert recognised(branch.mail("carl@branch.example"), [*letters, to_two]) == dict.fromkeys(
            [*letters, to_two], 1
        )
        assert recognised(branch.mail("dora@branch.example"), [to_two]) == {to_two: 1}
        held.wait_until_empty()


def main_cf() -> str:
    """The recipe's lines, and that Postfix asks itself more often what has become of a question about a recipient."""
    return block("beside-postfix", "main.cf") + "address_verify_poll_delay = 1s\naddress_verify_poll_count = 30\n"


def test_a_postfix_behind_gets_at_once_what_is_not_held(tmp_path: Path) -> None:
    """What is held waits; what came while Postfix is away reaches it later; strangers send to both and nowhere else."""
    assert block("beside-postfix", "master.cf").startswith("127.0.0.1:10025 inet ")
    mailboxes = "virtual_mailbox_domains = home.example, far.example\nvirtual_mailbox_maps = static:all/\n"
    with (
        hosts(SITE, "198.51.100.9") as (office, at_site, stranger),
        RestanteHost(tmp_path / "hold", block("beside-postfix", "front.toml", DATA), on=office) as front,
    ):
        early, held = letter("while Postfix is away"), letter("for the site")
        send(25, "anna@home.example", "bert@home.example", early, address=OFFICE, on=at_site)
        front.wait_for_log("release ended")
        assert front.waiting() == 1
        with Postfix("behind", mailboxes, port=10025) as behind:
            front.cli("release", "home.example", "--wait")
            behind.wait_for_mail(1)
            later = awkward_letters(big_octets=300_000)[:20]
            for content in later:
                send(25, "anna@home.example", ["bert@home.example"], content, address=OFFICE, on=at_site)
            send(25, "anna@home.example", "world@far.example", held, address=OFFICE, on=at_site)
            send(25, "world@far.example", "anna@test.example", held, address=OFFICE, on=stranger)
            strange = letter("from a stranger")
            send(25, "world@far.example", "bert@home.example", strange, address=OFFICE, on=stranger)
            for recipient in ("world@far.example", "bert%far.example@home.example"):
                with pytest.raises(smtplib.SMTPRecipientsRefused):
                    send(25, "world@far.example", recipient, held, address=OFFICE, on=stranger)
            behind.wait_for_mail(23)
            sent = [early, *later, held, strange]
            assert recognised(behind.mail("all"), sent) == dict.fromkeys(sent, 1)
            wait_until(lambda: front.waiting() <= 1)  # Postfix has it before its last replies are heard
            assert front.waiting() == 1
