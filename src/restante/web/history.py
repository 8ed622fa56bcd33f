"""What happened to one message, as far as this process remembers it: the same lines as `restante trace` finds in a log.

Its own, and those of the releases that carried it. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from restante.facts import Fact, ReleaseEnded, ReleaseStarted
from restante.model import DomainName, ItemId, MessageId, is_item_id, message_of, write_item_id, write_message_id
from restante.web.feed import is_seen, words_for

_OF_ITEMS = ("item", "items")
_OF_MESSAGES = ("message", "dsn", "notice")
_NAMES: Mapping[type, tuple[str, ...]] = {
    kind: tuple(name for name in kind.__struct_fields__ if name in (*_OF_ITEMS, *_OF_MESSAGES))
    for kind in get_args(Fact)
}
"""By which fields a kind of fact names messages and items."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One line: its wall time, what it says, and whether it is about just what was looked for, not its message, a
    release that carried it, or what it is a notice of.
    """

    when: float
    event: str
    fields: Mapping[str, str]
    is_its_own: bool


def history_of(
    kept: Iterable[tuple[float, Fact]], wanted: MessageId | ItemId, within: frozenset[DomainName] | None = None
) -> list[Happened]:
    """The lines about a message with all its items, or about one item of it, in their order, for who sees these domains
    or all. What each line would say of what is looked for itself is left out.
    """
    item = ItemId(wanted) if is_item_id(wanted) else None
    message = message_of(item) if item is not None else MessageId(wanted)
    running: dict[int, tuple[float, ReleaseStarted]] = {}
    """Releases that have started, and have not carried what is wanted."""
    carrying: set[int] = set()
    found: list[tuple[float, Fact, bool]] = []
    for when, fact in kept:
        if isinstance(fact, ReleaseStarted):
            running[fact.release] = (when, fact)
        elif isinstance(fact, ReleaseEnded):
            running.pop(fact.release, None)
            if fact.release in carrying:
                carrying.discard(fact.release)
                found.append((when, fact, False))
        elif name := _named_by(fact, message, item):
            release = getattr(fact, "release", None)
            if release in running:
                carrying.add(release)
                found.append((*running.pop(release), False))
            found.append((when, fact, name in _OF_ITEMS or (name == "message" and item is None)))
    found.sort(key=lambda each: each[0])
    hidden = {write_message_id(message), write_item_id(item) if item is not None else ""}
    return [
        _happened(when, fact, within, hidden, is_its_own=is_its_own)
        for when, fact, is_its_own in found
        if within is None or is_seen(fact, within)
    ]


def _named_by(fact: Fact, message: MessageId, item: ItemId | None) -> str:
    """The field by which a fact names the item, or the message; empty where it does not."""
    for name in _NAMES[type(fact)]:
        value = getattr(fact, name)
        if name in _OF_MESSAGES:
            if value == message:
                return name
        elif any(one == item if item is not None else message_of(one) == message for one in _items(value)):
            return name
    return ""


def _items(value: ItemId | tuple[ItemId, ...]) -> tuple[ItemId, ...]:
    return value if isinstance(value, tuple) else (value,)


def _happened(
    when: float, fact: Fact, within: frozenset[DomainName] | None, hidden: set[str], *, is_its_own: bool
) -> Happened:
    event, said = words_for(fact, within)
    texts = {key: _text(value) for key, value in said.items()}
    return Happened(when, event, {key: text for key, text in texts.items() if text not in hidden}, is_its_own)


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
