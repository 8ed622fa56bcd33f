"""An office with its API on a real socket of loopback, and clients: one of HTTP, and one that writes octets.

Two users: `test`, whose domains are test.example, listed.example (with a list in the configuration), other.example,
which has no entry of its own, and localtest.example, which has its mailboxes here; and `stranger`.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
from argon2 import PasswordHasher
from tests.stories.ports import free_port

from restante.clock import SystemClock
from restante.config.build import directory_of
from restante.config.load import load
from restante.config.settings import Settings
from restante.facts import Fact
from restante.logins.check import Logins
from restante.logins.guesses import GuessLimits
from restante.net.door import Door, Rules
from restante.net.renewal import Renewed, ServerFiles
from restante.net.tls import Pair, ServerContext
from restante.web.web import Web, WebMeans

PASSWORD = "tanstaaf"
HASH = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
"""A cheap one: these tests are not about hashing."""
CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:2525"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.25"
[domains."listed.example"]
action = "hold"
next_hop = "192.0.2.25"
recipients = "listed.txt"
[domains."theirs.example"]
action = "hold"
next_hop = "192.0.2.26"
[domains."localtest.example"]
action = "deliver"
users = ["anna"]
[domains."*"]
action = "hold"
next_hop = "192.0.2.27"
"""
OWN = ("test.example", "listed.example", "other.example", "localtest.example")
PATH = "/api/domains/test.example/recipients"
LOGIN = ("test", PASSWORD)


@dataclass
class Office:
    """The office as it runs."""

    folder: Path
    web: Web
    settings: Settings
    facts: list[Fact] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of its API."""
        assert self.settings.admin is not None
        return str(self.settings.admin.address)

    @property
    def data(self) -> Path:
        """Its data folder."""
        return self.settings.data

    def client(self, login: tuple[str, str] | None = LOGIN, *, ca: Path | None = None) -> httpx2.AsyncClient:
        """A client of its API, with a login; over TLS where it trusts an authority."""
        verify = ssl.create_default_context(cafile=ca) if ca is not None else False
        url = f"http{'s' if ca is not None else ''}://{self.address}"
        return httpx2.AsyncClient(base_url=url, auth=login, trust_env=False, verify=verify, timeout=30)

    async def says(self, octets: bytes, *, closes: bool = False) -> bytes:
        """What comes for these octets: all of it until the office hangs up, or the first piece."""
        reader, writer = await asyncio.open_connection(*self.address.split(":"))
        try:
            writer.write(octets)
            async with asyncio.timeout(20):
                return await (reader.read() if closes else reader.read(65536))
        except ConnectionError:
            return b""
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()


def settings_of(folder: Path, admin: str | None = None) -> Settings:
    """The settings, as a file has them; `admin` is that table."""
    users = "".join(
        f'[users.{name}]\npassword = "{HASH}"\ndomains = {list(domains)}\n'
        for name, domains in (("test", OWN), ("stranger", ("theirs.example",)))
    )
    admin = f'address = "127.0.0.1:{free_port()}"' if admin is None else admin
    (folder / "listed.txt").write_text("bert@listed.example\n")
    (folder / "restante.toml").write_text(f"{CONFIG}{users}" + (f"[admin]\n{admin}\n" if admin else ""))
    return load(folder / "restante.toml")


@contextlib.asynccontextmanager
async def serving(
    folder: Path, admin: str | None = None, *, pair: Pair | None = None, limits: GuessLimits | None = None
) -> AsyncIterator[Office]:
    """An office, with the certificate of a pair."""
    settings = settings_of(folder, admin)
    settings.data.mkdir(exist_ok=True)
    directory = directory_of(settings)
    clock = SystemClock()
    logins = Logins(lambda: directory, clock, b"k" * 32, limits or GuessLimits())
    facts: list[Fact] = []
    tls = Renewed(ServerFiles(pair.certificate, pair.key), no_complaint) if pair is not None else None

    def context() -> ServerContext:
        assert tls is not None, "no certificate"
        return tls.context()

    means = WebMeans(
        settings=lambda: office.settings,
        directory=lambda: directory,
        logins=lambda: logins,
        announce=facts.append,
        clock=clock,
        door=Door(Rules()),
        tls=context,
    )
    office = Office(folder, Web(means), settings, facts)
    try:
        async with office.web.changing(settings):
            pass
        yield office
    finally:
        await office.web.close_door()
        await office.web.end(5)
        logins.close()


def no_complaint(text: str) -> None:
    """A certificate that cannot be renewed would be the test's own mistake."""
    assert "is in force now" in text, text
