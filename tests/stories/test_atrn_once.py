"""`restante atrn`: a site that has no restante running fetches its mail once, into whatever it has."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.stories.dovecot import Dovecot
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.ports import free_port
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.stories.test_atrn_two_hosts import SECRET, office_config
from tests.stories.wire import send


class OfficeHere:
    """An office on loopback, and a site's command line."""

    def __init__(self, office: RestanteHost, mx: int, odmr: int, folder: Path) -> None:
        self.office = office
        self.mx = mx
        self.odmr = odmr
        self._password = folder / "password"
        self._password.write_text(f"{SECRET}\n")

    def sends(self, recipient: str, content: bytes, sender: str = "ann@far.example") -> None:
        """The world writes."""
        send(self.mx, sender, recipient, content)

    def atrn(self, *arguments: str, status: int = 0) -> dict[str, Any]:
        """What `restante atrn` says of itself."""
        done = self.run("--json", *arguments)
        assert done.returncode == status, (done.stdout, done.stderr)
        view: dict[str, Any] = json.loads(done.stdout)
        return view

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """The same, with all that it prints."""
        login = ["--user", "test", "--password-file", str(self._password), "--hostname", "site.example"]
        argv = [str(RESTANTE), "atrn", f"127.0.0.1:{self.odmr}", *login, *arguments]
        return subprocess.run(argv, capture_output=True, text=True, timeout=90, check=False)

    def waiting(self) -> Counter[str]:
        """How much waits at the office for each domain."""
        return Counter(item["domain"] for item in self.office.items())


@pytest.fixture
def here(tmp_path: Path) -> Iterator[OfficeHere]:
    """It runs."""
    mx, odmr = free_port(), free_port()
    with RestanteHost(tmp_path / "office", office_config(f"127.0.0.1:{mx}", f"127.0.0.1:{odmr}")) as office:
        yield OfficeHere(office, mx, odmr, tmp_path)


def maildirs(folder: Path) -> list[bytes]:
    """All that lies in Maildirs under a folder."""
    return [file.read_bytes() for file in folder.glob("*/*/new/*")]


def test_into_maildirs(here: OfficeHere, tmp_path: Path) -> None:
    """Awkward mail, a user each; the second time there is nothing, which is well too."""
    sent = awkward_letters(big_octets=1_000_000)
    for content in sent:
        here.sends("anna+tag@test.example", content)
    view = here.atrn("--deliver-to", f"maildir:{tmp_path}/mail")
    assert (view["received"], view["error"], here.waiting()) == (len(sent), "", Counter())
    assert recognised(maildirs(tmp_path / "mail"), sent) == dict.fromkeys(sent, 1)
    assert {folder.name for folder in (tmp_path / "mail/test.example").iterdir()} == {"anna"}

    view = here.atrn("--deliver-to", f"maildir:{tmp_path}/mail")
    assert (view["received"], view["error"]) == (0, "")
    assert view["replies"][0].startswith("ATRN: 453 ")


def test_only_the_domains_that_were_named(here: OfficeHere, tmp_path: Path) -> None:
    """The others wait for another time."""
    here.sends("anna@test.example", letter("one"))
    here.sends("bert@more.example", letter("two"))
    view = here.atrn("more.example", "--deliver-to", f"maildir:{tmp_path}/mail")
    assert (view["received"], here.waiting()) == (1, Counter({"test.example": 1}))
    assert recognised(maildirs(tmp_path / "mail"), [letter("two")]) == {letter("two"): 1}


def test_what_is_not_ours_is_refused_whole(here: OfficeHere, tmp_path: Path) -> None:
    """RFC 2645 §5.2.1: with one foreign domain nothing is sent at all."""
    here.sends("anna@test.example", letter("one"))
    view = here.atrn("test.example", "foreign.example", "--deliver-to", f"maildir:{tmp_path}/mail", status=1)
    assert "450 4.7.1" in view["error"]
    assert here.waiting() == Counter({"test.example": 1})


def test_plain_lines_for_people(here: OfficeHere, tmp_path: Path) -> None:
    """What happened, and what the office said."""
    here.sends("anna@test.example", letter("one"))
    done = here.run("--deliver-to", f"maildir:{tmp_path}/mail")
    assert done.returncode == 0
    assert "1 received" in done.stdout
    assert "ATRN: 250 " in done.stdout
    assert done.stderr == ""


def test_to_a_server_of_one_s_own(here: OfficeHere, tmp_path: Path) -> None:
    """By SMTP: its refusals are the office's to tell, and what it cannot take now waits there."""
    port = free_port()
    own = f"""
hostname = "own.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
[limits]
message_size = "100KB"
[domains."test.example"]
action = "deliver"
users = ["anna"]
"""
    small, large = letter("small"), letter("large", "x" * 70 * 3000 + "\n")
    here.sends("anna@test.example", small)
    here.sends("anna@test.example", large)
    here.sends("nobody@test.example", letter("to nobody"))
    usage = here.run("--deliver-to", f"smtp:127.0.0.1:{port}")
    assert (usage.returncode, "name the domains" in usage.stderr) == (2, True)
    view = here.atrn("test.example", "--deliver-to", f"smtp:127.0.0.1:{port}", status=1)
    assert "3 messages not handed on" in view["error"]
    assert here.waiting() == Counter({"test.example": 3})  # nobody listens there yet

    with RestanteHost(tmp_path / "own", own) as server:
        view = here.atrn("test.example", "--deliver-to", f"smtp:127.0.0.1:{port}", status=1)
        assert (view["received"], "2 messages not handed on" in view["error"]) == (1, True)
        server.wait_for_mail(1)
        assert recognised(server.mail("anna@test.example"), [small]) == {small: 1}
    assert here.waiting()["test.example"] == 0


@pytest.mark.peer
@pytest.mark.parametrize("by", ["port", "socket"])
def test_to_a_mail_store_by_lmtp(here: OfficeHere, by: str) -> None:
    """A real Dovecot: each recipient has its own answer, and what is acknowledged is in its mailbox."""
    sent = awkward_letters(big_octets=1_000_000)
    with Dovecot("store", "anna@test.example", "bert@more.example") as store:
        for number, content in enumerate(sent):
            here.sends(("anna@test.example", "bert@more.example")[number % 2], content)
        here.sends("nobody@test.example", letter("to nobody"))
        where = f"lmtp:127.0.0.1:{store.port}" if by == "port" else f"lmtp:{store.socket}"
        view = here.atrn("--deliver-to", where, status=1)
        assert view["received"] == len(sent)
        assert "1 message not handed on: <nobody@test.example> was refused: 550 5.1.1" in view["error"]
        assert recognised(store.all_mail(), sent) == dict.fromkeys(sent, 1)
    assert here.waiting()["test.example"] == 0


def test_a_wrong_password_is_told_and_nothing_is_lost(here: OfficeHere, tmp_path: Path) -> None:
    """By its reply, without the password."""
    here.sends("anna@test.example", letter("one"))
    (tmp_path / "password").write_text("wrong-but-long-enough\n")
    view = here.atrn("--deliver-to", f"maildir:{tmp_path}/mail", status=1)
    assert "the login as test was refused: 535 5.7.8" in view["error"]
    assert "wrong-but" not in json.dumps(view)
    assert here.waiting() == Counter({"test.example": 1})
