"""Hooks are real programs: they work, fail, hang, talk too much, and leave children behind."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.calls.played import eventually

from restante.calls.hooks import MAX_OUTPUT, Hook, HookRun, run_hook
from restante.clock import SystemClock, TurnedClock

CLOCK = SystemClock()


def sh(script: str, limit: float = 10) -> Hook:
    """A hook that is a line of shell."""
    return Hook("before", ("sh", "-c", script), limit)


async def run(hook: Hook) -> HookRun:
    """Runs it as the call `office` would."""
    return await run_hook(hook, call="office", office="office.example:25", reason="schedule", clock=CLOCK)


def is_alive(pid_file: Path) -> bool:
    """Whether the process that wrote its number there still runs."""
    try:
        os.kill(int(pid_file.read_text()), 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid_file.read_text().strip()}/stat").read_text().split()[2] != "Z"


async def test_a_hook_knows_which_call_it_serves() -> None:
    """Its environment says so, beside what it has from restante's own."""
    ended = await run(sh('echo "$RESTANTE_CALL $RESTANTE_OFFICE $RESTANTE_REASON"; test -n "$PATH"'))
    assert ended.error == ""
    assert ended.output == "office office.example:25 schedule"
    assert ended.fact.hook == "before"


async def test_no_shell_reads_the_arguments() -> None:
    """What looks like shell is an argument like any other."""
    ended = await run(Hook("before", ("echo", "$(id)", "; rm -rf x", "*")))
    assert ended.output == "$(id) ; rm -rf x *"


async def test_a_failure_says_how_and_what_was_printed() -> None:
    """Exit status, and the last words, from both of its outputs."""
    ended = await run(sh("echo dialling; echo no carrier >&2; exit 3"))
    assert ended.error == "exit status 3: dialling no carrier"
    assert (await run(sh("kill -9 $$"))).error == "ended by signal 9"


async def test_a_program_that_is_not_there_is_an_error_not_an_exception() -> None:
    """So is one that may not be run, or whose name no program can have."""
    assert (await run(Hook("after", ("/no/such/pon",)))).error == "/no/such/pon: No such file or directory"
    assert "Permission denied" in (await run(Hook("after", ("/etc/passwd",)))).error
    assert (await run(Hook("after", ("echo", "\0")))).error.startswith("echo: ")


async def test_at_its_limit_a_hook_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    """Also a child that ignores TERM."""
    child = tmp_path / "pid"
    clock = TurnedClock()
    hook = sh(f"trap '' TERM; sh -c 'trap \"\" TERM; echo $$ >{child}; while :; do sleep 1; done' & wait", 120)
    running = asyncio.create_task(run_hook(hook, call="c", office="o", reason="r", clock=clock))
    await eventually(lambda: child.exists() and child.read_text())
    await eventually(lambda: clock._sleepers)  # the hook can be quicker than its own timer
    await clock.turn(119)
    assert not running.done()
    await clock.turn(2)
    ended = await running
    assert ended.error == "not done after 120 s, and stopped"
    assert ended.fact.seconds >= 120
    await eventually(lambda: not is_alive(child))


async def test_a_cancelled_hook_leaves_nothing_running(tmp_path: Path) -> None:
    """A stop of restante ends its hooks first."""
    child = tmp_path / "pid"
    running = asyncio.create_task(run(sh(f"echo $$ >{child}; sleep 600")))
    await eventually(lambda: child.exists() and child.read_text())
    running.cancel()
    await asyncio.wait([running])
    await eventually(lambda: not is_alive(child))


async def test_a_hook_that_is_cancelled_while_it_starts_leaves_nothing_running(tmp_path: Path) -> None:
    """At whichever step of the start the stop comes."""
    started = tmp_path / "pids"
    started.touch()
    for steps in range(20):
        running = asyncio.create_task(run(sh(f"echo $$ >>{started}; sleep 600")))
        for _ in range(steps):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])
    await asyncio.sleep(0.5)  # what was left behind has said so by now
    left = [pid for pid in started.read_text().split() if Path(f"/proc/{pid}").exists()]
    for pid in left:
        os.killpg(int(pid), signal.SIGKILL)
    assert left == []


async def test_what_a_hook_leaves_behind_lives_on(tmp_path: Path) -> None:
    """`pon` ends and pppd stays, its output open: the call does not wait for it, and its writes do not kill it."""
    child, release = tmp_path / "pid", tmp_path / "go"
    daemon = f"echo $$ >{child}; until test -e {release}; do sleep 0.05; done; echo late; touch {tmp_path}/lived"
    ended = await run(sh(f"sh -c '{daemon}' & echo up"))
    assert (ended.error, ended.output) == ("", "up")
    await eventually(lambda: child.exists() and child.read_text())
    assert is_alive(child)
    release.touch()
    await eventually((tmp_path / "lived").exists)


async def test_only_the_end_of_a_long_output_is_kept() -> None:
    """A megabyte of progress bars does not stop a hook, nor fill the log; what cannot be printed is masked."""
    ended = await run(Hook("before", (sys.executable, "-c", r"print('x' * 1_000_000 + '\x1b[2J the end')")))
    assert ended.error == ""
    assert ended.output.endswith("?[2J the end")
    assert len(ended.output) <= MAX_OUTPUT + 2
