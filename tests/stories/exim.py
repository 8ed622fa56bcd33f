"""A real Exim 4 as an office, out of the package that script/peers has unpacked into .peers/exim/.

    with Exim("office", site_port) as office:           # takes only `#text`, as Exim does by itself
    with Exim("office", site_port, by_command=True):    # takes the domain, by smtp_etrn_command

It holds the mail of test.example until it is told ETRN, and delivers it to `site_port` of this machine. Its files lie
in a folder of its own. Debian's Exim starts only where there is a user Debian-exim: it sees one in a namespace in
which /etc/passwd has that line more; the machine's own file is not touched, no account is made.
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

ROOT = CHECKOUT / ".peers/exim"
EXIM = ROOT / "usr/sbin/exim4"
WITH_ITS_USER = 'mount --bind "$0/passwd" /etc/passwd && mount --bind "$0/group" /etc/group && exec "$@"'

CONFIG = """\
primary_hostname = {name}.example
exim_user = {owner}
exim_group = {group}
exim_path = {exim}
deliver_drop_privilege = true
spool_directory = {dir}/spool
log_file_path = {dir}/log/%slog
pid_file_path = {dir}/spool/exim.pid
local_interfaces = <; 127.0.0.1
daemon_smtp_ports = {port}
tls_advertise_hosts =
keep_environment = LD_LIBRARY_PATH
add_environment = PATH=/usr/bin:/bin
host_lookup =
rfc1413_query_timeout = 0s
recipient_unqualified_hosts =
queue_smtp_domains = test.example
acl_smtp_rcpt = rcpt
acl_smtp_etrn = etrn
{command}
begin acl
rcpt:
  accept domains = test.example
  deny   message = relay not permitted
etrn:
{condition}  accept hosts = 127.0.0.1
begin routers
site:
  driver = manualroute
  domains = test.example
  transport = site
  route_data = 127.0.0.1
  self = send
begin transports
site:
  driver = smtp
  port = {site_port}
  hosts_try_fastopen =
begin retry
* * F,2h,5m; F,4d,1h
"""
# What was typed is tainted (Exim 4.94 and later): only a value out of a file of its own may stand in a command.
HELD_ONLY = """\
  deny   message = 459 not a domain that is held here
         condition = ${if !match_domain{$smtp_command_argument}{test.example}}
"""
COMMAND = "smtp_etrn_command = {exim} -C {dir}/exim.conf -R ${{lookup{{$domain}}lsearch{{{dir}/held}}{{$value}}fail}}"


class Exim(Daemon):
    """One Exim. With `by_command` a domain may be asked for, else only the `#text` form."""

    foreground = "-bdf"

    def __init__(self, name: str, site_port: int, *, by_command: bool = False) -> None:
        super().__init__(name, ROOT, EXIM)
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        for folder in ("spool", "log"):
            (self.dir / folder).mkdir()
            os.chown(self.dir / folder, owner.pw_uid, group.gr_gid)
        user = f"Debian-exim:x:{owner.pw_uid}:{group.gr_gid}::/nonexistent:/usr/sbin/nologin\n"
        (self.dir / "passwd").write_text(Path("/etc/passwd").read_text() + user)
        (self.dir / "group").write_text(Path("/etc/group").read_text() + f"Debian-exim:x:{group.gr_gid}:\n")
        (self.dir / "held").write_text("test.example: test.example\n")
        (self.dir / "exim.conf").write_text(
            CONFIG.format(
                dir=self.dir,
                exim=EXIM,
                name=name,
                owner=OWNER,
                group=GROUP,
                port=self.port,
                site_port=site_port,
                command=COMMAND.format(exim=EXIM, dir=self.dir) if by_command else "",
                condition=HELD_ONLY if by_command else "",
            )
        )

    def _argv(self, *options: str) -> list[str]:
        shell = ["unshare", "--mount", "sh", "-c", WITH_ITS_USER, str(self.dir)]
        return [*shell, str(EXIM), "-C", str(self.dir / "exim.conf"), *options]

    def complaints(self) -> str:
        """Its panic log."""
        file = self.dir / "log/paniclog"
        return file.read_text() if file.exists() else ""

    def log(self) -> str:
        """Its main log."""
        file = self.dir / "log/mainlog"
        return file.read_text(errors="replace") if file.exists() else ""

    def queue(self) -> list[str]:
        """The names of the messages that wait in it."""
        return re.findall(r" (\w{6}-\w+-\w{2,4}) <", self.run("-bpru"))
