"""restante.mx.sts: the TXT record and the policy (RFC 8461 §3), by the RFC's own examples, and whatever else comes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.mx.sts import MAX_AGE, Mode, PolicyInvalid, StsPolicy, parse_policy, policy_id

EXAMPLE = b"""\
version: STSv1
mode: enforce
mx: mail.test.example
mx: *.test.example
mx: backupmx.test.example
max_age: 604800
"""
POLICY = StsPolicy(Mode.ENFORCE, ("mail.test.example", "*.test.example", "backupmx.test.example"), 604_800)


# the TXT record


@pytest.mark.parametrize(
    "text",
    [
        "v=STSv1; id=20160831085700Z;",
        "v=STSv1; id=20160831085700Z",
        "v=STSv1;id=20160831085700Z",
        "v=STSv1 \t; \tid=20160831085700Z ; ",
        "v=STSv1; id=20160831085700Z; new-one=x/y:z; n.2=!",
        "v=STSv1; first=1; id=20160831085700Z",
    ],
)
def test_a_record_with_an_id(text: str) -> None:
    """With blanks about its semicolons, and with what later versions may add."""
    assert policy_id([text]) == "20160831085700Z"


@pytest.mark.parametrize(
    "texts",
    [
        [],
        [""],
        ["v=spf1 -all"],
        ["v=STSv1"],
        ["v=STSv1;"],
        ["v=STSv1; id="],
        ["v=STSv1; id=2016-08-31"],
        ["v=STSv1; id=" + "1" * 33],
        ["v=STSv1; id=1; id=2"],
        ["v=STSv1; id=1; what"],
        ["v=STSv1; id=1;; n=2"],
        ["v=STSv2; id=1"],
        ["id=1; v=STSv1"],
        [" v=STSv1; id=1"],
        ["v=stsv1; id=1"],
        ["v=STSv1; id=1", "v=STSv1; id=1"],
        ["v=STSv1; id=1", "v=STSv1; wrong"],
    ],
)
def test_no_record(texts: list[str]) -> None:
    """Neither is there none, nor one that is malformed, nor may there be two (§3.1)."""
    assert policy_id(texts) is None


def test_other_records_at_that_name_do_not_matter() -> None:
    """What does not begin with the version is passed over."""
    assert policy_id(["v=spf1 -all", "v=STSv1; id=1", ""]) == "1"


@given(st.lists(st.text(max_size=60), max_size=3))
def test_whatever_the_dns_says(texts: list[str]) -> None:
    """An id is 1 to 32 letters and digits."""
    found = policy_id([f"v=STSv1;{text}" for text in texts])
    assert found is None or (found.isascii() and found.isalnum() and len(found) <= 32)


# the policy


@pytest.mark.parametrize(
    "content",
    [
        EXAMPLE,
        EXAMPLE.replace(b"\n", b"\r\n"),
        EXAMPLE.rstrip(),
        EXAMPLE.replace(b": ", b":"),
        EXAMPLE.replace(b"\n", b" \t\n") + b"\n\n",
        EXAMPLE + b"later: whatever\nmode: none\nversion: STSv9\nmax_age: 1\n",
        EXAMPLE + b"mx: MAIL.test.example\n",
    ],
    ids=["as in the RFC", "CR LF", "no last line end", "no blanks", "blanks", "more keys", "an mx twice"],
)
def test_a_policy(content: bytes) -> None:
    """The first of a key counts; keys that are not known do not."""
    assert parse_policy(content) == POLICY


def test_none_needs_no_host() -> None:
    """It is how a domain ends what it has published (§8.3)."""
    assert parse_policy(b"version: STSv1\nmode: none\nmax_age: 86400") == StsPolicy(Mode.NONE, (), 86_400)


def test_a_policy_for_longer_than_a_year_is_for_a_year() -> None:
    """§3.2; better than none."""
    assert parse_policy(EXAMPLE.replace(b"604800", b"9999999999")).max_age == MAX_AGE


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (b"STSv1", b"STSv2", "version"),
        (b"version: STSv1\n", b"", "version"),
        (b"enforce", b"Enforce", "mode"),
        (b"mode: enforce\n", b"", "mode"),
        (b"604800", b"-1", "max_age"),
        (b"604800", b"1.5", "max_age"),
        (b"604800", b"12345678901", "max_age"),
        (b"604800", "\N{FULLWIDTH DIGIT SIX}".encode(), "max_age"),
        (b"max_age: 604800\n", b"", "max_age"),
        (b"*.test.example", b"*", "mx"),
        (b"*.test.example", b"a.*.test.example", "mx"),
        (b"*.test.example", b".test.example", "mx"),
        (b"*.test.example", b"[192.0.2.1]", "mx"),
        (b"*.test.example", b"two words", "mx"),
        (b"mode: ", b"mode ", "colon"),
        (b"mail", b"\xff", "UTF-8"),
        (b"mail", b"m" * 70_000, "octets"),
        (b"mx: mail.test.example", b"\n".join(b"mx: m%d.test.example" % n for n in range(1001)), "hosts"),
    ],
)
def test_no_policy(old: bytes, new: bytes, problem: str) -> None:
    """Each says what is wrong."""
    with pytest.raises(PolicyInvalid, match=problem):
        parse_policy(EXAMPLE.replace(old, new, 1))


def test_enforce_and_testing_need_a_host() -> None:
    """Else nothing could ever be delivered."""
    for mode in (b"enforce", b"testing"):
        with pytest.raises(PolicyInvalid, match="no mx"):
            parse_policy(b"version: STSv1\nmax_age: 1\nmode: " + mode)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_whatever_a_web_server_says(content: bytes) -> None:
    """Behind a policy's own lines as alone, it is a policy or PolicyInvalid."""
    for text in (content, EXAMPLE + content, content + EXAMPLE, b"mx: " + content):
        try:
            policy = parse_policy(text)
        except PolicyInvalid:
            continue
        assert 0 <= policy.max_age <= MAX_AGE
        assert parse_policy("\n".join(policy.lines).encode()) == policy


@pytest.mark.parametrize(
    ("host", "is_allowed"),
    [
        ("mail.test.example", True),
        ("MAIL.test.example", True),
        ("mx1.test.example", True),
        ("a.mx1.test.example", False),
        ("test.example", False),
        ("mail.other.example", False),
        ("[192.0.2.7]", False),
    ],
)
def test_which_hosts_a_policy_allows(host: str, *, is_allowed: bool) -> None:
    """A star is one label (§4.1)."""
    assert POLICY.allows(host) is is_allowed
