"""The API of a real server against its own description: schemathesis asks what may be asked, and much that may not."""

from __future__ import annotations

import asyncio
import json
import smtplib
from collections import Counter
from pathlib import Path
from typing import Any

import requests
import schemathesis
from bench.ledger import Totals
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi import checks
from tests.crash.runs import Outcome
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    checks.unsupported_method,
]
NEVER_ENDS = {"/api/events"}
"""Whose answer goes on for an hour."""
CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{smtp}"
[admin]
address = "127.0.0.1:{http}"
[limits]
connection_rate = 100000
connections_per_address = 1000
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:9"
[domains."localtest.example"]
action = "deliver"
users = ["anna"]
[calls.office]
host = "127.0.0.1:9"
domains = ["localtest.example"]
window = "1s"
[users.root]
certificates = ["{fingerprint}"]
admin = true
"""


class Host(RestanteHost):
    """A server with an API, some mail, and an administrator's token."""

    def __init__(self, folder: Path) -> None:
        self.smtp, self.http = free_port(), free_port()
        super().__init__(folder, CONFIG.format(smtp=self.smtp, http=self.http, fingerprint="ab" * 32))

    @property
    def url(self) -> str:
        """Of its API."""
        return f"http://127.0.0.1:{self.http}"

    def mail(self, *messages: str) -> list[str]:  # type: ignore[override]
        """Takes in messages for test.example; the ids of all items that wait."""
        with smtplib.SMTP("127.0.0.1", self.smtp) as smtp:
            for message in messages:
                smtp.sendmail("carla@far.example", ["anna@test.example"], f"Subject: {message}\r\n\r\nTwo barrels.\r\n")
        return [item["id"] for item in self.items()]

    def token(self) -> str:
        """A new one, once it is in force."""
        text: str = json.loads(self.cli("user", "token", "root", "--json"))["token"]
        said = self.log().count("configuration reloaded")
        self.wait_for_log("configuration reloaded", times=max(1, said))
        return text


def ask_everything(
    url: str, token: str, known: dict[str, list[str]], *, examples: int, number: int = 0
) -> Counter[int]:
    """So many requests of each kind to each route; how often which status came. Raises what did not conform.

    `known`: values for parameters and keys that mean something there, beside those that are made up.
    """
    login = {"Authorization": f"Bearer {token}"}
    schema = schemathesis.openapi.from_url(f"{url}/api/openapi.json")
    statuses: Counter[int] = Counter()
    session = requests.Session()
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr] # else it is an error, and raises
        if operation.path in NEVER_ENDS:
            continue
        for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):

            @seed(number)
            @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
            @given(case=operation.as_strategy(mode), chosen=st.data())
            def ask(case: Any, chosen: st.DataObject) -> None:
                for place in (case.path_parameters, case.query, case.body):
                    for name in known.keys() & (place if isinstance(place, dict) else ()):
                        if chosen.draw(st.booleans()):
                            place[name] = chosen.draw(st.sampled_from(known[name]))
                answer = case.call(headers=login, session=session, timeout=90)
                statuses[answer.status_code] += 1
                case.validate_response(answer, checks=CHECKS, headers=login)

            try:
                ask()
            except Unsatisfiable:  # of what takes nothing, nothing can be wrong
                assert mode is GenerationMode.NEGATIVE, operation.label
    return statuses


async def api(count: int, folder: Path) -> Outcome:
    """The long run: so many examples of each kind for each route."""
    statuses = await asyncio.to_thread(_ask_a_host, folder / "office", count)
    assert not [status for status in statuses if status >= 500], statuses
    return Outcome(Totals(attempted=statuses.total()), f"{statuses.total():,} requests")


def _ask_a_host(folder: Path, examples: int) -> Counter[int]:
    with Host(folder) as office:
        known = known_of(office.mail(*map(str, range(500))))
        return ask_everything(office.url, office.token(), known, examples=examples, number=examples)


def known_of(ids: list[str]) -> dict[str, list[str]]:
    """What means something to a Host with these items."""
    return {
        "domain": ["test.example", "localtest.example", "kept.example"],
        "id": ids,
        "name": ["office", "root"],
        "number": ["1"],
    }
