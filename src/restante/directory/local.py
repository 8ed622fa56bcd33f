"""What this host delivers itself, as other hosts may know it: its domains, and who exists in them. Pure."""

from __future__ import annotations

from collections.abc import Collection

from restante.directory.entries import EVERY_OTHER, Delivered, Directory
from restante.model import DomainName


def delivered_here(directory: Directory, domains: Collection[DomainName]) -> Directory:
    """What an office is told of this host: of these domains those with mailboxes here, or all such; and no rights."""
    delivered = (entry for entry in directory.entries() if isinstance(entry, Delivered))
    return Directory(directory.hostname, [entry for entry in delivered if not domains or entry.name in domains])


def who_exists(directory: Directory, domains: Collection[DomainName]) -> dict[DomainName, list[str]]:
    """The recipients of these domains, as far as they have mailboxes here, or of all such."""
    entries = delivered_here(directory, domains).entries()
    return {DomainName(entry.name): recipients_of(entry) for entry in entries if isinstance(entry, Delivered)}


def recipients_of(entry: Delivered) -> list[str]:
    """Who exists in a domain, as a list that a host which holds its mail can keep: addresses, or `@domain` for all."""
    if entry.users is None or EVERY_OTHER in entry.aliases:
        return [f"@{entry.name}"]
    return sorted(f"{name}@{entry.name}" for name in entry.users | entry.aliases.keys() | {"postmaster"})
