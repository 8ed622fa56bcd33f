"""restante.transport.outward: which carrier takes an entry's mail to its next hop, and what it is told."""

from __future__ import annotations

from pathlib import Path

from restante.clock import SystemClock
from restante.config.settings import Dns
from restante.directory.entries import Held, OwnLogin, Relayed
from restante.model import ByMx, HostPort
from restante.net.dial import dial
from restante.smtp.address import parse_domain
from restante.transport.by_mx import MxCarrier
from restante.transport.outward import Outward
from restante.transport.smtp import SmtpCarrier, SmtpMeans

FAR = parse_domain("far.example")
SMART = HostPort("smart.example", 587)
MEANS = SmtpMeans(dial, "Office.Example", lambda: 0.0, connections=200)


def outward(folder: Path) -> Outward:
    """One that asks the system's resolver."""
    made = Outward(folder, SystemClock(), print)
    made.use(Dns(), [HostPort("192.0.2.1")])
    return made


def test_a_next_hop_that_is_named_is_dialled(tmp_path: Path) -> None:
    """And nothing is kept of other domains' TLS."""
    carrier = outward(tmp_path).carrier(Relayed("*", SMART), None, SMART, MEANS)
    assert isinstance(carrier, SmtpCarrier)
    assert carrier.target == "smart.example:587"
    assert list(tmp_path.iterdir()) == []


def test_a_password_is_for_the_entrys_own_next_hop_alone(tmp_path: Path) -> None:
    """An operator's `--to` leads elsewhere."""
    entry = Relayed("*", SMART, login=OwnLogin("branch", tmp_path / "password"))
    own = outward(tmp_path).carrier(entry, None, SMART, MEANS)
    other = outward(tmp_path).carrier(entry, None, HostPort("other.example"), MEANS)
    assert isinstance(own, SmtpCarrier)
    assert isinstance(other, SmtpCarrier)
    assert own._login == entry.login
    assert other._login is None


def test_by_mx_to_one_domain(tmp_path: Path) -> None:
    """As many connections, and as fast, as the entry says; what is relayed may be refused, what is held waits."""
    way = outward(tmp_path)
    relayed = way.carrier(Relayed("*", ByMx(), connections=3, rate=10), FAR, ByMx(), MEANS)
    held = way.carrier(Held("far.example", ByMx()), FAR, ByMx(), MEANS)
    way.close()
    assert isinstance(relayed, MxCarrier)
    assert isinstance(held, MxCarrier)
    assert relayed.target == "far.example by MX"
    assert (relayed._means.smtp.connections, relayed._rate, relayed._refuses) == (3, 10, True)
    assert (held._means.smtp.connections, held._rate, held._refuses) == (20, None, False)
    assert relayed._means.hosts is held._means.hosts
    assert relayed._means.turns is held._means.turns
    assert relayed._means.oneself.names == ("office.example",)
