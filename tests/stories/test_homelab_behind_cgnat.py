"""docs/recipes/homelab-behind-cgnat.md, as it stands: a home behind a router that hides it, and its office outside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dns.zone
import pytest
from tests.stories.by_hand import add_user, pin_of, write_password
from tests.stories.letters import awkward_letters, letter, recognised
from tests.stories.nat import behind_nat
from tests.stories.netns import Network
from tests.stories.recipes import block
from tests.stories.restante_host import RestanteHost
from tests.stories.wire import send

pytestmark = [pytest.mark.peer, pytest.mark.netns]

RECIPE = "homelab-behind-cgnat"
OFFICE, ROUTER, HOME, FAR = "192.0.2.1", "192.0.2.3", "192.0.2.130", "192.0.2.99"
DATA = {"/var/lib/restante": "data"}
FAR_HOST = """
hostname = "mail.far.example"
data = "data"
[[listen]]
address = "192.0.2.99:25"
[domains."far.example"]
action = "deliver"
users = ["ann"]
"""


def home_config(pin: str) -> str:
    """Home's, at its address of this network, to which nobody outside has a way."""
    return block(RECIPE, "home.toml", {**DATA, "10.0.0.2": HOME, "10.0.0.0/24": f"{HOME}/32", "HEX": pin})


def test_the_zone_names_the_office() -> None:
    """Its MX is the host whose configuration the recipe has."""
    text = f"$TTL 3600\n{block(RECIPE, 'zone')}"
    zone = dns.zone.from_text(text, origin="home.example", relativize=False, check_origin=False)
    [mx] = zone.find_rdataset("home.example.", "MX")
    assert f'hostname = "{mx.exchange.to_text(omit_final_dot=True)}"' in block(RECIPE, "office.toml")
    assert [record.address for record in zone.find_rdataset(mx.exchange, "A")] == [OFFICE]


def call(home: RestanteHost, status: int = 0) -> dict[str, Any]:
    """What the recipe has one type; how it went."""
    command = block(RECIPE, "called").removeprefix("$ restante ").split()
    view: dict[str, Any] = json.loads(home.cli(*command, "--json", status=status))
    return view


def test_home_has_its_mail_and_sends_its_own_through_the_office(tmp_path: Path) -> None:
    """Both ways, once, octet for octet, over connections that home has made; to another key it shows nothing."""
    office_config = block(RECIPE, "office.toml", {**DATA, 'next_hop = "mx"': f'next_hop = "{FAR}"'})
    with Network() as network:
        at_office, _, at_home = behind_nat(network, OFFICE, ROUTER, HOME)
        at_far = network.host(FAR)
        network.cable(at_office, at_far)
        with (
            RestanteHost(tmp_path / "far", FAR_HOST, on=at_far) as far,
            RestanteHost(tmp_path / "office", office_config, on=at_office) as office,
        ):
            add_user(RECIPE, office, "tanstaafl")
            letters, own = awkward_letters(big_octets=300_000), letter("from home", sender="anna@home.example")
            for content in letters:
                send(25, "ann@far.example", "anna@home.example", content, address=OFFICE, on=at_far)
            with pytest.raises(OSError, match="unreachable"):
                at_office.connect(HOME, 25)

            home = RestanteHost(tmp_path / "home", home_config("00" * 32), on=at_home)
            write_password(home, "tanstaafl")
            with home:
                assert "key" in call(home, status=1)["error"]
                assert office.waiting() == len(letters)
                assert "user:home" not in office.log()

                home.config.write_text(home_config(pin_of(RECIPE, office)))
                home.cli("reload")
                call(home)
                home.wait_for_mail(len(letters))
                assert recognised(home.mail("anna@home.example"), letters) == dict.fromkeys(letters, 1)
                send(25, "anna@home.example", "ann@far.example", own, address=HOME, on=at_home)
                send(25, "ann@far.example", "bert@far.example", letter("as ann"), address=HOME, on=at_home)
                far.wait_for_mail(2)
                reports = [mail for mail in far.all_mail() if b"multipart/report" in mail]
                assert b"550 5.7.1" in reports[0]
                assert recognised([mail for mail in far.all_mail() if mail not in reports], [own]) == {own: 1}
                office.wait_for_log(f'principal="{ROUTER} user:home"')
                assert HOME not in office.log()
                assert office.items() == home.items() == []
