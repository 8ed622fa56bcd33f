r"""Real programs as peers, out of the packages that script/peers has unpacked into .peers/.

    with Postfix("site", "virtual_mailbox_domains = test.example\n...") as site:
        ...                                 # listens at 127.0.0.1:site.port; site.mail("anna") is what it delivered
    fetchmail(port, "test.example", folder=tmp_path)    # asks for mail by ETRN, as a site's crontab does
    swaks(...), smtp_source(...)                        # put mail in
    nmap(port, "smtp-open-relay")                       # looks for weak places

Each Postfix lives in a folder of its own under the system's temporary folder, on a high port, logs to its own file, and
knows nothing of an installed one. Its daemons run as `uucp` with the group `news`, which every Debian has and nobody
uses: no account is made. Starting one needs root; all else here does not.
"""

from __future__ import annotations

import grp
import os
import pwd
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

from tests.here import PEERS, not_here
from tests.stories.ports import free_port, wait_for_port

# An unpacked library of the C language is found only so; those of Perl are here where the machine has no full Perl.
LIBRARIES = [
    PEERS / "usr/lib/postfix",
    *(folder for where in ("lib", "usr/lib") for folder in PEERS.glob(f"{where}/*-linux-gnu*")),
    *PEERS.glob("usr/lib/*-linux-gnu*/blas"),
]
PERL = [
    PEERS / "usr/share/perl5",
    *PEERS.glob("usr/share/perl/5.*"),
    *(folder for kind in ("perl", "perl5") for folder in PEERS.glob(f"usr/lib/*-linux-gnu*/{kind}/5.*")),
]
ENVIRONMENT = {
    "PATH": f"/usr/sbin:/usr/bin:/sbin:/bin:{PEERS}/usr/bin",
    "LANG": "C",
    "LD_LIBRARY_PATH": ":".join(map(str, LIBRARIES)),
    "PERL5LIB": ":".join(map(str, PERL)),
}
OWNER, GROUP = "uucp", "news"
QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush", "hold"),
    *("incoming", "maildrop", "pid", "private", "public", "saved", "trace"),
)

MAIN_CF = """\
compatibility_level = 3.6
config_directory = {dir}/conf
queue_directory = {dir}/spool
data_directory = {dir}/data
daemon_directory = {root}/usr/lib/postfix/sbin
command_directory = {root}/usr/sbin
shlib_directory = {root}/usr/lib/postfix
meta_directory = {root}/etc/postfix
sendmail_path = {root}/usr/sbin/sendmail
newaliases_path = {root}/usr/bin/newaliases
mailq_path = {root}/usr/bin/mailq
import_environment = MAIL_CONFIG MAIL_LOGTAG TZ LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME LD_LIBRARY_PATH
maillog_file = {dir}/maillog
maillog_file_prefixes = {dir}
mail_owner = {owner}
setgid_group = {group}
default_privs = nobody
myhostname = {name}.example
mydestination =
alias_maps =
alias_database =
local_recipient_maps =
inet_interfaces = {interfaces}
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
smtpd_peername_lookup = no
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtp_tls_security_level = none
append_dot_mydomain = no
biff = no
smtputf8_enable = yes
local_header_rewrite_clients =
message_drop_headers =
disable_mime_input_processing = yes
mailbox_size_limit = 0
virtual_mailbox_limit = 0
virtual_mailbox_base = {dir}/mail
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
{settings}
"""

MASTER_CF = """\
{address}:{port} inet n - n - - smtpd
pickup     unix  n - n 60    1 pickup
cleanup    unix  n - n -     0 cleanup
qmgr       unix  n - n 300   1 qmgr
tlsmgr     unix  - - n 1000? 1 tlsmgr
rewrite    unix  - - n -     - trivial-rewrite
bounce     unix  - - n -     0 bounce
defer      unix  - - n -     0 bounce
trace      unix  - - n -     0 bounce
verify     unix  - - n -     1 verify
flush      unix  n - n 1000? 0 flush
proxymap   unix  - - n -     - proxymap
proxywrite unix  - - n -     1 proxymap
smtp       unix  - - n -     - smtp
relay      unix  - - n -     - smtp
hold       unix  - - n -     - smtp
lmtp       unix  - - n -     - lmtp
showq      unix  n - n -     - showq
error      unix  - - n -     - error
retry      unix  - - n -     - error
discard    unix  - - n -     - discard
virtual    unix  - n n -     - virtual
anvil      unix  - - n -     1 anvil
scache     unix  - - n -     1 scache
postlog    unix-dgram n - n - 1 postlogd
"""


def run(
    *argv: str | Path, status: int | None = 0, timeout: float = 60, home: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs one of the unpacked programs to its end. `status`: the exit status that it must have (None: any).

    `home`: for one that wants a home, which who runs the tests need not have.
    """
    done = subprocess.run(
        [str(part) for part in argv],
        env=ENVIRONMENT if home is None else {**ENVIRONMENT, "HOME": str(home)},
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    assert status is None or done.returncode == status, f"{argv}\n{done.stdout}\n{done.stderr}"
    return done


class Postfix:
    """One Postfix. `settings` are lines of main.cf that say what it is; give a port if a peer must know it before.
    It listens on loopback or at `address`, or with `everywhere` on all addresses (of a network namespace).

    Its master is started as such, and not by `postfix start`, whose scripts expect an installed package around them.
    """

    def __init__(
        self, name: str, settings: str, *, port: int = 0, everywhere: bool = False, address: str = "127.0.0.1"
    ) -> None:
        if os.geteuid() != 0:
            not_here("Postfix must be started by root")
        self.name = name
        self.port = port or free_port()
        self.address = "127.0.0.1" if everywhere else address
        listens = "0.0.0.0" if everywhere else address
        self.dir = Path(tempfile.mkdtemp(prefix=f"restante-peer-{name}-"))
        self.dir.chmod(0o755)
        owner, group = pwd.getpwnam(OWNER), grp.getgrnam(GROUP)
        for folder in ("conf", "data", "mail", "spool", *(f"spool/{queue}" for queue in QUEUES)):
            (self.dir / folder).mkdir(mode=0o755)
            if folder not in ("conf", "spool", "spool/pid"):
                os.chown(self.dir / folder, owner.pw_uid, group.gr_gid)
        (self.dir / "conf/main.cf").write_text(
            MAIN_CF.format(
                dir=self.dir,
                root=PEERS,
                name=name,
                owner=OWNER,
                group=GROUP,
                uid=owner.pw_uid,
                gid=owner.pw_gid,
                interfaces="127.0.0.1" if listens == "127.0.0.1" else "all",
                settings=settings,
            )
        )
        (self.dir / "conf/master.cf").write_text(MASTER_CF.format(address=listens, port=self.port))
        long_ago = time.time() - 3600  # Postfix waits two seconds for a main.cf that looks as if it was being edited
        os.utime(self.dir / "conf/main.cf", (long_ago, long_ago))
        self._master: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        argv = [str(PEERS / "usr/lib/postfix/sbin/master"), "-c", str(self.dir / "conf"), "-d"]
        with (self.dir / "output").open("wb") as output:
            self._master = subprocess.Popen(
                argv, env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
        try:
            wait_for_port(self.port, self.address)
        except TimeoutError as problem:
            problem.add_note(self.log() + (self.dir / "output").read_text())
            self.__exit__(type(problem), problem, None)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        assert self._master is not None, "it does not run"
        self._master.terminate()  # it ends its processes, too
        self._master.wait(timeout=60)
        complaints = re.findall(r".* (?:fatal|panic|error): .*", self.log())
        shutil.rmtree(self.dir, ignore_errors=True)
        assert error is not None or not complaints, f"{self.name} says {complaints}"

    def log(self) -> str:
        """What it has logged so far."""
        file = self.dir / "maillog"
        return file.read_text(errors="replace") if file.exists() else ""

    def queue(self) -> list[str]:
        """The names of the messages that wait in it."""
        shown = run(PEERS / "usr/sbin/postqueue", "-c", self.dir / "conf", "-j").stdout
        return re.findall(r'"queue_id": "(\w+)"', shown)

    def mail(self, mailbox: str) -> list[bytes]:
        """The messages in one of its Maildirs, by time of arrival, as it stored them (line ends are LF)."""
        files = sorted((self.dir / "mail" / mailbox / "new").glob("*"), key=lambda file: file.stat().st_mtime_ns)
        return [file.read_bytes() for file in files]

    def count(self) -> int:
        """How many messages lie in all of its Maildirs."""
        return sum(1 for _ in (self.dir / "mail").glob("*/new/*"))

    def wait_for_mail(self, messages: int, *, timeout: float = 90) -> None:
        """Returns once its Maildirs hold so many messages, fails when they do not in time."""
        end = time.monotonic() + timeout
        while self.count() < messages:
            assert time.monotonic() < end, f"{self.count()} of {messages} messages came to {self.name}\n{self.log()}"
            time.sleep(0.05)


def smtp_source(port: int, recipient: str, *options: str, messages: int, address: str = "127.0.0.1") -> None:
    """Puts `messages` messages in with Postfix's own load generator (see smtp-source(1) for options)."""
    run(
        *(PEERS / "usr/sbin/smtp-source", "-m", str(messages), "-t", recipient),
        *("-f", "load@elsewhere.example", *options, f"inet:{address}:{port}"),
        timeout=120,
    )


def swaks(port: int, *options: str | Path, status: int | None = 0) -> str:
    """Runs swaks against a port of this machine; what it printed, the whole conversation."""
    return run(PEERS / "usr/bin/swaks", "--server", "127.0.0.1", "--port", str(port), *options, status=status).stdout


def nmap(port: int, script: str, *arguments: str) -> str:
    """What one of nmap's scripts finds at a port of this machine; it comes from 127.0.0.1."""
    return run(
        *(PEERS / "usr/bin/nmap", "-sT", "-Pn", "-n", "-p", str(port), "--datadir", PEERS / "usr/share/nmap"),
        *("--script", f"+{script}", "--script-args", ",".join(arguments), "127.0.0.1"),
        timeout=100,
    ).stdout


def fetchmail(port: int, *domains: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs fetchmail once, as a site that asks the office at `port` for `domains` by ETRN; its files go to `folder`."""
    return run(
        *(PEERS / "usr/bin/fetchmail", "-f", "/dev/null", "--nodetach", "--pidfile", folder / "fetchmail.pid", "-v"),
        *("-p", "ETRN", "--service", str(port), "--fetchdomains", ",".join(domains), "127.0.0.1"),
        status=None,
        home=folder,
    )


def fetchmail_odmr(
    port: int, site_port: int, *domains: str, user: str, secret: str, folder: Path
) -> subprocess.CompletedProcess[str]:
    """Runs fetchmail once, as a customer that has its mail from the office at `port` by ATRN, and hands what it is
    told on to the server at `site_port`; its files go to `folder`.
    """
    control = folder / "fetchmailrc"
    control.write_text(
        f'poll 127.0.0.1 proto ODMR service {port} user "{user}" password "{secret}" '
        f"fetchdomains {','.join(domains)} smtphost 127.0.0.1/{site_port}\n"
    )
    control.chmod(0o700)
    return run(
        *(PEERS / "usr/bin/fetchmail", "-f", control, "--nodetach", "--pidfile", folder / "fetchmail.pid", "-v"),
        status=None,
        home=folder,
    )
