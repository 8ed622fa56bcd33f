"""What is asked of who sets up an office or a site, on a terminal or on a page: the choices, and the forms of answers.

Each parser raises ValueError; where there is more to say than that a text is no answer, it says that.
"""

from __future__ import annotations

from restante.calls.window import parse_expression
from restante.config import proofs, words
from restante.model import HostPort
from restante.setup.plan import PAGE_PORT, SMTP_PORT, Outgoing, Proof, Protocol, Role, Software

PROTOCOLS = (
    (Protocol.ATRN, "the site's mail comes over the connection that the site has made: also behind a NAT"),
    (Protocol.ETRN, "the office connects to the site, which needs an address of its own and port 25"),
)
PROOFS = (
    (Proof.LOGIN, "a name and a password, over TLS"),
    (Proof.CERTIFICATE, "a certificate, which the office knows by its fingerprint"),
    (Proof.ADDRESS, "the site's fixed address alone (ETRN only)"),
)
ROLES = (
    (Role.OFFICE, "always on, and holds mail for a site"),
    (Role.SITE, "has its mail from an office, when it is online"),
    (Role.BOTH, "holds mail for some, and has its own from an office"),
)
OUTGOING = (
    (Outgoing.CALL, "is held until the next call"),
    (Outgoing.NOW, "leaves at once, and is tried again while the office cannot be reached"),
)
SOFTWARE = (
    (Software.RESTANTE, "restante"),
    (Software.POSTFIX, "Postfix"),
    (Software.EXIM, "Exim"),
    (Software.FETCHMAIL, "fetchmail, and whatever mail server behind it"),
)


def parse_text(text: str) -> str:
    """Text that is not empty."""
    if not text.strip():
        raise ValueError("nothing")
    return text


def parse_own_address(text: str, port: int = SMTP_PORT) -> HostPort:
    """An address of this host, and a port; `port` where none is written."""
    at = HostPort.parse(text, port)
    if at.address is None:
        raise ValueError("an address of this host is meant")
    return at


def parse_page_address(text: str) -> HostPort:
    """Where this host has its page."""
    return parse_own_address(text, PAGE_PORT)


def parse_address(text: str) -> HostPort:
    """An address, which is a proof; and a port."""
    at = HostPort.parse(text, SMTP_PORT)
    if at.address is None:
        raise ValueError("an address is meant: a name proves nothing")
    return at


def parse_host_or_caller(text: str) -> HostPort | None:
    """Where a site is; None for `caller`: at the address that asks."""
    return None if text == "caller" else HostPort.parse(text, SMTP_PORT)


def parse_mailbox(text: str) -> str:
    """A user with a mailbox; `*` is whoever is written to."""
    return text if text == "*" else words.parse_user(text)


def parse_pin(text: str) -> str | None:
    """`sha256:` and the digest of a key; None for `none`."""
    if text == "none":
        return None
    try:
        return f"sha256:{proofs.parse_pin(text)}"
    except ValueError:
        raise ValueError(f"{proofs.PIN.allowed} is meant") from None


def parse_schedule(text: str) -> str:
    """When to call: an expression of cron."""
    parse_expression(text)
    return text


def parse_network(text: str) -> str:
    """A network, as it is written."""
    return str(words.parse_network(text))


def why_not(error: ValueError, text: str) -> str:
    """Why a text is no answer; many parsers only say which text."""
    said = str(error)
    return said if said and said != text else "not in a form that is understood"
