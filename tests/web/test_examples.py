"""The examples of docs/api.md, as a reader would type them, to a real server."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import httpx2
from tests.here import CHECKOUT, not_here
from tests.web.conformance import Host

MANUAL = (CHECKOUT / "docs/api.md").read_text()
EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", MANUAL, re.MULTILINE | re.DOTALL)


def typed(office: Host, token: str, command: str) -> Any:
    """What a command prints, as JSON."""
    if shutil.which("curl") is None:
        not_here("no curl")
    script = command.replace("https://office.example:8025", office.url).replace("curl ", "curl -sS --noproxy '*' ")
    done = subprocess.run(["sh", "-eu", "-c", script], env={"TOKEN": token}, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_what_the_manual_shows_can_be_typed(tmp_path: Path) -> None:
    """A listing, a release that is the same one when it is asked for again, and a dry run."""
    with Host(tmp_path / "office") as office:
        ids = office.mail("one", "two", "three")
        listing, release, stop = EXAMPLES
        token = office.token()
        listed = typed(office, token, listing)
        assert [item["id"] for item in listed["items"]] == ids[:2]
        assert listed["next"] == ids[1]
        begun = typed(office, token, release)
        assert (begun["domain"], begun["items"]) == ("test.example", 3)
        assert typed(office, token, release)["number"] == begun["number"]
        assert typed(office, token, stop)["changed"] == 0
        assert typed(office, token, stop.replace("604800", "0").replace("10485760", "0"))["changed"] == 3
        office.cli("user", "token", "root", "--revoke")
        office.wait_for_log("configuration reloaded", times=2)
        assert typed(office, token, listing)["status"] == 401


def test_the_manual_has_every_route(tmp_path: Path) -> None:
    """Those that the API describes."""
    with Host(tmp_path / "office") as office:
        paths = httpx2.get(f"{office.url}/api/openapi.json", trust_env=False).json()["paths"]
    names = {"{domain}": "D", "{id}": "ID", "{verb}": "VERB", "{number}": "N", "{name}": "NAME"}
    for path in paths:
        written = path
        for name, short in names.items():
            written = written.replace(name, short)
        assert not path.startswith("/api/") or written in MANUAL, path
