"""Mutated sessions, over TCP, against a real `restante serve` with all its services, for script/soak fuzz-wire.

What must hold: whoever sends no more is answered and let go within HANG_SECONDS; all that is said are whole replies;
nobody is dialled; the server ends with status 0, its log has no error and no traceback; its memory has not grown by
GROWTH. A case that fails is named by its number: mutated(number) is what was sent.
"""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from bench.ledger import Totals
from bench.mutations import Case, mutated
from tests.crash.runs import Outcome
from tests.hostile.attack import resident
from tests.hostile.office import AttackedOffice, started
from tests.stories.ports import free_port

AT_ONCE = 8
HANG_SECONDS = 5.0
GROWTH = 20_000_000
"""Octets of memory from the WARM_UPth case to the last."""
WARM_UP = 2000
FURTHER = """
[[listen]]
address = "127.0.0.1:{submission}"
service = "submission"
[[listen]]
address = "127.0.0.1:{odmr}"
service = "odmr"
[users.test]
secret = "a-secret-of-many-letters"
domains = ["held.example"]
"""
_REPLY = re.compile(rb"[2-5][0-9]{2}[ -][^\r\n\0]*\r\n|[2-5][0-9]{2}\r\n")


class Fuzzing:
    """One server, and the cases that it is told."""

    def __init__(self, office: AttackedOffice, ports: tuple[int, ...]) -> None:
        self._office = office
        self._ports = ports
        self._addresses = itertools.cycle(f"127.50.{a}.{b}" for a in range(1, 255) for b in range(1, 255))
        self._played = 0
        self.resets = 0
        self._warm = 0

    async def play(self, cases: Iterator[int]) -> None:
        """Those that nobody else plays, one after the other."""
        for seed in cases:
            case = mutated(seed)
            port = self._ports[seed % len(self._ports)]
            if await self._is_hung(case, port):
                assert not await self._is_hung(case, port), f"it hangs after mutation {seed}"  # twice is no chance
            self._played += 1
            if self._played == WARM_UP:
                self._warm = resident(self._office)

    async def _is_hung(self, case: Case, port: int) -> bool:
        try:
            heard = await self._heard(case, port)
        except TimeoutError:
            return True
        self.resets += heard is None
        if heard is not None and not case.asks_for_tls:
            assert heard, f"no word to mutation {case.seed}"
            assert _REPLY.sub(b"", heard) == b"", f"mutation {case.seed} heard {_REPLY.sub(b'', heard)[:200]!r}"
        return False

    async def _heard(self, case: Case, port: int) -> bytes | None:
        """All that is said; None where a reset has taken some of it: ours, or that of a server that has hung up."""
        address = (next(self._addresses), 0)
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=address)
        reading = asyncio.ensure_future(_read(reader))
        try:
            with suppress(ConnectionError):
                for piece in case.pieces:
                    writer.write(piece)
                    async with asyncio.timeout(HANG_SECONDS):
                        await writer.drain()
                    await asyncio.sleep(0)
                if case.is_reset:
                    return None
            with suppress(OSError, RuntimeError):  # the server has hung up: ENOTCONN, and uvloop's word for that
                writer.write_eof()
            async with asyncio.timeout(HANG_SECONDS):
                return await reading
        finally:
            reading.cancel()
            writer.transport.abort()

    @property
    def growth(self) -> int:
        """Octets of memory since it was warm; 0 in a run that is too short to tell."""
        return resident(self._office) - self._warm if self._warm else 0


async def _read(reader: asyncio.StreamReader) -> bytes | None:
    heard = b""
    try:
        while data := await reader.read(65536):
            heard += data
    except OSError:  # also ENOTCONN: of a write_eof() that came when the server had hung up
        return None
    return heard


async def wire(count: int, folder: Path) -> Outcome:
    """So many mutated sessions, from the first on."""
    submission, odmr = free_port(), free_port()
    further = FURTHER.format(submission=submission, odmr=odmr)
    with started(folder / "office", further=further) as office:
        fuzzing = Fuzzing(office, (office.port, office.port, submission, odmr))
        cases = iter(range(count))
        players = [asyncio.ensure_future(fuzzing.play(cases)) for _ in range(AT_ONCE)]
        try:
            await asyncio.gather(*players)  # the first that fails is raised as it is
        finally:
            for player in players:
                player.cancel()
        assert office.trap.caught == 0, f"{office.trap.caught} connections to next hops"
        growth, held = fuzzing.growth, office.held
        assert growth < GROWTH, f"{growth:,} octets of memory more"
    done = f"{count} mutations; {held} of them mail, {fuzzing.resets} reset; memory {growth / 1e6:+.1f} MB"
    return Outcome(Totals(), done)
