"""What a notice says to people: lines of plain English, with the subject of what it is about as they wrote it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence

from restante.message.causes import About, Action, Cause, Times
from restante.message.subject import one_line
from restante.message.trace import date
from restante.model import Item, write_item_id

MAX_TEXT = 500  # characters of a reply that are told
_WIDTH = 74
_OWN_WORDS = (Cause.REFUSED, Cause.RETURNED)  # what stands beside these was said to the sender
_NO_MORE = "and no further attempt to deliver it is made. It did not reach:"

_TITLES = {
    Action.FAILED: "Your message could not be delivered",
    Action.DELAYED: "Your message has not been delivered yet",
    Action.RELAYED: "Your message was handed on",
    Action.DELIVERED: "Your message was delivered",
}
_PARAGRAPHS: dict[Cause, tuple[str, ...]] = {
    Cause.REFUSED: ("Your message was refused by the host or mailbox that it was meant for,", _NO_MORE),
    Cause.EXPIRED: ("Your message could not be handed on in all the time that it may wait here,", _NO_MORE),
    Cause.UNCOLLECTED: (
        "Your message was held here for its site, which has to ask for its mail. It has",
        "not collected it in all the time that it may wait here,",
        _NO_MORE,
    ),
    Cause.RETURNED: ("The operator of this mail system has sent your message back,", _NO_MORE),
    Cause.TOO_LATE: ("Your message should have been delivered by a time that has passed,", _NO_MORE),
    Cause.LATE: ("Your message could not be handed on yet. It waits here for:",),
    Cause.MISSED: (
        "Your message is held here for its site, which has to ask for its mail. It was",
        "expected to, and has not. Your message waits here for:",
    ),
    Cause.OVERDUE: ("Your message should have been delivered by now. It still waits here for:",),
    Cause.RELAYED: (
        "Your message was handed on to a host that will not tell you whether it is",
        "delivered. It is on its way to:",
    ),
    Cause.PASSED: ("Your message was handed on. It is on its way to:",),
    Cause.DELIVERED: ("Your message is now in the mailbox of:",),
}


def title(about: Sequence[About], subject: str) -> str:
    """The subject of a notice; it names that of the message."""
    first = next(action for action in Action if any(each.cause.action is action for each in about))
    return f"{_TITLES[first]}: {subject}" if subject else _TITLES[first]


def explanation(
    hostname: str, item: Item, about: Sequence[About], subject: str, times: Times, *, host: str, whole: bool
) -> str:
    """The human part, with CRLF line ends. `host` is who has said the replies; empty where nobody has."""
    lines = [f"This is the mail system at {hostname}.", ""]
    if subject:
        lines += [*_wrapped(f"About your message: {subject}", ""), ""]
    for cause in dict.fromkeys(each.cause for each in about):
        lines += [*_PARAGRAPHS[cause], ""]
        for each in about:
            if each.cause is cause:
                lines += _of_recipient(each, host)
        lines += ["", *_what_next(cause, times)]
    attached = "the message itself" if whole else "the message's header"
    lines += [f"Attached are the same for mail programs, and {attached}."]
    return "\r\n".join([*lines, f"It was known here as {write_item_id(item.id)}.", ""])


def _of_recipient(each: About, host: str) -> Iterable[str]:
    yield f"  <{cleaned(str(each.recipient.mailbox))}>"
    if each.reply and each.cause.action in (Action.FAILED, Action.DELAYED):
        who = f"{host} said: " if host else "" if each.cause in _OWN_WORDS else "the last answer was: "
        yield from _wrapped(f"{who}{cleaned(each.reply)}", "    ")


def _what_next(cause: Cause, times: Times) -> Iterable[str]:
    if cause.action is not Action.DELAYED:
        return
    if cause is Cause.MISSED and times.missed is not None:
        yield f"The site was expected on {date(int(times.missed))}."
    if cause is Cause.MISSED and times.expected is not None:
        yield f"It is next expected on {date(int(times.expected))}."
    if times.until is not None:
        yield f"Your message is kept until {date(int(times.until))} at least."
    yield "You need not send it again."
    yield ""


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False)


def cleaned(text: str) -> str:
    """One line, no controls, not too long."""
    return one_line(text)[:MAX_TEXT]
