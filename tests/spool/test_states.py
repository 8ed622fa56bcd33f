"""The table of states is complete, and the manual shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from restante.model import ItemState
from restante.spool.states import TABLE, Step, markdown, step

DESIGN = Path(__file__).parents[2] / "docs/design.md"


def test_the_manual_shows_the_table() -> None:
    """What docs/design.md prints between its marks is what states.markdown() makes of the table."""
    printed = DESIGN.read_text().partition("<!-- states -->\n")[2].partition("\n<!-- end -->")[0]
    assert printed == markdown()


@pytest.mark.parametrize("state", ItemState)
def test_every_state_can_be_reached_and_left(state: ItemState) -> None:
    """Nothing is stuck: some arrow leads to each state, and by some way each ends in being gone."""
    assert any(arrow.then is state for arrow in TABLE.values())
    seen: set[ItemState | None] = {state}
    while found := {arrow.then for (start, _), arrow in TABLE.items() if start in seen} - seen:
        seen |= found
    assert None in seen


def test_only_a_claim_is_not_on_disk() -> None:
    """It is the one step that a crash undoes, and its state the one that a crash ends."""
    assert {what for (_, what), arrow in TABLE.items() if not arrow.durable} == {Step.CLAIM}
    assert {arrow.then for arrow in TABLE.values() if not arrow.durable} == {ItemState.CLAIMED}


@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.WAITING])
def test_only_what_waits_is_claimed(state: ItemState) -> None:
    """No release passes a stop, nor takes what another has."""
    assert step(state, Step.CLAIM) is None


@pytest.mark.parametrize("state", [state for state in ItemState if state is not ItemState.CLAIMED])
def test_only_what_is_claimed_is_delivered_or_refused(state: ItemState) -> None:
    """So nothing ends without a release that has it."""
    assert step(state, Step.DELIVER) is None
    assert step(state, Step.REFUSE) is None
