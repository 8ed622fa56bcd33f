"""What the recipients of a message are told that is too large for their link: whose it is, and how to get it.

A plain message from the null reverse-path, of 7-bit lines, that nobody answers by machine (RFC 3834 §5). Recipients
are not named in it: whoever was written to without the others' knowledge stays so.
"""

from __future__ import annotations

from restante.message.parts import POLICY, head, text_part
from restante.message.subject import field_of, subject_of
from restante.message.trace import date
from restante.message.wording import cleaned
from restante.model import ItemId, Mailbox, MessageId, write_item_id
from restante.smtp.address import write_path

SUBJECT = "A message for you is too large for the link"


def too_large_notice(
    *,
    hostname: str,
    message: MessageId,
    item: ItemId,
    sender: Mailbox | None,
    beginning: bytes,
    size: int,
    largest: int,
    now: float,
) -> bytes:
    """The whole notice. `message` is its own id, `item` what is kept back, `beginning` has that one's header section;
    octets, and a wall time.
    """
    known = write_item_id(item)
    lines = [
        f"This is the mail system at {hostname}.",
        "",
        "A message for you is larger than what your link is for, and is kept here:",
        "",
        f"  From:     {field_of(beginning, 'from') or '(not given)'}",
        f"  Sender:   {cleaned(write_path(sender))}",
        f"  Subject:  {subject_of(beginning) or '(none)'}",
        f"  Arrived:  {date(int(now))}",
        f"  Size:     {size} octets; up to {largest} octets are sent without being asked for",
        f"  Id:       {known}",
        "",
        f"To get it, ask the operator of {hostname} for this:",
        "",
        f"  restante thaw {known}",
        "",
        "It then comes with the next contact. Its sender has not been told.",
        "",
    ]
    notice = text_part("plain; charset=utf-8", "\r\n".join(lines).encode("utf-8", "replace"))
    to = "undisclosed-recipients:;"
    head(notice, hostname=hostname, message=message, to=to, subject=SUBJECT, now=now, auto="auto-generated")
    return notice.as_bytes(policy=POLICY)
