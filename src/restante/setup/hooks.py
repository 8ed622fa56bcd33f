"""Scripts that call the office when a link has come up, for what brings links up on Linux.

Each is for one such program, which runs it as root. It returns at once: the call goes on in the server. A call that
runs already, or a server that does not, is no failure of the link.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from restante.setup.plan import CALL


@dataclass(frozen=True, slots=True)
class Hook:
    """A script: its name among the files that `init` writes, where it belongs, its text."""

    name: str
    place: str
    text: str

    def install(self, folder: str) -> str:
        """The command that puts it there, from `folder`."""
        return f"install -D -m 755 {shlex.quote(f'{folder}/{self.name}')} {self.place}"


_SCRIPT = """\
#!/bin/sh
# {what}: has restante call its office when a link has come up. Made by `restante init`.
{when}{call} >/dev/null 2>&1 || :
"""
_DISPATCHER = """\
# NetworkManager gives the interface, and what has happened to it.
case "$2" in
up | vpn-up) ;;
*) exit 0 ;;
esac
"""


def hooks(program: Sequence[str], config: str) -> tuple[Hook, ...]:
    """The scripts. `program`: how `restante` is run; `config`: the absolute path of the site's configuration."""
    call = shlex.join([*program, "call", CALL, "--config", config])
    return (
        Hook("ppp", "/etc/ppp/ip-up.d/50restante", _script("pppd", call)),
        Hook("networkmanager", "/etc/NetworkManager/dispatcher.d/50-restante",
             _script("NetworkManager's dispatcher", call, _DISPATCHER)),
        Hook("networkd", "/etc/networkd-dispatcher/routable.d/50-restante",
             _script("networkd-dispatcher, for systemd-networkd", call)),
    )  # fmt: skip


def _script(what: str, call: str, when: str = "") -> str:
    return _SCRIPT.format(what=what, call=call, when=when)
