"""Which carrier takes a local domain's mail to its users: Maildirs here, or another mail store."""

from __future__ import annotations

from pathlib import Path

from restante.directory.entries import Delivered
from restante.transport.expansion import Readers
from restante.transport.lmtp import LmtpCarrier, StoreCarrier
from restante.transport.maildir import MaildirCarrier
from restante.transport.outcome import Carrier
from restante.transport.smtp import SmtpMeans


def final_carrier(entry: Delivered, root: Path, readers: Readers, means: SmtpMeans) -> Carrier:
    """Makes it; `root` is for Maildirs, `means` for a store that is dialled."""
    if entry.lmtp is not None:
        return StoreCarrier(LmtpCarrier(entry.lmtp, means), readers)
    hostname = means.hostname
    return MaildirCarrier(root, readers, hostname=hostname, quota=entry.quota, tag_folders=entry.tag_folders)
