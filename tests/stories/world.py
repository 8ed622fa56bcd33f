r"""A small world in a network namespace: addresses, a real authoritative DNS server, a real validating resolver.

    with World() as world:
        world.zone("test.example", "@ MX 10 mx1\nmx1 A 192.0.2.7")
        world.zone("safe.example", "@ MX 10 mx1\nmx1 A 192.0.2.8", signed=True)
        world.start_dns()
        with Postfix("mx1", ..., port=25, address="192.0.2.7"), RestanteHost(tmp_path / "site", ... + world.dns): ...

While it lasts, the test itself lives in it: what it opens and starts (sockets, event loops, Postfix, RestanteHost) is
in there, and mail goes to port 25. 192.0.2.1 to .126 and 2001:db8::1 to ::3f are this host's, one may listen at each;
nobody has 192.0.2.129 to .254 nor 2001:db8:dead::/48, and nothing comes back from there. Every resolver's answer is
asked for anew (nothing is cached), so that World.asked() has every question. Linux, root; marks: peer, netns.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import dns.exception
import dns.message
import dns.query
import dns.rcode
from tests.here import PEERS, not_here
from tests.stories.netns import NetHost, Network, inside
from tests.stories.peers import ENVIRONMENT
from tests.stories.ports import wait_for_port

RESOLVER = "127.0.0.1"
AUTHORITY = "192.0.2.53"
HOST = "192.0.2.1"
"""Where connections of this host come from, to its own addresses too."""
HOST6 = "2001:db8::1"
NOBODY, NOBODY6 = "192.0.2.200", "2001:db8:dead::1"
"""Addresses from which nothing comes back."""

NETWORK = f"""\
addr add {HOST}/25 dev lo
link add nowhere type veth peer name end
link set nowhere arp off addrgenmode none up
link set end arp off addrgenmode none up
route add 192.0.2.128/25 dev nowhere src {HOST}
{chr(10).join(f"addr add 2001:db8::{n:x}/128 dev lo nodad" for n in range(2, 0x40))}
addr add {HOST6}/128 dev lo nodad
route add 2001:db8:dead::/48 dev nowhere src {HOST6}
"""

KNOT = """\
server:
    rundir: {dir}
    listen: {authority}@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: {dir}
log:
  - target: stderr
    any: info
policy:
  - id: one
    algorithm: ecdsap256sha256
    single-type-signing: on
template:
  - id: default
    storage: {dir}
    file: "%s.zone"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
    dnssec-policy: one
zone:
{zones}
"""

UNBOUND = """\
server:
    directory: {dir}
    chroot: ""
    username: ""
    pidfile: ""
    use-syslog: no
    logfile: ""
    log-queries: yes
    log-servfail: yes
    val-log-level: 2
    verbosity: 1
    num-threads: 1
    interface: {resolver}
    access-control: 127.0.0.0/8 allow
    do-not-query-localhost: no
    module-config: "validator iterator"
    cache-max-ttl: 0
    cache-max-negative-ttl: 0
    infra-host-ttl: 0
    qname-minimisation: no
    edns-buffer-size: 1232
    {anchors}
{stubs}
remote-control:
    control-enable: no
"""
STUB = 'stub-zone:\n    name: "{name}"\n    stub-addr: {address}\n'


@dataclass(frozen=True, slots=True)
class _Zone:
    text: str
    signed: bool
    bogus: bool
    authority: str


class _Server:
    """One program of the DNS, from its start to its end."""

    def __init__(self, name: str, folder: Path, *options: str) -> None:
        program = PEERS / "usr/sbin" / name
        if not program.exists():
            not_here(f"no {name} in .peers/ (script/peers fetches it on Debian or Ubuntu)")
        self._output = folder / f"{name}.log"
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                [str(program), *options], env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

    def log(self) -> str:
        """What it has said."""
        return self._output.read_text(errors="replace")

    def stop(self) -> None:
        """Ends it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class World:
    """See the head of the module."""

    dns = f'\n[dns]\nservers = ["{RESOLVER}"]\ntimeout = "3s"\n'
    """Lines of a restante.toml: ask the resolver of this world."""

    def __init__(self) -> None:
        self._network = Network()
        self.host: NetHost
        self._zones: dict[str, _Zone] = {}
        self._servers: list[_Server] = []
        self._stack = ExitStack()
        self._ready = 0

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.dir = Path(tempfile.mkdtemp(prefix="restante-world-"))
            stack.callback(shutil.rmtree, self.dir, ignore_errors=True)
            stack.enter_context(self._network)
            self.host = self._network.host(AUTHORITY)
            batch = ["ip", "-n", self.host.namespace, "-batch", "-"]
            done = subprocess.run(batch, input=NETWORK, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            stack.enter_context(inside(self.host.namespace))
            stack.callback(self.stop_dns)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is not None:
            error.add_note("\n".join(f"--- DNS\n{server.log()[-3000:]}" for server in self._servers))
        self._stack.close()

    # DNS

    def zone(self, name: str, records: str = "", *, signed: bool = False, bogus: bool = False) -> None:
        """A zone with these records (RFC 1035 §5.1; names are below the zone's, TTL 60), or new ones for it.

        `signed`: the resolver can prove its answers; `bogus`: it is signed, and the resolver trusts another key. It is
        in force from the next start_dns().
        """
        text = (
            f"$ORIGIN {name}.\n$TTL 60\n@ SOA ns hostmaster 1 3600 600 86400 0\n@ NS ns\nns A {AUTHORITY}\n{records}\n"
        )
        self._zones[name] = _Zone(text, signed or bogus, bogus, "")

    def elsewhere(self, name: str, authority: str = NOBODY) -> None:
        """A zone that another authoritative server has, by its address; NOBODY: one that never answers."""
        self._zones[name] = _Zone("", signed=False, bogus=False, authority=authority)

    def start_dns(self) -> None:
        """Starts the servers, or starts them again with the zones as they are now; returns when both answer."""
        self.stop_dns()
        (self.dir / "unbound.log").unlink(missing_ok=True)
        self._ready = 0
        own = {name: zone for name, zone in self._zones.items() if not zone.authority}
        blocks = []
        for name, zone in own.items():
            (self.dir / f"{name}.zone").write_text(zone.text)
            blocks.append(f"  - domain: {name}.\n    dnssec-signing: {'on' if zone.signed else 'off'}")
        conf = self.dir / "knot.conf"
        conf.write_text(KNOT.format(dir=self.dir, authority=AUTHORITY, zones="\n".join(blocks)))
        knot = _Server("knotd", self.dir, "-c", str(conf))
        self._servers.append(knot)
        for name in own:
            self._wait_for(AUTHORITY, name, knot)
        anchors = [self._anchor(name) for name, zone in own.items() if zone.signed]
        stubs = [STUB.format(name="example", address=AUTHORITY)]
        stubs += [
            STUB.format(name=name, address=zone.authority) for name, zone in self._zones.items() if zone.authority
        ]
        conf = self.dir / "unbound.conf"
        conf.write_text(
            UNBOUND.format(dir=self.dir, resolver=RESOLVER, anchors="\n    ".join(anchors), stubs="\n".join(stubs))
        )
        unbound = _Server("unbound", self.dir, "-d", "-p", "-c", str(conf))
        self._servers.append(unbound)
        for name, zone in own.items():
            if not zone.bogus:
                self._wait_for(RESOLVER, name, unbound)
        self._ready += len(self.asked())

    def stop_dns(self) -> None:
        """Ends the servers; nobody answers any more."""
        while self._servers:
            self._servers.pop().stop()

    def asked(self) -> list[str]:
        """What the resolver has been asked since start_dns() returned: `test.example MX`, by time."""
        file = self.dir / "unbound.log"
        text = file.read_text(errors="replace") if file.exists() else ""
        found = re.findall(r"info: [\d.]+ (\S+)\. (\w+) IN$", text, re.MULTILINE)
        return [f"{name} {kind}" for name, kind in found][self._ready :]

    def _anchor(self, name: str) -> str:
        """A line of unbound.conf: whose signatures count for a zone."""
        keymgr = [str(PEERS / "usr/sbin/keymgr"), "-c", str(self.dir / "knot.conf"), f"{name}.", "ds"]
        done = subprocess.run(keymgr, env=ENVIRONMENT, capture_output=True, text=True, check=False)
        digests = re.findall(r"^(\S+ DS \d+ 13 2 )([0-9a-f]{64})$", done.stdout, re.MULTILINE)
        assert digests, f"no key of {name}: {done.stdout}{done.stderr}"
        ds, digest = digests[0]
        if self._zones[name].bogus:
            digest = digest[::-1]
        return f'trust-anchor: "{ds}{digest}"'

    def _wait_for(self, server: str, zone: str, program: _Server) -> None:
        """Returns once `server` answers for the zone, with its key where it is signed."""
        question = dns.message.make_query(f"{zone}.", "DNSKEY" if self._zones[zone].signed else "SOA", want_dnssec=True)
        end = time.monotonic() + 90
        while True:
            try:
                wait_for_port(53, server)
                answer = dns.query.tcp(question, server, timeout=5)
                if answer.rcode() == dns.rcode.NOERROR and answer.answer:
                    return
            except (dns.exception.DNSException, OSError, EOFError):
                pass
            assert time.monotonic() < end, f"{server} has no answer for {zone}\n{program.log()}"
            time.sleep(0.05)
