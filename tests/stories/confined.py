"""Runs a program under what a systemd unit forbids, by the kernel's own means, where no systemd runs.

    python confined.py UNIT FOLDER PROGRAM ARGUMENT...

Of the unit's [Service] these are put in force: ProtectSystem (all but FOLDER is read-only, /tmp too),
CapabilityBoundingSet, NoNewPrivileges, UMask, RestrictAddressFamilies, SystemCallFilter (by the names that
systemd-analyze gives for its sets). Its user is not: files of a checkout may be root's. Needs root, libseccomp and
systemd-analyze, which come with systemd; nothing outside the process's own namespace changes.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS = 0x00020000
MS_RDONLY, MS_REMOUNT, MS_BIND, MS_REC, MS_PRIVATE = 1, 1 << 5, 1 << 12, 1 << 14, 1 << 18
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 24, 38
LAST_CAPABILITY = Path("/proc/sys/kernel/cap_last_cap")
CAPABILITIES = {"CAP_NET_BIND_SERVICE": 10}
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # SCMP_ACT_ALLOW, SCMP_ACT_ERRNO
EQUAL = 4  # SCMP_CMP_EQ

libc = ctypes.CDLL(None, use_errno=True)


class Comparison(ctypes.Structure):
    """libseccomp's struct scmp_arg_cmp."""

    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


def settings_of(unit: Path) -> dict[str, list[str]]:
    """The values of each key of [Service]; one that is there twice has several."""
    section = unit.read_text().partition("[Service]\n")[2].partition("\n[")[0]
    found: dict[str, list[str]] = {}
    for key, value in re.findall(r"^(\w+)=(.*)$", section, re.MULTILINE):
        found.setdefault(key, []).append(value)
    return found


def checked(result: int, what: str) -> None:
    """Raises OSError where a call of the C library failed."""
    if result != 0:
        raise OSError(ctypes.get_errno(), f"{what}: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: Path | str, flags: int, kind: str | None = None) -> None:
    """Mounts, or changes how something is mounted. Raises OSError."""
    arguments = [os.fsencode(text) if text is not None else None for text in (source, str(target), kind)]
    checked(libc.mount(*arguments, ctypes.c_ulong(flags), None), f"mount {target}")


def keep_from_writing(writable: Path) -> None:
    """All is read-only but one folder, and what the kernel shows in /proc, /dev and /sys."""
    checked(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", MS_REC | MS_PRIVATE)
    mount(str(writable), writable, MS_BIND)
    for line in Path("/proc/self/mounts").read_text().splitlines():
        target = line.split(" ")[1].encode().decode("unicode_escape")
        kept = any(target == name or target.startswith(f"{name}/") for name in ("/proc", "/dev", "/sys", str(writable)))
        if not kept:
            mount("none", target, MS_BIND | MS_REMOUNT | MS_RDONLY)


def drop_capabilities(kept: Iterable[str]) -> None:
    """Takes them out of the bounding set: nothing that is executed from here on has them."""
    numbers = {CAPABILITIES[name] for name in kept}
    for number in range(int(LAST_CAPABILITY.read_text()) + 1):
        if number not in numbers:
            checked(libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")


def system_calls(filters: Iterable[str]) -> set[str]:
    """The names that a unit's SystemCallFilter lines leave."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    sets: dict[str, list[str]] = {}
    for line in filter(None, shown.splitlines()):
        if line.startswith("@"):
            members = sets[line] = []
        elif line.startswith("    ") and not line.lstrip().startswith("#"):
            members.append(line.strip())

    def expanded(word: str) -> set[str]:
        """The system calls of a set, and of the sets in it."""
        return {name for member in sets[word] for name in expanded(member)} if word.startswith("@") else {word}

    names: set[str] = set()
    for line in filters:
        found = {name for word in line.removeprefix("~").split() for name in expanded(word)}
        names = names - found if line.startswith("~") else names | found
    return names


def filter_calls(names: set[str], families: Iterable[str]) -> None:
    """Every other system call, and sockets of other families, fail with EPERM."""
    seccomp = ctypes.CDLL("libseccomp.so.2")
    seccomp.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(seccomp.seccomp_init(ctypes.c_uint32(REFUSE | errno.EPERM)))
    for name in sorted(names - {"socket"}):
        number = seccomp.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # others are of other machines
            seccomp.seccomp_rule_add(context, ctypes.c_uint32(ALLOW), number, 0)
    number = seccomp.seccomp_syscall_resolve_name(b"socket")
    for family in families:
        is_family = Comparison(0, EQUAL, getattr(socket, family), 0)
        added = seccomp.seccomp_rule_add_array(context, ctypes.c_uint32(ALLOW), number, 1, ctypes.byref(is_family))
        assert added == 0, added
    loaded = seccomp.seccomp_load(context)
    assert loaded == 0, loaded


def main(unit: Path, writable: Path, argv: list[str]) -> None:
    """Puts it in force and becomes the program."""
    settings = settings_of(unit)
    assert settings["ProtectSystem"] == ["strict"]
    assert settings["NoNewPrivileges"] == ["yes"]
    names = system_calls(settings["SystemCallFilter"])
    os.umask(int(settings["UMask"][0], 8))
    keep_from_writing(writable)
    drop_capabilities(settings["CapabilityBoundingSet"][0].split())
    checked(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    filter_calls(names, settings["RestrictAddressFamilies"][0].split())
    os.execv(argv[0], argv)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
