"""The scripts that call the office when a link has come up, run as the programs run them that bring links up."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from restante.setup.hooks import hooks


@pytest.mark.parametrize(
    ("name", "arguments", "is_called"),
    [
        ("ppp", ["ppp0", "/dev/ttyUSB0", "115200", "192.0.2.66", "192.0.2.1", ""], True),
        ("networkmanager", ["wlan0", "up"], True),
        ("networkmanager", ["tun0", "vpn-up"], True),
        ("networkmanager", ["wlan0", "down"], False),
        ("networkmanager", ["wlan0", "pre-up"], False),
        ("networkd", [], True),
    ],
)
@pytest.mark.parametrize("status", [0, 1])
def test_a_link_that_comes_up_is_a_call(
    name: str, arguments: list[str], is_called: bool, status: int, tmp_path: Path
) -> None:
    """Only what has come up, in words of that program; a call that fails is no failure of the link."""
    program = tmp_path / "a restante"
    program.write_text(f'#!/bin/sh\necho "$@" >>"{tmp_path}/called"\necho noise\nexit {status}\n')
    program.chmod(0o755)
    [hook] = [hook for hook in hooks([str(program)], "/etc/it's/restante.toml") if hook.name == name]
    script = tmp_path / name
    script.write_text(hook.text)
    script.chmod(0o755)
    done = subprocess.run([script, *arguments], capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    called = tmp_path / "called"
    assert called.exists() == is_called
    if is_called:
        assert called.read_text() == "call office --config /etc/it's/restante.toml\n"


def test_their_names_are_ones_that_are_run() -> None:
    """run-parts of Debian takes letters, digits, `-` and `_` alone (ppp's ip-up.d)."""
    places = [hook.place for hook in hooks(["restante"], "/etc/restante/restante.toml")]
    assert [Path(place).name.replace("-", "").isalnum() for place in places] == [True] * 3
