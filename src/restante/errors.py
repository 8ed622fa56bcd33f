"""The root of restante's own errors.

An error says what went wrong in fields, and its docstring says whether trying again helps. What is expected
(refused, deferred, nothing waits) is a value, not an error; what must not happen is an assert.
"""

from __future__ import annotations


class RestanteError(Exception):
    """Something went wrong that a caller may want to handle; never raised itself, only its subclasses."""
