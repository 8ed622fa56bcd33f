"""What recipes have an operator do by hand: at an office a user is added, and the pin of its key is read; at a site the
password is written down.
"""

from __future__ import annotations

import re
import subprocess

from tests.stories.recipes import block
from tests.stories.restante_host import RESTANTE, RestanteHost


def add_user(recipe: str, office: RestanteHost, password: str) -> None:
    """As the recipe's block `user` does it, with that password. The office need not run."""
    command = block(recipe, "user", {"restante ": f"{RESTANTE} "}).split()
    argv = [*command, "--password-stdin", "--config", str(office.config)]
    subprocess.run(argv, input=f"{password}\n", text=True, capture_output=True, timeout=100, check=True)


def pin_of(recipe: str, office: RestanteHost) -> str:
    """What its block `pin` prints of the key that the office has made at its start: 64 hexadecimal digits."""
    script = block(recipe, "pin", {"/var/lib/restante": str(office.folder / "data")})
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, timeout=100, check=True)
    found = re.fullmatch(r"([0-9a-f]{64})  -\n", done.stdout)
    assert found, done.stdout + done.stderr
    return found[1]


def write_password(site: RestanteHost, password: str) -> None:
    """Into the file that the site's configuration names."""
    file = site.folder / "office.password"
    file.touch(0o600)
    file.write_text(f"{password}\n")
