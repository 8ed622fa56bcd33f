"""What is in order and not in force, or is probably not meant so, is told in a note."""

from __future__ import annotations

import pytest
from tests.config.written import Folder

from restante.config.build import Kept, directory_of
from restante.config.notes import MOST_NOTES, notes_of
from restante.directory.entries import Held
from restante.directory.users import User
from restante.logins.passwords import hash_password
from restante.model import Caller

HELD = '[domains."test.example"]\naction = "hold"\n'
TO_CALLER = f'{HELD}next_hop = "caller"\n'
FINGERPRINT = "ab" * 32
USER = f'[users.test]\ncertificates = ["{FINGERPRINT}"]\n'
CALL = '[calls.office]\nhost = "office.example"\n'
HERE = 'domains."test.example".'


def test_an_api_that_takes_nobodys_password_is_told(folder: Folder) -> None:
    """There must be a user with one, and TLS where it does not come from this host."""
    hashed = hash_password("tanstaaf")
    user = f'[users.test]\npassword = "{hashed}"\nadmin = true\n'
    near, far = '[admin]\naddress = "127.0.0.1:8025"\n', '[admin]\naddress = "192.0.2.1:8025"\n'
    assert folder.notes(near) == ("admin.address: nobody can log in there: no user has a password or a token",)
    assert folder.notes(user + near) == folder.notes(user + far) == ()
    note = "admin.tls: nobody can log in there but from this host: passwords and tokens are taken over TLS alone"
    assert folder.notes(f"{user}{far}tls = false") == (note,)
    no_administrator = "admin.address: nobody sees all there: no administrator has a password or a token"
    assert folder.notes(user.replace("true", "false") + near) == (no_administrator,)


@pytest.mark.parametrize(
    "more",
    [
        '[domains."*"]\naction = "relay"\nnext_hop = "smarthost.example"',
        f'{TO_CALLER}release_from = ["user:test"]\n{USER}',
        f'{TO_CALLER}release_from = ["cert:{FINGERPRINT}"]',
        f'{TO_CALLER}{USER}domains = ["test.example"]',
        f'{CALL}flush = ["*"]\n{HELD}next_hop = "192.0.2.25"',
    ],
)
def test_what_is_as_it_should_be_has_no_note(folder: Folder, more: str) -> None:
    """A smart host, a caller who can prove who it is, a call that brings mail out."""
    assert folder.notes(more) == ()


def test_mail_for_a_caller_whom_nobody_can_prove_to_be_is_told(folder: Folder) -> None:
    """A network is no proof."""
    assert folder.notes(TO_CALLER + 'release_from = ["192.0.2.0/24"]') == (
        f"{HERE}next_hop: nobody can prove to be the caller: no user and no certificate may release it",
        f"{HERE}release_from: 192.0.2.0/24 has no effect: to the caller goes mail for a login or a certificate only",
    )


def test_a_service_for_logins_without_users_is_told(folder: Folder) -> None:
    """Users of the store count."""
    listen = '[[listen]]\naddress = "127.0.0.1"\nservice = "odmr"'
    note = "listen[0].service: nobody can log in at odmr: there are no users"
    assert folder.notes(listen=listen) == (note,)
    assert folder.notes(USER, listen=listen) == ()
    settings = folder.load(listen=listen)
    assert notes_of(settings, directory_of(settings, Kept(users={"test": User("test")}))) == ()


def test_odmr_in_clear_is_for_those_who_have_a_secret(folder: Folder) -> None:
    """RFC 2645 §5.1.1: CRAM-MD5 shows nothing; passwords would be."""
    listen = '[[listen]]\naddress = "192.0.2.1"\nservice = "odmr"\ntls = "off"'
    assert len(folder.notes(USER, listen=listen)) == 1
    assert folder.notes('[users.test]\nsecret = "tanstaaftanstaaf"', listen=listen) == ()


@pytest.mark.parametrize(
    ("address", "keys", "notes"),
    [
        (
            "192.0.2.1",
            'tls = "off"',
            ["listen[0].tls: nobody can log in: logins are not taken in clear, unless auth_in_clear is set"],
        ),
        ("192.0.2.1", 'tls = "off"\nauth_in_clear = true', []),
        ("127.0.0.1", 'tls = "off"', []),
        ("192.0.2.1", "", ["listen[0].tls: users are shown a self-signed certificate: tls.certificate is not set"]),
    ],
)
def test_a_service_at_which_users_cannot_or_will_not_log_in_is_told(
    folder: Folder, address: str, keys: str, notes: list[str]
) -> None:
    """In clear they may on loopback; mail programs refuse certificates that are self-signed."""
    listen = f'[[listen]]\naddress = "{address}"\nservice = "submission"\n{keys}'
    assert list(folder.notes(USER, listen=listen)) == notes


def test_a_user_s_domain_that_is_elsewhere_is_told(folder: Folder) -> None:
    """One that is held or delivered here is what was meant, in the store too."""
    more = f'{HELD}next_hop = "192.0.2.25"\n{USER}domains = ["test.example", "kept.example", "far.example"]'
    settings = folder.load(more)
    kept = Kept(entries={"kept.example": Held("kept.example", Caller())})
    assert notes_of(settings, directory_of(settings, kept)) == (
        "users.test.domains: far.example is neither held nor delivered here",
    )


def test_secrets_that_others_may_read_are_told(folder: Folder) -> None:
    """Until the file is for its owner and group."""
    for name in ("test.cram", "password", "site.pem", "site.key"):
        (folder.path / name).write_text("tanstaaftanstaaf\n")
        (folder.path / name).chmod(0o644)
    more = f"""
        [users.test]
        secret_file = "test.cram"
        {CALL}
        flush = ["*"]
        user = "test"
        password_file = "password"
        certificate = "site.pem"
        key = "site.key"
    """
    assert folder.notes(more) == (
        f"users.test.secret_file: others may read {folder.path}/test.cram",
        f"calls.office.password_file: others may read {folder.path}/password",
        f"calls.office.key: others may read {folder.path}/site.key",
    )
    for name in ("test.cram", "password", "site.key"):
        (folder.path / name).chmod(0o640)
    assert folder.notes(more) == ()


def test_an_office_s_mail_that_cannot_be_delivered_here_is_told(folder: Folder) -> None:
    """It will be refused when it comes."""
    more = f'[domains."local.example"]\naction = "deliver"\nusers = "*"\n{HELD}next_hop = "192.0.2.25"\n{CALL}'
    not_delivered = "has no mailboxes here: what the office sends for it is not delivered here"
    assert folder.notes(more + 'domains = ["local.example", "test.example", "unknown.example"]') == (
        f"calls.office.domains: test.example {not_delivered}",
        f"calls.office.domains: unknown.example {not_delivered}",
    )


def test_there_are_never_thousands_of_notes(folder: Folder) -> None:
    """A line says how many there would be."""
    settings = folder.load()
    kept = Kept(entries={name: Held(name, Caller()) for name in (f"d{n}.example" for n in range(1000))})
    notes = notes_of(settings, directory_of(settings, kept))
    assert len(notes) == MOST_NOTES + 1
    assert notes[-1] == f"and {1000 - MOST_NOTES} more such notes"


@pytest.mark.parametrize(
    ("dns", "is_told"),
    [
        ("", False),
        ('servers = ["127.0.0.1", "[::1]:5353"]', False),
        ('servers = ["127.0.0.1", "192.0.2.53"]', True),
        ('servers = ["192.0.2.53"]\nvalidates = true', False),
        ("validates = false", True),
    ],
)
def test_dane_by_a_resolver_whose_word_does_not_count_is_told(folder: Folder, dns: str, *, is_told: bool) -> None:
    """Nothing could ever be proven."""
    more = f'[domains."*"]\naction = "relay"\ntls = "dane"\n[dns]\n{dns}\n'
    note = 'domains."*".tls: nothing will be sent: the word of dns.servers on DNSSEC does not count'
    assert folder.notes(more) == ((note,) if is_told else ())
