"""What the tests of config/ share."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.config.written import Folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """An empty folder, in which the test stands."""
    monkeypatch.chdir(tmp_path)
    return Folder(tmp_path)
