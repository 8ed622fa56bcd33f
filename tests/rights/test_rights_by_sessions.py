"""Nobody else gets the mail: unauthorised tries at real sessions, and what those who are authorised are offered."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.release.rights import everything
from tests.rights import sessions
from tests.rights.sessions import RealMatrix, opened, strangers

from restante.directory import rights as real
from restante.directory.entries import Directory, Grant, Held
from restante.server import turning

SEED = 4


async def test_strangers_get_nothing(tmp_path: Path) -> None:
    """10,000 tries by every kind of stranger, in sixty forms of ETRN and eight of ATRN."""
    assert await sessions.check_strangers(10_000, SEED, tmp_path) >= 10_000


async def test_what_a_site_is_offered_is_what_it_owns(tmp_path: Path) -> None:
    """50 sites, 200 domains: by name, subtree, group and next hop; by ATRN; and it sends as what is its own."""
    assert await sessions.check_matrix(SEED, tmp_path) > 10_000


async def test_the_strangers_are_of_every_kind(tmp_path: Path) -> None:
    """And every kind of proof has a victim: else the tests above would show less than they say."""
    matrix = RealMatrix(SEED)
    kinds = {"owner" if grant is None else _kind(grant) for grant, _ in matrix.sites}
    assert kinds == {"owner", "user", "network", "fingerprint", "name"}
    async with opened(RealMatrix(SEED, sites=4, domains=8), tmp_path / "office") as office:
        names = [stranger.name for victim in range(4) for stranger in strangers(office, victim)]
        assert len(set(names)) >= 14


def _kind(grant: Grant) -> str:
    if grant.network is not None:
        return "network"
    if grant.login is not None:
        return "user"
    assert grant.certificate is not None
    return "fingerprint" if len(grant.certificate) == 64 else "name"


async def test_a_right_too_many_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By the strangers, and by the matrix."""
    monkeypatch.setattr(real, "may_release", lambda *_: True)
    monkeypatch.setattr(Directory, "holdings", everything)
    with pytest.raises(AssertionError, match="gets it by ETRN"):
        await sessions.check_strangers(1000, SEED, tmp_path)
    with pytest.raises(AssertionError, match="ETRN"):
        await sessions.check_matrix(SEED, tmp_path, sites=3, domains=20)


async def test_a_right_to_turn_too_many_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """By ATRN alone; and by the strangers who are somebody else."""

    def all_held(directory: Directory, *_: object) -> tuple[Held, ...]:
        return tuple(entry for entry in directory.entries() if isinstance(entry, Held))

    monkeypatch.setattr(turning, "may_turn", all_held)
    with pytest.raises(AssertionError, match="ATRN"):
        await sessions.check_matrix(SEED, tmp_path, sites=12, domains=60, others=10)
    with pytest.raises(AssertionError, match="ATRN"):
        await sessions.check_strangers(5000, SEED, tmp_path)
