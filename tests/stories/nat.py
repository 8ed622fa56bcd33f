"""A router that hides a host behind its own address, as at home, or at a provider that has too few (RFC 6888)."""

from __future__ import annotations

import subprocess

from tests.here import PEERS
from tests.stories.netns import NetHost, Network
from tests.stories.peers import ENVIRONMENT

MASQUERADE = """
table ip nat {{
    chain out {{ type nat hook postrouting priority 100; oifname "{device}" masquerade; }}
}}
"""


def behind_nat(network: Network, office: str, router: str, site: str) -> tuple[NetHost, NetHost, NetHost]:
    """An office, a router that masquerades, and a site that only the router can reach; at these addresses."""
    outside, between, within = (network.host(address) for address in (office, router, site))
    network.cable(outside, between)
    network.cable(between, within)
    run_on(within, f"ip route add {office}/32 via {router} dev to-{_last(router)} onlink")
    rules = MASQUERADE.format(device=f"to-{_last(office)}")
    for argv in (["sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward"], [str(PEERS / "usr/sbin/nft"), rules]):
        subprocess.run([*between.prefix, *argv], env=ENVIRONMENT, capture_output=True, check=True)
    return outside, between, within


def _last(address: str) -> str:
    return address.rpartition(".")[2]


def run_on(host: NetHost, command: str) -> None:
    """Runs a program on a host of a network; a command without quotes."""
    done = subprocess.run([*host.prefix, *command.split()], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
