"""What a next hop's reply means for a recipient. Pure (RFC 5321 §4.2.1, RFC 3463).

A 5yz that speaks of the sender, the recipient or the message is final. One that dislikes the conversation (a command
out of place, no TLS, no login) says nothing about the mail: it waits, so that a next hop that is wrongly set up
bounces nothing.
"""

from __future__ import annotations

from restante.smtp.reply import Reply
from restante.transport.outcome import MAILBOX, Deferred, Delivered, Hop, Outcome, Refused

_OF_THE_CONVERSATION = frozenset({502, 503, 521, 530, 534, 535, 538})
_OF_SYNTAX = frozenset({500, 501, 504})  # of the conversation, unless the enhanced code names an address


def judge(reply: Reply, hop: Hop = MAILBOX, *, is_by_name: bool = False) -> Outcome:
    """The outcome for a recipient whose last reply this is, and `hop`'s.

    `is_by_name`: it answered the recipient's own RCPT.
    """
    if reply.code // 100 == 2:
        return Delivered(str(reply), hop)
    if reply.is_permanent and not _dislikes_the_conversation(reply):
        return Refused(str(reply), reply.enhanced or "5.0.0", is_by_name)
    return Deferred(str(reply), is_of_conversation=reply.is_permanent)


def _dislikes_the_conversation(reply: Reply) -> bool:
    if reply.code in _OF_THE_CONVERSATION or reply.enhanced.startswith("5.5.") or reply.enhanced == "5.7.10":
        return True
    return reply.code in _OF_SYNTAX and not reply.enhanced.startswith("5.1.")
