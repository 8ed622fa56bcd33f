"""What a release teaches of recipients: what the site says of each by name, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from msgspec import structs
from tests.release.host import HELD, TAKEN, TEST, Host, eventually, host

from restante.directory.entries import Held, Recipients, Relayed
from restante.directory.learned import Verdict
from restante.facts import ReleaseEnded
from restante.model import Caller, HostPort, Mailbox
from restante.transport.outcome import Deferred, Outcome, Refused

ANNA, BERT = Mailbox("anna", TEST), Mailbox("bert", TEST)
UNKNOWN = Refused("550 5.1.1 no such user", "5.1.1", is_by_name=True)
ELSEWHERE = HostPort("192.0.2.77")


async def released(made: Host, says: Outcome = UNKNOWN, *, to: HostPort | None = None) -> dict[str, bool]:
    """What was learned when mail for anna and bert was released, and anna was answered so: who is unknown."""
    await made.mail("anna@test.example", "bert@test.example")
    made.carrier().says = lambda _, mailbox: says if mailbox == ANNA else TAKEN
    made.releases.request_by_operator(TEST, to)
    await eventually(lambda: made.told(ReleaseEnded))
    changes = made.learned.take_changes()
    return {local: verdict.is_unknown for (_, local), verdict in changes.items() if isinstance(verdict, Verdict)}


@pytest.mark.parametrize("status", ["5.1.1", "5.1.6", "5.1.10"])
async def test_who_is_refused_by_name_is_unknown_and_who_is_taken_known(tmp_path: Path, status: str) -> None:
    """Once it is recorded, at the wall time of that."""
    async with host(tmp_path) as made:
        assert await released(made, replace(UNKNOWN, status=status)) == {"anna": True, "bert": False}
        assert made.learned.is_unknown(ANNA, 10, made.clock.wall() + 9)
        assert not made.learned.is_unknown(ANNA, 10, made.clock.wall() + 10)


@pytest.mark.parametrize(
    "says",
    [
        replace(UNKNOWN, is_by_name=False),  # of the sender, or of the whole message
        replace(UNKNOWN, status="5.7.1"),
        replace(UNKNOWN, status="5.1.0"),
        replace(UNKNOWN, status="5.1.3"),
        replace(UNKNOWN, status="5.2.2"),
        replace(UNKNOWN, status="5.0.0"),
        Deferred("450 4.1.1 try later"),
    ],
    ids=lambda says: says.reply[:9] + getattr(says, "status", ""),
)
async def test_nothing_else_says_that_nobody_is_there(tmp_path: Path, says: Outcome) -> None:
    """RFC 3463 §3.2: bad destination mailbox address, in answer to its own RCPT."""
    async with host(tmp_path) as made:
        assert await released(made, says) == {"bert": False}


async def test_a_relayed_domain_that_anyone_may_write_to_learns_as_a_held_one(tmp_path: Path) -> None:
    """Its next hop is as good a witness as a site."""
    async with host(tmp_path, Relayed(TEST, HostPort("192.0.2.25"), from_anyone=True)) as made:
        assert await released(made) == {"anna": True, "bert": False}


async def test_another_host_says_nothing_of_the_site(tmp_path: Path) -> None:
    """Where an operator sends a domain's mail somewhere else."""
    async with host(tmp_path) as made:
        assert await released(made, to=ELSEWHERE) == {}


async def test_a_caller_is_the_site_wherever_it_is(tmp_path: Path) -> None:
    """Its next hop has no address of its own."""
    async with host(tmp_path, structs.replace(HELD, next_hop=Caller())) as made:
        assert await released(made, to=ELSEWHERE) == {"anna": True, "bert": False}


@pytest.mark.parametrize(
    "entry",
    [
        structs.replace(HELD, recipients=Recipients(frozenset({str(ANNA), str(BERT)}))),
        Relayed(TEST, HostPort("192.0.2.25")),
        Relayed(TEST, HostPort("192.0.2.25"), from_anyone=True, recipients=Recipients(frozenset({str(ANNA)}))),
    ],
    ids=["listed", "relayed", "relayed and listed"],
)
async def test_a_list_is_the_last_word(tmp_path: Path, entry: Held | Relayed) -> None:
    """And nothing is learned of domains that only who may relay can write to."""
    async with host(tmp_path, entry) as made:
        assert await released(made) == {}
