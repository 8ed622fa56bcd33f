"""What a form comes to: tables that the configuration's own checks take, or what is wrong, by field."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.config.build import directory_of
from restante.config.keeping import check_tables
from restante.config.load import load
from restante.config.settings import Settings
from restante.logins.passwords import hash_password, new_password, new_secret
from restante.setup.joined import Here, lacking
from restante.setup.joining import IN_FILE, NEEDED, Joining, read_delivered, read_held
from restante.setup.plan import Proof, Protocol

HOST = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."there.example"]
action = "hold"
next_hop = "192.0.2.25"
[domains."own.example"]
action = "deliver"
users = ["anna"]
[calls.shore]
host = "shore.example"
protocol = "etrn"
domains = ["own.example"]
[users.there]
certificates = ["{0}"]
domains = ["there.example"]
"""
TAKEN, FINGERPRINT = "ab" * 32, "cd" * 32
SOURCE = Path("body")
KEYS = {"password": hash_password("tanstaafl")}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A host that has a domain of each kind, a call and a user."""
    file = tmp_path_factory.mktemp("host") / "restante.toml"
    file.write_text(HOST.format(TAKEN))
    settings = load(file)
    return Here(settings, directory_of(settings))


def added(fields: dict[str, str], here: Here) -> dict[str, dict[str, dict[str, object]]]:
    """The tables of a form that is in order, as the store would take them."""
    joining = read_held(fields, here)
    assert isinstance(joining, Joining), joining
    tables = joining.with_proofs(KEYS if joining.has_password else {})
    taken(tables, here.settings, here)
    return {kind: dict(of) for kind, of in tables.items()}


def taken(tables: object, settings: Settings, here: Here) -> None:
    """Raises ConfigError where the store would not take them."""
    assert isinstance(tables, dict)
    check_tables(tables, settings=settings, directory=here.directory, folder=Path(), source=SOURCE)


def test_by_atrn_and_a_login(here: Here) -> None:
    """As little as a name is enough: a login of that name has the domain's mail, wherever it calls from."""
    assert added({"domains": "new.example"}, here) == {
        "domains": {"new.example": {"action": "hold", "next_hop": "caller"}},
        "users": {"new": {"domains": ["new.example"], **KEYS}},
    }


def test_by_etrn_at_a_fixed_address(here: Here) -> None:
    """The address is the proof and the next hop; others may release too; there is no login."""
    fields = {
        "domains": "new.example, Other.Example",
        "protocol": "etrn",
        "proof": "address",
        "site": "192.0.2.66:2525",
        "others": "user:there 192.0.2.0/24",
        "contact": "0 14 * * *\n@weekly\n",
        "quota": "2GB",
    }
    table = {
        "action": "hold",
        "next_hop": "192.0.2.66:2525",
        "release_from": ["192.0.2.66", "user:there", "192.0.2.0/24"],
        "contact": ["0 14 * * *", "@weekly"],
        "quota": "2GB",
    }
    assert added(fields, here) == {"domains": {"new.example": table, "other.example": table}, "users": {}}


def test_by_a_certificate(here: Here) -> None:
    """A login without a password, which shows it; by ETRN the domain names it, too."""
    fields = {"domains": "new.example", "proof": "certificate", "certificate": FINGERPRINT.upper(), "protocol": "etrn"}
    assert added(fields, here) == {
        "domains": {
            "new.example": {"action": "hold", "next_hop": "caller", "release_from": [f"cert:{FINGERPRINT}"]},
        },
        "users": {"new": {"certificates": [FINGERPRINT], "domains": ["new.example"]}},
    }


def test_a_login_that_is_here_already(here: Here) -> None:
    """It may have the mail; the login itself stays as it is, and no password is made."""
    joining = read_held({"domains": "new.example", "user": "There"}, here)
    assert isinstance(joining, Joining)
    assert joining.tables == {
        "domains": {"new.example": {"action": "hold", "next_hop": "caller", "release_from": ["user:there"]}},
        "users": {},
    }
    assert (joining.login, joining.has_password) == (None, False)


def test_a_secret_for_fetchmail(here: Here) -> None:
    """It is made where it is of use: for a new login by ATRN."""
    joining = read_held({"domains": "new.example", "secret": "1"}, here)
    assert isinstance(joining, Joining)
    assert joining.has_secret
    taken(joining.with_proofs(KEYS | {"secret": new_secret()}), here.settings, here)
    by_etrn = read_held({"domains": "new.example", "secret": "1", "protocol": "etrn"}, here)
    assert isinstance(by_etrn, Joining)
    assert not by_etrn.has_secret


@pytest.mark.parametrize(
    ("fields", "wrong", "said"),
    [
        ({}, "domains", NEEDED),
        ({"domains": "a..b"}, "domains", "a..b: "),
        ({"domains": "new.example there.example"}, "domains", f"there.example: {IN_FILE}"),
        ({"domains": " ".join(f"d{n}.example" for n in range(21))}, "domains", "20 at the most"),
        ({"protocol": "pop3"}, "protocol", "etrn, atrn"),
        ({"proof": "address"}, "proof", "an address proves nothing there"),
        ({"protocol": "etrn", "proof": "address"}, "site", NEEDED),
        ({"protocol": "etrn", "proof": "address", "site": "site.example"}, "site", "a name proves nothing"),
        ({"protocol": "etrn", "site": "no host"}, "site", "no host: "),
        ({"proof": "certificate"}, "certificate", NEEDED),
        ({"proof": "certificate", "certificate": "abc"}, "certificate", "abc: "),
        ({"user": "no name"}, "user", "no name: "),
        ({"others": "192.0.2.1/24"}, "others", "did you mean '192.0.2.0/24'?"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(fields: dict[str, str], wrong: str, said: str, here: Here) -> None:
    """And nothing else is wrong then."""
    found = read_held({"domains": "new.example", **fields} if fields else {}, here)
    assert not isinstance(found, Joining)
    assert found.keys() == {wrong}
    assert said in found[wrong]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.one_of(
                st.text(max_size=30), st.sampled_from(["new.example", "192.0.2.1", "caller", *Proof, *Protocol])
            )
            for name in (
                "domains",
                "protocol",
                "proof",
                "user",
                "certificate",
                "site",
                "others",
                "office",
                "pin",
                "schedule",
            )
        },
    )
)
def test_whatever_is_typed_is_read_or_told(here: Here, fields: dict[str, str]) -> None:
    """No text gets through that the checks of a table would not take, and none is more than a mistake."""
    joining = read_held(fields, here)
    if isinstance(joining, Joining):
        taken(joining.with_proofs(KEYS if joining.has_password else {}), here.settings, here)
    joining = read_delivered(fields, here)
    if isinstance(joining, Joining):
        taken(joining.tables, here.settings, here)


def test_mailboxes_here_by_a_call_that_is_there(here: Here) -> None:
    """The store has the domain; the configuration lacks no more than its name in the call."""
    joining = read_delivered({"domains": "new.example", "mailboxes": "anna bert", "call": "shore"}, here)
    assert isinstance(joining, Joining)
    assert joining.tables == {"domains": {"new.example": {"action": "deliver", "users": ["anna", "bert"]}}}
    taken(joining.tables, here.settings, here)
    assert tomllib.loads(lacking(joining.plan, here)) == {
        "calls": {"shore": {"domains": ["own.example", "new.example"]}}
    }


def test_mailboxes_here_by_a_new_call(here: Here, tmp_path: Path) -> None:
    """What the configuration lacks is a call; with it, it is in order."""
    fields = {"domains": "new.example", "mailboxes": "*", "office": "office2.example", "user": "me"}
    joining = read_delivered(fields, here)
    assert isinstance(joining, Joining)
    assert joining.tables == {"domains": {"new.example": {"action": "deliver", "users": "*"}}}
    lines = lacking(joining.plan, here)
    assert tomllib.loads(lines)["calls"]["office"]["user"] == "me"
    file = tmp_path / "restante.toml"
    domain = '[domains."new.example"]\naction = "deliver"\nusers = "*"\n[domains."*"]\naction="hold"\nnext_hop="mx"\n'
    file.write_text(f"{HOST.format(TAKEN)}{domain}{lines}")
    (tmp_path / "office.password").write_text("secret")
    assert load(file).calls["office"].domains == ("new.example",)


def test_a_call_that_is_not_there(here: Here) -> None:
    """It is told so."""
    found = read_delivered({"domains": "new.example", "call": "nowhere"}, here)
    assert not isinstance(found, Joining)
    assert "no such call" in found["call"]


def test_passwords_are_not_guessed() -> None:
    """None comes twice, and each can be typed."""
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(len(each) == 23 and each.replace("-", "").isalnum() for each in made)
