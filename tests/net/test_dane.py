"""restante.net.dane: which records can be used, and whom they let through (RFC 6698, 7671, 7672)."""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st
from tests.net.authority import CLIENT, Authority, Issued, Wish, self_made

from restante.net.certificates import key_octets
from restante.net.dane import TlsaRecord, check_chain, usable
from restante.net.stream import NotTrusted, ResultType

NAMES = ("mx1.test.example", "test.example")
AUTHORITY = Authority()
SERVER = AUTHORITY.issue(Wish(("mx1.test.example",)))
OTHER = self_made(Wish(("mx1.test.example",)))
EXPIRED = Wish(("mx1.test.example",), -9, -1)


def whole(certificate: x509.Certificate) -> bytes:
    """Its DER."""
    return certificate.public_bytes(serialization.Encoding.DER)


def tlsa(usage: int, selector: int, matching: int, of: Issued) -> TlsaRecord:
    """The record that says this of a certificate."""
    content = whole(of.certificate) if selector == 0 else key_octets(of.certificate)
    hashed: dict[int, Callable[[], bytes]] = {
        0: lambda: content,
        1: hashlib.sha256(content).digest,
        2: hashlib.sha512(content).digest,
    }
    return TlsaRecord(usage, selector, matching, hashed[matching]())


def refused(chain: list[Issued], *records: TlsaRecord, names: tuple[str, ...] = NAMES) -> ResultType:
    """Why a chain is not let through."""
    with pytest.raises(NotTrusted) as caught:
        check_chain([each.certificate for each in chain], records, names)
    return caught.value.result


def taken(chain: list[Issued], *records: TlsaRecord, names: tuple[str, ...] = NAMES) -> None:
    """A chain is let through."""
    check_chain([each.certificate for each in chain], records, names)


KINDS = [(selector, matching) for selector in (0, 1) for matching in (0, 1, 2)]


@pytest.mark.parametrize(("selector", "matching"), KINDS)
def test_the_servers_own_certificate(selector: int, matching: int) -> None:
    """DANE-EE(3) by each selector and matching type; nobody else's does."""
    record = tlsa(3, selector, matching, OTHER)
    assert usable([record]) == (record,)
    taken([OTHER], record)
    assert refused([SERVER, AUTHORITY.own], record) is ResultType.VALIDATION_FAILURE


@pytest.mark.parametrize("wish", [EXPIRED, Wish(("elsewhere.example",)), Wish(EXPIRED.names, 1, 2), Wish(use=CLIENT)])
def test_names_dates_and_use_of_the_servers_own_certificate_do_not_matter(wish: Wish) -> None:
    """RFC 7672 §3.1.1: the record is enough."""
    server = self_made(wish)
    taken([server], tlsa(3, 1, 1, server), names=())


def test_a_renewed_certificate_with_the_same_key() -> None:
    """3 1 1 outlives it, 3 0 1 does not."""
    renewed = self_made(Wish(("mx1.test.example",)), OTHER.key)
    taken([renewed], tlsa(3, 1, 1, OTHER))
    refused([renewed], tlsa(3, 0, 1, OTHER))


def test_one_matching_record_of_several_is_enough() -> None:
    """As when a key is changed: of the next one and of this one."""
    taken([OTHER], tlsa(3, 1, 1, self_made()), tlsa(2, 0, 1, AUTHORITY.own), tlsa(3, 1, 1, OTHER))


@pytest.mark.parametrize(("selector", "matching"), KINDS)
def test_an_authority_of_the_domains_own(selector: int, matching: int) -> None:
    """DANE-TA(2): what it has issued for the host is let through, be it known to nobody else."""
    record = tlsa(2, selector, matching, AUTHORITY.own)
    taken([SERVER, AUTHORITY.own], record)
    assert refused([OTHER], record) is not None


def test_a_whole_authority_in_the_record_need_not_be_shown() -> None:
    """2 0 0 has all that is needed; of a digest the certificate must be in the chain (RFC 7672 §3.1.2)."""
    taken([SERVER], tlsa(2, 0, 0, AUTHORITY.own))
    assert refused([SERVER], tlsa(2, 0, 1, AUTHORITY.own)) is ResultType.VALIDATION_FAILURE


def test_an_authority_that_is_shown_must_have_signed() -> None:
    """Anybody can show another's certificate beside his own."""
    assert refused([OTHER, AUTHORITY.own], tlsa(2, 0, 1, AUTHORITY.own)) is ResultType.NOT_TRUSTED
    same_name = Authority().issue(Wish(("mx1.test.example",)))
    assert refused([same_name, AUTHORITY.own], tlsa(2, 1, 1, AUTHORITY.own)) is ResultType.NOT_TRUSTED


def test_the_servers_own_certificate_is_no_authority() -> None:
    """2 names who has signed it, even where that is itself."""
    assert refused([OTHER], tlsa(2, 0, 1, OTHER)) is ResultType.VALIDATION_FAILURE


def test_an_authority_vouches_for_names_dates_and_use() -> None:
    """The TLSA base domain, the next hop's or another that is given, within its dates, for a server."""
    record = tlsa(2, 0, 1, AUTHORITY.own)
    for name in ("test.example", "*.test.example"):
        taken([AUTHORITY.issue(Wish((name,))), AUTHORITY.own], record)
    for wish, result in (
        (Wish(("mx2.test.example",)), ResultType.HOST_MISMATCH),
        (EXPIRED, ResultType.EXPIRED),
        (Wish(NAMES, 1, 2), ResultType.EXPIRED),
        (Wish(NAMES, use=CLIENT), ResultType.NOT_TRUSTED),
    ):
        assert refused([AUTHORITY.issue(wish), AUTHORITY.own], record) is result
    assert refused([SERVER, AUTHORITY.own], record, names=()) is ResultType.HOST_MISMATCH


def test_time_can_be_given() -> None:
    """A certificate that is good now is not in a year."""
    record = tlsa(2, 0, 1, AUTHORITY.own)
    chain = [SERVER.certificate, AUTHORITY.own.certificate]
    with pytest.raises(NotTrusted, match="expired"):
        check_chain(chain, [record], NAMES, at=dt.datetime.now(dt.UTC) + dt.timedelta(days=365))


def test_without_records_nobody_is_let_through() -> None:
    """A policy that was made without them opens no door."""
    assert refused([SERVER, AUTHORITY.own]) is ResultType.VALIDATION_FAILURE


@pytest.mark.parametrize(
    "record",
    [
        TlsaRecord(0, 0, 1, bytes(32)),
        TlsaRecord(1, 1, 1, bytes(32)),
        TlsaRecord(4, 1, 1, bytes(32)),
        TlsaRecord(255, 1, 1, bytes(32)),
        TlsaRecord(3, 2, 1, bytes(32)),
        TlsaRecord(3, 1, 3, bytes(32)),
        TlsaRecord(3, 1, 1, bytes(31)),
        TlsaRecord(3, 1, 2, bytes(32)),
        TlsaRecord(3, 1, 1, b""),
        TlsaRecord(3, 0, 0, b"no certificate"),
        TlsaRecord(2, 1, 0, whole(OTHER.certificate)),
        TlsaRecord(2, 0, 0, key_octets(OTHER.certificate)),
    ],
    ids=[
        *("PKIX-TA", "PKIX-EE", "usage 4", "usage 255", "selector 2", "matching 3", "31 octets", "too few for SHA-512"),
        *("empty", "no certificate", "no key", "a key for a certificate"),
    ],
)
def test_records_that_cannot_be_used(record: TlsaRecord) -> None:
    """Usages 0 and 1 (RFC 7672 §3.1.3), what is unknown, what is malformed; those beside them count."""
    good = tlsa(3, 0, 2, OTHER)
    assert usable([record]) == ()
    assert usable([record, good]) == (good,)


def test_the_stronger_digest_counts() -> None:
    """RFC 7671 §9: over the same thing; a whole one counts in any case."""
    weak, strong, exact = (tlsa(3, 1, matching, OTHER) for matching in (1, 2, 0))
    elsewhere = tlsa(3, 0, 1, OTHER)
    assert usable([weak, strong, exact, elsewhere]) == (strong, exact, elsewhere)


@given(st.lists(st.builds(TlsaRecord, *[st.integers(0, 255)] * 3, st.binary(max_size=70)), max_size=5))
def test_whatever_is_published_lets_nobody_else_through(records: list[TlsaRecord]) -> None:
    """No record raises anything but NotTrusted."""
    refused([SERVER, AUTHORITY.own], *usable(records))
