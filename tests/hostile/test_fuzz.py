"""Short forms of script/soak's fuzz-wire and fuzz-parsers: mutated sessions, and each parser with hypothesis."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from bench import fuzz
from bench.mutations import mutated
from bench.parsers import TARGETS, seeds
from hypothesis import given, settings
from hypothesis import strategies as st


async def test_mutated_sessions_are_answered_and_ended(tmp_path: Path) -> None:
    """2,000 of them, by the real server, whose memory and log are looked at afterwards."""
    outcome = await fuzz.wire(2000, tmp_path)
    assert outcome.done.startswith("2000 mutations")


def test_a_mutation_is_always_the_same() -> None:
    """By its number, so that a failure can be played again; and most of them differ."""
    assert [mutated(seed) for seed in range(50)] == [mutated(seed) for seed in range(50)]
    assert len({mutated(seed).pieces for seed in range(1000)}) > 950


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_raises_nothing_but_what_it_promises(name: str) -> None:
    """For any octets, and for what it takes with octets in it."""
    check(TARGETS[name], seeds(name))


def check(target: Callable[[bytes], None], known: list[bytes]) -> None:
    """Fails at the first octets that are not taken as promised."""
    for octets in known:
        target(octets)
        for place in range(len(octets)):
            target(octets[:place])
            target(octets[:place] + b"\xff\0\r\n" + octets[place:])

    @settings(max_examples=150, deadline=None)
    @given(st.binary(max_size=500), st.sampled_from(known), st.integers(0, 500))
    def with_octets(octets: bytes, seed: bytes, place: int) -> None:
        target(octets)
        target(seed[:place] + octets + seed[place:])

    with_octets()
