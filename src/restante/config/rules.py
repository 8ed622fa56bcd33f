"""From settings to the rules that rooms hold to while they run: the door's, the filter's, those of alarms."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from ipaddress import ip_network

from restante.config.settings import Settings
from restante.directory.entries import Directory, Network
from restante.filtering.screen import FilterRules
from restante.net.door import Rules
from restante.net.networks import Networks
from restante.observe.telling import AlarmRules


def door_rules(settings: Settings, directory: Directory) -> Rules:
    """What the door holds to."""
    limits = settings.limits
    return Rules(
        connections=limits.connections,
        per_address=limits.connections_per_address,
        rate=limits.connection_rate,
        reserved=limits.reserved,
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        sites=Networks((*directory.site_networks(), *_office_networks(settings))),
        own=Networks(directory.relay_from),
    )


def filter_rules(settings: Settings) -> FilterRules | None:
    """Which filter is asked, and how."""
    given = settings.filter
    return None if given is None else FilterRules(given.rspamd, given.timeout, given.message_size)


def alarm_rules(settings: Settings) -> AlarmRules:
    """Who is told of alarms."""
    given = settings.alarms
    return AlarmRules(given.webhook, given.mail, given.free_space)


def _office_networks(settings: Settings) -> Iterator[Network]:
    """Offices that are written as an address; those with a name are not looked up for this."""
    for call in settings.calls.values():
        if (address := call.host.address) is not None:
            yield ip_network(address)
