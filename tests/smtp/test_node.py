"""What an ETRN may name (RFC 1985 §5), and that nothing else gets any further."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.address import DomainName
from restante.smtp.node import (
    AddressNode,
    DomainNode,
    GroupNode,
    Node,
    NodeError,
    SubtreeNode,
    parse_group,
    parse_node,
)


@pytest.mark.parametrize(
    ("text", "node"),
    [
        ("test.example", DomainNode(DomainName("test.example"))),
        ("TEST.Example", DomainNode(DomainName("test.example"))),
        ("test.example.", DomainNode(DomainName("test.example"))),
        ("bücher.example", DomainNode(DomainName("xn--bcher-kva.example"))),
        ("@example", SubtreeNode(DomainName("example"))),
        ("@Test.example.", SubtreeNode(DomainName("test.example"))),
        ("@Test.example", SubtreeNode(DomainName("test.example"))),
        ("#Customers", GroupNode("customers")),
        ("#a.b_c-1", GroupNode("a.b_c-1")),
        ("24.248.49.25", AddressNode(ipaddress.ip_address("24.248.49.25"))),
        ("[24.248.49.25]", AddressNode(ipaddress.ip_address("24.248.49.25"))),
        ("2001:db8::1", AddressNode(ipaddress.ip_address("2001:db8::1"))),
        ("[IPv6:2001:DB8::1]", AddressNode(ipaddress.ip_address("2001:db8::1"))),
    ],
)
def test_the_four_forms_of_a_node(text: str, node: Node) -> None:
    """Each is written again in a form that means the same."""
    assert parse_node(text) == node
    assert parse_node(str(node)) == node


@pytest.mark.parametrize(
    "text",
    [
        "",
        "@",
        "#",
        "@@example",
        "@#example",
        "# customers",
        "#-customers",
        "#" + "x" * 64,
        "#kündig",
        "@[192.0.2.1]",
        "@192.0.2.1",
        "192.0.2.1.",
        "[test.example]",
        "[192.0.2.1",
        "fe80::1%eth0",
        "[IPv6:fe80::1%\x7f]",
        "test.example..",
        ".test.example",
        "@.",
        "test.example localtest.example",
        "test.example,localtest.example",
        "bad..name",
        "test.example'--",
        "x'/**/UNION/**/SELECT",
        "test.example;",
        "test.example\0",
        "../../etc/passwd",
        "*",
        "*.example",
        "a" * 2000,
        "a" * 1_000_000,
        "ü" * 100_000,
    ],
)
def test_what_is_no_node_is_refused(text: str) -> None:
    """However long or strange (CVE-2025-26794, CVE-2000-0490)."""
    with pytest.raises(NodeError):
        parse_node(text)


@given(st.text(max_size=300))
def test_any_text_is_a_node_or_a_node_error(text: str) -> None:
    """A node can be told to people and into a reply: it is printable."""
    try:
        node = parse_node(text)
    except NodeError:
        return
    assert str(node).isprintable()
    assert parse_node(str(node)) == node


@given(st.text(max_size=80))
def test_a_group_has_a_name_of_letters_digits_and_marks(text: str) -> None:
    """In lower case, whatever was written."""
    try:
        name = parse_group(text)
    except NodeError:
        return
    assert name.isascii()
    assert name == name.lower() == parse_group(name)
