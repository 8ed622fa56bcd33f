"""The documented sample and the manual of all keys, both made from the settings' own fields.

sample() is a file that loads as it stands; what is behind a `#` without a space is a key with its default, or an
example of one that has none. manual() is docs/configuration.md; a test holds them equal.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, get_args

from restante.config.meanings import meaning_of
from restante.config.problems import write_value
from restante.config.settings import (
    Admin,
    Alarms,
    Call,
    Deliver,
    Dns,
    Filter,
    Hold,
    LimitsSettings,
    Listen,
    MayRelay,
    Reject,
    Relay,
    Section,
    Settings,
    Tls,
    User,
)

WIDTH = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One table of the sample and of the manual. Keys that are not in `values` stand behind a `#` in the sample."""

    header: str
    section: type[Section]
    values: Mapping[str, Any] = field(default_factory=dict)
    is_active: bool = True
    """Whether the table is in force in the sample."""


PARTS = (
    Part("", Settings, {"hostname": "office.example", "data": "/var/lib/restante"}),
    Part("[[listen]]", Listen, {"address": "0.0.0.0:25"}),
    Part("[tls]", Tls),
    Part("[limits]", LimitsSettings),
    Part(
        '[domains."test.example"]',
        Hold,
        {"action": "hold", "next_hop": "192.0.2.25", "release_from": ["192.0.2.25"]},
    ),
    Part('[domains."localtest.example"]', Deliver, {"action": "deliver", "users": ["anna", "bert", "postmaster"]}),
    Part('[domains."old.example"]', Reject, {"action": "reject"}),
    Part('[domains."*"]', Relay, {"action": "relay", "next_hop": "smarthost.example"}),
    Part("[relay]", MayRelay, {"from": ["127.0.0.0/8"]}),
    Part("[calls.office]", Call, is_active=False),
    Part("[users.test]", User, is_active=False),
    Part("[dns]", Dns),
    Part("[filter]", Filter, is_active=False),
    Part("[alarms]", Alarms),
    Part("[admin]", Admin, is_active=False),
)

_SAMPLE_HEAD = """\
# The configuration of restante, with every key that there is. `restante check` says whether it is in order.
#
# A line that begins with # and no space is a key that is not set: behind it stands its default, or an example where it
# has none. Durations are 30s, 10m, 2h, 5d, 1w; sizes 512KB, 25MB, 2GB (1 KB is 1024 octets); paths are relative to
# this file's folder.
"""

_MANUAL_HEAD = """\
# The configuration

restante reads one file in [TOML](https://toml.io): what `--config` names, else what `$RESTANTE_CONFIG` names, else
`./restante.toml`, else `/etc/restante/restante.toml`. `restante check` says whether a file is in order.
`restante reload`, or SIGHUP, reads it again; a file with a problem changes nothing. All problems are told at once, one
a line:

    restante.toml: domains."test.example".next_hop: found 'a b', allowed: host, host:port or [v6]:port, or "caller"

- A duration is a whole number and a unit: `30s`, `10m`, `2h`, `5d`, `1w`.
- A size is a whole number and a unit: `512KB`, `25MB`, `2GB`, where 1 KB is 1024 octets; without a unit it is octets.
- A host with a port is `host:port` or `[v6]:port`; without one the port is 25, or that of the service.
- A path is relative to the folder of the file.
- A domain may be written in any case and in any script; it is compared as an A-label in lower case.

A domain has a table of its own, `[domains."test.example"]`, whose `action` says which of four kinds it is; each kind
has keys of its own. `[domains."*"]` is for all domains that have none.

Users and domains may also be kept in the store, in `directory.db` in the data folder, by `restante user` and `restante
domain` (`add`, `set`, `remove`, `list`, `import`), with the same keys; the file wins where both name one. A server sees
a change within a second. A row that is not in order is told in the log, and skipped. `import` reads JSON lines, each an
object with `name` and keys, or CSV with `name` and keys in its heading, where a list has spaces between its values:

    name,action,next_hop,release_from
    test.example,hold,192.0.2.25,192.0.2.25 user:test
"""


def sample() -> str:
    """A commented file that has every key and loads as it stands."""
    return "\n".join([_SAMPLE_HEAD, *map(_sample_part, PARTS)])


def _sample_part(part: Part) -> str:
    mark = "" if part.is_active else "#"
    lines = [] if part.section is Settings else [*_remark(_summary(part.section)), f"{mark}{part.header}"]
    for key in _keys(part.section):
        lines += _remark(
            f"{meaning_of(part.section, key)} ({_kind(part.section, key)}; {_default_words(part.section, key)})"
        )
        value = part.values[key] if key in part.values else _example(part.section, key)
        lines.append(f"{'' if key in part.values else '#'}{key} = {write_value(value)}")
    return "\n".join(lines) + "\n"


def manual() -> str:
    """docs/configuration.md."""
    return "\n".join([_MANUAL_HEAD, *map(_manual_part, PARTS)])


def _manual_part(part: Part) -> str:
    title = "The top of the file" if part.section is Settings else f"`{part.header}`"
    if "action" in part.section.model_fields:
        title += f", `action = {write_value(part.values['action'])}`"
    lines = [f"## {title}", ""]
    if part.section is not Settings:
        lines += [*textwrap.wrap(_summary(part.section), WIDTH), ""]
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    for key in _keys(part.section):
        cells = [f"`{key}`", _kind(part.section, key), _default(part.section, key), meaning_of(part.section, key)]
        assert not any("|" in cell for cell in cells), cells
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _summary(section: type[Section]) -> str:
    assert section.__doc__ is not None, section
    return " ".join(section.__doc__.split())


def _remark(text: str) -> Iterator[str]:
    return (f"# {line}" for line in textwrap.wrap(text, WIDTH, break_on_hyphens=False))


def _keys(section: type[Section]) -> list[str]:
    """Those that have a value of their own, not a table."""
    return [key for key in section.by_key() if key == "action" or section.form_of(key) is not None]


def _kind(section: type[Section], key: str) -> str:
    form = section.form_of(key)
    return form.kind if form is not None else write_value(*get_args(section.model_fields[key].annotation))


def _default(section: type[Section], key: str) -> str:
    """For the manual: the default as TOML has it, `required`, or `none`."""
    if section.model_fields[section.by_key()[key]].is_required():
        return "required"
    default = _default_value(section, key)
    return "none" if default is None else f"`{write_value(default)}`"


def _default_words(section: type[Section], key: str) -> str:
    default = _default(section, key).strip("`")
    return {"required": "required", "none": "no default"}.get(default, f"default: {default}")


def _default_value(section: type[Section], key: str) -> Any:
    """The default as TOML has it; None where there is none, or nothing in it."""
    info, form = section.model_fields[section.by_key()[key]], section.form_of(key)
    if form is None or info.is_required() or info.default in (None, "", (), {}):
        return None
    return form.write(info.default)


def _example(section: type[Section], key: str) -> Any:
    """The default as TOML has it, or an example where there is none."""
    form, default = section.form_of(key), _default_value(section, key)
    assert form is not None, key
    return form.example if default is None else default
