"""What is remembered is there after a restart, whole; a disk that fails costs no call."""

from __future__ import annotations

import stat
from pathlib import Path

from restante.calls.memory import CallMemory, Remembered
from restante.model import CallView, Progress

KNOWN = Remembered(
    12.5, ("0 14 * * *",), 11.0, CallView("office", "office.example:25", Progress.ENDED, replies=("a: 251 OK",))
)


def test_what_is_put_is_there_after_a_restart(tmp_path: Path) -> None:
    """In a file that only its owner reads, with no draft left beside it."""
    file = tmp_path / "state" / "calls.json"
    CallMemory(file).put("office", KNOWN)
    assert CallMemory(file).get("office") == KNOWN
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_disk_that_does_not_write_costs_no_call(tmp_path: Path) -> None:
    """It is remembered as long as the process lives."""
    (tmp_path / "state").write_text("not a folder")
    memory = CallMemory(tmp_path / "state" / "calls.json")
    memory.put("office", KNOWN)
    assert memory.get("office") == KNOWN


def test_what_is_no_longer_configured_is_forgotten(tmp_path: Path) -> None:
    """A call that comes back under an old name begins afresh."""
    file = tmp_path / "calls.json"
    memory = CallMemory(file)
    memory.put("gone", KNOWN)
    memory.forget_all_but({"office"})
    memory.put("office", KNOWN)
    assert CallMemory(file).get("gone") is None


def test_a_draft_that_is_a_trap_is_not_followed(tmp_path: Path) -> None:
    """A link where the draft would be written points at nothing of ours."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "calls.json.new").symlink_to(victim)
    CallMemory(tmp_path / "calls.json").put("office", KNOWN)
    assert victim.read_text() == "precious"
