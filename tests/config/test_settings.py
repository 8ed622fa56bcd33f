"""Values that depend on each other, and settings as values."""

from __future__ import annotations

import pytest
from tests.config.written import Folder

from restante.config.load import load
from restante.model import HostPort

LOGIN = 'user = "test"\npassword_file = "password"\n'
MAILBOXES = '[domains."local.example"]\naction = "deliver"\nusers = "*"\n'


@pytest.mark.parametrize(
    ("keys", "port"),
    [
        ("", 25),
        ('tls = "implicit"', 25),
        ('service = "submission"', 587),
        ('service = "submission"\ntls = "off"', 587),
        ('service = "submission"\ntls = "implicit"', 465),
        ('service = "odmr"', 366),
        ('service = "odmr"\ntls = "implicit"', 366),
    ],
)
def test_a_listener_without_a_port_has_that_of_its_service(folder: Folder, keys: str, port: int) -> None:
    """RFC 5321, 6409, 8314, 2645; what is written stays."""
    (listen,) = folder.load(listen=f'[[listen]]\naddress = "192.0.2.1"\n{keys}').listen
    assert listen.address == HostPort("192.0.2.1", port)
    (listen,) = folder.load(listen=f'[[listen]]\naddress = "[::1]:2525"\n{keys}').listen
    assert listen.address == HostPort("::1", 2525)


@pytest.mark.parametrize(("protocol", "port"), [("etrn", 25), ("atrn", 366)])
def test_a_call_without_a_port_dials_that_of_its_protocol(folder: Folder, protocol: str, port: int) -> None:
    """RFC 2645 §5: ODMR has a port of its own."""
    call = f'[calls.office]\nhost = "office.example"\ndomains = ["local.example"]\nprotocol = "{protocol}"\n{LOGIN}'
    assert folder.load(MAILBOXES + call).calls["office"].host == HostPort("office.example", port)
    call = call.replace('office.example"', 'office.example:2525"')
    assert folder.load(MAILBOXES + call).calls["office"].host == HostPort("office.example", 2525)


def test_two_services_may_share_an_address_and_not_a_port(folder: Folder) -> None:
    """The port that is not written counts."""
    one = '[[listen]]\naddress = "127.0.0.1"\n'
    assert len(folder.load(listen=f'{one}{one}service = "submission"\n{one}service = "odmr"').listen) == 3
    assert folder.problems(listen=one.replace("127.0.0.1", "127.0.0.1:366") + one + 'service = "odmr"') == [
        "restante.toml: listen[1].address: found '127.0.0.1:366' again, allowed: each address once"
    ]


def test_a_pin_is_kept_as_tls_compares_it(folder: Folder) -> None:
    """64 digits in lower case, whatever was written around them; one needs no brackets."""
    held = '[domains."test.example"]\naction = "hold"\nnext_hop = "192.0.2.25"\ntls = "required"\n'
    pin = ":".join(["AB"] * 32)
    assert folder.load(f'{held}tls_pin = "SHA256:{pin}"').held["test.example"].tls_pin == ("ab" * 32,)


def test_secrets_are_in_no_text_of_the_settings(folder: Folder) -> None:
    """Whoever prints them prints none; the file's first line is the secret."""
    (folder.path / "test.cram").write_text("tanstaaftanstaaf  \nand more\n")
    settings = folder.load('[users.test]\nsecret_file = "test.cram"')
    secret_file = settings.users["test"].secret_file
    assert secret_file is not None
    assert secret_file.secret == "tanstaaftanstaaf"
    assert "tanstaaf" not in repr(secret_file)


def test_listeners_can_be_compared_and_be_keys(folder: Folder) -> None:
    """A reload closes those that are gone and leaves those that are the same."""
    first = folder.load('[[listen]]\naddress = "127.0.0.1"\ntls = "off"').listen
    again = load(folder.path / "restante.toml").listen
    assert first == again
    assert len({*first, *again}) == 2


def test_settings_do_not_change(folder: Folder) -> None:
    """Two files are two settings: nothing of one is in the other."""
    first = folder.load('[calls.office]\nhost = "office.example"\nflush = ["*"]')
    second = folder.load()
    assert (len(first.calls), len(second.calls)) == (1, 0)
