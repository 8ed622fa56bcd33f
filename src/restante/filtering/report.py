"""What rspamd reports of a message, as a verdict: the JSON that its `/checkv2` answers with. Pure.

Of its actions `reject` is 550, `soft reject` and `greylist` are 451; `add header` and `rewrite subject` take the
message with `X-Spam: Yes` and the score on top (a subject is not rewritten: what came stays as it came). Header fields
that rspamd itself wants added (its milter_headers, a DKIM signature of ours) are put on top too; what it wants removed
stays. An action that is not known is an error, and the message is not taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from restante.filtering.filter import Accept, FilterError, Refuse, Verdict
from restante.smtp.reply import Reply

REFUSED = "The mail filter refuses this message"
NOT_NOW = "The mail filter wants this message later, try again"
MOST_REPLY_TEXT = 400
MOST_FIELDS = 64 * 1024
"""Octets of header fields that are added at most."""
_NAME = re.compile(r"[!-9;-~]{1,76}")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_VALUE = re.compile(r"[\t -~]{0,900}(?:\r\n[ \t][\t -~]{0,900})*")


class Added(msgspec.Struct):
    """One value of a field to add; where rspamd wants it among the others is not heeded."""

    value: str


_Values = str | Added | list[str | Added]


class Milter(msgspec.Struct):
    """What rspamd would have a milter do."""

    add_headers: dict[str, _Values] = {}


class Report(msgspec.Struct, rename={"dkim_signature": "dkim-signature"}):
    """Of what rspamd answers, what counts here. Scores may be null."""

    action: str
    score: float | None = None
    required_score: float | None = None
    messages: dict[str, object] = {}
    milter: Milter = msgspec.field(default_factory=Milter)
    dkim_signature: str | list[str] = ""


def verdict_of(answer: bytes) -> Verdict:
    """The verdict. Raises FilterError where the answer cannot be understood."""
    try:
        report = msgspec.json.decode(answer, type=Report)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FilterError(f"an answer that cannot be understood: {error}") from None
    score, required = report.score or 0.0, report.required_score or 0.0
    remark = f"{report.action}, {score:.2f} of {required:.2f}"
    match report.action:
        case "no action":
            return Accept(remark, _fields(report, {}))
        case "add header" | "rewrite subject":
            told = {"X-Spam": "Yes", "X-Spam-Status": f"Yes, score={score:.2f} required={required:.2f}"}
            return Accept(remark, _fields(report, told))
        case "soft reject" | "greylist":
            return Refuse(remark, Reply(451, _text(report, NOT_NOW), "4.7.1"))
        case "reject":
            return Refuse(remark, Reply(550, _text(report, REFUSED), "5.7.1"))
    raise FilterError(f"the action {report.action[:40]!r}, which is not known here")


def _text(report: Report, otherwise: str) -> str:
    """What rspamd would have the client told, if that can go into a reply."""
    text = report.messages.get("smtp_message")
    if isinstance(text, str) and text.isascii() and text.isprintable() and 0 < len(text.strip()) <= MOST_REPLY_TEXT:
        return text.strip()
    return otherwise


def _fields(report: Report, told: Mapping[str, str]) -> bytes:
    """The fields to put on top, `told` first unless rspamd has one of that name. One that is not sound is left out."""
    wanted = list(_wanted(report))
    given = {name.lower() for name, _ in wanted}
    fields = [(name, value) for name, value in told.items() if name.lower() not in given] + wanted
    octets = b""
    for name, value in fields:
        unfolded = _FOLD.sub("\r\n", value.strip())
        field = f"{name}: {unfolded}\r\n"
        if _NAME.fullmatch(name) and _VALUE.fullmatch(unfolded) and len(octets) + len(field) <= MOST_FIELDS:
            octets += field.encode()
    return octets


def _wanted(report: Report) -> Iterator[tuple[str, str]]:
    for name, values in report.milter.add_headers.items():
        for value in values if isinstance(values, list) else [values]:
            yield name, value if isinstance(value, str) else value.value
    signatures = report.dkim_signature
    for signature in [signatures] if isinstance(signatures, str) else signatures:
        if signature:
            yield "DKIM-Signature", signature
