"""What each key of the configuration means: the docstring under its field, read from the source when it is asked for.

The manual and the sample need it. A server does not, and would read the source of every section at each start.
"""

from __future__ import annotations

import ast
import inspect
from functools import cache
from itertools import pairwise

from restante.config.settings import Section


def meaning_of(section: type[Section], key: str) -> str:
    """What a key means, on one line."""
    return _meanings(section)[section.by_key()[key]]


@cache
def _meanings(section: type[Section]) -> dict[str, str]:
    """By field."""
    [table] = ast.parse(inspect.getsource(section)).body
    assert isinstance(table, ast.ClassDef), section
    meanings = {}
    for before, after in pairwise(table.body):
        match before, after:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(value=str(text))):
                meanings[name] = " ".join(text.split())
    return meanings
