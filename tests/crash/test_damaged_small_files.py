"""What is kept beside the spool is damaged, in every way at once: the server starts, says so once for each, and no mail
is touched. Only the users and domains of the store are more than a help: without them mail would be refused.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest
from bench.machine import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

from restante.calls.memory import CallMemory, Remembered
from restante.model import ItemState
from restante.spool.spool import Filter
from restante.store.sqlite import open_spool

SAYS = {
    "history.db": "all mail is young",
    "learned.db": "learned of recipients",
    "calls.json": "what was remembered of calls",
}
MAIL = 3


def garbage(file: Path) -> None:
    """Random octets."""
    file.write_bytes(random.Random(3).randbytes(9000))


def cut_short(file: Path) -> None:
    """Its second half is gone."""
    os.truncate(file, file.stat().st_size // 2)


def emptied(file: Path) -> None:
    """It has no octets."""
    os.truncate(file, 0)


def of_the_future(file: Path) -> None:
    """A later release has written it."""
    if file.suffix == ".json":
        file.write_text('{"office": {"version": 2}}')
        return
    connection = apsw.Connection(str(file))
    connection.pragma("user_version", 99)
    connection.close()


def a_folder(file: Path) -> None:
    """Somebody has made a folder there."""
    file.unlink()
    file.mkdir()


DAMAGES = (garbage, cut_short, emptied, of_the_future, a_folder)


def config(port: int) -> str:
    """A host that holds mail and calls."""
    return f"""hostname = "office.example"
data = "data"

[[listen]]
address = "127.0.0.1:{port}"
service = "mx"

[domains."test.example"]
action          = "hold"
next_hop        = "caller"
expire          = "1d"
expire_contacts = 0

[domains."home.example"]
action = "deliver"
users  = ["anna"]

[calls.office]
host     = "127.0.0.1:9"
domains  = ["home.example"]
schedule = "0 3 29 2 *"
"""


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data of a host that has ended, with mail, and with all files."""
    port = free_port()
    host = RestanteHost(tmp_path_factory.mktemp("original") / "office", config(port))
    with host:
        for _ in range(MAIL):
            send(port, "ann@sender.example", ["bob@test.example"], b"Subject: hello\r\n\r\nhello\r\n")
    CallMemory(host.folder / "data/calls.json").put("office", Remembered(1.0, ("0 3 29 2 *",)))
    return host.folder / "data"


@pytest.fixture
def host(original: Path, tmp_path: Path) -> RestanteHost:
    """Such a host."""
    made = RestanteHost(tmp_path / "office", config(free_port()))
    shutil.copytree(original, made.folder / "data", ignore=shutil.ignore_patterns("*.sock"))
    return made


async def states(host: RestanteHost) -> list[ItemState]:
    """How the items stand, once it has ended."""
    spool = await open_spool(host.folder / "data/spool")
    items = await spool.listing(Filter())
    await spool.close()
    return [item.state for item in items]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_it_starts_and_says_so_once(host: RestanteHost, damage: Callable[[Path], None]) -> None:
    """And all mail waits as before."""
    for name in SAYS:
        damage(host.folder / "data" / name)
    with host:
        for words in SAYS.values():
            host.wait_for_log(words)
    for name, words in SAYS.items():
        assert host.log().count(words) == 1, (name, host.log())
    assert await states(host) == [ItemState.WAITING] * MAIL


@pytest.mark.parametrize("damage", [garbage, of_the_future])
async def test_without_its_users_and_domains_it_does_not_start(
    host: RestanteHost, damage: Callable[[Path], None]
) -> None:
    """It says why, in one line, and takes no mail; all that it has waits."""
    damage(host.folder / "data/directory.db")
    with pytest.raises(AssertionError, match="ended at its start, status 1"):
        host.start()
    (error,) = [line for line in host.log().splitlines() if " error " in line]
    assert "directory.db cannot be used" in error
    assert await states(host) == [ItemState.WAITING] * MAIL


def test_users_and_domains_of_an_empty_file_are_none_and_it_says_so(host: RestanteHost) -> None:
    """A crash at the very first start may have left it so."""
    emptied(host.folder / "data/directory.db")
    with host:
        pass
    assert host.log().count("users and domains that were kept in the store are gone") == 1
