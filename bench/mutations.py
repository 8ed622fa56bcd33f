"""Sessions of SMTP with something wrong in them: a grammar of what may be said, and what chance does to it.

    mutated(7)      # the seventh, always the same

A session is a list of tokens, as a person would part them: verbs, blanks, addresses, numbers, line ends. Chance
drops, doubles, swaps and replaces tokens, flips bits, splices two sessions, and cuts the octets into segments; now
and then it cuts the connection, too.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

SESSIONS = r"""
EHLO| |client.example|\r\n|MAIL FROM:|<ann@far.example>| |SIZE=|1000| |BODY=|8BITMIME|\r\n|
RCPT TO:|<bob@held.example>| |NOTIFY=|SUCCESS,FAILURE| |ORCPT=|rfc822;bob@held.example|\r\n|
DATA|\r\n|Subject: |x|\r\n|\r\n|..|text|\r\n|.|\r\n|QUIT|\r\n

EHLO| |[127.0.0.1]|\r\n|MAIL FROM:|<>| |RET=|HDRS| |ENVID=|x+2By| |SMTPUTF8|\r\n|RCPT TO:|<postmaster>|\r\n|
RCPT TO:|<"a b"@local.example>|\r\n|RSET|\r\n|NOOP| |x|\r\n|VRFY| |anna|\r\n|EXPN| |x|\r\n|HELP|\r\n|QUIT|\r\n

HELO| |x|\r\n|MAIL FROM:|<ann@far.example>|\r\n|RCPT TO:|<anna@local.example>|\r\n|DATA|\r\n|\r\n|.|\r\n|QUIT|\r\n

EHLO| |x|\r\n|MAIL FROM:|<ann@far.example>| |BODY=|BINARYMIME|\r\n|RCPT TO:|<bob@held.example>|\r\n|
BDAT| |5|\r\n|a\n\0b\r|BDAT| |3| |LAST|\r\n|xyz|
MAIL FROM:|<>|\r\n|RCPT TO:|<bob@held.example>|\r\n|BDAT| |0| |LAST|\r\n|QUIT|\r\n

ETRN| |held.example|\r\n|ETRN| |@example|\r\n|ETRN| |#customers|\r\n|ETRN| |[127.0.0.1]|\r\n|QUIT|\r\n

EHLO| |x|\r\n|ATRN| |held.example|,|foreign.example|\r\n|TURN|\r\n|ETRN|\r\n|QUIT|\r\n

EHLO| |x|\r\n|STARTTLS|\r\n|EHLO| |x|\r\n|\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03|QUIT|\r\n

EHLO| |x|\r\n|AUTH| |CRAM-MD5|\r\n|dGVzdCBi|\r\n|AUTH| |SCRAM-SHA-256| |biwsbj10ZXN0LHI9cg==|\r\n|*|\r\n|QUIT|\r\n

EHLO| |x|\r\n|AUTH| |EXTERNAL| |=|\r\n|AUTH| |LOGIN|\r\n|dGVzdA==|\r\n|*|\r\n|AUTH| |NTLM|\r\n|QUIT|\r\n

EHLO| |x|\r\n|MAIL FROM:|<a@far.example>|\r\n|RCPT TO:|<b@held.example>|\r\n|RCPT TO:|<c@no.example>|\r\n|
DATA|\r\n|x|\r\n|.|\r\n|MAIL FROM:|<a@far.example>|\r\n|RCPT TO:|<b@held.example>|\r\n|DATA|\r\n|.|\r\n|QUIT|\r\n
"""
"""One a paragraph, its tokens parted by bars."""
TOKENS = [
    paragraph.replace("\n", "").encode().decode("unicode_escape").split("|")
    for paragraph in SESSIONS.strip().split("\n\n")
]

NASTY: list[bytes] = [
    *(
        b"",
        b" ",
        b"\t",
        b"\r",
        b"\n",
        b"\0",
        b"\r\n",
        b"\n\r",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\r\n.\r",
        b"\r.\r\n",
        b"\xff",
        b"\x80\x81",
    ),
    *(
        b"\xed\xa0\x80",
        b"\xf4\x90\x80\x80",
        b"\xc0\xae",
        "é".encode(),
        "\u2028".encode(),
        "\u0131".encode(),
        "\uff0e".encode(),
    ),
    *(
        "\U0001d421".encode(),
        b"%s%n%x",
        b"'\"`;--",
        b"' OR 1=1--",
        b"../../etc/passwd",
        b"$(id)",
        b"{0}",
        b"${x}",
        b"<>",
        b"<",
        b">",
    ),
    *(
        b"@",
        b"@@",
        b"#",
        b'"',
        b'\\"',
        b"(",
        b"[",
        b"]",
        b"[IPv6:::1]",
        b"[999.0.0.1]",
        b":",
        b",",
        b"+",
        b"=",
        b"==",
        b"-1",
        b"0",
    ),
    *(
        b"00",
        b"1e9",
        b"0x7f",
        b"NaN",
        *(str(2**n + d).encode() for n in (7, 8, 15, 16, 31, 32, 63, 64, 128) for d in (-1, 0, 1)),
    ),
    *(
        b"LAST",
        b"MAIL FROM:<evil@far.example>\r\n",
        b"RCPT TO:<x@elsewhere.example>\r\n",
        b"DATA\r\n",
        b"BDAT 3 LAST\r\n",
        b"QUIT\r\n",
    ),
    *(
        b"STARTTLS\r\n",
        b"ETRN held.example\r\n",
        b"AUTH PLAIN AGEAYg==\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"\r\n\r\n\0\r\nQUIT\n",
    ),
    *(
        b"a" * n
        for n in (63, 64, 253, 254, 255, 256, 510, 511, 512, 998, 999, 2046, 2047, 2048, 4096, 65535, 65536, 200_000)
    ),
]


@dataclass(frozen=True, slots=True)
class Case:
    """What to send, in segments, and whether the connection is then reset, not ended."""

    seed: int
    pieces: tuple[bytes, ...]
    is_reset: bool

    @property
    def asks_for_tls(self) -> bool:
        """Whether what comes back may be octets of TLS."""
        return b"STARTTLS" in b"".join(self.pieces).upper()


def mutated(seed: int) -> Case:
    """The case of this number."""
    chance = random.Random(seed)
    tokens = [token.encode("latin-1") for token in chance.choice(TOKENS)]
    for _ in range(chance.choice((1, 1, 1, 2, 3, 5, 8))):
        chance.choice(MUTATORS)(tokens, chance)
    octets = b"".join(tokens)
    if chance.random() < 0.3:
        octets = _flipped(octets, chance)
    return Case(seed, _cut(octets, chance), chance.random() < 0.1)


def _place(tokens: list[bytes], chance: random.Random) -> int:
    if not tokens:
        tokens.append(b"")
    return chance.randrange(len(tokens))


def _drop(tokens: list[bytes], chance: random.Random) -> None:
    del tokens[_place(tokens, chance)]


def _double(tokens: list[bytes], chance: random.Random) -> None:
    at = _place(tokens, chance)
    most = max(1, 100_000 // (1 + len(tokens[at])))
    tokens[at] *= min(most, chance.choice((2, 2, 3, 10, 100, 1000)))


def _swap(tokens: list[bytes], chance: random.Random) -> None:
    one, other = _place(tokens, chance), _place(tokens, chance)
    tokens[one], tokens[other] = tokens[other], tokens[one]


def _replace(tokens: list[bytes], chance: random.Random) -> None:
    tokens[_place(tokens, chance)] = chance.choice(NASTY)


def _insert(tokens: list[bytes], chance: random.Random) -> None:
    tokens.insert(_place(tokens, chance), chance.choice(NASTY))


def _append(tokens: list[bytes], chance: random.Random) -> None:
    at = _place(tokens, chance)
    tokens[at] = tokens[at] + chance.choice(NASTY) if chance.random() < 0.5 else chance.choice(NASTY) + tokens[at]


def _change_case(tokens: list[bytes], chance: random.Random) -> None:
    at = _place(tokens, chance)
    tokens[at] = tokens[at].swapcase()


def _splice(tokens: list[bytes], chance: random.Random) -> None:
    other = [token.encode("latin-1") for token in chance.choice(TOKENS)]
    tokens[_place(tokens, chance) :] = other[chance.randrange(len(other)) :]


def _truncate(tokens: list[bytes], chance: random.Random) -> None:
    del tokens[_place(tokens, chance) :]


def _random_octets(tokens: list[bytes], chance: random.Random) -> None:
    tokens.insert(_place(tokens, chance), chance.randbytes(chance.choice((1, 2, 8, 64, 1000))))


def _repeat_a_part(tokens: list[bytes], chance: random.Random) -> None:
    start = _place(tokens, chance)
    part = tokens[start : start + chance.randint(1, 8)]
    tokens[start:start] = part * min(chance.choice((2, 5, 50)), 1 + 100_000 // (1 + sum(map(len, part))))


MUTATORS: list[Callable[[list[bytes], random.Random], None]] = [
    *(_drop, _double, _swap, _replace, _replace, _insert, _append, _change_case, _splice, _truncate, _random_octets),
    _repeat_a_part,
]


def _flipped(octets: bytes, chance: random.Random) -> bytes:
    changed = bytearray(octets)
    for _ in range(chance.choice((1, 1, 2, 8)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _cut(octets: bytes, chance: random.Random) -> tuple[bytes, ...]:
    places = sorted(chance.randrange(1 + len(octets)) for _ in range(chance.choice((0, 0, 0, 1, 2, 5))))
    edges = [0, *places, len(octets)]
    return tuple(octets[start:end] for start, end in pairwise(edges) if start < end)
