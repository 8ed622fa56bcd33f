"""One of bench.parsers' targets under atheris, in a process of its own, which atheris ends.

    python -m bench.one_parser NAME SECONDS CORPUS

What is imported here is instrumented, so that the fuzzer is led by the lines that an input reaches.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

atheris = importlib.import_module("atheris")  # it has no types, and mypy runs where it is not installed, too

with atheris.instrument_imports(include=["restante"]):
    from bench.parsers import TARGETS

MOST_OCTETS = 8192
SECONDS_FOR_ONE = 5


def main(argv: Sequence[str]) -> None:
    """Does not return."""
    name, seconds, corpus = argv
    options = ["-print_final_stats=1", "-rss_limit_mb=500", "-verbosity=0"]
    limits = [f"-max_total_time={seconds}", f"-timeout={SECONDS_FOR_ONE}", f"-max_len={MOST_OCTETS}"]
    atheris.Setup([sys.argv[0], *options, *limits, f"-artifact_prefix={corpus}/", corpus], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
