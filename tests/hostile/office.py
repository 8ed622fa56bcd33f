"""An office as a real process, and what it knows: domains of a site at SITE, of another, local ones, and all the rest.

SITE may release held.example and listed.example and nothing else, and may not relay; from RELAYING all may go anywhere.
Every next hop is a port at which a Trap listens: whoever gets mail, or only a connection, is counted.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost

from restante.admin.control import ControlClient
from restante.admin.protocol import Status, StatusAnswer

SITE = "127.0.0.1"
RELAYING = "127.99.99.99"
SIZE = 128 * 1024

CONFIG = """
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
service = "mx"
[limits]
message_size = "{message_size}"
connections_per_address = 100000
connection_rate = 100000
[domains."held.example"]
action = "hold"
next_hop = "127.0.0.1:{trap}"
release_from = ["{site}"]
group = "customers"
[domains."listed.example"]
action = "hold"
next_hop = "127.0.0.1:{trap}"
release_from = ["{site}"]
recipients = "recipients.txt"
[domains."foreign.example"]
action = "hold"
next_hop = "127.0.0.1:{trap}"
release_from = ["192.0.2.1"]
group = "strangers"
[domains."below.foreign.example"]
action = "hold"
next_hop = "127.0.0.1:{trap}"
[domains."xn--bcher-kva.example"]
action = "hold"
next_hop = "127.0.0.1:{trap}"
[domains."local.example"]
action = "deliver"
users = ["anna"]
[domains."office.example"]
action = "deliver"
users = ["postmaster"]
[domains."front.example"]
action = "relay"
next_hop = "127.0.0.1:{trap}"
from_anyone = true
[domains."*"]
action = "relay"
next_hop = "127.0.0.1:{trap}"
[relay]
from = ["{relaying}"]
"""


class Trap:
    """A port where every next hop would be. `caught` counts who came."""

    def __init__(self) -> None:
        self.port = free_port()
        self._socket = socket.create_server(("127.0.0.1", self.port))
        self.caught = 0
        threading.Thread(target=self._wait, daemon=True).start()

    def _wait(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.caught += 1
            with connection:
                connection.sendall(b"421 4.3.2 not now\r\n")

    def close(self) -> None:
        """Nobody can come any more."""
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class AttackedOffice(RestanteHost):
    """The office. `trap` is where all its mail would go."""

    def __init__(self, folder: Path, message_size: str, relaying: str, further: str) -> None:
        self.port = free_port()
        self.trap = Trap()
        text = CONFIG.format(
            port=self.port, trap=self.trap.port, site=SITE, relaying=relaying, message_size=message_size
        )
        super().__init__(folder, text + further)
        (folder / "recipients.txt").write_text("anna@listed.example\n")

    @property
    def held(self) -> int:
        """How many items wait in it, asked without a process of its own."""
        [status] = ControlClient(self.folder / "data/control.sock").ask(Status())
        assert isinstance(status, StatusAnswer), status
        return sum(domain.items for domain in status.domains)


@contextmanager
def started(
    folder: Path, *, message_size: str = "128KB", relaying: str = RELAYING, further: str = ""
) -> Iterator[AttackedOffice]:
    """One that runs; `further` is more of its configuration."""
    office = AttackedOffice(folder, message_size, relaying, further)
    try:
        with office:
            yield office
    finally:
        office.trap.close()
