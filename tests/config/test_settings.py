"""What was read and is not in force is told in a note."""

from __future__ import annotations

from tests.config.written import Folder

from restante.config.load import load

CERTIFICATE = f"cert:{'a' * 64}"
NO_LOGINS = "logins come with a later release"


def test_what_is_not_in_force_yet_is_told(folder: Folder) -> None:
    """A line for each, with its key; the file is in order nevertheless."""
    settings = folder.load(f"""
        [tls]
        client_ca = "clients.pem"
        [domains."test.example"]
        action = "hold"
        next_hop = "caller"
        release_from = ["192.0.2.25", "user:test", "{CERTIFICATE}"]
        expire = "5d"
        quota = "2GB"
        [domains."local.example"]
        action = "deliver"
        users = "*"
        [domains."*"]
        action = "relay"
        [users.test]
        password = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA"
        secret_file = "test.cram"
        domains = ["test.example"]
        [calls.office]
        host = "office.example"
        domains = ["local.example", "test.example", "unknown.example"]
        user = "test"
        password_file = "password"
        [admin]
        address = "127.0.0.1:8025"
    """)
    not_proven = "is not in force yet: logins and certificates come with a later release"
    not_delivered = "has no mailboxes here: what the office sends for it is not delivered here"
    assert settings.notes == (
        "tls.client_ca: not in force yet: client certificates come with a later release",
        f'domains."test.example".next_hop: {NO_LOGINS}; until then nobody can prove to be the caller',
        f'domains."test.example".release_from: user:test {not_proven}',
        f'domains."test.example".release_from: {CERTIFICATE} {not_proven}',
        'domains."test.example".expire: not in force yet: nothing expires',
        'domains."test.example".quota: not in force yet',
        'domains."*".next_hop: MX look-ups come with a later release; until then this mail waits',
        f"users: not in force yet: {NO_LOGINS}",
        f"calls.office.domains: test.example {not_delivered}",
        f"calls.office.domains: unknown.example {not_delivered}",
        f"calls.office.user: not in force yet: {NO_LOGINS}",
        f"calls.office.password_file: not in force yet: {NO_LOGINS}",
        "admin: not in force yet: the web page comes with a later release",
    )


def test_a_smart_host_needs_no_look_up_and_no_note(folder: Folder) -> None:
    """Only what waits for a later release is remarked upon."""
    assert folder.load('[domains."*"]\naction = "relay"\nnext_hop = "smarthost.example"').notes == ()


def test_listeners_can_be_compared_and_be_keys(folder: Folder) -> None:
    """A reload closes those that are gone and leaves those that are the same."""
    first = folder.load('[[listen]]\naddress = "127.0.0.1:25"\ntls = "off"').listen
    again = load(folder.path / "restante.toml").listen
    assert first == again
    assert len({*first, *again}) == 2


def test_settings_do_not_change(folder: Folder) -> None:
    """Two files are two settings: nothing of one is in the other."""
    first = folder.load('[calls.office]\nhost = "office.example"\nflush = ["*"]')
    second = folder.load()
    assert (len(first.calls), len(second.calls)) == (1, 0)
