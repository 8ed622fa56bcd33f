"""What a reviewer forgets: the arrows between the rooms, a head on every module, and no trace of anybody's machine."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.here import CHECKOUT

SOURCES = sorted((CHECKOUT / "src").rglob("*.py"))
BINARY = {".png", ".jpg", ".gif", ".gz"}


def tracked() -> list[Path]:
    """The files that git tracks, or would once they are added; all of the tree's text where there is no git."""
    git = ["git", "-C", str(CHECKOUT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, capture_output=True, text=True, check=True).stdout.split("\0")
    return [CHECKOUT / name for name in listed if name and (CHECKOUT / name).is_file()]


def test_rooms_import_only_what_they_may() -> None:
    """docs/design.md section 3: the contract in pyproject.toml holds."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("source", SOURCES, ids=lambda file: str(file.relative_to(CHECKOUT / "src")))
def test_a_module_says_what_it_is_and_stays_readable(source: Path) -> None:
    """A docstring as its head, and at most 600 lines."""
    text = source.read_text()
    assert ast.get_docstring(ast.parse(text)), "no docstring at its head"
    assert len(text.splitlines()) <= 600, "longer than 600 lines: it wants to be two"


@pytest.mark.parametrize("name", ["bootstrap", "server", "test", "bench", "peers", "docs", "release"])
def test_scripts_run_as_they_are(name: str) -> None:
    """Executable, plain sh, and sh can parse them."""
    script = CHECKOUT / "script" / name
    assert os.access(script, os.X_OK), "not executable"
    assert script.read_text().startswith("#!/bin/sh\n"), "not plain sh"
    done = subprocess.run(["sh", "-n", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_ci_runs_what_anybody_can_run() -> None:
    """.ci/run does nothing that script/test does not."""
    run = CHECKOUT / ".ci/run"
    assert os.access(run, os.X_OK), "not executable"
    assert run.read_text().rstrip().splitlines()[-1] == "exec script/test"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "LICENSE", "docs/design.md"])
def test_a_newcomer_finds_the_way_in(name: str) -> None:
    """These exist and have something to say."""
    assert len((CHECKOUT / name).read_text()) > 200


def test_no_file_tells_of_a_developers_machine() -> None:
    """No home folder, and not the folder that this checkout happens to lie in."""
    home = re.compile(r"/(?:home|Users)/[a-z]\w*/|/root/\w|" + re.escape(f"{CHECKOUT}/"))
    found = [
        f"{file.relative_to(CHECKOUT)}: {match[0]}"
        for file in tracked()
        if file.suffix not in BINARY and (match := home.search(file.read_text(errors="replace")))
    ]
    assert found == []
