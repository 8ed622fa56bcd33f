"""Alarms as a letter to the operators, spooled like any other mail, from the null reverse-path.

A letter never goes where only the site comes for it that is missing. While the spool is broken there can be none: it
is written after the restart, and says that it was.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from restante.clock import Clock
from restante.directory.entries import Directory, Entry, Rejected
from restante.facts import AlarmKind
from restante.message.operators import operators_letter
from restante.message.trace import date
from restante.model import DomainName, Envelope, Recipient
from restante.observe.alarms import Alarm
from restante.observe.telling import AlarmRules, NotTold, Sent
from restante.spool.spool import Arrival, Spool, SpoolBroken, SpoolFull


class Letters:
    """Writes to the address of the rules. `arrived` is told for which domain something waits now."""

    def __init__(
        self,
        spool: Spool,
        directory: Callable[[], Directory],
        arrived: Callable[[DomainName], None],
        rules: Callable[[], AlarmRules],
        clock: Clock,
    ) -> None:
        self._spool = spool
        self._directory = directory
        self._arrived = arrived
        self._rules = rules
        self._clock = clock

    async def send(self, alarms: Sequence[Alarm]) -> Sent:
        """Tells of alarms. Raises NotTold."""
        to = self._rules().mail
        assert to is not None, "that way is not used"
        directory = self._directory()
        entry = directory.entry_for(to.domain)
        if entry is None or isinstance(entry, Rejected):
            raise NotTold(f"no mail is sent to {to.domain} from here")
        told = [alarm for alarm in alarms if not _is_out_of_reach(alarm, entry)]
        if not told:
            return Sent(0)
        message, now = self._spool.new_id(), self._clock.wall()
        content = operators_letter(
            hostname=directory.hostname, message=message, to=to, subject=_subject(told), lines=_lines(told), now=now
        )
        envelope = Envelope(None, (Recipient(to),), smtputf8=not to.is_ascii)
        try:
            await self._spool.accept(Arrival(message, content, len(content), [(to.domain, envelope)], now))
        except (SpoolFull, SpoolBroken) as error:
            raise NotTold(str(error)) from None
        self._arrived(to.domain)
        return Sent(len(told), message)


def _is_out_of_reach(alarm: Alarm, entry: Entry) -> bool:
    """Whether a letter would wait for the very site that it is about."""
    return alarm.kind is AlarmKind.CONTACT and alarm.over is None and alarm.subject == entry.name


def _subject(alarms: Sequence[Alarm]) -> str:
    first = next((alarm for alarm in alarms if alarm.over is None), alarms[0])
    more = f" (and {len(alarms) - 1} more)" if len(alarms) > 1 else ""
    return f"{'Alarm' if first.over is None else 'All clear'}: {first.kind} {first.subject}{more}"


def _lines(alarms: Sequence[Alarm]) -> list[str]:
    lines: list[str] = []
    for alarm in alarms:
        state = "Alarm" if alarm.over is None else "All clear"
        lines += [f"{state}: {alarm.text}", f"  {alarm.kind} {alarm.subject}, since {date(int(alarm.since))}"]
        lines += [f"  until {date(int(alarm.over))}"] if alarm.over is not None else []
        lines.append("")
    return lines
