"""A line to a command, and its parameters (RFC 5321 §4.1.1.2-3).

Of extensions: RFC 1870, 6152, 3030, 6531, 3461, 4954, 2645, 2852, 6710, 8689.

Everything is parsed here, once; what does not make sense raises CommandError with the reply that it deserves.
Only parameters of extensions that restante offers are taken; any other gets 555 5.5.4 (RFC 5321 §4.1.1.11).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from restante.smtp import reply
from restante.smtp.address import (
    AddressError,
    DomainName,
    Mailbox,
    parse_domain,
    parse_forward_path,
    parse_reverse_path,
)
from restante.smtp.exchange import decode
from restante.smtp.reply import Reply
from restante.smtp.wishes import By, parse_by, parse_priority

MAX_COMMAND_LINE = 2048  # RFC 5321 §4.5.3.1.4: 512 and more for each extension's parameters
_PATH = re.compile(r'[ \t]*(<(?:"(?:[^"\\]|\\.)*"|[^>"])*>)(?:[ \t]+(.*))?', re.DOTALL)
_XTEXT = re.compile(r"(?:[!-*,-<>-~]|\+[0-9A-F]{2})*", re.ASCII)
_ORCPT = re.compile(r"[A-Za-z0-9-]+;(?:[!-*,-<>-~]|\+[0-9A-F]{2})+", re.ASCII)
_MECHANISM = re.compile(r"[A-Za-z0-9_-]{1,20}", re.ASCII)  # RFC 4422 §3.1
_ORCPT_UTF8 = re.compile(r"utf-8;[\x21-\x2a\x2c-\x3c\x3e-\x7e\x80-\U0010ffff]+(?:\\x\{[0-9A-Fa-f]+\})*", re.IGNORECASE)


class CommandError(ValueError):
    """A command that cannot be taken as it stands; `reply` says why. Trying again does not help."""

    def __init__(self, refusal: Reply) -> None:
        super().__init__(str(refusal))
        self.reply = refusal


class Body(StrEnum):
    """What the content may hold (RFC 6152, RFC 3030 §3)."""

    SEVEN_BIT = "7BIT"
    EIGHT_BIT = "8BITMIME"
    BINARY = "BINARYMIME"


class Ret(StrEnum):
    """How much of the message a failure DSN returns (RFC 3461 §4.3)."""

    FULL = "FULL"
    HDRS = "HDRS"


class Notify(StrEnum):
    """When a DSN is wanted (RFC 3461 §4.1)."""

    NEVER = "NEVER"
    SUCCESS = "SUCCESS"
    FAILURE = "FAILURE"
    DELAY = "DELAY"


@dataclass(frozen=True, slots=True)
class MailParameters:
    """The parameters of one MAIL; what was not given is None or the default of its RFC."""

    size: int | None = None
    body: Body | None = None
    smtputf8: bool = False
    ret: Ret | None = None
    envid: str | None = None
    requiretls: bool = False
    by: By | None = None
    priority: int | None = None


@dataclass(frozen=True, slots=True)
class RcptParameters:
    """The parameters of one RCPT, as given; `orcpt` is the whole `type;xtext`."""

    notify: tuple[Notify, ...] | None = None
    orcpt: str | None = None


PLAIN_MAIL = MailParameters()
PLAIN_RCPT = RcptParameters()


_Choice = TypeVar("_Choice", Body, Ret)


def split_line(line: bytes) -> tuple[str, str]:
    """Verb in upper case, and argument, of a line without its CRLF. Raises CommandError.

    A verb is ASCII: to Python, a dotless i in upper case is an I.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError:
        raise CommandError(reply.UNKNOWN_COMMAND) from None
    verb, _, argument = text.partition(" ")
    if "\t" in verb:  # a tab parts verb and argument too (Postfix, Sendmail)
        verb, _, argument = text.partition("\t")
    if not verb.isascii():
        raise CommandError(reply.UNKNOWN_COMMAND)
    return verb.upper(), argument.strip(" \t")


def parse_mail(argument: str) -> tuple[Mailbox | None, MailParameters]:
    """Reverse-path and parameters of `MAIL`. Raises CommandError."""
    path, given = _path_and_parameters(argument, "FROM:")
    parameters = _mail_parameters(given) if given else PLAIN_MAIL
    if not argument.isascii() and not parameters.smtputf8:
        raise CommandError(Reply(553, "An address beyond ASCII needs SMTPUTF8", "5.6.7"))
    try:
        return parse_reverse_path(path), parameters
    except AddressError as error:
        raise CommandError(Reply(501, _one_line(error), "5.1.7")) from None


def parse_rcpt(argument: str, *, smtputf8: bool = False) -> tuple[Mailbox, RcptParameters]:
    """Forward-path and parameters of `RCPT`; `smtputf8` is what MAIL has said. Raises CommandError."""
    path, given = _path_and_parameters(argument, "TO:")
    if not argument.isascii() and not smtputf8:
        raise CommandError(Reply(553, "An address beyond ASCII needs SMTPUTF8", "5.6.7"))
    parameters = _rcpt_parameters(given, smtputf8=smtputf8) if given else PLAIN_RCPT
    try:
        return parse_forward_path(path), parameters
    except AddressError as error:
        raise CommandError(Reply(501, _one_line(error), "5.1.3")) from None


def parse_bdat(argument: str) -> tuple[int, bool]:
    """Octets of the chunk, and whether it is the last (RFC 3030 §2). Raises CommandError."""
    size, _, last = argument.partition(" ")
    if not (argument.isascii() and size.isdigit() and len(size) <= 18) or last.upper() not in ("", "LAST"):
        raise CommandError(Reply(501, "Syntax: BDAT octets [LAST]", "5.5.4"))
    return int(size), bool(last)


def parse_auth(argument: str) -> tuple[str, bytes | None]:
    """Mechanism in upper case, and the initial response where one is given (RFC 4954 §4). Raises CommandError.

    An empty one is written `=`.
    """
    mechanism, _, initial = argument.partition(" ")
    if not _MECHANISM.fullmatch(mechanism):
        raise CommandError(Reply(501, "Syntax: AUTH mechanism [initial-response]", "5.5.4"))
    if not initial:
        return mechanism.upper(), None
    return mechanism.upper(), b"" if initial == "=" else parse_response(initial)


def parse_response(text: str | bytes) -> bytes:
    """A client's line of an AUTH exchange. Raises CommandError, also where it cancels the exchange."""
    if text in ("*", b"*"):
        raise CommandError(reply.AUTH_CANCELLED)
    try:
        return decode(text)
    except ValueError:
        raise CommandError(reply.BAD_BASE64) from None


def parse_atrn(argument: str) -> tuple[DomainName, ...]:
    """The domains of `ATRN`, each once; none given: () (RFC 2645 §5.2.1). Raises CommandError.

    By the grammar each has a dot; an address literal is no domain here.
    """
    try:
        domains = tuple(dict.fromkeys(map(parse_domain, argument.split(",")))) if argument else ()
    except AddressError:
        domains = None
    if domains is None or any("." not in domain or domain.startswith("[") for domain in domains):
        raise CommandError(Reply(501, "Syntax: ATRN [domain[,domain...]]", "5.5.4"))
    return domains


def encode_xtext(text: str) -> str:
    """Text as xtext (RFC 3461 §4): what is not printable ASCII, and + and =, as +HH."""
    return "".join(chr(b) if 33 <= b <= 126 and b not in (0x2B, 0x3D) else f"+{b:02X}" for b in text.encode())


def decode_xtext(text: str) -> str:
    """The text that an xtext stands for (RFC 3461 §4)."""
    raw = re.sub(rb"\+([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), text.encode())
    return raw.decode("utf-8", "replace")


def _one_line(error: Exception) -> str:
    return "".join(c if c.isprintable() else "?" for c in str(error))[:400]


def _path_and_parameters(argument: str, keyword: str) -> tuple[str, dict[str, str | None]]:
    match = None
    if argument[: len(keyword)].upper() == keyword:
        match = _PATH.fullmatch(argument, len(keyword))
    if match is None:
        verb = "MAIL" if keyword == "FROM:" else "RCPT"
        raise CommandError(Reply(501, f"Syntax: {verb} {keyword}<address>", "5.5.4"))
    given: dict[str, str | None] = {}
    for word in (match[2] or "").split():
        name, equals, value = word.partition("=")
        name = name.upper()
        if name in given:
            status = "5.5.2" if name == "MT-PRIORITY" else "5.5.4"  # RFC 6710 §4.1
            raise CommandError(Reply(501, f"Parameter {_one_line(ValueError(name))} is given twice", status))
        given[name] = value if equals else None
    return match[1], given


def _bad_value(name: str) -> CommandError:
    return CommandError(Reply(501, f"Bad value for {name}", "5.5.4"))


def _unknown(names: dict[str, str | None]) -> CommandError:
    listed = _one_line(ValueError(", ".join(names)))
    return CommandError(Reply(555, f"Parameters not recognized or not implemented: {listed}", "5.5.4"))


def _mail_parameters(given: dict[str, str | None]) -> MailParameters:
    size = _size(given.pop("SIZE")) if "SIZE" in given else None
    body = _choice(Body, "BODY", given.pop("BODY")) if "BODY" in given else None
    ret = _choice(Ret, "RET", given.pop("RET")) if "RET" in given else None
    envid: str | None = None
    if "ENVID" in given:
        envid = given.pop("ENVID")
        if not envid or not _XTEXT.fullmatch(envid) or len(envid) > 100:
            raise _bad_value("ENVID")
    if "AUTH" in given:  # who it was submitted by is not trusted, as if it were `<>` (RFC 4954 §5): read, not kept
        submitter = given.pop("AUTH") or ""
        if submitter != "<>" and not (submitter and len(submitter) <= 500 and _XTEXT.fullmatch(submitter)):
            raise _bad_value("AUTH")
    smtputf8 = _flag("SMTPUTF8", given)
    requiretls = _flag("REQUIRETLS", given)
    by = _by(given.pop("BY")) if "BY" in given else None
    priority = _priority(given.pop("MT-PRIORITY")) if "MT-PRIORITY" in given else None
    if given:
        raise _unknown(given)
    return MailParameters(size, body, smtputf8, ret, envid, requiretls, by, priority)


def _flag(name: str, given: dict[str, str | None]) -> bool:
    """Whether a parameter without a value was given."""
    is_given = name in given
    if given.pop(name, None) is not None:
        raise _bad_value(name)
    return is_given


def _by(value: str | None) -> By:
    try:
        return parse_by(value or "")
    except ValueError:
        raise _bad_value("BY") from None


def _priority(value: str | None) -> int:
    try:
        return parse_priority(value or "")
    except ValueError:
        raise CommandError(reply.BAD_PRIORITY) from None


def _size(value: str | None) -> int:
    if value is None or not (value.isascii() and value.isdigit()) or len(value) > 20:
        raise _bad_value("SIZE")
    return int(value)


def _choice(kind: type[_Choice], name: str, value: str | None) -> _Choice:
    try:
        return kind((value or "").upper())
    except ValueError:
        raise _bad_value(name) from None


def _rcpt_parameters(given: dict[str, str | None], *, smtputf8: bool) -> RcptParameters:
    notify = _notify(given.pop("NOTIFY")) if "NOTIFY" in given else None
    orcpt: str | None = None
    if "ORCPT" in given:
        orcpt = given.pop("ORCPT") or ""
        fits = _ORCPT.fullmatch(orcpt) or (smtputf8 and _ORCPT_UTF8.fullmatch(orcpt))
        if not fits or len(orcpt) > 500:
            raise _bad_value("ORCPT")
    if given:
        raise _unknown(given)
    return RcptParameters(notify, orcpt)


def _notify(value: str | None) -> tuple[Notify, ...]:
    try:
        wanted = tuple(Notify(word.upper()) for word in (value or "").split(","))
    except ValueError:
        raise _bad_value("NOTIFY") from None
    if len(set(wanted)) != len(wanted) or (Notify.NEVER in wanted and len(wanted) > 1):
        raise _bad_value("NOTIFY")
    return wanted
