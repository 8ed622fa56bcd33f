"""The published table of an item's states and the steps between them: each is one durable write.

`arriving` is before the first write and `gone` after the last: neither is ever found on disk. `claimed` is a lease
in memory that dies with the process, so an item found at start is waiting, frozen or quarantined: it is what its row
says, and start has nothing to repair. Only ACCEPT is followed by a 250 to a peer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from restante.model import ItemState


class Step(StrEnum):
    """What can happen to an item."""

    ACCEPT = "accept"
    CLAIM = "claim"
    RETURN = "return"
    DELIVER = "deliver"
    REFUSE = "refuse"
    FREEZE = "freeze"
    THAW = "thaw"
    QUARANTINE = "quarantine"
    EXPIRE = "expire"
    WARN = "warn"
    REMOVE = "remove"
    BOUNCE = "bounce"
    REDIRECT = "redirect"


@dataclass(frozen=True, slots=True)
class Arrow:
    """Where a step leads (None: gone), whether it is written durably, and what it does, for the manual."""

    then: ItemState | None
    durable: bool
    meaning: str


TABLE: Mapping[tuple[ItemState | None, Step], Arrow] = {  # what is not here cannot happen
    (None, Step.ACCEPT): Arrow(ItemState.WAITING, True, "content and all items in one commit, then 250"),
    (ItemState.WAITING, Step.CLAIM): Arrow(ItemState.CLAIMED, False, "lent to one release, until it ends"),
    (ItemState.CLAIMED, Step.RETURN): Arrow(ItemState.WAITING, True, "not now: fewer recipients, or as it was"),
    (ItemState.CLAIMED, Step.DELIVER): Arrow(
        None, True, "the last recipient is taken; content goes with its last item"
    ),
    (ItemState.CLAIMED, Step.REFUSE): Arrow(None, True, "refused for good; its DSN is accepted in the same commit"),
    (ItemState.CLAIMED, Step.QUARANTINE): Arrow(ItemState.QUARANTINED, True, "the content's hash is wrong"),
    (ItemState.WAITING, Step.QUARANTINE): Arrow(ItemState.QUARANTINED, True, "its row or its content is damaged"),
    (ItemState.FROZEN, Step.QUARANTINE): Arrow(ItemState.QUARANTINED, True, "its row or its content is damaged"),
    (ItemState.WAITING, Step.EXPIRE): Arrow(
        None, True, "it has waited too long; its DSN is accepted in the same commit"
    ),
    (ItemState.WAITING, Step.WARN): Arrow(
        ItemState.WAITING, True, "it is late; the DSN that says so is accepted in the same commit"
    ),
    (ItemState.WAITING, Step.FREEZE): Arrow(ItemState.FROZEN, True, "an operator's stop; no release passes it"),
    (ItemState.CLAIMED, Step.FREEZE): Arrow(ItemState.FROZEN, True, "the same, if it comes back from its release"),
    (ItemState.FROZEN, Step.THAW): Arrow(ItemState.WAITING, True, "the operator's stop ends"),
    (ItemState.WAITING, Step.REMOVE): Arrow(None, True, "an operator removed it"),
    (ItemState.FROZEN, Step.REMOVE): Arrow(None, True, "an operator removed it"),
    (ItemState.QUARANTINED, Step.REMOVE): Arrow(None, True, "an operator removed it"),
    (ItemState.WAITING, Step.BOUNCE): Arrow(None, True, "an operator sent it back; its DSN is accepted with that"),
    (ItemState.FROZEN, Step.BOUNCE): Arrow(None, True, "an operator sent it back; its DSN is accepted with that"),
    (ItemState.WAITING, Step.REDIRECT): Arrow(ItemState.WAITING, True, "an operator sent it elsewhere"),
    (ItemState.FROZEN, Step.REDIRECT): Arrow(ItemState.FROZEN, True, "the same; it stays stopped"),
}


def step(state: ItemState | None, what: Step) -> Arrow | None:
    """The arrow for a step from a state, or None where there is none."""
    return TABLE.get((state, what))


def markdown() -> str:
    """The table as the manual shows it (docs/design.md, section 4)."""
    rows = [
        f"| {_name(state, 'arriving')} | {what} | {_name(arrow.then, 'gone')} | {'yes' if arrow.durable else 'no'} "
        f"| {arrow.meaning} |"
        for (state, what), arrow in TABLE.items()
    ]
    return "\n".join(["| from | step | to | on disk | what it means |", "|---|---|---|---|---|", *rows])


def _name(state: ItemState | None, outside: str) -> str:
    return outside if state is None else str(state)
