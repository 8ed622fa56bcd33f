"""Who gets whose mail: matrices of sites and domains, and strangers with every form of an ETRN, by the thousand."""

from __future__ import annotations

import random

import pytest
from tests.release import rights
from tests.release.rights import Matrix, asked, check_matrix, check_strangers, everything, forms

from restante.directory import rights as real
from restante.directory.entries import Directory
from restante.release.answers import Started


async def test_strangers_release_nothing() -> None:
    """10,000 tries: no proof, a wrong one, another site's, an address beside it; sixty forms of an argument."""
    assert check_strangers(10_000, seed=1) >= 10_000


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_a_site_is_offered_is_what_it_owns(seed: int) -> None:
    """50 sites, 200 domains: by name, by subtree, by group, by next hop."""
    assert check_matrix(seed) > 10_000


async def test_the_owner_gets_it() -> None:
    """The same question from whom it concerns: else the tests above would show nothing."""
    matrix = Matrix(1)
    owned = [(site, name) for site, names in matrix.owned.items() for name in names]
    assert len(owned) > 100
    for site, name in owned:
        answer, offered = asked(matrix.directory, name, matrix.sites[site][1])
        assert offered == {name}
        assert isinstance(answer, Started)


def test_there_are_sixty_forms() -> None:
    """All different."""
    assert len(set(forms("a.test.example", random.Random(1)))) >= 60


async def test_a_right_too_many_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """If logins and grants were not compared, and the index by grants gave everybody everything."""
    monkeypatch.setattr(real, "may_release", lambda entry, principal: bool(principal.login) or bool(entry.grants))
    monkeypatch.setattr(Directory, "holdings", everything)
    with pytest.raises(AssertionError, match="gets"):
        check_strangers(10_000, seed=1)
    with pytest.raises(AssertionError, match="ETRN"):
        rights.check_matrix(1)
