"""An operator at work while mail comes in and goes out: sends back, sends elsewhere, stops and lets go; and mail that
is too large for its link, which is frozen as it comes.

Every message has one end: it came out, or its sender was told that it does not; never two notices of one thing, and of
each frozen one its recipient was told. Where a process died, what had come out may go back as well: that is counted as
a duplicate.
"""

from __future__ import annotations

import asyncio
import random
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench.ledger import DOMAIN, Ledger, Totals, etrn

from restante.admin import protocol as p
from restante.admin.control import ControlClient
from restante.errors import RestanteError
from restante.message.too_large import SUBJECT as TOO_LARGE

ELSEWHERE, SENDERS = "elsewhere.example", "sender.example"
DOMAINS = (DOMAIN, ELSEWHERE, SENDERS)
LARGEST = 64 * 1024
"""Octets; between two of the load's sizes, so that the field that is put before them makes no difference."""
FROM = b"From: Mail Delivery System <MAILER-DAEMON@office.example>\r\n"
PATIENCE = 90.0
AT_ONCE = 40
_MESSAGE_ID = re.compile(rb"^Message-ID: (<\S+>)\r$", re.MULTILINE)
_NAME = re.compile(rb"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def domains(next_hop: int) -> str:
    """The configuration of an office with what an operator needs: links that are small, and other ways to go."""
    held = f'action = "hold"\nnext_hop = "127.0.0.1:{next_hop}"\nrelease_from = ["127.0.0.1"]\n'
    others = "".join(f'\n[domains."{name}"]\n{held}' for name in (ELSEWHERE, SENDERS))
    return f'largest      = "{LARGEST // 1024}KB"\n{others}'


@dataclass
class Ends(Ledger):
    """A ledger that knows notices, too: by the message that they are about, the ids that they had."""

    returned: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    announced: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        super().__init__()

    def came_out(self, content: bytes) -> None:
        """A message, or a notice of one."""
        if FROM not in content.partition(b"\r\n\r\n")[0]:
            super().came_out(content)
            return
        about, itself = _NAME.search(content), _MESSAGE_ID.search(content)
        assert about is not None, content
        assert itself is not None, content
        name = about[0].decode()
        if name not in self.entries:
            self.strangers.append(f"a notice about {name}")
        kind = self.announced if f"Subject: {TOO_LARGE}\r\n".encode() in content else self.returned
        kind[name].add(itself[1])

    @property
    def totals(self) -> Totals:
        """What went back is not lost; what went back and came out, too, is there once more."""
        known = super().totals
        ends = [(entry, name in self.returned) for name, entry in self.entries.items()]
        return replace(
            known,
            lost=sum(entry.acknowledged is not None and not entry.copies and not back for entry, back in ends),
            duplicated=known.duplicated + sum(entry.copies > 0 and back for entry, back in ends),
            recovered=sum(entry.acknowledged is None and (entry.copies > 0 or back) for entry, back in ends),
        )

    @property
    def wrong(self) -> list[str]:
        """Notices that are there twice, or are missing."""
        twice = [f"{name} went back {len(ids)} times" for name, ids in self.returned.items() if len(ids) > 1]
        for name, entry in self.entries.items():
            is_there = entry.acknowledged is not None or entry.copies > 0 or name in self.returned
            told = len(self.announced.get(name, ()))
            if told != int(is_there and entry.size > LARGEST):
                twice.append(f"of {name}, {entry.size} octets, its recipient was told {told} times")
        return twice

    @property
    def ok(self) -> bool:
        """Nothing lost, nothing made up, nobody told twice or not at all."""
        return self.totals.ok and not self.wrong

    def report(self) -> str:
        """The numbers, and what is wrong."""
        lost = [
            f"lost: {name}, {entry.size} octets"
            for name, entry in self.entries.items()
            if entry.acknowledged is not None and not entry.copies and name not in self.returned
        ]
        return "; ".join([str(self.totals), *lost[:5], *self.strangers[:5], *self.wrong[:5]])


class Operator:
    """Steers an office by its control socket. What it asks may fail at any time: the office may be gone."""

    def __init__(self, data: Path, seed: int) -> None:
        self._socket = data / "control.sock"
        self._chance = random.Random(seed)
        self.changed = 0
        """Items that it has sent back, elsewhere, or otherwise changed."""

    @asynccontextmanager
    async def at_work(self, port: int) -> AsyncIterator[None]:
        """Does one thing after the other until the end of `async with`."""
        working = asyncio.create_task(self._work(port))
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _work(self, port: int) -> None:
        while True:
            with suppress(RestanteError, OSError, EOFError):
                await self._do_something(port)
            await asyncio.sleep(self._chance.uniform(0.0, 0.03))

    async def _do_something(self, port: int) -> None:
        domain = self._chance.choice((DOMAIN, DOMAIN, ELSEWHERE))
        answer = await self._ask(p.Queue(domains=(domain,), limit=200))
        assert isinstance(answer, p.QueueAnswer), answer
        letters = [item.id for item in answer.items if item.reverse_path not in ("", "<>")]
        ids = tuple(self._chance.sample(letters, min(len(letters), self._chance.randint(1, AT_ONCE))))
        if self._chance.random() < 0.1:
            await etrn(port, self._chance.choice((ELSEWHERE, SENDERS)))
        if ids:
            await self._change(ids)

    async def _change(self, ids: Sequence[str]) -> None:
        named = tuple(ids)
        requests: list[p.AnyChange] = [
            p.Bounce(named, text="We are closed."),
            p.Bounce(named),
            p.Redirect(named, where=ELSEWHERE),
            p.Redirect(named, where=f"carl@{DOMAIN}"),
            p.Freeze(named),
            p.Thaw(named),
        ]
        answer = await self._ask(self._chance.choice(requests))
        assert isinstance(answer, p.ChangeAnswer | p.Failed), answer
        if isinstance(answer, p.ChangeAnswer):
            self.changed += len(answer.changed)

    async def let_all_go(self) -> None:
        """Ends every stop."""
        answer = await self._ask(p.Thaw(all=True))
        assert isinstance(answer, p.ChangeAnswer), answer

    async def _ask(self, request: p.AnyRequest) -> p.AnyAnswer:
        (answer,) = await asyncio.to_thread(lambda: list(ControlClient(self._socket, PATIENCE).ask(request)))
        return answer
