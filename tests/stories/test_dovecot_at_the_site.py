"""docs/recipes/dovecot.md, as it stands: a real Dovecot has the site's mail by LMTP, or in restante's own Maildirs, and
people read it by IMAP.
"""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import re
import smtplib
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.stories.dovecot import Dovecot
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.netns import NetHost, Network, inside
from tests.stories.peers import GROUP, OWNER
from tests.stories.recipes import block
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

from restante.net.tls import self_signed
from restante.transport.maildirsize import measure, parse

pytestmark = [pytest.mark.peer, pytest.mark.netns, pytest.mark.timeout(300)]

OFFICE, SITE, WORLD = "192.0.2.1", "192.0.2.66", "192.0.2.99"
SENDER = "world@far.example"
DATA = {"/var/lib/restante": "data"}
BERTS_QUOTA = "*:storage=100M"


@dataclass
class Chain:
    """The world, the office, the site and its Dovecot; the test is at the site."""

    world: NetHost
    at_office: NetHost
    office: RestanteHost
    site: RestanteHost
    store: Dovecot

    def sends(self, recipients: str | Sequence[str], content: bytes) -> bytes:
        """Somebody writes; by local part, to the office. Returns the content."""
        locals_ = [recipients] if isinstance(recipients, str) else recipients
        send(25, SENDER, [f"{local}@test.example" for local in locals_], content, address=OFFICE, on=self.world)
        return content

    def calls(self) -> None:
        """The site fetches its mail, and hands on what it can."""
        self.site.cli("call", "office", "--wait")

    def releases(self) -> int:
        """The site tries again at once what waits for Dovecot; how much still does."""
        self.site.cli("release", "test.example", "--wait", status=None)
        return self.site.waiting()

    def puts(self, letters: Sequence[bytes], recipient: str) -> None:
        """Many, by one connection, to the site itself."""
        with smtplib.SMTP(SITE, 25, local_hostname="office.example", timeout=90) as client:
            for content in letters:
                assert client.sendmail(SENDER, f"{recipient}@test.example", content) == {}

    def stored(self, user: str) -> int:
        """How many messages Dovecot has for a user."""
        return len(self.store.mail(f"{user}@test.example"))


@contextmanager
def imap(user: str) -> Iterator[imaplib.IMAP4_SSL]:
    """A mail program of one of the users."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with imaplib.IMAP4_SSL(SITE, 993, ssl_context=context, timeout=90) as client:
        client.login(f"{user}@test.example", f"{user}s-password")
        yield client


def read(user: str, folder: str = "INBOX") -> list[bytes]:
    """All that a user has in a folder, octet by octet."""
    with imap(user) as client:
        assert client.select(folder, readonly=True)[0] == "OK"
        _, found = client.search(None, "ALL")
        messages = []
        for number in found[0].split():
            _, parts = client.fetch(number, "(BODY.PEEK[])")
            assert isinstance(parts[0], tuple)
            messages.append(parts[0][1])
        return messages


def exactly(stored: Sequence[bytes], sent: Sequence[bytes]) -> Counter[bytes]:
    """Which was read how often, and that nothing but fields on top was added, down to the line ends."""
    assert all(any(message.endswith(b"\r\n" + content) for content in sent) for message in stored)
    return recognised(stored, sent)


def once(*letters: bytes) -> Counter[bytes]:
    return Counter(dict.fromkeys(letters, 1))


def wait_until(so: Callable[[], bool]) -> None:
    """Returns once it is so."""
    end = time.monotonic() + 90
    while not so():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def dovecot_conf(store: Dovecot, *, maildirs: Path | None = None) -> str:
    """The recipe's, with what stands on this machine for its users and folders."""
    certificate, key, _ = self_signed(store.dir, "site.test.example")
    own = {
        "first_valid_uid = 100": "first_valid_uid = 1\nfirst_valid_gid = 1",
        "/etc/dovecot/private/dovecot.pem": str(certificate),
        "/etc/dovecot/private/dovecot.key": str(key),
        "/etc/dovecot/users": str(store.dir / "users"),
        "/run/dovecot/restante": str(store.dir / "restante"),
        "user = restante": "user = root",
        "/var/vmail": str(store.dir / "mail"),
        "mail_uid = vmail": f"mail_uid = {OWNER}",
        "mail_gid = vmail": f"mail_gid = {GROUP}",
    }
    text = block("dovecot", "dovecot.conf", own)
    if maildirs is None:
        return text
    instead = {
        "/var/lib/restante/mailboxes": str(maildirs),
        "mail_uid = restante": f"mail_uid = {OWNER}",
        "mail_gid = restante": f"mail_gid = {GROUP}",
    }
    in_place = block("dovecot", "dovecot-maildir.conf", instead)
    for line in re.findall(r"^(\w+) = .*$", in_place, re.MULTILINE):
        text = re.sub(rf"^{line} = .*\n", "", text, flags=re.MULTILINE)
    text = re.sub(r"^(plugin|service lmtp) \{\n.*?^\}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    return text + in_place


def put_users(store: Dovecot, quota: str = BERTS_QUOTA) -> None:
    """The recipe's users; `quota` is bert's."""
    (store.dir / "users").write_text(block("dovecot", "users", {BERTS_QUOTA: quota}))


@contextmanager
def a_chain(tmp_path: Path) -> Iterator[Chain]:
    """All of it, and nothing on its way."""
    with Network() as network:
        world, at_office, at_site = (network.host(address) for address in (WORLD, OFFICE, SITE))
        network.cable(world, at_office)
        network.cable(at_office, at_site)
        with inside(at_site.namespace):
            store = Dovecot("store")
            store.port = 993
            store.configure(dovecot_conf(store))
            put_users(store)
            site_config = block("dovecot", "site.toml", {**DATA, "/run/dovecot/restante": str(store.dir / "restante")})
            with (
                store,
                RestanteHost(tmp_path / "office", block("dovecot", "office.toml", DATA), on=at_office) as office,
                RestanteHost(tmp_path / "site", site_config, on=at_site) as site,
            ):
                yield Chain(world, at_office, office, site, store)


def test_from_the_world_to_a_mail_program(tmp_path: Path) -> None:
    """World, office, ETRN, site, LMTP, IMAP: every octet, once, to whom each address means."""
    with a_chain(tmp_path) as chain:
        with imap("anna") as client:
            assert client.create("lists")[0] == "OK"
        letters = [chain.sends("anna", content) for content in awkward_letters(big_octets=2_000_000)[:30]]
        to_both = chain.sends("info", letter("to both"))
        to_lists = chain.sends("Anna+lists", letter("to her lists"))
        to_none = chain.sends("bert+none", letter("to a folder that is not there"))
        to_whoever = chain.sends("whoever", letter("to whoever it may be"))
        to_postmaster = chain.sends("Postmaster", letter("to postmaster"))
        to_many = chain.sends(["anna", "info", "anna+lists", "postmaster", "nobody", "carla"], letter("to many"))
        assert chain.office.waiting() == 36
        assert chain.site.waiting() == len(read("anna")) == 0

        chain.calls()
        send(25, SENDER, "postmaster", bare := letter("to whoever keeps this host"), address=SITE, on=chain.at_office)
        chain.site.wait_until_empty()
        assert chain.office.waiting() == 0
        sent = [*letters, to_both, to_lists, to_none, to_whoever, to_postmaster, to_many, bare]
        assert exactly(read("anna"), sent) == once(*letters, to_both, to_postmaster, to_many, bare)
        assert exactly(read("anna", "lists"), sent) == once(to_lists, to_many)
        assert exactly(read("bert"), sent) == once(to_both, to_none, to_many)
        assert exactly(read("carla"), sent) == once(to_whoever, to_many)


def test_of_two_users_the_one_who_is_full_waits(tmp_path: Path) -> None:
    """Of an alias for both: the other has the message, once, at every attempt; when there is room, both do."""
    with a_chain(tmp_path) as chain:
        put_users(chain.store, "*:bytes=30000")
        letters = [chain.sends("info", letter(f"number {n}", (f"{n}" * 70 + "\n") * 160)) for n in range(4)]
        chain.calls()
        wait_until(lambda: [item["recipients"] for item in chain.site.items()] == 2 * [["bert@test.example"]])
        for item in chain.site.items():
            assert item["recipients"] == ["bert@test.example"]
            assert item["detail"].startswith("452 4.2.2 <bert@test.example> Quota exceeded")
        assert chain.releases() == 2
        assert exactly(read("anna"), letters) == once(*letters)
        assert sum(exactly(read("bert"), letters).values()) == 2

        put_users(chain.store)
        wait_until(lambda: chain.releases() == 0)  # Dovecot looks at the file once a second
        assert exactly(read("anna"), letters) == exactly(read("bert"), letters) == once(*letters)


def test_while_dovecot_is_away_mail_waits_and_comes_later(tmp_path: Path) -> None:
    """The office gets rid of all of it, and everything is there once in the end."""
    with a_chain(tmp_path) as chain:
        early = [chain.sends("info", letter(f"early {n}")) for n in range(3)]
        chain.calls()
        chain.site.wait_until_empty()
        chain.store.stop()
        late = [chain.sends("info", letter(f"late {n}")) for n in range(20)]
        chain.calls()
        assert (chain.office.waiting(), chain.site.waiting()) == (0, 20)
        chain.store.start()
        assert chain.releases() == 0
        for user in ("anna", "bert"):
            assert exactly(read(user), [*early, *late]) == once(*early, *late)


def test_dovecot_is_stopped_in_the_middle_of_many(tmp_path: Path) -> None:
    """What it has answered is not sent again; what it was busy with it may have filed without a word, and get again."""
    with a_chain(tmp_path) as chain:
        letters = [letter(f"number {n}") for n in range(200)]
        chain.puts(letters, "anna")
        wait_until(lambda: chain.stored("anna") >= 20)
        chain.store.stop()
        chain.store.start()
        assert chain.releases() == 0
        found = exactly(read("anna"), letters)
        assert found.keys() == set(letters)
        assert found.total() <= len(letters) + 1


def test_a_site_that_dies_while_it_hands_over_loses_nothing(tmp_path: Path) -> None:
    """What Dovecot had acknowledged and the site had not yet written down comes a second time, and never a third."""
    with a_chain(tmp_path) as chain:
        letters = [letter(f"number {n}") for n in range(200)]
        chain.puts(letters, "info")
        wait_until(lambda: chain.stored("anna") >= 20)
        chain.site.kill()
        chain.site.start()
        chain.site.wait_until_empty()
        for user in ("anna", "bert"):
            found = exactly(read(user), letters)
            assert found.keys() == set(letters)
            assert set(found.values()) <= {1, 2}


def own(folder: Path) -> None:
    """Gives what restante has written to the user whom it shares with Dovecot; here it runs as root."""
    user, group = pwd.getpwnam(OWNER).pw_uid, grp.getgrnam(GROUP).gr_gid
    for path in (folder, *folder.rglob("*")):
        os.chown(path, user, group)


def quota_of(user: str) -> int:
    """Kibibytes that Dovecot says are used."""
    with imap(user) as client:
        _, (_, said) = client.getquotaroot("INBOX")
        match = re.search(rb"STORAGE (\d+) 1048576\)", b"".join(line for line in said if isinstance(line, bytes)))
        assert match, said
        return int(match[1])


def test_dovecot_reads_what_restante_files_itself(tmp_path: Path) -> None:
    """Folders and quota are the same to both, whoever puts mail in or takes it out."""
    with Network() as network:
        at_site = network.host(SITE)
        with inside(at_site.namespace):
            store = Dovecot("reader")
            store.port = 993
            data = store.dir / "data"
            store.configure(dovecot_conf(store, maildirs=data / "mailboxes"))
            put_users(store)
            config = block("dovecot", "maildir.toml", {"/var/lib/restante": str(data)})
            anna = data / "mailboxes/test.example/anna"

            def said() -> int:
                usage = parse((anna / "maildirsize").read_bytes(), 1 << 30)
                assert usage is not None
                assert (usage.octets, usage.messages) == (measure(anna).octets, measure(anna).messages)
                return usage.octets

            with store, RestanteHost(tmp_path / "site", config, on=at_site) as site:

                def delivers(recipient: str, *contents: bytes) -> None:
                    for content in contents:
                        send(25, SENDER, recipient, content, address=SITE)
                    site.wait_until_empty()
                    own(data)

                letters = awkward_letters(big_octets=500_000)[:20]
                delivers("anna@test.example", *letters)
                assert exactly(read("anna"), letters) == once(*letters)
                assert quota_of("anna") == -(-said() // 1024)

                with imap("anna") as client:
                    assert client.create("lists")[0] == "OK"
                own(data)
                listed = letter("to her lists")
                delivers("anna+lists@test.example", listed)
                assert exactly(read("anna", "lists"), [listed]) == once(listed)
                assert quota_of("anna") == -(-said() // 1024)

                with imap("anna") as client:  # takes half of it out, and copies one
                    client.select("INBOX")
                    client.store("1:10", "+FLAGS", r"(\Deleted)")
                    client.expunge()
                    assert client.copy("1", "lists")[0] == "OK"
                assert quota_of("anna") == -(-said() // 1024)
                more = letter("one more")
                delivers("anna@test.example", more)
                assert quota_of("anna") == -(-said() // 1024)
                assert exactly(read("anna"), [*letters, more])[more] == 1
