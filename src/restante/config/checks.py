"""What keys must be true of each other: pure, and asked only about values that are each sound by itself.

Settings that were read in part are checked too, so that an operator sees all problems at once; `is_sound` tells of a
key, or of a table, whether all that the file has there was read. What rests on something that was not, is not judged.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from restante.config.problems import NOTHING, shown
from restante.config.settings import Call, Deliver, Settings
from restante.directory.entries import EVERY_OTHER
from restante.model import HostPort

POSTMASTER = "postmaster"

IsSound = Callable[..., bool]
"""Whether all was well at a path of keys and below it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A key that does not go with others."""

    path: tuple[str | int, ...]
    found: str
    allowed: str


def findings(settings: Settings, is_sound: IsSound) -> Iterator[Finding]:
    """All that does not go together."""
    yield from _listeners(settings, is_sound)
    yield from _certificate(settings, is_sound)
    for name, domain in settings.domains.items():
        if isinstance(domain, Deliver):
            yield from _mailboxes(name, domain, is_sound)
    for name, call in settings.calls.items():
        yield from _call(settings, name, call, is_sound)


def _listeners(settings: Settings, is_sound: IsSound) -> Iterator[Finding]:
    if not settings.listen and is_sound("listen"):
        yield Finding(("listen",), NOTHING, "one [[listen]] table at least")
    written = (number for number in itertools.count() if is_sound("listen", number, "address"))
    taken: set[HostPort] = set()
    for listen, number in zip(settings.listen, written, strict=False):
        if listen.address in taken:
            yield Finding(("listen", number, "address"), f"{str(listen.address)!r} again", "each address once")
        taken.add(listen.address)


def _certificate(settings: Settings, is_sound: IsSound) -> Iterator[Finding]:
    for key, other in (("certificate", "key"), ("key", "certificate")):
        if getattr(settings.tls, key) is None and getattr(settings.tls, other) is not None and is_sound("tls", key):
            yield Finding(("tls", key), NOTHING, f"a path, because tls.{other} is set (both or none)")


def _mailboxes(name: str, domain: Deliver, is_sound: IsSound) -> Iterator[Finding]:
    here = ("domains", name)
    if name == EVERY_OTHER:
        yield Finding(
            (*here, "action"), "'deliver'", '"hold", "relay" or "reject", for all domains have no one\'s users'
        )
    if not (is_sound(*here, "users") and is_sound(*here, "aliases")):
        return
    users = domain.users
    for alias, targets in domain.aliases.items():
        for target in targets:
            if users is not None and target not in users and target not in domain.aliases:
                yield Finding((*here, "aliases", alias), shown(target), "users or aliases of this domain")
    if (loop := alias_loop(domain.aliases)) is not None:
        yield Finding((*here, "aliases"), f"a loop: {' → '.join(loop)}", "aliases that lead to users")
    yield from _postmaster(here, domain)


def _postmaster(here: tuple[str, ...], domain: Deliver) -> Iterator[Finding]:
    name, users = domain.postmaster, domain.users
    if name is None:
        return
    if name != POSTMASTER and (POSTMASTER in domain.aliases or POSTMASTER in (users or ())):
        kind = "an alias" if POSTMASTER in domain.aliases else "a user"
        yield Finding((*here, "postmaster"), shown(name), f'nothing, because "postmaster" is {kind} here')
    elif name in domain.aliases or (users is not None and name not in users):
        yield Finding((*here, "postmaster"), shown(name), "a user of this domain")


def alias_loop(aliases: Mapping[str, tuple[str, ...]]) -> list[str] | None:
    """Aliases that lead back to the first of them, which stands at both ends; None where there are none."""
    try:
        TopologicalSorter(aliases).prepare()
    except CycleError as error:
        loop: list[str] = error.args[1]
        return loop[::-1]  # graphlib follows from what is needed to what needs it
    return None


def ends_first(aliases: Mapping[str, tuple[str, ...]]) -> Iterable[str]:
    """Aliases and users, each after all that it leads to; there must be no loop."""
    return TopologicalSorter(aliases).static_order()


def _call(settings: Settings, name: str, call: Call, is_sound: IsSound) -> Iterator[Finding]:
    here = ("calls", name)
    if not (call.domains or call.flush) and is_sound(*here, "domains") and is_sound(*here, "flush"):
        yield Finding((*here, "domains"), NOTHING, "a list of domains, here or in flush")
    held = settings.held
    allowed = ", ".join(f'"{entry}"' for entry in [*held, EVERY_OTHER]) if len(held) < 20 else 'a held domain, or "*"'
    for number, entry in enumerate(call.flush):
        is_known = entry in settings.domains
        if entry == EVERY_OTHER or entry in held or not (is_known or is_sound("domains", entry)):
            continue
        remark = "not a held domain" if is_known else "not in [domains]"
        path = (*here, "flush", number) if is_sound(*here, "flush") else (*here, "flush")
        yield Finding(path, f"{shown(entry)} ({remark})", allowed)
