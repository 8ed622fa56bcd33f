"""The recipes of docs/recipes/: what a recipe tells people to write is what its story runs.

    office = block("beside-postfix", "restante.toml", {"/var/lib/restante": "data"})

A block is fenced, and its first line has a title: ```` ```toml title="restante.toml" ````. Each title is there once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.here import CHECKOUT

RECIPES = CHECKOUT / "docs/recipes"
_BLOCK = re.compile(r'^```\w* title="([^"\n]+)"\n(.*?)^```$', re.MULTILINE | re.DOTALL)


def blocks(recipe: str) -> dict[str, str]:
    """The texts of a recipe's blocks, by title."""
    found: list[tuple[str, str]] = _BLOCK.findall((RECIPES / f"{recipe}.md").read_text())
    texts = dict(found)
    assert len(texts) == len(found), f"{recipe}.md has a title twice"
    return texts


def block(recipe: str, title: str, instead: Mapping[str, str] | None = None) -> str:
    """One of them. `instead`: what stands on this machine for something in it; each must be there."""
    text = blocks(recipe)[title]
    for written, here in (instead or {}).items():
        assert written in text, f"{title} of {recipe}.md has no {written}"
        text = text.replace(written, here)
    return text
