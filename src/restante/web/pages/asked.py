"""Which items a page is about, as its address says it: a filter, as people write it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from restante.admin.choice import Party
from restante.config.units import UnitError, parse_duration, parse_size
from restante.model import IdError, ItemState, parse_id
from restante.smtp.address import AddressError, parse_domain
from restante.web.items import Bulk, Page


def _age(text: str) -> float:
    return float(parse_duration(text.replace(" ", "").lower()))


def _octets(text: str) -> int:
    return parse_size(text.replace(" ", ""))


def _state(text: str) -> ItemState:
    try:
        return ItemState(text)
    except ValueError:
        raise UnitError(f"{text!r} is none of {', '.join(ItemState)}") from None


def _as_it_is(check: Callable[[str], object]) -> Callable[[str], str]:
    def checked(text: str) -> str:
        check(text)
        return text

    return checked


_READ: Mapping[str, Callable[[str], Any]] = {
    "domain": _as_it_is(parse_domain),
    "from": _as_it_is(Party.parse),
    "to": _as_it_is(Party.parse),
    "state": _state,
    "older": _age,
    "larger": _octets,
    "id": _as_it_is(parse_id),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """`said` has what was written in each field of the filter, empty where nothing was.

    `values` has what that means; `wrong`, for each field that makes no sense, why.
    """

    said: Mapping[str, str]
    values: Mapping[str, Any]
    wrong: Mapping[str, str]

    @staticmethod
    def of(query: Mapping[str, str]) -> Asked:
        """What these fields of a query or a form say; others are none of ours."""
        said = {name: query.get(name, "").strip() for name in _READ}
        values, wrong = dict[str, Any](), dict[str, str]()
        for name, text in said.items():
            if not text:
                continue
            try:
                values[name] = _READ[name](text)
            except (UnitError, AddressError, IdError) as error:
                wrong[name] = str(error)
        return Asked(said, values, wrong)

    @property
    def query(self) -> dict[str, str]:
        """What is said, for an address."""
        return {name: text for name, text in self.said.items() if text}

    def page(self, after: str | None, limit: int) -> Page:
        """These items, a page of them."""
        assert not self.wrong, self.wrong
        return Page.model_validate({**self.values, "after": after, "limit": limit})

    def as_of(self, then: float, now: float, *, dry_run: bool) -> Bulk:
        """All of these items that were here at a wall time: what came since is not meant."""
        assert not self.wrong, self.wrong
        assert "id" not in self.values, "few are asked for; they are named"
        older = self.values.get("older", 0.0) + max(0.0, now - then)
        return Bulk.model_validate({**self.values, "older": older, "dry_run": dry_run})
