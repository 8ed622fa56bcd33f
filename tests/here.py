"""What this machine has of what some tests need. A test that lacks something is skipped and named at the end of the
run; where everything must run (CI=true or RESTANTE_TEST_ALL=1) it fails instead.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PEERS = CHECKOUT / ".peers/root"
CHROMIUM = CHECKOUT / ".peers/chromium"
NOT_HERE = "not run here: "


def all_must_run() -> bool:
    """Whether a test that cannot run on this machine is a failure."""
    return os.environ.get("CI") == "true" or os.environ.get("RESTANTE_TEST_ALL") == "1"


def not_here(reason: str) -> NoReturn:
    """Ends the test: this machine lacks what it needs."""
    if all_must_run():
        pytest.fail(f"cannot run here, and everything must: {reason}", pytrace=False)
    pytest.skip(NOT_HERE + reason)


def lacking(need: str) -> str:
    """Why tests with the marker `need` (pyproject.toml lists them) cannot run here; "" when they can."""
    match need:
        case "peer":
            return _lacking_peers()
        case "netns":
            return _lacking_namespaces()
        case "browser" if not (CHROMIUM / "usr/lib/chromium/chromium").exists():
            return "no chromium in .peers/ (script/peers fetches it on Debian)"
    return ""


def _lacking_peers() -> str:
    wanted = ("usr/sbin/postfix", "usr/sbin/smtp-source", "usr/bin/fetchmail", "usr/bin/swaks", "usr/bin/nmap")
    absent = [Path(name).name for name in wanted if not (PEERS / name).exists()]
    return f"no {', '.join(absent)} in .peers/ (script/peers fetches them on Debian or Ubuntu)" if absent else ""


@functools.cache
def _lacking_namespaces() -> str:
    if shutil.which("ip") is None:
        return "no network namespaces without the ip command (Debian package: iproute2)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"restante-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"no network namespaces: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", probe], check=True)
    return ""
