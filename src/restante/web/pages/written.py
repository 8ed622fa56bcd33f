"""What the store keeps of a domain or a user, as the lines of a configuration. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from restante.config.problems import write_key, write_value


def written(kind: str, name: str, table: Mapping[str, object]) -> str:
    """A table of `domains` or `users`."""
    lines = (f"{write_key((key,))} = {write_value(value)}" for key, value in table.items())
    return "\n".join([f"[{write_key((kind, name))}]", *lines])
