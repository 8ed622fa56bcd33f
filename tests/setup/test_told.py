"""What is told of a domain that is here, however it came here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.net.authority import self_made
from tests.setup.test_joining import TAKEN

from restante.config.build import directory_of
from restante.config.load import load
from restante.setup.joined import Here
from restante.setup.plan import Protocol
from restante.setup.told import Told, tell

HOST = f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "192.0.2.1:25"
[[listen]]
address = "192.0.2.1:3660"
service = "odmr"
[domains."login.example"]
action = "hold"
next_hop = "caller"
[domains."second.example"]
action = "hold"
next_hop = "caller"
[domains."fixed.example"]
action = "hold"
next_hop = "192.0.2.66:2525"
release_from = ["192.0.2.66"]
[domains."cert.example"]
action = "hold"
next_hop = "192.0.2.67"
release_from = ["cert:{TAKEN}"]
[domains."shut.example"]
action = "hold"
next_hop = "192.0.2.68"
[domains."sent.example"]
action = "relay"
[domains."own.example"]
action = "deliver"
users = ["anna"]
[domains."world.example"]
action = "deliver"
users = ["anna"]
[domains."*"]
action = "hold"
next_hop = "mx"
[users.both]
password = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHRzYWx0$c2FsdHNhbHRzYWx0c2FsdHNhbHRzYWx0c2FsdHNhbHQ"
domains = ["login.example", "second.example", "elsewhere.example"]
[domains."fetched.example"]
action = "hold"
next_hop = "caller"
[users.fetches]
secret = "{"0" * 48}"
domains = ["fetched.example"]
[calls.shore]
host = "shore.example"
protocol = "etrn"
domains = ["own.example"]
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Here:
    """A host with a self-signed certificate."""
    folder = tmp_path_factory.mktemp("host")
    (folder / "data").mkdir()
    self_made().write(folder / "data", "self-signed")
    (folder / "restante.toml").write_text(HOST)
    settings = load(folder / "restante.toml")
    return Here(settings, directory_of(settings))


def of(name: str, here: Here, protocol: Protocol | None = None) -> Told:
    """What is told of a domain."""
    entry = here.directory.entry(name)
    assert entry is not None
    told = tell(entry, here, (), protocol)
    assert told is not None
    return told


def test_a_login_has_all_its_domains(here: Here) -> None:
    """Its site is told of all that are held for it, of our port, and of the key that we show."""
    told = of("second.example", here)
    assert told.domains == ("second.example", "login.example")
    lines = dict(told.lines)
    assert (
        "--domain second.example --domain login.example --protocol atrn --proof login --user both" in lines["restante"]
    )
    assert "--office-host office.example:3660 --pin sha256:" in lines["restante"]
    assert "restante atrn office.example:3660 second.example login.example" in lines["fetchmail"]
    assert 'service = "submission"' in told.lacking
    assert 'service = "odmr"' not in told.lacking
    assert [record.kind for record in told.records] == ["MX", "TXT", "MX", "TXT", "A", "PTR", "TLSA"]


def test_by_the_other_protocol(here: Here) -> None:
    """Who looks chooses, where both are possible."""
    assert "--protocol etrn --proof login" in dict(of("login.example", here, Protocol.ETRN).lines)["restante"]


def test_a_secret(here: Here) -> None:
    """Fetchmail can be told what to do."""
    lines = dict(of("fetched.example", here).lines)["fetchmail"]
    assert 'poll office.example proto ODMR service 3660\n  user "fetches" password "SECRET"' in lines
    assert "was shown once" in lines


def test_an_address(here: Here) -> None:
    """It is asked for by ETRN, whatever is chosen; and so that it may send by us, it has to be named."""
    told = of("fixed.example", here, Protocol.ATRN)
    assert "--protocol etrn --proof address" in dict(told.lines)["restante"]
    assert '[relay]\nfrom = ["192.0.2.66"]' in told.lacking


def test_a_certificate(here: Here) -> None:
    """Nobody has a password then."""
    lines = dict(of("cert.example", here).lines)
    assert "--protocol etrn --proof certificate" in lines["restante"]
    assert "PASSWORD" not in "".join(lines.values())


def test_nobody_may_release(here: Here) -> None:
    """That is told."""
    assert not of("shut.example", here).may_be_released
    assert of("login.example", here).may_be_released


def test_mailboxes_here(here: Here) -> None:
    """The office is told of what it is to hold; a domain that no call fetches is brought here by the world."""
    told = of("own.example", here)
    assert [name for name, _ in told.lines] == ["restante", "Postfix", "Exim"]
    assert str(told.records[0]) == "own.example. MX 10 shore.example."
    world = of("world.example", here)
    assert (world.is_fetched, world.lines, world.lacking) == (False, (), "")
    assert str(world.records[0]) == "world.example. MX 10 office.example."


@pytest.mark.parametrize("name", ["*", "sent.example"])
def test_what_has_no_other_end(name: str, here: Here) -> None:
    """There is nothing to tell."""
    entry = here.directory.entry(name)
    assert entry is not None
    assert tell(entry, here) is None


def test_no_certificate_yet(tmp_path: Path) -> None:
    """What is not there is left out."""
    (tmp_path / "restante.toml").write_text(HOST)
    settings = load(tmp_path / "restante.toml")
    told = of("login.example", Here(settings, directory_of(settings)))
    assert "--pin" not in dict(told.lines)["restante"]
    assert "TLSA" not in [record.kind for record in told.records]
