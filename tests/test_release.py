"""What is given away: it is built reproducibly, has what it must, and runs where nothing of this checkout is seen."""

from __future__ import annotations

import os
import re
import subprocess
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from tests.here import CHECKOUT


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of what script/release has built twice alike, installed and run."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    environment = {**os.environ, "DEPENDENCIES": sysconfig.get_path("purelib")}
    command = [str(CHECKOUT / "script/release"), "--check", str(folder)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"([0-9a-f]{64}  restante-\S+\n){2}", done.stdout), done.stdout
    return folder


def test_the_wheel_has_the_package_and_what_goes_beside_it(built: Path) -> None:
    """Every module, what pages are made of, the types' marker, licence, man page, completions, unit; no tests."""
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    kinds = {".py", ".html", ".css", ".js", ".svg"}
    files = (file for file in (CHECKOUT / "src").rglob("*") if file.suffix in kinds)
    sources = {f"restante/{file.relative_to(CHECKOUT / 'src/restante')}" for file in files}
    assert "restante/web/pages/templates/start.html" in sources
    assert sources <= names
    shares = {name.partition("/data/share/")[2] for name in names}
    assert shares >= {
        "man/man1/restante.1",
        "bash-completion/completions/restante",
        "zsh/site-functions/_restante",
        "fish/vendor_completions.d/restante.fish",
        "restante/systemd/restante.service",
        "restante/sysusers.d/restante.conf",
        "restante/tmpfiles.d/restante.conf",
    }
    assert "restante/py.typed" in names
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"restante"}


def test_the_source_archive_has_what_the_checkout_has(built: Path) -> None:
    """Whoever has only it can build, test and read; nothing of this machine's is in it."""
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
        owners = {(member.uname, member.uid) for member in tar}
    assert names >= {
        "LICENSE",
        "README.md",
        "docs/index.md",
        "script/release",
        "tests/test_release.py",
        "zensical.toml",
    }
    assert not any(name.startswith((".venv", ".peers", "run/", "build/", "dist/")) for name in names)
    assert owners == {("", 0)}
