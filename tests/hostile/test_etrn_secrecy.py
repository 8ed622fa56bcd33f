"""Who asks for a domain that is not his learns nothing: not from the words, not from the time they take.

An unknown domain and one that is held for somebody else get the same octets but for the name, and cost the same work:
as many calls of functions, ours and the interpreter's, to the last one. (Times themselves are compared by script/soak:
here other things go on.)
"""

from __future__ import annotations

import ipaddress
import math
import random
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median

import pytest
from tests.hostile.attack import replies, say
from tests.hostile.office import CONFIG, RELAYING, SITE, SIZE, AttackedOffice
from tests.hostile.secrecy import ALIKE, STRANGER, difference
from tests.server.office import HeldBack, Office, Peer
from tests.work import Calls

from restante.config.load import directory_of, load
from restante.directory.entries import Directory
from restante.directory.rights import match_node
from restante.model import Principal
from restante.release.requests import Releases
from restante.smtp.node import parse_node
from restante.store.sqlite import open_spool

TRIES = 9
"""The middle of so many counts: now and then the event loop does something of its own between."""
SAMPLES = 2000


def test_unknown_and_foreign_nodes_get_the_same_octets(office: AttackedOffice) -> None:
    """But for the name that was asked for."""
    for known, unknown in ALIKE:
        heard = [say(office.port, f"ETRN {node}\r\nQUIT\r\n".encode(), source=STRANGER) for node in (known, unknown)]
        assert heard[0].replace(known.encode(), b"X") == heard[1].replace(unknown.encode(), b"X")
        assert replies(heard[0])[1].startswith("459 4.7.1")


@pytest.fixture
def directory(tmp_path: Path) -> Directory:
    """What the office knows."""
    (tmp_path / "recipients.txt").write_text("anna@listed.example\n")
    file = tmp_path / "restante.toml"
    file.write_text(CONFIG.format(port=1025, trap=1026, site=SITE, relaying=RELAYING, message_size=SIZE))
    return directory_of(load(file))


@pytest.mark.parametrize(("known", "unknown"), ALIKE)
@pytest.mark.parametrize("who", [STRANGER, SITE, RELAYING])
def test_unknown_and_foreign_nodes_are_the_same_work_to_decide(
    directory: Directory, who: str, known: str, unknown: str
) -> None:
    """For a stranger, for who may relay, and for a site, to whom other domains were granted; the first time, too."""
    principal = Principal(ipaddress.ip_address(who))

    def calls(node: str) -> int:
        with Calls() as calls:
            match_node(directory, parse_node(node), principal)
        return calls.number

    if who == SITE and known == "held.example":
        return  # it is its own
    assert calls(known) == calls(unknown)


@pytest.fixture
async def session(directory: Directory, tmp_path: Path) -> AsyncIterator[Peer]:
    """A stranger's at that office, over real streams and with a real spool, in which mail waits for every domain."""
    spool = await open_spool(tmp_path / "spool")
    office = Office(spool, HeldBack(spool))
    office.entries = tuple(directory.entries())
    releases = Releases(
        spool=spool,
        directory=office.directory,
        carriers=lambda *_: None,  # type: ignore[arg-type]  # none is begun
        announce=office.facts.append,
        clock=office.clock,
        hostname="office.example",
        at_once=0,
    )
    office.answer = releases.ask
    peer = await office.connect(STRANGER)
    held = [name for name, _ in ALIKE if name[0] not in "@#" and not name.startswith("local")]
    peer.say("HELO x.example\r\nMAIL FROM:<>\r\n" + "".join(f"RCPT TO:<a@{name}>\r\n" for name in held))
    peer.say("BDAT 3 LAST\r\nx\r\n")
    assert [line[:3] for line in await peer.hear(len(held) + 4)] == ["220", *["250"] * (len(held) + 3)]
    yield peer
    await office.close()


async def test_unknown_and_foreign_nodes_are_the_same_work_to_answer(session: Peer) -> None:
    """All that a session does, from the octets of the line to those of the reply."""

    async def calls(node: str) -> int:
        with Calls() as calls:
            session.say(f"ETRN {node}\r\n")
            [reply] = await session.hear()
        assert reply == f"459 4.7.1 Node {node} not allowed"
        return calls.number

    for known, unknown in ALIKE:
        counts: dict[str, list[int]] = {known: [], unknown: []}
        for _ in range(TRIES):
            for node, found in counts.items():
                found.append(await calls(node))
        assert median(counts[known]) == median(counts[unknown]), counts


def test_a_small_difference_would_be_found() -> None:
    """By the comparison of script/soak: times like ours, and the same with 5 % of the half of them added."""
    chance = random.Random(1)
    times = [[chance.lognormvariate(math.log(60e-6), 0.2) for _ in range(SAMPLES)] for _ in range(2)]
    assert difference(*times) > 0.01
    slower = [time + 3e-6 for time in times[1]]
    assert difference(times[0], slower) < 1e-6
