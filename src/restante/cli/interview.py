"""Questions on a terminal, each with an option that answers it; elsewhere defaults, or a word on what is lacking.

Questions go to stderr. What is no answer is asked again on a terminal; as an option it ends the command.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TypeVar

import typer

from restante.admin.protocol import USAGE
from restante.cli import screen
from restante.cli.doors import CommandFailed
from restante.setup.questions import why_not

T = TypeVar("T")
C = TypeVar("C", bound=StrEnum)


class Interview:
    """Asks, if it `asks`; else takes the defaults."""

    def __init__(self, *, asks: bool) -> None:
        self.asks = asks

    def one(
        self,
        option: str,
        given: str | None,
        question: str,
        parse: Callable[[str], T],
        *,
        default: str | None = None,
        why: str = "",
    ) -> T:
        """An answer, read by `parse`, which raises ValueError. Raises CommandFailed."""
        if given is None and self.asks:
            if why:
                screen.complain(why)
            answer: T = typer.prompt(question, default=default, value_proc=_reader(parse), err=True)
            return answer
        if given is None and default is None:
            raise CommandFailed((f"{option} is needed: {question}?",), USAGE)
        text = given if given is not None else default
        assert text is not None, "one of both"
        try:
            return parse(text)
        except ValueError as error:
            raise CommandFailed((f"{option} {text}: {why_not(error, text)}",), USAGE) from None

    def several(
        self, option: str, given: Sequence[str] | None, question: str, parse: Callable[[str], T], *, default: str | None
    ) -> tuple[T, ...]:
        """One answer or more, with spaces between them. Raises CommandFailed."""

        def read(text: str) -> tuple[T, ...]:
            if not text.split():
                raise ValueError("nothing")
            return tuple(dict.fromkeys(map(parse, text.split())))

        return self.one(option, " ".join(given) if given else None, question, read, default=default)

    def choice(self, option: str, given: C | None, question: str, default: C, why: Sequence[tuple[C, str]]) -> C:
        """One of several, each with what it means. Raises CommandFailed."""
        words = "\n".join(f"  {word}: {meaning}" for word, meaning in why)
        asked = f"{question} ({', '.join(word for word, _ in why)})"
        if given is None and self.asks:
            for line in words.splitlines():
                screen.complain(line)
        return self.one(option, given, asked, lambda text: _choice(text, why), default=str(default))

    def yes(self, given: bool | None, question: str, *, default: bool) -> bool:
        """Yes or no."""
        if given is not None or not self.asks:
            return default if given is None else given
        return bool(typer.confirm(question, default=default, err=True))


def _choice(text: str, why: Sequence[tuple[C, str]]) -> C:
    for word, _ in why:
        if text.strip().lower() == word:
            return word
    raise ValueError(f"one of {', '.join(word for word, _ in why)} is meant")


def _reader(parse: Callable[[str], T]) -> Callable[[str], T]:
    def read(text: str) -> T:
        try:
            return parse(text.strip())
        except ValueError as error:
            raise typer.BadParameter(why_not(error, text)) from None

    return read
