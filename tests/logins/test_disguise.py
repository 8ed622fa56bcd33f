"""The secret behind unknown users' salts."""

from __future__ import annotations

from pathlib import Path

import pytest

from restante.logins.disguise import load_disguise


def test_it_is_made_once_and_stays(tmp_path: Path) -> None:
    """For its owner alone to read."""
    first = load_disguise(tmp_path)
    assert len(first) == 32
    assert load_disguise(tmp_path) == first
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600


def test_one_that_is_cut_short_is_made_anew(tmp_path: Path) -> None:
    """An empty key would let everybody compute the salts."""
    load_disguise(tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"")
    assert len(load_disguise(tmp_path)) == 32
    assert load_disguise(tmp_path) == file.read_bytes()


def test_a_folder_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    """An OSError, as of any file."""
    with pytest.raises(OSError, match="No such file"):
        load_disguise(tmp_path / "nowhere")
