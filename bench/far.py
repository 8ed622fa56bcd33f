"""Held mail out over a slow and far link, to an unmodified Postfix: restante and Postfix as offices, in turn.

    python -m bench.far --rtt 600 --kbit 10000 --messages 5000
    python -m bench.far --without chunking --only restante

Each host is a network namespace (bench/link.py). What is measured is what lies in the site's Maildir, looked at every
50 ms from the ETRN on: the whole time, and the rate in steady state, between a tenth and nine tenths of the mail, as a
part of the payload that the link can carry (its rate less the headers of TCP and IP). Root, Linux.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.link import SITE_IP, far_link
from bench.machine import CHECKOUT, RUN, BenchError
from bench.servers import DOMAIN, Office, Postfix, Restante, postfix_root, release, running, wait_for
from rich.console import Console
from rich.table import Table
from tests.stories import peers

OFFICES: dict[str, Callable[[tuple[str, int], str], Office]] = {"restante": Restante, "Postfix": Postfix}
PAYLOAD = (1500 - 52) / 1500
"""Of each packet, less the headers of IP and TCP with timestamps."""
SITE = f"""\
virtual_mailbox_domains = {DOMAIN}
virtual_mailbox_maps = inline:{{anna@{DOMAIN}=anna/}}
smtpd_client_connection_count_limit = 0
default_process_limit = 400
"""


@dataclass(frozen=True, slots=True)
class FarSample:
    """One run: seconds from the ETRN to the last message, and the rate in between as a part of the link's payload."""

    messages: int
    octets: int
    seconds: float
    steady: float
    """Octets of mail a second between a tenth and nine tenths of the messages."""

    def part_of(self, kbit: float) -> float:
        """Of what the link can carry in payload, in steady state; 1 is all of it."""
        return self.steady * 8 / (kbit * 1000 * PAYLOAD)


def measure(
    name: str, *, rtt: float, kbit: float, loss: float, messages: int, size: int, without: str, settings: str
) -> FarSample:
    """One run of one office. Raises BenchError."""
    python = [sys.executable, "-m", "bench.far"]
    with far_link(rtt, kbit, loss) as link:
        site_argv = [*link.site, *python, "hold-site", without]
        with subprocess.Popen(site_argv, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as site:
            assert site.stdin is not None
            assert site.stdout is not None
            maildir = site.stdout.readline().decode().strip()
            argv = [*link.office, *python, "be-office", name, maildir, str(messages), str(size), settings]
            done = subprocess.run(argv, cwd=CHECKOUT, stdout=subprocess.PIPE, check=False)
            site.stdin.close()
    if done.returncode != 0:
        raise BenchError(f"{name} could not be measured")
    return FarSample(**json.loads(done.stdout))


def hold_site(without: str) -> None:
    """In the site's namespace: Postfix on port 25 until standard input ends; its Maildir on the first line."""
    hidden = f"smtpd_discard_ehlo_keywords = {without}\n" if without else ""
    with peers.Postfix("site", SITE + hidden, port=25, everywhere=True) as site:
        print(site.dir / "mail/anna/new", flush=True)
        sys.stdin.read()


def be_office(name: str, maildir: Path, messages: int, size: int, settings: str) -> FarSample:
    """In the office's namespace: takes mail in, is told ETRN, and the site's Maildir is watched."""
    with running(OFFICES[name]((SITE_IP, 25), settings)) as office:
        load.send("kept", office.port, messages=messages, size=size, connections=20)
        wait_for(office, messages)
        began = time.monotonic()
        release(office)
        seen: list[tuple[float, int]] = []
        deadline = began + 3600
        while not seen or seen[-1][1] < messages:
            if time.monotonic() > deadline:
                raise BenchError(f"{seen[-1][1]} of {messages} messages arrived")
            time.sleep(0.05)
            seen.append((time.monotonic() - began, _count(maildir)))
        wait_for(office, 0)
    octets = sum(_crossed(Path(entry.path).read_bytes()) for entry in os.scandir(maildir))
    return FarSample(messages, octets, seen[-1][0], _steady(seen, messages) * octets / messages)


def _crossed(stored: bytes) -> int:
    """The octets of a message as it crossed the link: without the header fields of the site, its line ends CR LF."""
    content = stored[stored.index(b"\nReceived: ", stored.index(b"\nReceived: ") + 1) + 1 :]
    return len(content) + content.count(b"\n")


def _count(maildir: Path) -> int:
    try:
        return sum(1 for _ in os.scandir(maildir))
    except FileNotFoundError:
        return 0


def _steady(seen: Sequence[tuple[float, int]], messages: int) -> float:
    """Messages a second between a tenth and nine tenths of them."""
    first = next(each for each in seen if each[1] >= messages / 10)
    last = next(each for each in seen if each[1] >= messages * 9 / 10)
    return (last[1] - first[1]) / (last[0] - first[0]) if last[0] > first[0] else 0.0


def main(argv: Sequence[str]) -> int:
    """Runs what is asked for; 0 done, 1 could not."""
    if argv[:1] == ["hold-site"]:
        hold_site(argv[1])
        return 0
    if argv[:1] == ["be-office"]:
        sample = be_office(argv[1], Path(argv[2]), int(argv[3]), int(argv[4]), argv[5])
        print(json.dumps({name: getattr(sample, name) for name in FarSample.__slots__}))
        return 0
    parser = argparse.ArgumentParser("python -m bench.far", description=__doc__)
    parser.add_argument("--rtt", type=float, default=600, help="round trip in ms")
    parser.add_argument("--kbit", type=float, default=10_000, help="kbit/s each way")
    parser.add_argument("--loss", type=float, default=0.0, help="packets lost, 0 to 1")
    parser.add_argument("--messages", type=int, default=5000, help="for restante")
    parser.add_argument("--peer-messages", type=int, default=300, help="for Postfix, which needs its time")
    parser.add_argument("--size", type=int, default=4096, help="octets of each")
    parser.add_argument("--without", default="", help="EHLO keywords that the site hides: chunking, pipelining")
    parser.add_argument("--settings", default="", help="lines for restante's configuration")
    parser.add_argument("--only", choices=[*OFFICES])
    given = parser.parse_args(argv)
    RUN.mkdir(parents=True, exist_ok=True)
    postfix_root()
    table = Table(title=f"to a Postfix over {given.rtt:g} ms, {given.kbit:g} kbit/s, {given.loss:.1%} loss", box=None)
    for heading in ("office", "messages", "seconds", "messages/s", "of the link's payload"):
        table.add_column(heading, justify="right")
    for name in [given.only] if given.only else OFFICES:
        sample = measure(
            name,
            rtt=given.rtt,
            kbit=given.kbit,
            loss=given.loss,
            messages=given.messages if name == "restante" else given.peer_messages,
            size=given.size,
            without=given.without,
            settings=given.settings if name == "restante" else "",
        )
        rate = sample.messages / sample.seconds
        part = f"{sample.part_of(given.kbit):.1%}"
        table.add_row(name, str(sample.messages), f"{sample.seconds:.1f}", f"{rate:.1f}", part)
    Console(width=100).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
