"""A real Sendmail 8 as an office, out of the packages that script/peers has unpacked into .peers/sendmail/.

    with Sendmail("office", site_port) as office:

It holds the mail of test.example, for whose mailer connections are dear, until it is told ETRN, and delivers it to
`site_port` of this machine. Its configuration is made by its own m4 files; all of it lies in a folder of its own.

Where a machine's name has no domain, Sendmail sleeps for a minute and asks the DNS: it sees another name and another
/etc/hosts, in namespaces of its own; the machine's own are not touched.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import subprocess

from tests.here import CHECKOUT
from tests.stories.daemon import Daemon
from tests.stories.peers import GROUP, OWNER

ROOT = CHECKOUT / ".peers/sendmail"
SENDMAIL = ROOT / "usr/libexec/sendmail/sendmail"
if (ROOT / "usr/lib/sm.bin/sendmail").exists():  # up to Debian 11 and Ubuntu 22.04
    SENDMAIL = ROOT / "usr/lib/sm.bin/sendmail"
CF = ROOT / "usr/share/sendmail/cf"
ON_ITS_HOST = (
    'mount --bind "$0/hosts" /etc/hosts && mount --bind "$0/nsswitch.conf" /etc/nsswitch.conf'
    ' && cat "$0/hostname" >/proc/sys/kernel/hostname && exec "$@"'
)

CONFIG = """\
include(`{cf}/m4/cf.m4')dnl
OSTYPE(`linux')dnl
define(`confDOMAIN_NAME', `{name}.example')dnl
define(`confRUN_AS_USER', `{owner}:{group}')dnl
define(`QUEUE_DIR', `{dir}/queue')dnl
define(`confPID_FILE', `{dir}/pid')dnl
define(`STATUS_FILE', `{dir}/statistics')dnl
define(`confHOST_STATUS_DIRECTORY', `{dir}/status')dnl
define(`confSERVICE_SWITCH_FILE', `{dir}/switch')dnl
define(`confCT_FILE', `-o {dir}/trusted')dnl
define(`ALIAS_FILE', `')dnl
define(`confDONT_BLAME_SENDMAIL', `groupwritabledirpathsafe')dnl
define(`confDONT_PROBE_INTERFACES', `True')dnl
define(`confTO_IDENT', `0')dnl
define(`confCON_EXPENSIVE', `True')dnl
define(`SMTP_MAILER_FLAGS', `e')dnl
define(`ESMTP_MAILER_ARGS', `TCP $h {site_port}')dnl
FEATURE(`nocanonify')dnl
FEATURE(`no_default_msa')dnl
FEATURE(`accept_unresolvable_domains')dnl
DAEMON_OPTIONS(`Family=inet, Name=MTA, Addr=127.0.0.1, Port={port}')dnl
MAILER(`smtp')dnl
LOCAL_CONFIG
CR test.example
LOCAL_NET_CONFIG
R$* < @ test.example . > $*\t$#esmtp $@ [127.0.0.1] $: $1 < @ test.example . > $2
R$* < @ test.example > $*\t$#esmtp $@ [127.0.0.1] $: $1 < @ test.example > $2
"""


class Sendmail(Daemon):
    """One Sendmail."""

    foreground = "-bD"

    def __init__(self, name: str, site_port: int) -> None:
        super().__init__(name, ROOT, SENDMAIL)
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        for folder in ("queue", "status"):
            (self.dir / folder).mkdir(mode=0o700)
            os.chown(self.dir / folder, owner.pw_uid, group.gr_gid)
        (self.dir / "switch").write_text("hosts files\naliases files\n")
        (self.dir / "hosts").write_text(f"127.0.0.1 {name}.example {name} localhost\n")
        (self.dir / "nsswitch.conf").write_text("passwd: files\ngroup: files\nhosts: files\n")
        (self.dir / "hostname").write_text(name)
        text = CONFIG.format(
            dir=self.dir, cf=CF, name=name, owner=OWNER, group=GROUP, port=self.port, site_port=site_port
        )
        m4 = ["m4", f"-D_CF_DIR_={CF}/", "-"]
        made = subprocess.run(m4, input=text, env=self.environment, capture_output=True, text=True, check=True)
        (self.dir / "sendmail.cf").write_text(made.stdout)

    def _argv(self, *options: str) -> list[str]:
        shell = ["unshare", "--mount", "--uts", "sh", "-c", ON_ITS_HOST, str(self.dir)]
        traffic = ["-X", str(self.dir / "traffic")] if options == (self.foreground,) else []
        return [*shell, str(SENDMAIL), "-C", str(self.dir / "sendmail.cf"), *options, *traffic]

    def log(self) -> str:
        """All that has passed on its connections; it logs only to syslog."""
        file = self.dir / "traffic"
        return file.read_text(errors="replace") if file.exists() else ""

    def queue(self) -> list[str]:
        """The names of the messages that wait in it, and are not being worked at (those have a star)."""
        return re.findall(r"^(\w{14})(?!\*)\b", self.run("-bp"), re.MULTILINE)
