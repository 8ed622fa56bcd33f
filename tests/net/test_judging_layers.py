"""restante.net.judging_layers, joined with a server in memory: DANE, and certificates that are judged only to tell."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from tests.net.authority import Authority, Issued, Wish, self_made
from tests.net.test_dane import tlsa
from tests.net.test_tls_layers import shake

from restante.net.dane import TlsaRecord
from restante.net.stream import NotTrusted, PeerCertificate, ResultType, TlsSession
from restante.net.tls import Pair, TlsLevel, TlsPolicy, context_towards, server_context
from restante.net.tls_layers import pin_of

AUTHORITY = Authority()
MX1 = Wish(("mx1.test.example",))
OWN = self_made(MX1)
ISSUED = AUTHORITY.issue(MX1)


def serving(server: Issued, folder: Path) -> Pair:
    """A server's pair; what the authority has issued has that behind it."""
    pair = server.write(folder, "server")
    if server.certificate.issuer == AUTHORITY.own.certificate.subject:
        authority = AUTHORITY.own.write(folder, "authority").certificate
        pair.certificate.write_bytes(pair.certificate.read_bytes() + authority.read_bytes())
    return pair


def met(server: Issued, policy: TlsPolicy, folder: Path) -> TlsSession:
    """What a client of that policy makes of a server."""
    pair = serving(server, folder)
    context = server_context(pair.certificate, pair.key)
    return shake(context.layer(), context_towards(policy).layer("mx1.test.example"))[1]


def dane(*records: TlsaRecord, names: tuple[str, ...] = ("mx1.test.example", "test.example")) -> TlsPolicy:
    """That policy."""
    return TlsPolicy(TlsLevel.DANE, tlsa=records, names=names)


def test_a_server_with_the_right_certificate(tmp_path: Path) -> None:
    """By its own key, and by an authority that nobody else knows."""
    assert met(OWN, dane(tlsa(3, 1, 1, OWN)), tmp_path).peer == PeerCertificate(OWN.fingerprint, (), trusted=True)
    session = met(ISSUED, dane(tlsa(2, 0, 1, AUTHORITY.own)), tmp_path)
    assert session.peer == PeerCertificate(ISSUED.fingerprint, (), trusted=True)
    assert session.version == "TLSv1.3"


@pytest.mark.parametrize(
    "record",
    [tlsa(3, 1, 1, OWN), tlsa(2, 0, 1, OWN), tlsa(2, 0, 1, Authority().own)],
    ids=["another key", "itself as authority", "another authority"],
)
def test_a_server_with_another_one(record: TlsaRecord, tmp_path: Path) -> None:
    """The handshake fails, though this system may trust it."""
    with pytest.raises(NotTrusted, match="not what the TLSA records say"):
        met(ISSUED, dane(record), tmp_path)


def test_names_count_under_an_authority_only(tmp_path: Path) -> None:
    """RFC 7672 §3.1.1, §3.2."""
    elsewhere = ("elsewhere.example",)
    met(OWN, dane(tlsa(3, 1, 1, OWN), names=elsewhere), tmp_path)
    with pytest.raises(NotTrusted, match="another host"):
        met(ISSUED, dane(tlsa(2, 0, 1, AUTHORITY.own), names=elsewhere), tmp_path)


def test_dane_without_records_lets_nobody_through(tmp_path: Path) -> None:
    """As an entry's own level is, before anything was looked up."""
    with pytest.raises(NotTrusted):
        met(OWN, TlsPolicy(TlsLevel.DANE), tmp_path)


def test_a_pin_is_wanted_besides(tmp_path: Path) -> None:
    """Records of the DNS do not stand in for it."""
    right, wrong = pin_of(OWN.certificate), "0" * 64
    met(OWN, TlsPolicy(TlsLevel.DANE, (right,), (tlsa(3, 1, 1, OWN),)), tmp_path)
    with pytest.raises(NotTrusted, match="pinned"):
        met(OWN, TlsPolicy(TlsLevel.DANE, (wrong,), (tlsa(3, 1, 1, OWN),)), tmp_path)


def test_a_certificate_of_our_own_is_shown(tmp_path: Path) -> None:
    """As at the other levels, where the server asks for one."""
    pair, site = serving(OWN, tmp_path), self_made()
    client = context_towards(dane(tlsa(3, 1, 1, OWN)), site.write(tmp_path, "site")).layer("mx1.test.example")
    seen, _ = shake(server_context(pair.certificate, pair.key, asks=True).layer(), client)
    assert seen.peer == PeerCertificate(site.fingerprint)


def test_the_server_is_told_the_base_domain(tmp_path: Path) -> None:
    """RFC 7672 §8.1: as SNI, and not the name that was dialled."""
    pair = serving(OWN, tmp_path)
    told: list[str | None] = []
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pair.certificate, pair.key)
    server.sni_callback = lambda _object, name, _context: told.append(name)
    reading, writing = ssl.MemoryBIO(), ssl.MemoryBIO()
    connection = server.wrap_bio(reading, writing, server_side=True)
    client = context_towards(dane(tlsa(3, 1, 1, OWN), names=("base.example",))).layer("mx1.test.example")
    assert not client.handshake()
    reading.write(client.data_to_send())
    with pytest.raises(ssl.SSLWantReadError):
        connection.do_handshake()
    assert told == ["base.example"]


@pytest.mark.parametrize(
    ("server", "doubt"),
    [
        (ISSUED, None),
        (OWN, ResultType.NOT_TRUSTED),
        (AUTHORITY.issue(Wish(("mx1.test.example",), -9, -1)), ResultType.EXPIRED),
        (AUTHORITY.issue(Wish(("mx2.test.example",))), ResultType.HOST_MISMATCH),
        (Authority("unknown").issue(MX1), ResultType.NOT_TRUSTED),
    ],
    ids=["good", "self-signed", "expired", "another name", "unknown authority"],
)
@pytest.mark.parametrize("level", [TlsLevel.OPPORTUNISTIC, TlsLevel.REQUIRED])
def test_a_certificate_that_is_judged_only_to_tell(
    level: TlsLevel, server: Issued, doubt: ResultType | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with it, the handshake succeeds, and the session tells."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY.own.write(tmp_path, "system").certificate))
    session = met(server, TlsPolicy(level, is_tested=True), tmp_path)
    assert session.peer == PeerCertificate(server.fingerprint, (), doubt is None, doubt)


@pytest.mark.parametrize(
    ("wish", "result"),
    [
        (MX1, ResultType.NOT_TRUSTED),
        (Wish(("mx1.test.example",), -9, -1), ResultType.EXPIRED),
        (Wish(("mx2.test.example",)), ResultType.HOST_MISMATCH),
    ],
)
def test_verify_says_what_was_wrong(
    wish: Wish, result: ResultType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the words of RFC 8460, as the other levels do."""
    authority = AUTHORITY if result is not ResultType.NOT_TRUSTED else Authority("unknown")
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY.own.write(tmp_path, "system").certificate))
    with pytest.raises(NotTrusted) as caught:
        met(authority.issue(wish), TlsPolicy(TlsLevel.VERIFY), tmp_path)
    assert caught.value.result is result


def test_records_and_tests_are_for_some_levels_only() -> None:
    """What would mean nothing cannot be written."""
    for level in set(TlsLevel) - {TlsLevel.DANE}:
        with pytest.raises(ValueError, match="DANE"):
            TlsPolicy(level, names=("mx1.test.example",))
    for level in (TlsLevel.OFF, TlsLevel.VERIFY, TlsLevel.DANE):
        with pytest.raises(ValueError, match="test"):
            TlsPolicy(level, is_tested=True)
