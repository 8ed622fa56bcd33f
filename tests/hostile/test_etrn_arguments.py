"""ETRN with what is no node, and with nodes that are not the caller's: nothing is released, whatever is written.

More than 300 arguments, from a site that may release held.example and listed.example. Such an argument has reached a
database (CVE-2025-26794), overflowed a buffer (CVE-2000-0490) and flushed whole queues; here it is a value, or 501.
"""

# ruff: noqa: RUF001 - letters that look like others are what is tried here

from __future__ import annotations

import time

import pytest
from tests.hostile.attack import Memory, replies, say
from tests.hostile.office import SITE, AttackedOffice

MANY = 15
"""Arguments on one connection: fewer than the errors that end a session anywhere."""


def words(text: str) -> list[str]:
    """Those of a text."""
    return text.split()


QUOTES = words(r"""
    ' " ` \ ; ';-- ";-- '-- ')-- '/**/UNION/**/SELECT/**/1-- '/**/OR/**/'1'='1 ');DROP/**/TABLE/**/item;-- '||' %27
    $(id) `id` |id &id ${domain} ${lookup{x}} {{7*7}}
""")
NO_NODES = [
    *(form for q in QUOTES for form in (f"held.example{q}", f"{q}held.example", f"@held.example{q}", f"#customers{q}")),
    # dots
    *words(r"""
        held.example.. .held.example ..held.example held..example . .. ... @. @.. @held.example.. @.held.example
    """),
    # marks without a name, and too many of them
    *words(r"""
        @ @@ @@held.example # ## ##customers #@x @#x #- #. #customers@ @#customers
    """),
    *("# customers", "@ held.example", "#customers #strangers", "@held.example @foreign.example"),
    # what other programs take for a domain, or an option
    *words(r"""
        - -- -held.example held-.example held.example- held.example:25 held.example/ /held.example ../spool
        user@held.example <held.example> (held.example) held.example,other.example * *.example @* % held.%
        h?ld.example [a-z]* ^.*$ .* held.exam* @*.example #* #% =held.example +held.example ~held.example --all
        !held.example &held.example held.example=1 held,example /etc/passwd file:///etc/passwd @/ #/ \\host\share
    """),
    *("held.example other.example", "held.example NOW", "held.example\tx", "held example", "-R x", "held.example QUIT"),
    # too long
    *("a" * 64, f"{'a' * 64}.example", f"@{'a' * 64}", f"#{'a' * 64}", "a." * 127 + "aaaa", "@" + "a." * 200 + "a"),
    "a" * 1000,
    # addresses that are none
    *words(r"""
        [] [127.0.0.1 127.0.0.1] [127.0.0.256] [::1 [IPv6:::1%lo] ::1%lo fe80::1%eth0 [::g] 1::2::3 [held.example]
        [IPv6:] ::: [127.0.0.1]:25 127.0.0.1:25 [127.0.0.1]x 127.0.0.1/32 0.0.0.0/0 ::/0 [0.0.0.0/0] [[127.0.0.1]]
        @[127.0.0.1] @::1 #[::1] #::1
    """),
    # letters that are not what they look like, where none may be
    *(
        "#customerѕ",
        "#ｃustomers",
        "held.example\u0085",
        "\u202eelpmaxe.dleh",
        "held\u2028.example",
        "held\u00a0example",
    ),
]
"""501: nothing is looked up."""

LOOK_ALIKES = words("""
    héld.example hеld.example held.еxample @held.еxample held.exаmple ʜeld.example HELD.ΕXAMPLE held.exampɭe
    heId.exampIe he1d.example heｌd．ｅxample.x xn--hld-cpa.example xn--held-.example xn--.example xn--0.example
    faß.example ☃.example ı.example ıocal.example
""")
"""Other names, or none: 459 or 501."""

FOREIGN = [
    *words(r"""
        foreign.example FOREIGN.EXAMPLE Foreign.Example foreign.example. @foreign.example #strangers #STRANGERS
        below.foreign.example @below.foreign.example xn--bcher-kva.example bücher.example BÜCHER.example
        @bücher.example local.example @local.example office.example @office.example nosuch.example @nosuch.example
        @com @net com example.com example #default #customer #customers2 #x #all #1 x localhost 0 1 true NULL None
        _held.example held_example held.example.example xheld.example eld.example held.exampl held.examplee
        below.held.example @below.held.example @ld.example @eld.example select union rowid sqlite_master 192.0.2.1
        [192.0.2.1] 0.0.0.0 255.255.255.255 ::1 [::1] [IPv6:::1] ipv6:::1 127.0.0.2 :: ::ffff:192.0.2.1
        [IPv6:2001:db8::1] 2001:db8::1 127.1 127.000.000.001 0x7f000001 2130706433 0177.0.0.1 192.0.2.1.example
        1.0.0.127.in-addr.arpa a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p
    """),
    *("#" + "a" * 63, "a" * 63 + ".example"),
]
"""Nodes, and none of them this site's: 459."""

RAW = [
    *(
        b"held.example\0",
        b"\0held.example",
        b"held\0.example",
        b"held.example\0.foreign.example",
        b"\0",
        b"\xff",
        b"\x80\x81",
    ),
    *(
        b"held.example\xff",
        b"\xc0\xae",
        b"held.\xc0\xae.example",
        b"held\r.example",
        b"held\n.example",
        b"held.example\r",
    ),
    *(b"\xed\xa0\x80.example", b"\xf4\x90\x80\x80", b"held.example\x0b", b"held.example\x0c", b"held.example\x1b[2J"),
    *(
        b"held.example\x7f",
        b"held.example\x08",
        b"@held.example\x01",
        b"#customers\x02",
        b"a" * 2048,
        b"a" * 4096,
        b"@" * 10_000,
    ),
    *(
        b"#" * 100_000,
        b"held.example " * 10_000,
        b"a" * 1_000_000,
        b"'" * 1_000_000,
        b"a." * 500_000,
        b"held.example" + b" " * 4096,
    ),
]
"""No text, or too long: 500 or 501."""

SAME = words("""
    held.example HELD.EXAMPLE held.example. ｈｅｌｄ.example held．example held。example 𝐡𝐞𝐥𝐝.𝐞𝐱𝐚𝐦𝐩𝐥𝐞 ⓗⓔⓛⓓ.example
""")
"""The name itself, with its root or without, in letters that UTS 46 has for it."""


def asked(office: AttackedOffice, arguments: list[bytes]) -> list[str]:
    """What is said to an ETRN with each, from the site."""
    heard: list[str] = []
    for start in range(0, len(arguments), MANY):
        lines = [b"ETRN " + argument + b"\r\n" for argument in arguments[start : start + MANY]]
        heard += replies(say(office.port, b"EHLO site.example\r\n", *lines, b"QUIT\r\n", source=SITE))[2:-1]
    return heard


@pytest.fixture(scope="module", autouse=True)
def _something_waits(office: AttackedOffice) -> None:
    """For whoever gets it by mistake: in every domain that is held."""
    for domain in (
        "held.example",
        "listed.example",
        "foreign.example",
        "below.foreign.example",
        "xn--bcher-kva.example",
    ):
        session = f"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<anna@{domain}>\r\nBDAT 3 LAST\r\nx\r\nQUIT\r\n"
        assert b"250 2.0.0 OK queued" in say(office.port, session.encode())
    assert office.held == 5


def test_there_are_three_hundred_arguments() -> None:
    """All of them different."""
    every = [*(text.encode() for text in (*NO_NODES, *LOOK_ALIKES, *FOREIGN)), *RAW]
    assert len(set(every)) == len(every)
    assert len(every) >= 300


@pytest.mark.parametrize(
    ("arguments", "allowed"),
    [
        pytest.param([text.encode() for text in NO_NODES], ("501 5.5.4",), id="no nodes"),
        pytest.param([text.encode() for text in LOOK_ALIKES], ("459 4.7.1", "501 5.5.4"), id="look-alikes"),
        pytest.param([text.encode() for text in FOREIGN], ("459 4.7.1",), id="foreign nodes"),
        pytest.param(RAW, ("500 5.5.2", "501 5.5.4"), id="raw octets"),
    ],
)
def test_nothing_is_released(arguments: list[bytes], allowed: tuple[str, ...], office: AttackedOffice) -> None:
    """One reply to each, of the right code; nothing leaves, and nobody is dialled."""
    memory = Memory(office)
    said = asked(office, arguments)
    assert len(said) == len(arguments)
    wrong = [(a[:60], s) for a, s in zip(arguments, said, strict=True) if not s.startswith(allowed)]
    assert wrong == []
    assert memory.growth < 10_000_000
    assert office.held == 5
    assert office.trap.caught == 0


def test_without_an_argument(office: AttackedOffice) -> None:
    """500, whatever blanks there are."""
    assert {reply[:3] for reply in asked(office, [b"", b" ", b"\t", b"  \t "])} == {"500"}


ANYBODY = [
    b"held.example",
    b"@held.example",
    b"#customers",
    b"127.0.0.1",
    b"[127.0.0.1]",
    b"@example",
    b"listed.example",
]


def test_others_release_nothing_by_any_form(office: AttackedOffice) -> None:
    """The nodes that are the site's, from an address that is not."""
    lines = [b"ETRN " + node + b"\r\n" for node in ANYBODY]
    said = replies(say(office.port, *lines, b"QUIT\r\n", source="127.0.0.2"))[1:-1]
    assert [reply[:9] for reply in said] == ["459 4.7.1"] * len(ANYBODY)
    assert office.held == 5
    assert office.trap.caught == 0


def test_a_thousand_and_a_farewell_leave_one_release(office: AttackedOffice) -> None:
    """ETRNs for one domain, pipelined, and the connection is gone: one runs, one waits (CVE-1999-1109)."""
    memory, caught = Memory(office), office.trap.caught
    heard = say(office.port, b"ETRN held.example\r\n" * 1000, source=SITE)
    assert {reply[:3] for reply in replies(heard)[1:]} <= {"250", "253", "421", "458"}
    end = time.monotonic() + 90
    while office.trap.caught == caught:
        assert time.monotonic() < end, "the first was a good one"
        time.sleep(0.05)
    settled = office.trap.caught
    time.sleep(1.0)
    assert office.trap.caught - caught <= settled - caught + 2
    assert memory.growth < 20_000_000
    assert office.held == 5


@pytest.mark.parametrize("node", SAME)
def test_the_name_itself_is_the_name(node: str, office: AttackedOffice) -> None:
    """However it is written, it is this domain and no other."""
    [said] = asked(office, [node.encode()])
    assert said[:3] in ("250", "253"), said
