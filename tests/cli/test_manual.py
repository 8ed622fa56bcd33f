"""What the command line tells of itself: help, version, man page, pages of the manual, completion."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from tests.here import CHECKOUT, not_here

from restante.cli.manual import commands, man, protocol
from restante.cli.manual.described import Described, described
from restante.cli.verb import first_sentence
from restante.smtp.services import PROFILES, Service

RESTANTE = Path(sys.executable).with_name("restante")
EVERY = described()


def run(*argv: str, **environment: str) -> str:
    """What `restante` prints."""
    done = subprocess.run(
        [RESTANTE, *argv], env={**os.environ, **environment}, capture_output=True, text=True, check=True, timeout=100
    )
    return done.stdout


def test_version() -> None:
    """As the package has it."""
    assert run("--version") == f"restante {version('restante')}\n"


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
def test_every_command_says_what_everything_in_it_is(command: Described) -> None:
    """A sentence for itself, one for each argument and option, and no name that only a programmer knows."""
    assert command.text[0].endswith("."), command
    assert command.name == "restante" or len(first_sentence(command.text[0])) <= 76  # what fish has on one line
    for name, text in (*command.arguments, *command.options):
        assert text.partition("  [")[0].strip(), name
        assert not any(word in name for word in ("<str>", "<int", "<float", "list[")), name


def test_help_names_arguments_as_the_manual_does() -> None:
    """Needed ones bare, others in brackets, and no types of Python."""
    shown = run("etrn", "--help", COLUMNS="100")
    assert "Usage: restante etrn [OPTIONS] HOST[:PORT] NODE...\n" in shown
    assert "  NODE...      What to ask for" in shown
    assert "Usage: restante queue [OPTIONS] [DOMAIN...]\n" in run("queue", "--help")


def test_the_list_of_commands_has_whole_sentences() -> None:
    """None is cut off with dots, on the narrowest terminal."""
    assert "..." not in run("--help", COLUMNS="60").partition("Commands:")[2]


def test_the_pages_have_every_command() -> None:
    """In docs/commands.md and in the man page."""
    page, text = commands.manual(), man.man()
    for command in EVERY[1:]:
        assert f"\n## `{command.name}`\n" in page
        assert command.is_group or f'.SS "{command.name}"'.replace("-", "\\-") in text


def test_the_man_page_has_no_faults() -> None:
    """Groff finds none, and an option can be found as it is typed."""
    if shutil.which("groff") is None:
        not_here("no groff (Debian package: groff-base)")
    page = CHECKOUT / "contrib/man/restante.1"
    command = ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", str(page)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--deliver-to WHERE" in done.stdout
    assert "EXIT STATUS" in done.stdout


def test_the_protocol_page_has_every_service_and_verb() -> None:
    """As the server's own tables have them."""
    page = protocol.manual()
    for service, profile in PROFILES.items():
        section = page.partition(f"### `{service}`\n")[2].partition("\n#")[0]
        assert all(f"| `{verb}`" in section for verb in profile.verbs), service
    assert "| `ETRN` | connected | ready | 503 5.5.1 | 503 5.5.1 | 503 5.5.1 |" in page
    assert "`459 4.7.1 Node test.example not allowed`" in page
    assert set(PROFILES) == set(Service)


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("restante fr", {"freeze"}), ("restante user re", {"remove"}), ("restante etrn --passw", {"--password-file"})],
)
def test_bash_completes(typed: str, offered: set[str]) -> None:
    """By the file in contrib/, asked as bash asks when Tab is hit."""
    if shutil.which("bash") is None:
        not_here("no bash")
    file = CHECKOUT / "contrib/completions/restante"
    script = f"""
        source {file}
        COMP_WORDS=({typed}) COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))
        _restante_completion {RESTANTE}
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, timeout=100)
    assert set(done.stdout.split()) == offered
