"""All looks at a host, at the same time, each with a limit of time. What is found is told in the order of CHECKS.

They change nothing, send no mail, and do whether the server runs or not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from restante.setup import certificates, machine, names, peers, ports
from restante.setup.finding import Check, Finding, Host, warning

SECONDS = 30.0
"""For one look with all that it tries."""
CHECKS: Sequence[tuple[str, Check]] = (
    (machine.DATA, machine.data_folder),
    (machine.STORE, machine.store),
    (machine.CLOCK, machine.clock),
    (certificates.SECRETS, certificates.secrets),
    (certificates.CERTIFICATE, certificates.certificate),
    (ports.PORT, ports.ports),
    (ports.API, ports.api),
    (names.DNS, names.own_name),
    (names.DNS, names.domains),
    (names.DNS, names.resolver),
    (names.OUT, names.way_out),
    (peers.NEXT_HOP, peers.next_hops),
    (peers.OFFICE, peers.offices),
    (peers.STORE, peers.mail_stores),
    (peers.FILTER, peers.mail_filter),
)


async def look(host: Host, *, checks: Sequence[tuple[str, Check]] = CHECKS, seconds: float = SECONDS) -> list[Finding]:
    """All findings. What takes longer than `seconds` is a finding, too."""
    found = await asyncio.gather(*(_in_time(subject, check, host, seconds) for subject, check in checks))
    return [finding for findings in found for finding in findings]


async def _in_time(subject: str, check: Check, host: Host, seconds: float) -> list[Finding]:
    found: list[Finding] = []
    try:
        async with asyncio.timeout(seconds):
            async for finding in check(host):
                found.append(finding)  # noqa: PERF401 - what was found in time counts
    except TimeoutError:
        found.append(warning(subject, f"looking took longer than {seconds:g} s, and was given up", "try it again"))
    return found
