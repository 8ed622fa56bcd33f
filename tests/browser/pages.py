"""Which pages there are: those that come later are covered by the tests of all pages once they stand here."""

from __future__ import annotations

from collections.abc import Iterator

CHANGE = "/items/change?which=chosen&item={item}&verb="
PAGES = {
    "start": "/",
    "items": "/items",
    "item": "/items/{item}",
    "remove": f"{CHANGE}remove",
    "bounce": f"{CHANGE}bounce",
    "redirect": f"{CHANGE}redirect",
    "releases": "/releases",
    "release": "/releases/{release}",
    "new-release": "/releases/new?domain={domain}",
    "calls": "/calls",
    "call": "/calls/{call}",
    "new-call": "/calls/{call}/new",
    "timeline": "/timeline",
    "add": "/add",
    "domain": "/domains/{domain}",
    "recipients": "/domains/{domain}/recipients",
    "change-recipients": "/domains/{domain}/recipients/change?verb=add&address=anna",
}
"""All of them by name, with what stands for a name or a number of what they show."""
FOR_ADMINISTRATORS = {"calls", "call", "new-call", "add"}


def pages(*, admin: bool = True, **shown: str) -> Iterator[tuple[str, str]]:
    """The name and the path of each page there is for somebody; `shown` says of which `item`, `domain`, `release` and
    `call`. Those of which nothing is said are left out.
    """
    for name, page in PAGES.items():
        needed = [key for key in ("item", "domain", "release", "call") if f"{{{key}}}" in page]
        if shown.keys() >= set(needed) and (admin or name not in FOR_ADMINISTRATORS):
            yield name, page.format(**shown)
