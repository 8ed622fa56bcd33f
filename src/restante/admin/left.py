"""What is left as it is when items are changed, and why. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from restante.admin.endings import Done
from restante.admin.protocol import Unchanged
from restante.model import Item, ItemId, ItemState, write_item_id

WANTED = {"freeze": ItemState.FROZEN, "thaw": ItemState.WAITING}
"""The state that items are to have."""
_WHY_NOT = {
    ("freeze", ItemState.CLAIMED): "is on its way; it is frozen if it comes back",
    ("remove", ItemState.CLAIMED): "is on its way",
    ("thaw", ItemState.CLAIMED): "is on its way",
    ("bounce", ItemState.CLAIMED): "is on its way",
    ("redirect", ItemState.CLAIMED): "is on its way",
    ("freeze", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("thaw", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("bounce", ItemState.QUARANTINED): "is quarantined: it is damaged",
    ("redirect", ItemState.QUARANTINED): "is quarantined: it is damaged",
}
_MEANWHILE = "was taken up or removed meanwhile"


def tried(verb: str, items: Sequence[Item]) -> Done:
    """Those that would be tried: what is not in its state already, and nothing is known that prevents it."""
    return Done([one.id for one in items if (verb, one.state) not in _WHY_NOT and one.state is not WANTED.get(verb)])


def unchanged(verb: str, item: Item, reasons: Mapping[ItemId, str]) -> Unchanged:
    """An item that was left, and why: as `reasons` has it, or by its state."""
    why = reasons.get(item.id) or _WHY_NOT.get((verb, item.state), _MEANWHILE)
    return Unchanged(write_item_id(item.id), why)
