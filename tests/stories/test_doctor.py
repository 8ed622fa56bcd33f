"""`restante doctor` beside real servers and a real DNS: each finding appears, and goes when what it says is done."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Self

import pytest
from tests.stories.ports import free_port
from tests.stories.restante_host import RestanteHost
from tests.stories.rspamd import Rspamd
from tests.stories.world import AUTHORITY, NOBODY, World

from restante.cli import main
from restante.logins.passwords import hash_password

KEPT = hash_password("tanstaafl")


class Doctor:
    """Looks at a host, in this very process. `lines`: what the last look has found."""

    def __init__(self, capsys: pytest.CaptureFixture[str], host: RestanteHost) -> None:
        self._capsys = capsys
        self._host = host
        self.lines: list[str] = []

    def look(self, *options: str) -> Self:
        """Looks: `mark subject: text -> remedy`, a line each; the exit status fits them."""
        self._capsys.readouterr()
        status = main(["doctor", "--json", "--config", str(self._host.config), *options])
        found = json.loads(self._capsys.readouterr().out)
        assert status == any(each["mark"] == "wrong" for each in found)
        self.lines = [f"{each['mark']} {each['subject']}: {each['text']} -> {each['remedy']}" for each in found]
        return self

    def says(self, *words: str) -> str:
        """The one finding that has all these words."""
        found = [line for line in self.lines if all(word in line for word in words)]
        assert len(found) == 1, "\n".join([f"{len(found)} findings have {words} of:", *self.lines])
        return found[0]


def office_config(mx: int, odmr: int, more: str = "") -> str:
    """An office with one user."""
    return f"""
hostname = "office.example"
data = "data"
[[listen]]
address = "127.0.0.1:{mx}"
[[listen]]
address = "127.0.0.1:{odmr}"
service = "odmr"
require_tls = true
[domains."test.example"]
action = "hold"
next_hop = "caller"
[users.test]
password = "{KEPT}"
domains = ["test.example"]
[dns]
servers = ["127.0.0.1"]
{more}
"""


def site_config(odmr: int, pin: str) -> str:
    """A site that calls it."""
    return f"""
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{free_port()}"
[domains."test.example"]
action = "deliver"
users = ["anna"]
[domains."*"]
action = "relay"
next_hop = "127.0.0.1:{free_port()}"
[calls.office]
host = "127.0.0.1:{odmr}"
protocol = "atrn"
user = "test"
password_file = "office.password"
tls = "required"
tls_pin = "{pin}"
[dns]
servers = ["127.0.0.1"]
"""


@pytest.mark.peer
@pytest.mark.netns
def test_a_pair_from_its_first_start_to_a_call(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ports free, taken, ours, not reloaded; an office that is away, that has another key, that refuses the login."""
    with World() as world:
        world.zone("test.example")
        world.start_dns()
        mx, odmr = free_port(), free_port()
        office = RestanteHost(tmp_path / "office", office_config(mx, odmr))
        site = RestanteHost(tmp_path / "site", site_config(odmr, f"sha256:{'00' * 32}"))
        at_office, at_site = Doctor(capsys, office), Doctor(capsys, site)

        assert "is free" in at_office.look().says("port:", f":{mx}")
        with socket.create_server(("127.0.0.1", mx)):
            assert f"ss -ltnp 'sport = :{mx}'" in at_office.look().says("wrong port:", f":{mx}", "somebody else")
        at_site.look().says("wrong secrets:", "office.password is not there")
        (site.folder / "office.password").write_text("wrong\n")
        (site.folder / "office.password").chmod(0o644)
        at_site.look().says("wrong office: calls.office:", "Connection refused", "whether that host is up")
        at_site.says("wrong next hop: *:", "Connection refused")
        assert "chmod 600" in at_site.says("warning secrets:", "others may read")
        (site.folder / "office.password").chmod(0o600)

        with office:
            at_office.look().says("ok port:", f":{mx} (mx) answers: TLSv1.3", "AUTH", "PIPELINING, CHUNKING")
            at_office.says("ok port:", f":{odmr} (odmr) answers: TLSv1.3")
            at_office.says("ok store: in order; 0 items wait")
            pin = at_office.says("ok certificate:").split("pin is ")[1].split(" ")[0]
            before = office.config.read_text()
            admin = f'[admin]\naddress = "127.0.0.1:{free_port()}"\n'
            office.config.write_text(before + admin + f'[[listen]]\naddress = "127.0.0.1:{free_port()}"\n')
            at_office.look().says("wrong api:", "restante reload")
            at_office.says("wrong port:", "the server does not listen there -> restante reload")
            office.cli("reload")
            at_office.look().says("ok api:", "answers")
            assert not [line for line in at_office.lines if line.startswith("wrong port")]

            at_site.look().says(
                "wrong office:", "the public key is not the pinned one", "the other end's doctor tells its pin"
            )
            at_site.says("ok secrets:", "office.password")
            site.config.write_text(site_config(odmr, pin))
            at_site.look().says("wrong office:", "the login as test was refused: 535", "`user` and `password_file`")
            (site.folder / "office.password").write_text("tanstaafl\n")
            at_site.look().says("ok office:", "took our login")
        assert not (site.folder / "data").exists()


def test_a_file_that_is_not_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each problem is a finding; there is nothing else to look at."""
    host = RestanteHost(tmp_path / "host", 'hostname = "a b"\ndata = "data"\n')
    found = Doctor(capsys, host).look().lines
    assert [line.split(": ")[0] for line in found] == ["wrong configuration"] * 2
    assert main(["doctor", "--config", str(host.config)]) == 1
    assert capsys.readouterr().out.startswith("wrong    configuration: ")


STORES = """
hostname = "site.example"
data = "data"
[[listen]]
address = "127.0.0.1:{port}"
tls = "off"
[domains."test.example"]
action = "deliver"
mailboxes = "lmtp:127.0.0.1:{lmtp}"
users = ["anna"]
[domains."own.example"]
action = "deliver"
mailboxes = "lmtp:/run/nobody-here.sock"
users = ["anna"]
[filter]
rspamd = "http://127.0.0.1:{rspamd}"
"""


@pytest.mark.peer
def test_a_mail_store_and_a_filter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A server of LMTP and a real rspamd: answering, and gone."""
    lmtp = free_port()
    store = office_config(free_port(), free_port(), f'[[listen]]\naddress = "127.0.0.1:{lmtp}"\nservice = "lmtp"\n')
    with RestanteHost(tmp_path / "store", store), Rspamd("filter", "") as rspamd:
        config = STORES.format(port=free_port(), lmtp=lmtp, rspamd=rspamd.port)
        doctor = Doctor(capsys, RestanteHost(tmp_path / "site", config))
        doctor.look().says("ok mail store: test.example:", "answers: TLSv1.3")
        doctor.says("wrong mail store: own.example: /run/nobody-here.sock: No such file")
        doctor.says("ok filter:", "answers")
    doctor.look().says("wrong mail store: test.example:", "Connection refused")
    doctor.says("wrong filter:", "without it no mail is taken")


IN_THE_WORLD = """
hostname = "office.test.example"
data = "data"
[[listen]]
address = "192.0.2.7:25"
[domains."test.example"]
action = "hold"
next_hop = "192.0.2.66"
release_from = ["192.0.2.66"]
[domains."other.example"]
action = "hold"
next_hop = "192.0.2.66"
[domains."nowhere.test.example"]
action = "hold"
next_hop = "192.0.2.66"
[domains."*"]
action = "relay"
next_hop = "mx"
"""
ZONE = "@ MX 10 office\noffice A {office}"
REVERSE = "2.0.192.in-addr.arpa"


@pytest.mark.peer
@pytest.mark.netns
def test_what_the_dns_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Our name, its address and back, the MX of what is held, another's port 25; and a DNS that is silent."""
    with World() as world:
        office = RestanteHost(tmp_path / "office", IN_THE_WORLD + world.dns)
        doctor = Doctor(capsys, office)
        world.zone("test.example", ZONE.format(office=NOBODY))
        world.zone("other.example", "@ MX 10 mail\nmail A 192.0.2.8")
        world.zone(REVERSE, "7 PTR office.test.example.")
        world.start_dns()
        doctor.look().says("warning DNS: office.test.example is 192.0.2.200, which is no address of this host", "a NAT")
        doctor.says("ok DNS: mail for test.example is brought to office.test.example")
        doctor.says("warning DNS: mail for other.example is brought to mail.other.example", "add: other.example. MX 10")
        doctor.says("warning DNS: nowhere.test.example does not exist")
        doctor.says("warning next hop: test.example is not there: 192.0.2.66:25", "if that site is offline now")
        doctor.says("ok way out: port 25 of others was not tried")

        world.zone("test.example", ZONE.format(office="192.0.2.7"))
        world.zone("other.example", "@ MX 10 office.test.example.")
        world.start_dns()
        doctor.look().says("ok DNS: office.test.example is 192.0.2.7, which is here")
        doctor.says("ok DNS: mail for other.example is brought to office.test.example")
        doctor.says("warning DNS: 192.0.2.7 is called nothing, not office.test.example", "PTR")
        office.config.write_text(f'{IN_THE_WORLD}\n[dns]\nservers = ["{AUTHORITY}"]\n')
        doctor.look().says("ok DNS: 192.0.2.7 is called office.test.example")
        office.config.write_text(IN_THE_WORLD + world.dns)

        world.zone("far.example", "@ MX 10 mail\nmail A 192.0.2.9")
        world.start_dns()
        to_far = doctor.look("--to", "far.example")
        to_far.says("wrong way out: mail.far.example: 192.0.2.9:25: Connection refused", "block port 25")
        far = IN_THE_WORLD.replace("192.0.2.7", "192.0.2.9").replace("office.test", "mail.far")
        with RestanteHost(tmp_path / "far", far):
            doctor.look("--to", "far.example").says("ok way out: mail.far.example answers: TLSv1.3")
        world.stop_dns()
        doctor.look().says("wrong DNS: office.test.example: the DNS has", "look at `dns`")


@pytest.mark.peer
@pytest.mark.netns
@pytest.mark.parametrize(
    ("is_signed", "said"),
    [(True, "ok DNS: the resolver validates"), (False, "warning DNS: the resolver proves nothing")],
)
def test_whether_the_resolver_proves_what_it_says(
    is_signed: bool, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the root of the DNS, which is signed; where it is not proven, DANE is not heeded, and `validates` is wrong."""
    with World() as world:
        office = RestanteHost(tmp_path / "office", IN_THE_WORLD + world.dns)
        world.zone("", signed=is_signed)
        world.elsewhere(".", AUTHORITY)
        world.start_dns()
        doctor = Doctor(capsys, office)
        doctor.look().says(said)
        if not is_signed:
            office.config.write_text(office.config.read_text() + "validates = true\n")
            doctor.look().says("wrong DNS: the resolver does not validate", "`dns.validates`")
