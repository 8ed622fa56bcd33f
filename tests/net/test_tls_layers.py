"""Both ends of TLS joined in memory: who has shown which certificate, what is trusted, what breaks a session."""

from __future__ import annotations

import contextlib
import hashlib
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.net.authority import CLIENT, SERVER, Authority, Issued, Wish, self_made

from restante.net.stream import NotTrusted, PeerCertificate, TlsBroken, TlsLayer, TlsSession
from restante.net.tls import Pair, ServerContext, TlsLevel, TlsPolicy, client_context, server_context
from restante.net.tls_layers import ClientLayer, end_point_of, pin_of

OFFICE = self_made(Wish(("office.example",)))
AUTHORITY = Authority()
SIGNED_WITH_SHA1 = b"""\
-----BEGIN CERTIFICATE-----
MIIBbjCCARagAwIBAgIUQvjkOOijmd7EFG0BUifPjHpQryYwCQYHKoZIzj0EATAO
MQwwCgYDVQQDDANvbGQwHhcNMjYxMTI1MTYyMTUwWhcNMzYxMTIyMTYyMTUwWjAO
MQwwCgYDVQQDDANvbGQwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT6U5vfldUv
sjk2ZofRO4t6Mfm6XEPv0TWwnWMvVw2m46qGkE1T3nUXzcWvkmgFyhxKpEIgitGD
5tkr94HHjbnPo1MwUTAdBgNVHQ4EFgQUg0ZxoPpR7SB66j7+DMLuHfdRDEowHwYD
VR0jBBgwFoAUg0ZxoPpR7SB66j7+DMLuHfdRDEowDwYDVR0TAQH/BAUwAwEB/zAJ
BgcqhkjOPQQBA0cAMEQCIG8X0PqzbWezRIs/sjMAijNClcX7p2xvLk5DvdYdG/39
AiAHJDvVFunDUDhytrvNsddnwPqWoQpEgQ9PgZiois5p1A==
-----END CERTIFICATE-----
"""


@pytest.fixture
def office(tmp_path: Path) -> Pair:
    """The server's self-signed pair."""
    return OFFICE.write(tmp_path, "office")


def asking(office: Pair, client_ca: Issued | None = None) -> ServerContext:
    """A server's context that asks for certificates."""
    ca = None if client_ca is None else client_ca.write(office.key.parent, "client-ca").certificate
    return server_context(office.certificate, office.key, asks=True, client_ca=ca)


def shake(server: TlsLayer, client: TlsLayer) -> tuple[TlsSession, TlsSession]:
    """A whole handshake: what the server and what the client make of it."""
    is_done = [False, False]
    for _ in range(10):
        for number, (here, there) in enumerate([(client, server), (server, client)]):
            is_done[number] = is_done[number] or here.handshake()
            if data := here.data_to_send():
                there.receive(data)
        if all(is_done):
            return server.session(), client.session()
    raise AssertionError("the handshake does not end")


def shown(context: ServerContext, own: Pair | None) -> PeerCertificate | None:
    """What a server makes of a client that has this certificate."""
    server, _ = shake(context.layer(), client_context(own=own).layer("office.example"))
    return server.peer


# a client's certificate


def test_a_self_signed_certificate_is_taken_and_told(office: Pair, tmp_path: Path) -> None:
    """Its fingerprint needs no authority; its names, which anybody can write there, are not told."""
    site = self_made()
    pair = site.write(tmp_path, "site")
    expected = PeerCertificate(site.fingerprint, (), trusted=False)
    assert shown(asking(office), pair) == expected
    assert shown(asking(office, AUTHORITY.own), pair) == expected


def test_what_the_authority_issued_has_names(office: Pair, tmp_path: Path) -> None:
    """As A-labels in lower case; a wildcard is nobody's name, and so is an address."""
    wish = Wish(("Site.EXAMPLE", "xn--bcher-kva.example", "*.wild.example", "[192.0.2.1]", "a b"))
    for use in (None, CLIENT):
        site = AUTHORITY.issue(Wish(wish.names, use=use))
        expected = PeerCertificate(site.fingerprint, ("site.example", "xn--bcher-kva.example"), trusted=True)
        assert shown(asking(office, AUTHORITY.own), site.write(tmp_path, "site")) == expected


@pytest.mark.parametrize(
    "wish",
    [Wish(begins=-9, ends=-1), Wish(begins=1, ends=2), Wish(use=SERVER)],
    ids=["expired", "not yet valid", "for servers"],
)
def test_what_the_authority_issued_for_something_else_is_not_trusted(wish: Wish, office: Pair, tmp_path: Path) -> None:
    """The handshake succeeds all the same, and its fingerprint counts."""
    site = AUTHORITY.issue(wish)
    expected = PeerCertificate(site.fingerprint, (), trusted=False)
    assert shown(asking(office, AUTHORITY.own), site.write(tmp_path, "site")) == expected


def test_an_authority_of_the_same_name_is_another_one(office: Pair, tmp_path: Path) -> None:
    """It is the key that counts."""
    site = Authority().issue()
    peer = shown(asking(office, AUTHORITY.own), site.write(tmp_path, "site"))
    assert peer == PeerCertificate(site.fingerprint, (), trusted=False)


def test_without_authorities_none_is_trusted(office: Pair, tmp_path: Path) -> None:
    """Not even what a well-known one issued: only `client_ca` vouches."""
    site = AUTHORITY.issue()
    assert shown(asking(office), site.write(tmp_path, "site")) == PeerCertificate(site.fingerprint)


def test_a_client_need_not_have_one(office: Pair, tmp_path: Path) -> None:
    """And where none is asked for, none is seen."""
    assert shown(asking(office, AUTHORITY.own), None) is None
    site = AUTHORITY.issue().write(tmp_path, "site")
    assert shown(server_context(office.certificate, office.key), site) is None


def test_a_browser_is_asked_for_none(office: Pair, tmp_path: Path) -> None:
    """By the context that asks all others: it would have its user choose one."""
    site, asked = AUTHORITY.issue().write(tmp_path, "site"), asking(office, AUTHORITY.own)
    assert shown(asked.for_browsers(), site) is None
    assert shown(asked, site) is not None


def test_no_session_is_resumed(office: Pair, tmp_path: Path) -> None:
    """In a resumed one nobody would judge the certificate: each connection has a handshake of its own."""
    context = asking(office, AUTHORITY.own)
    client = client_context(own=AUTHORITY.issue().write(tmp_path, "site"))
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client.context.minimum_version = client.context.maximum_version = version
        server, first = context.layer(), client.layer("office.example")
        shake(server, first)
        server.write(b"220 office.example\r\n")
        first.receive(server.data_to_send())
        assert first.read() == b"220 office.example\r\n"
        again = ClientLayer(client.context, "office.example", ())
        if (session := first._object.session) is not None:
            again._object.session = session
        seen, _ = shake(context.layer(), again)
        assert not again._object.session_reused
        assert seen.peer is not None
        assert seen.peer.trusted


# the server's certificate


def test_the_end_point_is_the_same_at_both_ends(office: Pair) -> None:
    """RFC 5929 §4.1: the hash of the server's certificate."""
    server, client = shake(asking(office).layer(), client_context().layer("office.example"))
    assert server.server_end_point == client.server_end_point == hashlib.sha256(OFFICE.der).digest()
    assert (server.version, server.cipher) == (client.version, client.cipher)
    assert client.peer == PeerCertificate(OFFICE.fingerprint)


def test_the_end_point_has_the_hash_of_the_signature() -> None:
    """SHA-256 in the place of SHA-1; where the signature has no hash of its own, nothing is defined."""
    longer = self_made(Wish(digest=hashes.SHA384()))
    assert end_point_of(longer.certificate) == hashlib.sha384(longer.der).digest()
    older = x509.load_pem_x509_certificate(SIGNED_WITH_SHA1)
    assert end_point_of(older) == older.fingerprint(hashes.SHA256())
    key = ed25519.Ed25519PrivateKey.generate()
    source = OFFICE.certificate
    built = x509.CertificateBuilder(
        source.issuer, source.subject, key.public_key(), 1, source.not_valid_before_utc, source.not_valid_after_utc
    )
    assert end_point_of(built.sign(key, None)) == b""


def test_a_pinned_key_is_enough_and_nothing_else_is(office: Pair) -> None:
    """One of several; it stays when the certificate is renewed with the same key."""
    pin = pin_of(OFFICE.certificate)
    renewed = self_made(Wish(("other.example",)), OFFICE.key)
    assert pin_of(renewed.certificate) == pin
    for pins in ((pin,), ("0" * 64, pin)):
        policy = TlsPolicy(TlsLevel.REQUIRED, pins)
        shake(asking(office).layer(), client_context(policy).layer("whatever.example"))
    with pytest.raises(NotTrusted, match=f"not the pinned one: its SHA-256 is {pin}"):
        shake(asking(office).layer(), client_context(TlsPolicy(TlsLevel.REQUIRED, ("0" * 64,))).layer("x.example"))


def test_a_pin_needs_encryption() -> None:
    """What may be in clear proves nothing."""
    for level in (TlsLevel.OFF, TlsLevel.OPPORTUNISTIC):
        with pytest.raises(ValueError, match="pin"):
            TlsPolicy(level, ("0" * 64,))


@pytest.mark.parametrize(
    ("issued", "name", "reason"),
    [
        (AUTHORITY.issue(Wish(("office.example",))), "office.example", ""),
        (AUTHORITY.issue(Wish(("office.example",))), "elsewhere.example", "Hostname mismatch"),
        (AUTHORITY.issue(Wish(("office.example",), -9, -1)), "office.example", "certificate has expired"),
        (OFFICE, "office.example", "self-signed certificate"),
        (Authority("another").issue(Wish(("office.example",))), "office.example", "unable to get local issuer"),
    ],
    ids=["right", "wrong name", "expired", "self-signed", "unknown authority"],
)
def test_verify_wants_a_certificate_that_this_system_trusts(
    issued: Issued, name: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the name dialled; else the error says why not."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY.own.write(tmp_path, "system").certificate))
    server = asking(issued.write(tmp_path, "server")).layer()
    client = client_context(TlsPolicy(TlsLevel.VERIFY)).layer(name)
    if reason:
        with pytest.raises(NotTrusted, match=reason):
            shake(server, client)
    else:
        _, session = shake(server, client)
        assert session.peer == PeerCertificate(issued.fingerprint, ("office.example",), trusted=True)


def test_verify_and_a_pin_want_both(office: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A trusted certificate with another key is not enough."""
    monkeypatch.setenv("SSL_CERT_FILE", str(AUTHORITY.own.write(tmp_path, "system").certificate))
    issued = AUTHORITY.issue(Wish(("office.example",)))
    policy = TlsPolicy(TlsLevel.VERIFY, (pin_of(OFFICE.certificate),))
    with pytest.raises(NotTrusted, match="pinned"):
        shake(asking(issued.write(tmp_path, "server")).layer(), client_context(policy).layer("office.example"))
    with pytest.raises(NotTrusted, match="self-signed"):
        shake(asking(office).layer(), client_context(policy).layer("office.example"))


# suites


def test_old_suites_are_refused(office: Pair) -> None:
    """Those without forward secrecy, or with CBC, which this client would take."""
    for suites in ("AES128-GCM-SHA256", "ECDHE+AES+SHA256:!AESGCM", "DHE+AESGCM", "ECDHE+AES+SHA1"):
        client = client_context()
        client.context.maximum_version = ssl.TLSVersion.TLSv1_2
        client.context.set_ciphers(f"{suites}:@SECLEVEL=0")
        with pytest.raises(TlsBroken, match="no shared cipher"):
            shake(asking(office).layer(), client.layer("office.example"))


# what is said


def test_what_is_written_is_read_at_the_other_end(office: Pair) -> None:
    """Whole, however large; and an end is an end."""
    server, client = asking(office).layer(), client_context().layer("office.example")
    shake(server, client)
    large = bytes(range(256)) * 8000
    for here, there in ((server, client), (client, server)):
        here.write(large)
        here.write(b"and more")
        there.receive(here.data_to_send())
        assert there.read() == large + b"and more"
        assert (there.read(), there.is_ended) == (b"", False)
        here.end()
        there.receive(here.data_to_send())
        assert (there.read(), there.is_ended) == (b"", True)


@given(st.binary(min_size=1, max_size=300))
def test_whatever_comes_in_the_place_of_a_handshake_breaks_or_waits(data: bytes) -> None:
    """Nothing else is raised."""
    layer = CONTEXTS["server"].layer()
    layer.receive(data)
    with contextlib.suppress(TlsBroken):
        assert layer.handshake() is False


@settings(max_examples=50)
@given(st.booleans(), st.integers(0, 2000), st.integers(0, 7))
def test_a_flipped_bit_is_never_read(server_hears: bool, at: int, bit: int) -> None:
    """The session is broken, or waits for what will not come."""
    server, client = CONTEXTS["server"].layer(), client_context().layer("office.example")
    shake(server, client)
    here, there = (client, server) if server_hears else (server, client)
    here.write(b"x" * 1500)
    record = bytearray(here.data_to_send())
    record[at % len(record)] ^= 1 << bit
    there.receive(bytes(record))
    with contextlib.suppress(TlsBroken):
        assert there.read() == b""


CONTEXTS: dict[str, ServerContext] = {}


@pytest.fixture(autouse=True, scope="module")
def _contexts(tmp_path_factory: pytest.TempPathFactory) -> None:
    """For tests that hypothesis calls many times."""
    CONTEXTS["server"] = asking(OFFICE.write(tmp_path_factory.mktemp("tls"), "office"))
