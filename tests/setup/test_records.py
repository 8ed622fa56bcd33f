"""What the DNS needs: records as a zone's file has them."""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

import dns.zone
from tests.net.authority import self_made
from tests.setup.test_configuration import office_of, site_of

from restante.model import HostPort
from restante.setup.plan import Outgoing, Plan, Proof, Protocol
from restante.setup.records import UNKNOWN_ADDRESS, records, tlsa_of

LISTEN = (HostPort("0.0.0.0"),)


def test_an_offices_records_are_a_zone(tmp_path: Path) -> None:
    """Dnspython reads them; the MX is the office, and the TLSA is what openssl says of the key."""
    issued = self_made()
    pair = issued.write(tmp_path, "office")
    plan = Plan("office.test.example", "data", LISTEN, office_of(Protocol.ATRN, Proof.LOGIN))
    addresses = [ipaddress.ip_address("192.0.2.1"), ipaddress.ip_address("2001:db8::1")]
    found = records(plan, addresses, tlsa_of(issued.certificate))
    lines = [str(record) for record in found if record.name.endswith("test.example")]
    zone = dns.zone.from_text("$TTL 60\n" + "\n".join(lines), "test.example", relativize=False, check_origin=False)
    assert str(zone.find_rdataset("test.example.", "MX")[0]) == "10 office.test.example."
    assert [str(zone.find_rdataset("office.test.example.", kind)[0]) for kind in ("A", "AAAA")] == [
        "192.0.2.1",
        "2001:db8::1",
    ]
    script = f"openssl x509 -in {pair.certificate} -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum"
    digest = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()[0]
    assert str(zone.find_rdataset("_25._tcp.office.test.example.", "TLSA")[0]) == f"3 1 1 {digest}"
    assert "1.2.0.192.in-addr.arpa. PTR office.test.example." in map(str, found)


def test_a_sites_mail_is_brought_to_its_office() -> None:
    """Its own name matters only where the office connects to it."""
    behind = Plan("mail.own.example", "data", LISTEN, site=site_of(Protocol.ATRN, Proof.LOGIN, Outgoing.CALL))
    assert [record.kind for record in records(behind, [])] == ["MX", "TXT"]
    assert str(records(behind, [])[0]) == "own.example. MX 10 office.example."
    called = Plan("mail.own.example", "data", LISTEN, site=site_of(Protocol.ETRN, Proof.LOGIN, Outgoing.CALL))
    assert str(records(called, [])[-1]) == f"mail.own.example. A {UNKNOWN_ADDRESS}"
