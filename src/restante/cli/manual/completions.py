"""What bash, zsh and fish load to complete `restante`: its own scripts, under the names that each of them looks for.

The scripts know no command: at each Tab they ask `restante` itself.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Final

NAMES: Final[Mapping[str, str]] = {"bash": "restante", "zsh": "_restante", "fish": "restante.fish"}
"""Each shell's file: found by its name in the folders of bash-completion, in zsh's fpath, in fish's completions."""

_ZSH_SOURCED = "compdef _restante_completion restante"
_ZSH_LOADED_TOO = """\
if [[ $zsh_eval_context[-1] == loadautofunc ]]; then
  _restante_completion "$@"
else
  compdef _restante_completion restante
fi"""
"""From fpath the file is loaded at the first Tab, and has to answer that one, too."""


def completion(shell: str) -> str:
    """The text of one shell's file."""
    asked = {**os.environ, "_RESTANTE_COMPLETE": f"source_{shell}"}
    command = [sys.executable, "-m", "restante"]
    done = subprocess.run(command, env=asked, capture_output=True, text=True, check=True)  # noqa: S603 - ourselves
    return done.stdout.strip().replace(_ZSH_SOURCED, _ZSH_LOADED_TOO) + "\n"
