"""A real rspamd, out of the package that script/peers has unpacked into .peers/root.

    with Rspamd("filter", RULES, port=port) as rspamd:      # its worker for scans listens at rspamd.port
        rspamd.scan(message)                                # what it reports of a message, as JSON

It has none of its distribution's rules, and no Redis: what it finds is what `rules`, a text of Lua, registers, beside
the test patterns that are built in (GTUBE). It asks for names where `nameserver` says, else nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.here import PEERS
from tests.stories.daemon import Daemon

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
"""A message with this is spam for every filter."""

CONFIG = """\
lua = "$CONFDIR/rules.lua";
options {{
    filters = "{filters}";
    tempdir = "$CONFDIR";
    pidfile = "$CONFDIR/pid";
    cache_file = "$CONFDIR/symbols.cache";
    dynamic_conf = "$CONFDIR/dynamic";
    history_file = "$CONFDIR/history";
    hs_cache_dir = "$CONFDIR/";
    url_tld = "$CONFDIR/tld";
    control_socket = "$CONFDIR/control.sock mode=0600";
    dns {{ nameserver = ["{nameserver}"]; timeout = 2s; }}
}}
logging {{ type = "file"; filename = "$CONFDIR/log"; level = "info"; }}
worker "normal" {{ bind_socket = "127.0.0.1:{port}"; count = 1; }}
actions {{ reject = 15; rewrite_subject = 8; add_header = 6; greylist = 4; }}
{settings}
"""
VARIABLES = {
    "SHAREDIR": "usr/share/rspamd",
    "LUALIBDIR": "usr/share/rspamd/lualib",
    "PLUGINSDIR": "usr/share/rspamd/plugins",
    "RULESDIR": "usr/share/rspamd/rules",
}


class Rspamd(Daemon):
    """One rspamd; `settings` are further lines of its configuration."""

    foreground = "-f"

    def __init__(
        self, name: str, rules: str = "", *, settings: str = "", port: int = 0, nameserver: str = "127.0.0.1:1"
    ) -> None:
        super().__init__(name, PEERS, PEERS / "usr/bin/rspamd")
        self.port = port or self.port
        self.environment["LD_LIBRARY_PATH"] += f":{PEERS / 'usr/lib/rspamd'}"
        filters = "dkim" if nameserver != "127.0.0.1:1" else ""
        text = CONFIG.format(filters=filters, port=self.port, settings=settings, nameserver=nameserver)
        (self.dir / "rspamd.conf").write_text(text)
        (self.dir / "rules.lua").write_text(rules)
        (self.dir / "tld").write_text("example\n")  # the true list takes it seconds to read

    def _argv(self, *options: str) -> list[str]:
        folders = ("CONFDIR", "LOCAL_CONFDIR", "DBDIR", "RUNDIR", "LOGDIR")
        variables = {name: PEERS / path for name, path in VARIABLES.items()} | dict.fromkeys(folders, self.dir)
        told = [f"--var={name}={path}" for name, path in variables.items()]
        return [str(PEERS / "usr/bin/rspamd"), "--insecure", "-c", str(self.dir / "rspamd.conf"), *told, *options]

    def log(self) -> str:
        """What it has logged so far."""
        file = self.dir / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def queue(self) -> list[str]:
        """It keeps nothing for later."""
        return []

    def scan(self, message: bytes) -> dict[str, Any]:
        """What it reports of a message."""
        url = f"http://127.0.0.1:{self.port}/checkv2"
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(urllib.request.Request(url, data=message), timeout=90) as answer:
            report: dict[str, Any] = json.load(answer)
            return report

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Meanwhile it takes connections, and answers none."""
        assert self._process is not None, "it does not run"
        os.killpg(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(self._process.pid, signal.SIGCONT)
