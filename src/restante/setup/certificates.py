"""Whether the certificate that we show is one that others can use, and whether what is secret here is so."""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import shlex
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from OpenSSL import SSL, crypto

from restante.config.proofs import is_open_to_others
from restante.config.settings import Hold, Relay, Settings
from restante.net.certificates import has_name, is_for_servers
from restante.net.dane import TlsaRecord
from restante.net.stream import TlsBroken
from restante.net.tls import CertificateError, server_context
from restante.net.tls_layers import pin_of
from restante.setup.finding import Finding, Host, ok, warning, wrong
from restante.setup.records import tlsa_of

CERTIFICATE, SECRETS = "certificate", "secrets"
SOON_DAYS = 14


async def certificate(host: Host) -> AsyncIterator[Finding]:
    """Whether our certificate fits its key, our name, and today."""
    for finding in await asyncio.to_thread(lambda: list(_of_files(host))):
        yield finding


def _of_files(host: Host) -> Iterator[Finding]:
    file, key = host.certificate
    tls = host.settings.tls
    if tls.certificate is None and not file.exists():
        yield ok(CERTIFICATE, "a self-signed one is made at the first start")
        return
    try:
        server_context(file, key, asks=True, client_ca=tls.client_ca)
        chain = x509.load_pem_x509_certificates(file.read_bytes())
    except CertificateError as error:
        yield wrong(CERTIFICATE, str(error), "put the certificate, with its chain, and its own key there")
        return
    yield from of_chain(chain, host.settings.hostname, dt.datetime.fromtimestamp(host.wall, dt.UTC))


def of_chain(chain: Sequence[x509.Certificate], hostname: str, now: dt.datetime) -> Iterator[Finding]:
    """What is to be said of a certificate and those behind it."""
    own = chain[0]
    ends, begins = own.not_valid_after_utc, own.not_valid_before_utc
    left = (ends - now).days
    if now > ends:
        yield wrong(
            CERTIFICATE, f"it has expired on {ends:%Y-%m-%d}", "renew it; the server takes the new one by itself"
        )
    elif now < begins:
        yield wrong(CERTIFICATE, f"it is not valid before {begins:%Y-%m-%d}", "look at this host's clock")
    elif left < SOON_DAYS:
        yield warning(CERTIFICATE, f"it expires in {left} days", "renew it; the server takes the new one by itself")
    if not has_name(own, [hostname]):
        yield wrong(CERTIFICATE, f"it is not for {hostname}", "get one with that name, or change `hostname`")
    if not is_for_servers(own):
        yield wrong(CERTIFICATE, "it is not for servers (extended key usage)", "get one that is")
    yield _trusted(chain, now)


def _trusted(chain: Sequence[x509.Certificate], now: dt.datetime) -> Finding:
    own = chain[0]
    pin = f"its key's pin is sha256:{pin_of(own)}"
    if own.issuer == own.subject:
        return ok(CERTIFICATE, f"self-signed; others must know it: {pin}")
    authorities = SSL.Context(SSL.TLS_CLIENT_METHOD)
    authorities.set_default_verify_paths()
    known = authorities.get_cert_store()
    assert known is not None, "every context has one"
    known.set_time(now)
    between = [crypto.X509.from_cryptography(one) for one in chain[1:]]
    try:
        crypto.X509StoreContext(known, crypto.X509.from_cryptography(own), between).verify_certificate()
    except crypto.X509StoreContextError as error:
        issuer = chain[-1].issuer.rfc4514_string()
        remedy = f"append the certificate of {issuer}, unless it is an authority of your own"
        return warning(CERTIFICATE, f"it does not lead to an authority that this system trusts: {error}", remedy)
    return ok(CERTIFICATE, f"trusted, valid until {own.not_valid_after_utc:%Y-%m-%d}; {pin}")


@dataclass(frozen=True, slots=True)
class Shown:
    """What others must know of a certificate. `pin`: of its key, where it is self-signed."""

    fingerprint: str
    tlsa: TlsaRecord
    pin: str | None


def shown(file: Path) -> Shown | None:
    """Of the certificate in a file; None where there is none yet, or none that can be read. Blocks."""
    try:
        own = x509.load_pem_x509_certificates(file.read_bytes())[0]
        pin = f"sha256:{pin_of(own)}" if own.issuer == own.subject else None
        return Shown(own.fingerprint(hashes.SHA256()).hex(), tlsa_of(own), pin)
    except (OSError, ValueError, TlsBroken):
        return None


async def secrets(host: Host) -> AsyncIterator[Finding]:
    """Whether the files of keys and passwords can be read by us, and by nobody else."""
    for finding in await asyncio.to_thread(lambda: list(_of_secrets(host))):
        yield finding


def _of_secrets(host: Host) -> Iterator[Finding]:
    files = dict.fromkeys(_secret_files(host.settings))
    troubled = 0
    for file in files:
        if not file.exists():
            yield wrong(SECRETS, f"{file} is not there", "write the password, or the key, into it; chmod 600")
        elif not os.access(file, os.R_OK):
            yield wrong(SECRETS, f"{file} cannot be read", "chown it to the user that the server runs as; chmod 600")
        elif is_open_to_others(file):
            yield warning(SECRETS, f"others may read {file}", f"chmod 600 {shlex.quote(str(file))}")
        else:
            continue
        troubled += 1
    if host.settings.users and is_open_to_others(host.file):
        troubled += 1
        yield warning(
            SECRETS, f"others may read {host.file}, which has users", f"chmod 640 {shlex.quote(str(host.file))}"
        )
    if files and not troubled:
        yield ok(SECRETS, f"{', '.join(file.name for file in files)}: for nobody else to read")


def _secret_files(settings: Settings) -> Iterator[Path]:
    for domain in settings.domains.values():
        if isinstance(domain, Hold | Relay) and domain.password_file is not None:
            yield domain.password_file
    for user in settings.users.values():
        if user.secret_file is not None:
            yield user.secret_file.path
    for call in settings.calls.values():
        yield from filter(None, (call.password_file, call.key))
    if settings.tls.key is not None:
        yield settings.tls.key
