"""From a file to Settings, or to every problem in it; and from Settings to what the other rooms are built of.

A file is read in two steps. First each value by itself; what is wrong is noted and left out, so that the second step,
what keys must be true of each other (config/checks.py), still sees the rest. Nothing is kept of a file with a problem.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from restante.calls.plan import CallPlan
from restante.calls.window import Schedule
from restante.calls.zone import local_zone
from restante.config import checks
from restante.config.forms import MISFIT
from restante.config.problems import HIDDEN, NOTHING, ConfigError, Problem, kind_of, shown, write_key
from restante.config.settings import ACTIONS, SECTIONS, Call, Deliver, Domain, Hold, Reject, Section, Settings
from restante.config.words import parse_entry_name
from restante.directory.entries import EVERY_OTHER, Delivered, Directory, Entry, Held, Rejected, Relayed

__all__ = ["ConfigError", "Problem", "directory_of", "find_config", "load", "plans_of"]

VARIABLE = "RESTANTE_CONFIG"
LOCAL = Path("restante.toml")
SYSTEM = Path("/etc/restante/restante.toml")

Path_ = tuple[str | int, ...]
"""Keys from the file's top, as the file has them."""

_STAND_INS = {"hostname": "localhost", "data": "data"}
_TOML_PLACE = re.compile(r"(.*) \(at (line \d+, column \d+|end of document)\)", re.DOTALL)
_TABLES = {"listen": "a table that begins with [[listen]]"}


def find_config(explicit: Path | None, environ: Mapping[str, str], system: Path = SYSTEM) -> Path:
    """The file to load: what was named, `$RESTANTE_CONFIG`, `./restante.toml`, the system's.

    Raises ConfigError where none was named and none of the others is there.
    """
    if explicit is not None:
        return explicit
    if named := environ.get(VARIABLE):
        return Path(named)
    for file in (LOCAL, system):
        try:
            file.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError:
            pass  # it is there, and load() will say what is the matter with it
        return file
    tried = f"no configuration: neither --config nor ${VARIABLE} names one, and there is no ./{LOCAL} and no {system}"
    raise ConfigError((Problem(LOCAL, "", tried, "one of these"),))


def load(file: Path) -> Settings:
    """The settings in a file. Raises ConfigError with every problem in it."""
    return _Reading(file, _read(file)).settings()


def _read(file: Path) -> dict[str, Any]:
    """The file's tables. Raises ConfigError."""
    try:
        return tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise _unreadable(file, "", f"a file that cannot be read ({error.strerror})", "a file in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, f"line {line}", "an octet that is not UTF-8", "text in UTF-8") from None
    except RecursionError:
        raise _unreadable(file, "", "lists or tables that are nested too deep", "TOML") from None
    except ValueError as error:
        place = _TOML_PLACE.fullmatch(str(error))
        what, where = place.groups() if place else (str(error), "")
        raise _unreadable(file, where, f"what is not TOML ({what[:1].lower()}{what[1:]})", "TOML") from None


def _unreadable(file: Path, key: str, found: str, allowed: str) -> ConfigError:
    return ConfigError((Problem(file, key, found, allowed),))


class _Reading:
    """One file on its way to Settings: what is wrong with it so far, and where."""

    def __init__(self, file: Path, tables: dict[str, Any]) -> None:
        self._file = file
        self._tables = tables
        self._context = {"folder": file.absolute().parent}
        self._problems: list[Problem] = []
        self._unsound: set[Path_] = set()

    def settings(self) -> Settings:
        """Raises ConfigError."""
        settings = self._validated()
        self._spellings()
        for finding in checks.findings(settings, self._is_sound):
            self._problems.append(Problem(self._file, write_key(finding.path), finding.found, finding.allowed))
        if self._problems:
            raise ConfigError(tuple(self._problems))
        return settings

    def _validated(self) -> Settings:
        """What could be read; the first round notes what could not, further ones only leave out what lacks it."""
        rest = self._tables
        is_first = True
        while True:
            try:
                return Settings.model_validate(rest, context=self._context)
            except ValidationError as error:
                details = error.errors(include_url=False)
            if is_first:
                for detail in details:
                    self._note(detail)
            is_first = False
            rest = _without(rest, details)

    def _note(self, detail: ErrorDetails) -> None:
        path = _path(self._tables, detail)
        self._unsound.add(_plain(path))
        context = detail.get("ctx", {})
        if detail["type"] == MISFIT and "problems" in context:
            self._problems.extend(context["problems"])
            return
        if detail["type"] == MISFIT:
            found, allowed = context["found"], context["allowed"]
        else:
            found, allowed = _in_plain_words(detail, path)
        self._problems.append(Problem(self._file, write_key(path), found, allowed))

    def _spellings(self) -> None:
        """One domain that is written in two ways: which of the tables is meant?"""
        domains = self._tables.get("domains")
        first: dict[str, str] = {}
        for written in domains if isinstance(domains, dict) else ():
            name = _plain(("domains", written))[1]
            if (other := first.setdefault(str(name), written)) != written:
                found = f"another spelling of {shown(other)}"
                self._problems.append(Problem(self._file, write_key(("domains", written)), found, "each domain once"))

    def _is_sound(self, *path: str | int) -> bool:
        return not any(wrong[: len(path)] == path or path[: len(wrong)] == wrong for wrong in self._unsound)


def _plain(path: Path_) -> Path_:
    """A path with a domain's name as the settings have it."""
    if len(path) < 2 or path[0] != "domains":
        return path
    try:
        return (path[0], parse_entry_name(str(path[1])), *path[2:])
    except ValueError:
        return path


def _path(tables: Mapping[str, Any], detail: ErrorDetails) -> Path_:
    """Where an error is, as the file has it: without pydantic's marks for a union's arm and for a name."""
    parts = list(detail["loc"])
    if detail["type"] == MISFIT and parts[-1] == "[key]":
        parts.pop()
    if parts[0] == "domains" and len(parts) > 2:
        del parts[2]
    if detail["type"].startswith("union_tag"):
        parts.append("action")
    path: list[str | int] = []
    value: Any = tables
    for part in parts:
        if isinstance(part, int) and not isinstance(value, list):
            break  # a single value where there may be a list
        path.append(part)
        value = value[part] if isinstance(part, int) else value.get(part, {}) if isinstance(value, dict) else {}
    return tuple(path)


def _without(tables: dict[str, Any], details: list[ErrorDetails]) -> dict[str, Any]:
    """A copy that lacks what is wrong, and the tables that cannot be without it; the top has stand-ins."""
    rest: dict[str, Any] = _copy(tables)
    wrong = {_path(tables, detail)[: -1 if _takes_table_along(detail) else None] for detail in details}
    for path in sorted(wrong, key=lambda path: [str(part).zfill(9) for part in path], reverse=True):
        *above, last = path or (None,)
        holder: Any = rest
        for part in above:
            holder = holder[part]
        if last is not None:
            del holder[last]
    return _STAND_INS | rest


def _takes_table_along(detail: ErrorDetails) -> bool:
    return detail["type"] == "missing" or detail["type"].startswith("union_tag")


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(one) for name, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list) else value


def _in_plain_words(detail: ErrorDetails, path: Path_) -> tuple[str, str]:
    """What was found and what is allowed, for the errors that no form gives."""
    value = detail["input"]
    match detail["type"]:
        case "missing":
            form = _section(detail["loc"]).form_of(str(path[-1]))
            assert form is not None, path
            return NOTHING, form.allowed
        case "extra_forbidden":
            return _unknown(detail, str(path[-1]))
        case "union_tag_not_found" | "union_tag_invalid":
            tag = value.get("action")
            found = f"{NOTHING}{_meant(path[:-1], value)}" if tag is None else _shown_tag(tag)
            return found, _listed(ACTIONS)
        case _:  # model_type, dict_type, tuple_type: not the kind of table that it must be
            found = f"{HIDDEN} ({kind_of(value)})" if path[0] == "users" else shown(value, with_kind=True)
            return found, _TABLES.get(str(path[0]), f"a table that begins with [{write_key(path)}]")


def _shown_tag(tag: object) -> str:
    return shown(tag, with_kind=not isinstance(tag, str))


def _meant(path: Path_, value: dict[str, Any]) -> str:
    """A domain's name without quotes is a table for each label."""
    labels = [str(path[-1])]
    while "action" not in value:
        inside = next(((name, one) for name, one in value.items() if isinstance(one, dict)), None)
        if inside is None:
            return ""
        labels.append(inside[0])
        value = inside[1]
    return f" (did you mean [{write_key(('domains', '.'.join(labels)))}]?)"


def _unknown(detail: ErrorDetails, key: str) -> tuple[str, str]:
    section = _section(detail["loc"])
    known = section.by_key()
    others = [action for action, other in ACTIONS.items() if key in other.by_key()]
    if section in ACTIONS.values() and others:
        found = (
            f"a key that only {' and '.join(others)} has" if len(others) == 1 else f"a key of {' and '.join(others)}"
        )
    else:
        close = difflib.get_close_matches(key, known, n=1)
        found = f"an unknown key (did you mean {close[0]}?)" if close else "an unknown key"
    return found, ", ".join(known)


def _section(loc: Path_) -> type[Section]:
    """The model of the table that an error is in."""
    if len(loc) == 1:
        return Settings
    return ACTIONS[str(loc[2])] if loc[0] == "domains" else SECTIONS[str(loc[0])]


def _listed(words: Mapping[str, object]) -> str:
    *most, last = [f'"{word}"' for word in words]
    return f"{', '.join(most)} or {last}"


def directory_of(settings: Settings) -> Directory:
    """What this host knows of domains, and who may relay."""
    entries = [_entry(name, domain) for name, domain in settings.domains.items()]
    return Directory(settings.hostname, entries, settings.relay.networks)


def _entry(name: str, domain: Domain) -> Entry:
    if isinstance(domain, Hold):
        return Held(
            name,
            domain.next_hop,
            grants=domain.release_from,
            group=domain.group,
            order=domain.order,
            counts=domain.counts,
            etrn_empty=domain.etrn_empty,
            recipients=domain.recipients,
            tls=domain.tls,
        )
    if isinstance(domain, Deliver):
        users = None if domain.users is None else frozenset(domain.users)
        return Delivered(name, users, dict(_users_of_aliases(domain)), _postmaster(domain))
    if isinstance(domain, Reject):
        return Rejected(name, domain.text)
    return Relayed(name, domain.next_hop, domain.tls)


def _users_of_aliases(domain: Deliver) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Each alias with the users at its ends, so that nobody who delivers has to follow it."""
    users: dict[str, tuple[str, ...]] = {}
    for name in checks.ends_first(domain.aliases):
        if name in domain.aliases:
            users[name] = tuple(dict.fromkeys(u for t in domain.aliases[name] for u in users.get(t, (t,))))
    return ((alias, users[alias]) for alias in domain.aliases)


def _postmaster(domain: Deliver) -> str:
    """The user who reads postmaster's mail (RFC 5321 §4.5.1)."""
    if domain.postmaster is not None:
        return domain.postmaster
    users = domain.users
    if users is None or checks.POSTMASTER in users or checks.POSTMASTER in domain.aliases:
        return checks.POSTMASTER
    return users[0]


def plans_of(settings: Settings) -> tuple[CallPlan, ...]:
    """The calls that this host makes; schedules are read in the machine's time zone."""
    return tuple(_plan(name, call, settings) for name, call in settings.calls.items())


def _plan(name: str, call: Call, settings: Settings) -> CallPlan:
    flush = tuple(settings.held) if EVERY_OTHER in call.flush else call.flush
    return CallPlan(
        name,
        call.host,
        domains=call.domains,
        schedule=Schedule.parse(call.schedule, local_zone()),
        on_link_up="link-up" in call.on,
        window=call.window,
        idle=call.idle,
        before=call.before,
        after=call.after,
        hook_limit=call.hook_timeout,
        flush=flush,
        tls=call.tls,
    )
