"""docs/recipes/ship-with-two-bearers.md, as it stands: a ship that has a thin satellite for a while, then a harbour."""

from __future__ import annotations

import email
import email.policy
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.stories.by_hand import add_user, pin_of, write_password
from tests.stories.letters import letter, recognised
from tests.stories.nat import run_on
from tests.stories.netns import NetHost, Network
from tests.stories.recipes import block
from tests.stories.restante_host import RESTANTE, RestanteHost
from tests.stories.wire import send

pytestmark = pytest.mark.netns

RECIPE = "ship-with-two-bearers"
OFFICE, FOR_SATELLITE, FAR = "192.0.2.1", "192.0.2.2", "192.0.2.99"
SHIP, ON_SATELLITE = "192.0.2.130", "192.0.2.131"
DATA = {"/var/lib/restante": "data"}
THIN = "root tbf rate 256kbit burst 4kb latency 2s"
FAR_HOST = """
hostname = "mail.far.example"
data = "data"
[[listen]]
address = "192.0.2.99:25"
[domains."far.example"]
action = "deliver"
users = ["ann"]
"""


@dataclass(frozen=True, slots=True)
class Sea:
    """The ship and the world; no bearer is up."""

    ship: NetHost
    office: NetHost
    far: NetHost

    def enter_harbour(self) -> None:
        """There is wifi, and with it a way to everything."""
        run_on(self.ship, f"ip route add default dev to-1 src {SHIP}")


@contextmanager
def at_sea() -> Iterator[Sea]:
    """Both cables are there, and nothing is routed over them."""
    with Network() as network:
        office, ship, far = (network.host(address) for address in (OFFICE, SHIP, FAR))
        network.cable(office, far)
        network.cable(office, ship)
        run_on(ship, f"ip route del {OFFICE}/32")
        run_on(office, f"ip addr add {FOR_SATELLITE}/32 dev lo")
        run_on(ship, f"ip link add sat0 type veth peer name to-sat netns {office.namespace}")
        run_on(ship, f"ip addr add {ON_SATELLITE}/32 dev sat0")
        for host, device in ((ship, "sat0"), (office, "to-sat")):
            run_on(host, f"ip link set {device} addrgenmode none up")
            run_on(host, f"tc qdisc add dev {device} {THIN}")
        run_on(office, f"ip route add {ON_SATELLITE}/32 dev to-sat src {FOR_SATELLITE}")
        yield Sea(ship, office, far)


def script(folder: Path, name: str, instead: dict[str, str]) -> str:
    """One of the recipe's, to be run."""
    file = folder / name
    file.write_text(block(RECIPE, name, instead))
    file.chmod(0o755)
    return str(file)


def ship_config(folder: Path, pin: str, office: RestanteHost) -> str:
    """The ship's, with its scripts."""
    thaw = {"ssh -o BatchMode=yes restante@192.0.2.1 restante thaw": f"{RESTANTE} --config {office.config} thaw"}
    return block(
        RECIPE,
        "ship.toml",
        {
            **DATA,
            "192.168.7.1": SHIP,
            "192.168.7.0/24": f"{SHIP}/32",
            "HEX": pin,
            "/etc/restante/harbour": script(folder, "harbour", thaw),
            "/etc/restante/satellite": script(folder, "satellite", {}),
        },
    )


def test_small_mail_by_satellite_and_all_in_harbour(tmp_path: Path) -> None:
    """Both ways, once, octet for octet; of what is too large only a notice comes at sea."""
    office_config = block(RECIPE, "office.toml", {**DATA, 'next_hop = "mx"': f'next_hop = "{FAR}"'})
    small, charts = [letter(f"number {n}") for n in range(4)], letter("charts", "depth 12 m\n" * 30_000)
    home, also = letter("all is well", sender="master@ship.example"), letter("in sight of land")
    with (
        at_sea() as sea,
        RestanteHost(tmp_path / "far", FAR_HOST, on=sea.far) as far,
        RestanteHost(tmp_path / "office", office_config, on=sea.office) as office,
    ):
        add_user(RECIPE, office, "tanstaafl")
        ship = RestanteHost(tmp_path / "ship", ship_config(tmp_path, pin_of(RECIPE, office), office), on=sea.ship)
        write_password(ship, "tanstaafl")
        for content in (charts, *small):
            send(25, "ann@far.example", "master@ship.example", content, address=OFFICE, on=sea.far)
        with ship:
            send(25, "master@ship.example", "ann@far.example", home, address=SHIP, on=sea.ship)
            view = json.loads(ship.cli("call", "satellite", "--wait", "--json"))
            assert (view["error"], view["received"], view["sent"]) == ("", 5, 1)
            ship.wait_for_mail(5)
            notice, *came = sorted(ship.mail("master@ship.example"), key=lambda mail: b"Auto-Submitted" not in mail)
            assert recognised(came, small) == dict.fromkeys(small, 1)
            told = email.message_from_bytes(notice, policy=email.policy.default).get_content()
            assert block(RECIPE, "notice").rstrip() in told.replace("\r\n", "\n")
            assert [item["state"] for item in office.items()] == ["frozen"]
            assert "reason=link-up" not in ship.log()

            send(25, "master@ship.example", "ann@far.example", also, address=SHIP, on=sea.ship)
            sea.enter_harbour()
            ship.wait_for_log("call ended call=harbour")
            assert "call=harbour office=192.0.2.1:366 reason=link-up" in ship.log()
            ship.wait_for_mail(6)
            assert recognised(ship.mail("master@ship.example"), [charts, notice, *small])[charts] == 1
            far.wait_for_mail(2)
            assert recognised(far.mail("ann@far.example"), [home, also]) == {home: 1, also: 1}
            assert office.items() == ship.items() == []
