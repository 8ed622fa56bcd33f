"""An office and a site as two real processes on loopback, each with its pages, and what a test does to them besides.

    with Pair(tmp_path) as pair:
        pair.office.mail(...)            # by SMTP, as from the world
        pair.office.origin               # where its pages are
        pair.office.ask("/api/items")    # what its API says of the same

`root` is an administrator of each, `test` a user of the office whose domain is test.example. The site calls the office
by ETRN for test.example, and flushes localtest.example towards it. What the office holds for broken.example it would
send to a next hop of the test's own (awkward.py), and so does the site with its call `broken`.
"""

from __future__ import annotations

import smtplib
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
from argon2 import PasswordHasher
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

PASSWORD = "two-barrels-of-fuel"
HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
"""A cheap one: these tests are not about hashing."""
ROOT, TEST = "root", "test"

HEAD = f"""
data = "data"
[relay]
from = ["127.0.0.0/8"]
[users.{ROOT}]
password = "{HASH}"
admin = true
"""
OFFICE = """
hostname = "office.localtest.example"
{head}
[admin]
address = "127.0.0.1:{admin}"
[[listen]]
address = "127.0.0.1:{port}"
[limits]
connection_rate = 1000
[users.test]
password = "{hash}"
domains = ["test.example"]
[domains."test.example"]
action = "hold"
next_hop = "127.0.0.1:{site}"
release_from = ["127.0.0.1"]
contact = "0 * * * *"
quota = "50MB"
[domains."broken.example"]
action = "hold"
next_hop = "127.0.0.1:{awkward}"
[domains."quiet.example"]
action = "hold"
next_hop = "127.0.0.1:{site}"
[domains."localtest.example"]
action = "deliver"
users = ["carla", "dora"]
[domains."*"]
action = "hold"
next_hop = "127.0.0.1:{awkward}"
"""
SITE = """
hostname = "site.test.example"
{head}
[admin]
address = "127.0.0.1:{admin}"
[[listen]]
address = "127.0.0.1:{port}"
[domains."test.example"]
action = "deliver"
users = ["anna", "bert"]
[domains."localtest.example"]
action = "hold"
next_hop = "127.0.0.1:{office}"
release_from = ["127.0.0.1"]
[calls.office]
host = "127.0.0.1:{office}"
domains = ["test.example"]
schedule = "0 3 * * *"
window = "10m"
idle = "1s"
flush = ["localtest.example"]
[calls.broken]
host = "127.0.0.1:{awkward}"
domains = ["test.example"]
schedule = "30 3 * * *"
window = "1m"
idle = "1s"
"""


class Host(RestanteHost):
    """One of them; `origin` is where its pages are."""

    def __init__(self, folder: Path, config: str, port: int, admin: int) -> None:
        super().__init__(folder, config)
        self.port = port
        self.origin = f"http://127.0.0.1:{admin}"
        self._client = httpx2.Client(
            base_url=self.origin, auth=(ROOT, PASSWORD), trust_env=False, verify=False, timeout=30
        )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self._client.close()
        super().__exit__(kind, error, trace)

    def sends(
        self, recipient: str, content: bytes, *, sender: str = "carla@far.example", name: str = "far.example"
    ) -> None:
        """Somebody whose host says that name hands it a message, by SMTP."""
        with smtplib.SMTP("127.0.0.1", self.port, local_hostname=name, timeout=30) as client:
            client.sendmail(sender, [recipient], content, mail_options=["BODY=8BITMIME"])

    def ask(self, path: str, *, method: str = "GET", **values: Any) -> Any:
        """What its API answers to an administrator, as JSON."""
        answer = self._client.request(method, path, **values)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def release(self, domain: str) -> int:
        """Releases a domain; the release's number, once it has ended."""
        number = int(self.ask("/api/releases", method="POST", json={"domain": domain})["number"])
        self._wait_for_end(f"/api/releases/{number}")
        return number

    def call(self, name: str) -> None:
        """Makes a call; returns once it has ended."""
        self.ask(f"/api/calls/{name}:call", method="POST")
        self._wait_for_end(f"/api/calls/{name}")

    def _wait_for_end(self, path: str) -> None:
        end = time.monotonic() + 60
        while self.ask(path)["progress"] != "ended":
            assert time.monotonic() < end, f"{path} has not ended"
            time.sleep(0.05)


class Pair:
    """Both of them, started at once."""

    def __init__(self, folder: Path, *, awkward: int = 9) -> None:
        """`awkward`: the port of a next hop and office of the test's own."""
        office, office_admin, site, site_admin = (free_port() for _ in range(4))
        values = {"head": HEAD, "hash": HASH, "office": office, "site": site, "awkward": awkward}
        self.office = Host(
            folder / "office", OFFICE.format(**values, port=office, admin=office_admin), office, office_admin
        )
        self.site = Host(folder / "site", SITE.format(**values, port=site, admin=site_admin), site, site_admin)
        self._running = ExitStack()

    def __enter__(self) -> Self:
        with ThreadPoolExecutor() as both, ExitStack() as running:
            for started in [both.submit(host.__enter__) for host in (self.office, self.site)]:
                running.push(started.result().__exit__)
            self._running = running.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.__exit__(kind, error, trace)
