"""Work, counted in calls of functions, ours and the interpreter's: it is the same on any machine, however busy.

with Calls() as calls:
    ...
calls.number
"""

from __future__ import annotations

import gc
import sys
from typing import Self


class Calls:
    """Counts the calls in this thread, within `with`. Nothing is collected meanwhile, for that would call functions."""

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> Self:
        self._collects = gc.isenabled()
        gc.disable()
        self._before = sys.getprofile()
        sys.setprofile(self._count)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)
        if self._collects:
            gc.enable()

    def _count(self, _frame: object, event: str, _argument: object) -> None:
        self.number += event in ("call", "c_call")
