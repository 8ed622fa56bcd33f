"""MTA-STS as text: the TXT record that tells of a policy, the policy, and which hosts it allows (RFC 8461 §3).

Pure. What is fetched comes from whoever runs the web server: nothing in it raises anything but PolicyInvalid.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from restante.errors import RestanteError
from restante.net.certificates import covers
from restante.smtp.address import AddressError, parse_domain

MAX_AGE = 31_557_600
"""Seconds that a policy may be kept at most (RFC 8461 §3.2)."""
MOST_OCTETS = 64 * 1024
"""Of a policy (RFC 8461 §3.3 suggests it)."""
MOST_HOSTS = 1000

_DELIMITER = re.compile(r"[ \t]*;[ \t]*")
_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_EXTENSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}=[!-:<>-~]+")
_AGE = re.compile(r"[0-9]{1,10}")
_BLANK = " \t"


class Mode(StrEnum):
    """What a policy asks of those who send to its domain (RFC 8461 §5)."""

    ENFORCE = "enforce"
    TESTING = "testing"
    NONE = "none"


class PolicyInvalid(RestanteError):
    """What was fetched is no policy. Trying again helps when it was mended."""


@dataclass(frozen=True, slots=True)
class StsPolicy:
    """A domain's policy. `hosts` are names of MX hosts, those with `*.` before them for one label more."""

    mode: Mode
    hosts: tuple[str, ...]
    max_age: int
    """Seconds for which it is in force after it was fetched."""

    def allows(self, host: str) -> bool:
        """Whether a host may be an MX of the domain (RFC 8461 §4.1)."""
        return any(covers(pattern, host) for pattern in self.hosts)

    @property
    def lines(self) -> tuple[str, ...]:
        """As a report has it (RFC 8460 §4.4, policy-string)."""
        return (
            "version: STSv1",
            f"mode: {self.mode}",
            *(f"mx: {host}" for host in self.hosts),
            f"max_age: {self.max_age}",
        )


def policy_id(texts: Iterable[str]) -> str | None:
    """The id in the TXT records of `_mta-sts.DOMAIN`; None where there is not one record that is sound (§3.1)."""
    split = [_DELIMITER.split(text) for text in texts]
    ours = [fields[1:] for fields in split if fields[0] == "v=STSv1" and len(fields) > 1]
    if len(ours) != 1:
        return None
    fields = ours[0]
    if not fields[-1]:
        fields.pop()
    ids = [field[3:] for field in fields if field.startswith("id=")]
    others = (field for field in fields if not field.startswith("id="))
    if len(ids) != 1 or not _ID.fullmatch(ids[0]) or not all(map(_EXTENSION.fullmatch, others)):
        return None
    return ids[0]


def parse_policy(content: bytes) -> StsPolicy:
    """The policy in the body of an answer (RFC 8461 §3.2). Raises PolicyInvalid.

    Of a key that is there twice the first counts, but for mx; keys that are not known are passed over.
    """
    if len(content) > MOST_OCTETS:
        raise PolicyInvalid(f"longer than {MOST_OCTETS} octets")
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        raise PolicyInvalid("not UTF-8") from None
    values: dict[str, str] = {}
    hosts: dict[str, None] = {}
    for key, value in _pairs(text):
        if key == "mx":
            hosts[_host(value)] = None
        else:
            values.setdefault(key, value)
    if len(hosts) > MOST_HOSTS:
        raise PolicyInvalid(f"more than {MOST_HOSTS} hosts")
    if values.get("version") != "STSv1":
        raise PolicyInvalid("not of version STSv1")
    mode = _mode(values.get("mode", ""))
    if not hosts and mode is not Mode.NONE:
        raise PolicyInvalid("no mx")
    return StsPolicy(mode, tuple(hosts), _age(values.get("max_age", "")))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line.strip(_BLANK):
            continue
        key, colon, value = line.partition(":")
        if not colon:
            raise PolicyInvalid(f"{line[:80]!r} has no colon")
        yield key.strip(_BLANK), value.strip(_BLANK)


def _host(value: str) -> str:
    star = "*." if value.startswith("*.") else ""
    try:
        host = parse_domain(value.removeprefix("*."))
    except AddressError:
        raise PolicyInvalid(f"mx: {value[:80]!r} is no host") from None
    if host.startswith("["):
        raise PolicyInvalid(f"mx: {value[:80]!r} is no host")
    return star + host


def _mode(value: str) -> Mode:
    try:
        return Mode(value)
    except ValueError:
        raise PolicyInvalid(f"mode: {value[:80]!r} is not known") from None


def _age(value: str) -> int:
    """More than a year is a year: what its domain wants is kept as far as it can be."""
    if not _AGE.fullmatch(value):
        raise PolicyInvalid(f"max_age: {value[:80]!r} is no number of seconds")
    return min(int(value), MAX_AGE)
