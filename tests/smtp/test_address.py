"""Domains, mailboxes and paths: what is one and what is not, and that what was parsed can be written again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.address import (
    AddressError,
    DomainName,
    Mailbox,
    is_below,
    is_name,
    parse_domain,
    parse_forward_path,
    parse_reverse_path,
    write_path,
)

LABEL = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)
DOMAIN = st.lists(LABEL, min_size=1, max_size=5).map(".".join)
LOCAL = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("text", "domain"),
    [
        ("test.example", "test.example"),
        ("TEST.Example", "test.example"),
        ("localhost", "localhost"),
        ("_dmarc.test.example", "_dmarc.test.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.example", "xn--bcher-kva.example"),
        ("test\u3002example", "test.example"),
        ("[192.0.2.1]", "[192.0.2.1]"),
        ("[ipv6:2001:DB8:0::1]", "[IPv6:2001:db8::1]"),
        (".".join(["a" * 63] * 3 + ["b" * 61]), ".".join(["a" * 63] * 3 + ["b" * 61])),
    ],
)
def test_spellings_of_a_domain_are_one_key(text: str, domain: str) -> None:
    """A-labels in lower case, or a literal in its canonical form."""
    assert parse_domain(text) == domain


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "test.example.",
        ".test.example",
        "bad..name",
        "-a.example",
        "a-.example",
        "a b.example",
        "test.example:25",
        "test.example'--",
        "test\0.example",
        "test.example\r\nRCPT",
        "a@b",
        "a" * 64 + ".example",
        ".".join(["a" * 63] * 4),
        "ü" * 3000,
        "\u200b",
        "a\u202eb.example",
        "[192.0.2.1",
        "[192.0.2.256]",
        "[192.0.2.01]",
        "[test.example]",
        "[IPv6:fe80::1%eth0]",
        "[IPv6:fe80::1%>\x7f]",
        "[]",
        "192.0.2.1]",
    ],
)
def test_what_is_no_domain_is_refused(text: str) -> None:
    """Not repaired: no trailing dot, no port, no zone, nothing that is longer than DNS can hold."""
    with pytest.raises(AddressError):
        parse_domain(text)


@pytest.mark.parametrize("text", ["t\u0435st.example", "test.ex\u0430mple", "tést.example"])
def test_a_look_alike_is_another_domain(text: str) -> None:
    """Cyrillic and accented letters give labels of their own."""
    assert parse_domain(text).startswith("xn--") or ".xn--" in parse_domain(text)


def test_below_goes_label_by_label() -> None:
    """A name that only ends in the same letters is no part of it."""
    parent = DomainName("test.example")
    assert is_below(parent, parent)
    assert is_below(DomainName("a.b.test.example"), parent)
    assert not is_below(DomainName("mytest.example"), parent)
    assert not is_below(DomainName("example"), parent)


@pytest.mark.parametrize(
    ("text", "local", "written"),
    [
        ("anna@test.example", "anna", "anna@test.example"),
        ("Anna.B+tag@TEST.example", "Anna.B+tag", "Anna.B+tag@test.example"),
        ('"anna"@test.example', "anna", "anna@test.example"),
        ('"a b"@test.example', "a b", '"a b"@test.example'),
        ('"a\\"b\\\\c"@test.example', 'a"b\\c', '"a\\"b\\\\c"@test.example'),
        ('"u@t"@test.example', "u@t", '"u@t"@test.example'),
        ('""@test.example', "", '""@test.example'),
        ("u%t@test.example", "u%t", "u%t@test.example"),
        ("t!u@test.example", "t!u", "t!u@test.example"),
        ("ünï@bücher.example", "ünï", "ünï@xn--bcher-kva.example"),
        ("anna@[192.0.2.1]", "anna", "anna@[192.0.2.1]"),
    ],
)
def test_a_mailbox_is_read_unquoted_and_written_as_it_must_be(text: str, local: str, written: str) -> None:
    """Percent signs, bangs and quoted at-signs are characters like others."""
    mailbox = Mailbox.parse(text)
    assert (mailbox.local, str(mailbox)) == (local, written)
    assert Mailbox.parse(str(mailbox)) == mailbox


@pytest.mark.parametrize(
    "text",
    [
        "anna",
        "@test.example",
        "anna@",
        "anna@@test.example",
        "a@b@test.example",
        ".anna@test.example",
        "anna.@test.example",
        "an..na@test.example",
        "an na@test.example",
        "anna@test.example ",
        "anna@test.example(comment)",
        '"anna@test.example',
        '"an"na"@test.example',
        '"anna\\"@test.example',
        "an\0na@test.example",
        "an\u0085na@test.example",
        "an\u2028na@test.example",
        "<anna@test.example>",
        "a" * 250 + "@test.example",
        "ü" * 130 + "@test.example",
    ],
)
def test_what_is_no_mailbox_is_refused(text: str) -> None:
    """Among them what would end a line for some reader further on."""
    with pytest.raises(AddressError):
        Mailbox.parse(text)


@given(LOCAL, DOMAIN)
def test_every_local_part_survives_being_written(local: str, domain: str) -> None:
    """Quoted where it has to be."""
    mailbox = Mailbox(local, parse_domain(domain))
    assert Mailbox.parse(str(mailbox)) == mailbox


@given(st.text(max_size=80))
def test_any_text_is_a_mailbox_or_an_address_error(text: str) -> None:
    """And nothing that is taken holds a control character."""
    try:
        mailbox = Mailbox.parse(text)
    except AddressError:
        return
    assert str(mailbox).isprintable()
    assert mailbox.domain.isascii()


@given(st.text(max_size=300) | DOMAIN)
def test_any_text_is_a_domain_or_an_address_error(text: str) -> None:
    """What came out goes in again unchanged."""
    try:
        domain = parse_domain(text)
    except AddressError:
        assert not is_name(text)
        return
    assert parse_domain(domain) == domain
    assert is_name(domain) is not domain.startswith("[")
    assert is_name(text) is (text == domain and not domain.startswith("["))


def test_paths_have_brackets() -> None:
    """`<>` is nobody, and bare <postmaster> has no domain (RFC 5321 §4.1.1.3)."""
    anna = Mailbox("anna", DomainName("test.example"))
    assert parse_reverse_path("<>") is None
    assert parse_reverse_path("<anna@test.example>") == parse_forward_path("<anna@test.example>") == anna
    assert parse_forward_path("<PostMaster>") == Mailbox("PostMaster", DomainName(""))
    assert [write_path(None), write_path(anna)] == ["<>", "<anna@test.example>"]
    assert str(parse_forward_path("<postmaster>")) == "postmaster"


@pytest.mark.parametrize(
    "text",
    [
        "<>",
        "",
        "anna@test.example",
        "<anna@test.example",
        "<postmasterx",
        "<anna>",
        "<@relay.example:anna@test.example>",
        "<@relay.example,@b.example:anna@test.example>",
    ],
)
def test_a_forward_path_is_one_mailbox(text: str) -> None:
    """Source routes are refused, not followed."""
    with pytest.raises(AddressError):
        parse_forward_path(text)


def test_a_mailbox_knows_what_it_needs_of_a_server() -> None:
    """A domain beyond ASCII needs nothing, for it has A-labels; a local part does (RFC 6531)."""
    assert Mailbox.parse("anna@bücher.example").is_ascii
    assert not Mailbox.parse("ünï@test.example").is_ascii
    assert Mailbox.parse("AnnA@test.example").key == "anna"
