"""Debian's Chromium, out of .peers/chromium (script/peers): not installed, with a profile, fonts and a home of its own.

    with chromium(tmp_path) as browser:
        ...

It knows no name but the address of loopback, so that nothing it may be told to load ever leaves this machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright
from tests.here import CHROMIUM

LIBRARIES = [
    *(folder for where in ("lib", "usr/lib") for folder in CHROMIUM.glob(f"{where}/*-linux-gnu*")),
    *(folder for inner in ("nss", "pulseaudio") for folder in CHROMIUM.glob(f"usr/lib/*-linux-gnu*/{inner}")),
]
FLAGS = [
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
]
FONTS = """\
<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "urn:fontconfig:fonts.dtd">
<fontconfig>
  <dir>{root}/usr/share/fonts</dir>
  <cachedir>{folder}/fonts</cachedir>
</fontconfig>
"""


@contextmanager
def chromium(folder: Path) -> Iterator[Browser]:
    """One that runs until the end; what it writes goes to `folder`, which is taken for its home, too."""
    fonts = folder / "fonts.conf"
    fonts.write_text(FONTS.format(root=CHROMIUM, folder=folder))
    env: dict[str, str | float | bool] = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "FONTCONFIG_FILE": str(fonts),
        "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM / "usr/lib/chromium/chromium",
            chromium_sandbox=os.geteuid() != 0,  # it refuses to build one as root
            args=FLAGS,
            env=env,
        )
        try:
            yield browser
        finally:
            browser.close()
