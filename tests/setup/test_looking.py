"""What the DNS says of records: by a real server and resolver; and where nothing answers nobody waits."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.stories.world import AUTHORITY, World

from restante.clock import SystemClock
from restante.config.load import load
from restante.config.settings import Settings
from restante.model import HostPort
from restante.mx.lookup import LookupFailed, Resolver
from restante.setup import looking
from restante.setup.looking import Looks, Seen, State, look_up
from restante.setup.records import UNKNOWN_ADDRESS, Kind, Record

ZONE = f"""
@ MX 10 office
@ MX 20 other
@ TXT "hello"
@ TXT "v=spf1 mx -all"
office A 192.0.2.7
office AAAA 2001:db8::7
alias MX 10 here
here A 192.0.2.1
open TXT "v=spf1 +all"
_25._tcp.office TLSA 3 1 1 {"ab" * 32}
"""
KEY = f"3 1 1 {'ab' * 32}"
RIGHT, OTHER, MISSING, UNKNOWN = State.RIGHT, State.OTHER, State.MISSING, State.UNKNOWN


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """Zones that are as they should be, and others."""
    with World() as world:
        world.zone("plain.example", ZONE)
        world.zone("safe.example", ZONE, signed=True)
        world.zone("bogus.example", ZONE, bogus=True)
        world.zone("2.0.192.in-addr.arpa", "7 PTR office.plain.example.")
        world.start_dns()
        yield world


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Of a host that is called office.plain.example, and is 192.0.2.1."""
    file = tmp_path / "restante.toml"
    file.write_text('hostname = "office.plain.example"\ndata = "data"\n[[listen]]\naddress = "192.0.2.1"\n')
    return load(file)


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.parametrize(
    ("name", "kind", "value", "state", "found"),
    [
        ("plain.example", "MX", "10 office.plain.example", RIGHT, "10 office.plain.example, 20 other.plain.example"),
        ("plain.example", "MX", "10 else.plain.example", OTHER, "10 office.plain.example, 20 other.plain.example"),
        ("alias.plain.example", "MX", "10 office.plain.example", RIGHT, "10 here.plain.example"),
        ("here.plain.example", "MX", "10 office.plain.example", MISSING, "no MX record"),
        ("nobody.plain.example", "MX", "10 office.plain.example", MISSING, "there is no such domain"),
        ("bogus.example", "MX", "10 office.bogus.example", UNKNOWN, "SERVFAIL"),
        ("office.plain.example", "A", "192.0.2.7", RIGHT, "192.0.2.7"),
        ("office.plain.example", "A", "192.0.2.8", OTHER, "192.0.2.7"),
        ("office.plain.example", "AAAA", "2001:db8::7", RIGHT, "2001:db8::7"),
        ("here.plain.example", "AAAA", "2001:db8::7", MISSING, "nothing"),
        ("here.plain.example", "A", UNKNOWN_ADDRESS, RIGHT, "192.0.2.1"),
        ("plain.example", "TXT", '"v=spf1 mx -all"', RIGHT, "v=spf1 mx -all"),
        ("open.plain.example", "TXT", '"v=spf1 mx -all"', OTHER, "v=spf1 +all"),
        ("office.plain.example", "TXT", '"v=spf1 mx -all"', MISSING, "nothing"),
        ("_25._tcp.office.safe.example", "TLSA", KEY, RIGHT, KEY),
        ("_25._tcp.office.safe.example", "TLSA", KEY.replace("a", "c"), OTHER, KEY),
        ("_25._tcp.office.plain.example", "TLSA", KEY, OTHER, "DNSSEC does not prove"),
    ],
)
async def test_each_kind_of_record(  # noqa: PLR0917
    world: World, settings: Settings, name: str, kind: Kind, value: str, state: State, found: str
) -> None:
    """What is there, and how that is to what ought to be."""
    del world
    names, record = Resolver([HostPort("127.0.0.1", 53)], timeout=60), Record(name, kind, value, "")
    try:
        seen = await look_up(record, names, settings)
    except LookupFailed as error:
        seen = Seen(UNKNOWN, str(error))
    assert (seen.state, found in seen.found) == (state, True), seen


@pytest.mark.peer
@pytest.mark.netns
async def test_the_name_of_an_address(world: World, settings: Settings) -> None:
    """Asked of who has that zone, for resolvers answer for such networks themselves."""
    del world
    names = Resolver([HostPort(AUTHORITY, 53)], timeout=60)
    right = Record("7.2.0.192.in-addr.arpa", "PTR", "office.plain.example", "")
    assert await look_up(right, names, settings) == Seen(RIGHT, "office.plain.example")
    nobody = Record("8.2.0.192.in-addr.arpa", "PTR", "office.plain.example", "")
    assert await look_up(nobody, names, settings) == Seen(MISSING, "nothing")


def record_of(number: int) -> Record:
    """One of many."""
    return Record(f"d{number}.example", "MX", "10 office.example", "")


async def test_a_resolver_that_never_answers(settings: Settings) -> None:
    """Each look ends in its time, and says so; nobody else waits meanwhile."""
    with contextlib.closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as silent:
        silent.bind(("127.0.0.1", 0))
        names = Resolver([HostPort("127.0.0.1", silent.getsockname()[1])], timeout=120)
        looks = Looks(lambda record: look_up(record, names, settings), SystemClock(), seconds=1.0)
        records = [record_of(number) for number in range(50)]
        began = time.monotonic()
        looks.begin(records)
        assert looks.is_looking(records)
        assert looks.last(records[0]) is None
        slowest = 0.0
        while looks.is_looking(records):
            turn = time.monotonic()
            await asyncio.sleep(0)
            slowest = max(slowest, time.monotonic() - turn)
        assert time.monotonic() - began < 60
        assert slowest < 5
        for record in records:
            look = looks.last(record)
            assert look is not None
            assert look.seen == Seen(UNKNOWN, "the DNS has not answered in 1 s")


async def test_how_many_are_looked_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many run, so many more wait, and further ones are not begun; one that runs is not begun again."""
    monkeypatch.setattr(looking, "MOST_PENDING", 5)
    at_once, asked, goes = 0, list[str](), asyncio.Event()

    async def look(record: Record) -> Seen:
        nonlocal at_once
        asked.append(record.name)
        at_once += 1
        await goes.wait()
        at_once -= 1
        return Seen(RIGHT, record.name)

    looks = Looks(look, SystemClock(), seconds=300, at_once=2)
    records = [record_of(number) for number in range(9)]
    looks.begin(records)
    looks.begin(records)
    await asyncio.sleep(0.05)
    assert (at_once, len(asked)) == (2, 2)
    goes.set()
    await looks.wait(records)
    assert asked == [record.name for record in records[:5]]
    assert [looks.last(record) is not None for record in records] == [True] * 5 + [False] * 4
    looks.begin(records[:5], older_than=300)
    assert not looks.is_looking(records)
    looks.begin(records[:1])
    assert looks.is_looking(records)
    await looks.wait(records)


async def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is forgotten."""
    monkeypatch.setattr(looking, "MOST_REMEMBERED", 2)

    async def look(record: Record) -> Seen:
        return Seen(RIGHT, record.name)

    looks = Looks(look, SystemClock())
    for record in map(record_of, range(3)):
        looks.begin([record])
        await looks.wait([record])
    assert [looks.last(record_of(number)) is not None for number in range(3)] == [False, True, True]
