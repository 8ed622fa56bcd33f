"""Every file that `restante init` can write is in order, short, and explains itself."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.net.authority import self_made

from restante.config.build import directory_of
from restante.config.load import load
from restante.config.notes import notes_of
from restante.logins.passwords import hash_password, scram_keys, write_scram
from restante.model import HostPort
from restante.setup.configuration import configuration, fragment
from restante.setup.plan import OfficePart, Outgoing, PagePart, Plan, Proof, Protocol, SitePart, call_port

KEPT = {"password": hash_password("tanstaafl"), "scram": write_scram(scram_keys("tanstaafl"))}
PAIRS = [
    (protocol, proof) for protocol in Protocol for proof in Proof if (protocol, proof) != (Protocol.ATRN, Proof.ADDRESS)
]


def office_of(protocol: Protocol, proof: Proof, *, secret: bool = False, site: bool = True) -> OfficePart:
    """An office for two domains."""
    needs_site = proof is Proof.ADDRESS or (protocol is Protocol.ETRN and site)
    return OfficePart(
        ("test.example", "branch.example"),
        protocol,
        proof,
        user=None if proof is Proof.ADDRESS else "test",
        password=KEPT if proof is Proof.LOGIN else {},
        secret_file="test.secret" if secret and proof is Proof.LOGIN else None,
        certificate="ab" * 32 if proof is Proof.CERTIFICATE else None,
        site=HostPort("192.0.2.66") if needs_site else None,
    )


PAGE = PagePart(HostPort("127.0.0.1", 8025), "admin", KEPT)


def site_of(protocol: Protocol, proof: Proof, outgoing: Outgoing, *, pin: bool = False) -> SitePart:
    """A site for another one."""
    return SitePart(
        ("own.example",),
        ("anna",),
        HostPort("office.example", call_port(protocol)),
        protocol,
        proof,
        user=None if proof is Proof.ADDRESS else "own",
        pin=f"sha256:{'00' * 32}" if pin else None,
        outgoing=outgoing,
    )


def written(folder: Path, plan: Plan) -> Path:
    """The file in a folder, with the files that it names."""
    (folder / "data").mkdir(exist_ok=True)
    pair = self_made().write(folder / "data", "self-signed")
    assert pair.certificate.exists()
    (folder / "test.secret").touch(0o600)
    (folder / "test.secret").write_text("5" * 48)
    file = folder / "restante.toml"
    file.write_text(configuration(plan))
    return file


@given(st.sampled_from(PAIRS), st.sampled_from([*Outgoing, None]), st.tuples(st.booleans(), st.booleans()))
def test_every_combination_is_in_order(
    tmp_path_factory: pytest.TempPathFactory,
    pair: tuple[Protocol, Proof],
    outgoing: Outgoing | None,
    flags: tuple[bool, bool],
) -> None:
    """Office, site, both; each protocol, proof, pin and way out: it loads, and nothing in it is without force."""
    is_office, flag = flags
    office = office_of(*pair, secret=flag, site=not flag) if is_office or outgoing is None else None
    site = site_of(*pair, outgoing, pin=flag) if outgoing is not None else None
    plan = Plan(
        "office.example", "data", (HostPort("0.0.0.0"), HostPort("::")), office, site, page=PAGE if flag else None
    )
    settings = load(written(tmp_path_factory.mktemp("host"), plan))
    notes = notes_of(settings, directory_of(settings))
    assert [note for note in notes if "self-signed" not in note] == []
    assert ("test.example" in settings.domains) == (office is not None)
    assert ("office" in settings.calls) == (site is not None)


@pytest.mark.parametrize("pair", PAIRS)
def test_each_key_is_explained_on_one_line(pair: tuple[Protocol, Proof]) -> None:
    """A remark of one line stands before each key and each table, and nothing else."""
    parts = office_of(*pair), site_of(*pair, Outgoing.CALL)
    plan = Plan("office.example", "data", (HostPort("0.0.0.0"),), *parts, page=PAGE)
    lines = [line for line in configuration(plan).splitlines()[2:] if line]
    assert len(lines) % 2 == 0
    for remark, thing in zip(lines[::2], lines[1::2], strict=True):
        assert re.fullmatch(r"# .{5,117}[.;]", remark), remark
        assert re.match(r"\[|[a-z_]+ = ", thing), thing


def test_a_fragment_is_what_the_pair_needs() -> None:
    """No name, no folder, no port 25, no page: who has a host has those."""
    office = office_of(Protocol.ATRN, Proof.LOGIN)
    text = fragment(Plan("o.example", "data", (HostPort("0.0.0.0"),), office, page=PAGE))
    assert text.count("[[listen]]") == 2
    assert '[domains."test.example"]' in text
    for absent in ("hostname", ":25", '"*"', "[relay]", "admin", "#"):
        assert absent not in text
