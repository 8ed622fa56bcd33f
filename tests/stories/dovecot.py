"""A real Dovecot as a mail store, by LMTP, out of the package that script/peers has unpacked into .peers/dovecot/.

    with Dovecot("store", "anna@test.example", ...) as store:   # listens at store.port and at store.socket
        store.mail("anna@test.example")                         # what it has stored

It has the mailboxes that are named, and no others; configure() gives it a recipe's configuration, stop() and start() a
pause. Its modules are looked for under /usr alone: it runs in a mount namespace in which its files are laid over /usr;
the machine's own are not touched.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
from pathlib import Path

from tests.here import CHECKOUT
from tests.stories.daemon import Daemon
from tests.stories.peers import GROUP, OWNER

ROOT = CHECKOUT / ".peers/dovecot"
LAID_OVER_USR = 'mount -t overlay overlay -o lowerdir="$0/usr:/usr" /usr && exec "$@"'

HERE = """\
base_dir = {dir}/run
state_dir = {dir}/state
log_path = {dir}/log
default_internal_user = {owner}
default_internal_group = {group}
default_login_user = nobody
"""

CONFIG = """\
protocols = lmtp
ssl = no
auth_mechanisms = plain
mail_location = maildir:{dir}/mail/%d/%n
mail_uid = {owner}
mail_gid = {group}
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = nopassword=y
}}
userdb {{
  driver = passwd-file
  args = username_format=%u {dir}/users
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
  unix_listener {dir}/lmtp.sock {{
    mode = 0600
  }}
}}
{settings}
"""


class Dovecot(Daemon):
    """One Dovecot; `settings` are further lines of its configuration."""

    foreground = "-F"

    def __init__(self, name: str, *mailboxes: str, settings: str = "") -> None:
        super().__init__(name, ROOT, ROOT / "usr/sbin/dovecot")
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        for folder in ("run", "state", "mail"):
            (self.dir / folder).mkdir()
        os.chown(self.dir / "mail", owner.pw_uid, group.gr_gid)
        (self.dir / "users").write_text("".join(f"{mailbox}::::::\n" for mailbox in mailboxes))
        self.configure(CONFIG.format(dir=self.dir, owner=OWNER, group=GROUP, port=self.port, settings=settings))

    def configure(self, text: str) -> None:
        """Gives it these settings, and those that it needs to be alone in its folder."""
        here = HERE.format(dir=self.dir, owner=OWNER, group=GROUP)
        (self.dir / "dovecot.conf").write_text(here + text)

    def stop(self) -> None:
        """Ends it for a while, as an init system does."""
        assert self._process is not None, "it does not run"
        self._process.terminate()
        self._process.wait(timeout=60)

    def start(self) -> None:
        """After a stop()."""
        self.__enter__()

    @property
    def socket(self) -> Path:
        """Where else it listens."""
        return self.dir / "lmtp.sock"

    def _argv(self, *options: str) -> list[str]:
        shell = ["unshare", "--mount", "sh", "-c", LAID_OVER_USR, str(ROOT)]
        return [*shell, "/usr/sbin/dovecot", "-c", str(self.dir / "dovecot.conf"), *options]

    def log(self) -> str:
        """What it has logged so far."""
        file = self.dir / "log"
        return file.read_text(errors="replace") if file.exists() else ""

    def queue(self) -> list[str]:
        """It keeps nothing for later."""
        return []

    def complaints(self) -> str:
        """What it was not content with, as a mail store; its processes end all at once, and miss each other then."""
        return "\n".join(re.findall(r".* lmtp\b.*(?:Error|Fatal|Panic): .*", self.log()))

    def mail(self, mailbox: str) -> list[bytes]:
        """The messages in a mailbox, given as an address."""
        user, _, domain = mailbox.partition("@")
        return [file.read_bytes() for file in (self.dir / "mail" / domain / user / "new").glob("*")]

    def all_mail(self) -> list[bytes]:
        """The messages in all of its mailboxes."""
        return [file.read_bytes() for file in (self.dir / "mail").glob("*/*/new/*")]
