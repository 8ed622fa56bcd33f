"""How TLS towards other domains went: what is counted, and the report of it (RFC 8460).

Pure. A report is of one policy domain and one day, UTC. Nothing is sent: `restante tls-report` shows it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from restante.net.stream import ResultType


class PolicyType(StrEnum):
    """RFC 8460 §4.4."""

    TLSA = "tlsa"
    STS = "sts"
    NONE = "no-policy-found"


@dataclass(frozen=True, slots=True)
class PolicyShown:
    """A policy, as a report has it: its type, its domain, its text in lines, the hosts that it names."""

    type: PolicyType
    domain: str
    lines: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TlsOutcome:
    """What became of one session's TLS. `result` None: it was as the policy has it."""

    result: ResultType | None
    mx_host: str = ""
    sending_ip: str = ""
    receiving_ip: str = ""
    reason: str = ""
    """The reason in words of our own."""


@dataclass(frozen=True, slots=True)
class Row:
    """So many sessions of one day (`2026-11-25`) that went the same way under the same policy."""

    day: str
    policy: PolicyShown
    outcome: TlsOutcome
    sessions: int


def day_of(wall: float) -> str:
    """The day of a moment, UTC."""
    return dt.datetime.fromtimestamp(wall, dt.UTC).date().isoformat()


def report(rows: Iterable[Row], *, domain: str, day: str, hostname: str) -> dict[str, Any]:
    """The report of a policy domain's rows of a day (RFC 8460 §4.4), as what becomes JSON."""
    by_policy: dict[PolicyShown, list[Row]] = {}
    for row in rows:
        assert (row.policy.domain, row.day) == (domain, day), row
        by_policy.setdefault(row.policy, []).append(row)
    return {
        "organization-name": hostname,
        "date-range": {"start-datetime": f"{day}T00:00:00Z", "end-datetime": f"{day}T23:59:59Z"},
        "contact-info": f"postmaster@{hostname}",
        "report-id": f"{day}_{domain}@{hostname}",
        "policies": [_of_policy(policy, each) for policy, each in by_policy.items()],
    }


def _of_policy(policy: PolicyShown, rows: Iterable[Row]) -> dict[str, Any]:
    failed = [row for row in rows if row.outcome.result is not None]
    succeeded = sum(row.sessions for row in rows if row.outcome.result is None)
    return {
        "policy": _without_empty(
            {
                "policy-type": policy.type.value,
                "policy-string": policy.lines,
                "policy-domain": policy.domain,
                "mx-host": policy.hosts,
            }
        ),
        "summary": {
            "total-successful-session-count": succeeded,
            "total-failure-session-count": sum(row.sessions for row in failed),
        },
        "failure-details": [_failure(row) for row in failed],
    }


def _failure(row: Row) -> dict[str, Any]:
    outcome = row.outcome
    assert outcome.result is not None, row
    return _without_empty(
        {
            "result-type": outcome.result.value,
            "sending-mta-ip": outcome.sending_ip,
            "receiving-mx-hostname": outcome.mx_host,
            "receiving-ip": outcome.receiving_ip,
            "failed-session-count": row.sessions,
            "failure-reason-code": outcome.reason,
        }
    )


def _without_empty(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in table.items() if value not in ("", ())}
