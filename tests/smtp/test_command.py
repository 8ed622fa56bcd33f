"""Lines to commands, and the parameters of MAIL and RCPT: what is taken, and the reply that each mistake deserves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restante.smtp.address import Mailbox
from restante.smtp.command import (
    Body,
    CommandError,
    MailParameters,
    Notify,
    RcptParameters,
    Ret,
    decode_xtext,
    encode_xtext,
    parse_atrn,
    parse_auth,
    parse_bdat,
    parse_mail,
    parse_rcpt,
    parse_response,
    split_line,
)
from restante.smtp.wishes import By, ByMode

ANN = Mailbox.parse("ann@far.example")


@pytest.mark.parametrize(
    ("line", "parts"),
    [
        (b"NOOP", ("NOOP", "")),
        (b"mail FROM:<>", ("MAIL", "FROM:<>")),
        (b"ETRN\ttest.example", ("ETRN", "test.example")),
        (b"ETRN   test.example  \t ", ("ETRN", "test.example")),
        (b"ETRN \t test.example", ("ETRN", "test.example")),
        (b"", ("", "")),
        (b" NOOP", ("", "NOOP")),
        ("ETRN bücher.example".encode(), ("ETRN", "bücher.example")),
    ],
)
def test_a_line_is_verb_and_argument(line: bytes, parts: tuple[str, str]) -> None:
    """Spaces and tabs part them; the verb may be in any case."""
    assert split_line(line) == parts


@pytest.mark.parametrize(
    "line", [b"\x80\x81", b"NOOP \xff", "ma\u0131l FROM:<>".encode(), "re\u017fet".encode(), b"\xc0\x80"]
)
def test_a_line_that_is_no_text_is_no_command(line: bytes) -> None:
    """Nor is one whose verb only becomes ASCII in upper case."""
    with pytest.raises(CommandError) as caught:
        split_line(line)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (500, "5.5.2")


@pytest.mark.parametrize(
    ("argument", "parameters"),
    [
        ("FROM:<ann@far.example>", MailParameters()),
        ("from: <ann@far.example>", MailParameters()),
        ("FROM:<ann@far.example> SIZE=0", MailParameters(size=0)),
        ("FROM:<ann@far.example> size=12345678901234567890", MailParameters(size=12345678901234567890)),
        ("FROM:<ann@far.example> BODY=7bit", MailParameters(body=Body.SEVEN_BIT)),
        ("FROM:<ann@far.example> BODY=8BITMIME  SMTPUTF8", MailParameters(body=Body.EIGHT_BIT, smtputf8=True)),
        ("FROM:<ann@far.example>\tBODY=BINARYMIME", MailParameters(body=Body.BINARY)),
        ("FROM:<ann@far.example> RET=HDRS ENVID=QQ+2B1", MailParameters(ret=Ret.HDRS, envid="QQ+2B1")),
        ("FROM:<ann@far.example> RET=full", MailParameters(ret=Ret.FULL)),
        ("FROM:<ann@far.example> ENVID=" + "x" * 100, MailParameters(envid="x" * 100)),
        ("FROM:<ann@far.example> AUTH=<>", MailParameters()),
        ("FROM:<ann@far.example> auth=e+3Dmc2@example.com SIZE=7", MailParameters(size=7)),
        ("FROM:<ann@far.example> requiretls SIZE=7", MailParameters(size=7, requiretls=True)),
        ("FROM:<ann@far.example> BY=120;R", MailParameters(by=By(120, ByMode.RETURN))),
        ("FROM:<ann@far.example> by=-5;nt", MailParameters(by=By(-5, ByMode.NOTIFY, trace=True))),
        ("FROM:<ann@far.example> MT-PRIORITY=-9", MailParameters(priority=-9)),
        ("FROM:<ann@far.example> mt-priority=0 BY=+7;N", MailParameters(by=By(7, ByMode.NOTIFY), priority=0)),
    ],
)
def test_parameters_of_mail(argument: str, parameters: MailParameters) -> None:
    """They are kept as given; what was not given is None."""
    assert parse_mail(argument) == (ANN, parameters)


@pytest.mark.parametrize(
    ("argument", "parameters"),
    [
        ("TO:<ann@far.example>", RcptParameters()),
        ("to:<ann@far.example> NOTIFY=NEVER", RcptParameters(notify=(Notify.NEVER,))),
        ("TO:<ann@far.example> NOTIFY=success,Delay", RcptParameters(notify=(Notify.SUCCESS, Notify.DELAY))),
        ("TO:<ann@far.example> ORCPT=rfc822;a+2Bb@x.example", RcptParameters(orcpt="rfc822;a+2Bb@x.example")),
        ("TO:<ann@far.example> orcpt=x400;" + "y" * 495, RcptParameters(orcpt="x400;" + "y" * 495)),
    ],
)
def test_parameters_of_rcpt(argument: str, parameters: RcptParameters) -> None:
    """RFC 3461 §4: type and xtext are kept as they came."""
    assert parse_rcpt(argument) == (ANN, parameters)


@pytest.mark.parametrize(
    ("argument", "code", "status"),
    [
        ("", 501, "5.5.4"),
        ("FROM", 501, "5.5.4"),
        ("FROM:", 501, "5.5.4"),
        ("FROM:ann@far.example", 501, "5.5.4"),
        ("FROM <ann@far.example>", 501, "5.5.4"),
        ("FROM:<ann@far.example", 501, "5.5.4"),
        ("FROM:<ann@far.example>SIZE=1", 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE", 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE=", 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE=-1", 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE=1e3", 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE=" + "9" * 21, 501, "5.5.4"),
        ("FROM:<ann@far.example> SIZE=1 size=2", 501, "5.5.4"),
        ("FROM:<ann@far.example> BODY", 501, "5.5.4"),
        ("FROM:<ann@far.example> BODY=9BIT", 501, "5.5.4"),
        ("FROM:<ann@far.example> RET=ALL", 501, "5.5.4"),
        ("FROM:<ann@far.example> RET=", 501, "5.5.4"),
        ("FROM:<ann@far.example> ENVID=", 501, "5.5.4"),
        ("FROM:<ann@far.example> ENVID", 501, "5.5.4"),
        ("FROM:<ann@far.example> ENVID=a+2b", 501, "5.5.4"),
        ("FROM:<ann@far.example> ENVID=a=b", 501, "5.5.4"),
        ("FROM:<ann@far.example> ENVID=" + "x" * 101, 501, "5.5.4"),
        ("FROM:<ann@far.example> SMTPUTF8=yes", 501, "5.5.4"),
        ("FROM:<ann@far.example> SMTPUTF8=", 501, "5.5.4"),
        ("FROM:<ann@far.example> X", 555, "5.5.4"),
        ("FROM:<ann@far.example> AUTH", 501, "5.5.4"),
        ("FROM:<ann@far.example> AUTH=", 501, "5.5.4"),
        ("FROM:<ann@far.example> AUTH=e+3d", 501, "5.5.4"),
        ("FROM:<ann@far.example> AUTH=<> auth=<>", 501, "5.5.4"),
        ("FROM:<ann@far.example> AUTH=" + "x" * 501, 501, "5.5.4"),
        ("FROM:<ann@far.example> NOTIFY=NEVER", 555, "5.5.4"),
        ("FROM:<ann@far.example> HOLDFOR=60", 555, "5.5.4"),
        ("FROM:<ann@far.example> REQUIRETLS=", 501, "5.5.4"),
        ("FROM:<ann@far.example> REQUIRETLS=yes", 501, "5.5.4"),
        ("FROM:<ann@far.example> REQUIRETLS requiretls", 501, "5.5.4"),
        ("FROM:<ann@far.example> BY", 501, "5.5.4"),
        ("FROM:<ann@far.example> BY=60", 501, "5.5.4"),
        ("FROM:<ann@far.example> BY=0;R", 501, "5.5.4"),
        ("FROM:<ann@far.example> BY=-1;RT", 501, "5.5.4"),
        ("FROM:<ann@far.example> BY=60;R BY=60;R", 501, "5.5.4"),
        ("FROM:<ann@far.example> MT-PRIORITY", 501, "5.5.2"),
        ("FROM:<ann@far.example> MT-PRIORITY=10", 501, "5.5.2"),
        ("FROM:<ann@far.example> MT-PRIORITY=1 MT-PRIORITY=1", 501, "5.5.2"),
        ("FROM:<ann>", 501, "5.1.7"),
        ("FROM:<@a.example:ann@far.example>", 501, "5.1.7"),
        ("FROM:<ann@far.example:25>", 501, "5.1.7"),
        ("FROM:<ünï@far.example>", 553, "5.6.7"),
        ("FROM:<ann@fär.example>", 553, "5.6.7"),
        ("FROM:<an\x07n@far.example>", 501, "5.1.7"),
    ],
)
def test_a_mistake_in_mail(argument: str, code: int, status: str) -> None:
    """501 for what is malformed, 555 for what is not offered (RFC 5321 §4.1.1.11), 553 beyond ASCII."""
    with pytest.raises(CommandError) as caught:
        parse_mail(argument)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, status)


@pytest.mark.parametrize(
    ("argument", "code", "status"),
    [
        ("TO:<>", 501, "5.1.3"),
        ("TO:ann@far.example", 501, "5.5.4"),
        ("FROM:<ann@far.example>", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY=", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY=NEVER,FAILURE", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY=DELAY,DELAY", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY=SOMETIMES", 501, "5.5.4"),
        ("TO:<ann@far.example> NOTIFY=NEVER NOTIFY=NEVER", 501, "5.5.4"),
        ("TO:<ann@far.example> ORCPT=ann@far.example", 501, "5.5.4"),
        ("TO:<ann@far.example> ORCPT=rfc822;", 501, "5.5.4"),
        ("TO:<ann@far.example> ORCPT=rfc822;a=b", 501, "5.5.4"),
        ("TO:<ann@far.example> ORCPT", 501, "5.5.4"),
        ("TO:<ann@far.example> ORCPT=rfc822;" + "x" * 494, 501, "5.5.4"),
        ("TO:<ann@far.example> SIZE=1", 555, "5.5.4"),
        ("TO:<ann%far.example>", 501, "5.1.3"),
        ("TO:<ünï@far.example>", 553, "5.6.7"),
    ],
)
def test_a_mistake_in_rcpt(argument: str, code: int, status: str) -> None:
    """The same, for what RCPT takes."""
    with pytest.raises(CommandError) as caught:
        parse_rcpt(argument)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, status)


def test_smtputf8_opens_addresses_and_orcpt_beyond_ascii() -> None:
    """MAIL says it, and RCPT of the same transaction may use it (RFC 6531 §3.4, RFC 6533 §3)."""
    path, parameters = parse_mail("FROM:<ünï@fär.example> SMTPUTF8")
    assert str(path) == "ünï@xn--fr-via.example"
    assert parameters.smtputf8
    mailbox, given = parse_rcpt("TO:<ünï@far.example> ORCPT=utf-8;ünï@far.example", smtputf8=True)
    assert (mailbox.local, given.orcpt) == ("ünï", "utf-8;ünï@far.example")


@pytest.mark.parametrize(
    ("argument", "chunk"),
    [("0", (0, False)), ("0 LAST", (0, True)), ("007 last", (7, True)), ("9" * 18, (int("9" * 18), False))],
)
def test_a_chunk_has_a_count(argument: str, chunk: tuple[int, bool]) -> None:
    """RFC 3030 §2: digits, and perhaps LAST."""
    assert parse_bdat(argument) == chunk


@pytest.mark.parametrize(
    "argument",
    [
        "",
        "LAST",
        "-1",
        "+1",
        "1.5",
        "0x10",
        "1 FIRST",
        "1 LAST LAST",
        "1  LAST",
        "18446744073709551616",
        "٣",
        "1 LA\u017fT",
    ],
)
def test_what_is_no_chunk(argument: str) -> None:
    """Nothing that another reader might count differently is taken, 2^64 among it."""
    with pytest.raises(CommandError) as caught:
        parse_bdat(argument)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")


@pytest.mark.parametrize(
    ("argument", "asked"),
    [
        ("plain", ("PLAIN", None)),
        ("PLAIN AHRpbQB0YW5zdGFhZg==", ("PLAIN", b"\0tim\0tanstaaf")),
        ("EXTERNAL =", ("EXTERNAL", b"")),
        ("scram-sha-256-plus bg==", ("SCRAM-SHA-256-PLUS", b"n")),
    ],
)
def test_a_mechanism_and_its_initial_response(argument: str, asked: tuple[str, bytes | None]) -> None:
    """RFC 4954 §4: any case, base64, and `=` for an empty response; none is not the same."""
    assert parse_auth(argument) == asked


@pytest.mark.parametrize(
    ("argument", "code", "status"),
    [
        ("", 501, "5.5.4"),
        ("PL/IN", 501, "5.5.4"),
        ("PLAİN", 501, "5.5.4"),
        ("X" * 21, 501, "5.5.4"),
        ("PLAIN *", 501, "5.7.0"),
        ("PLAIN AA== AA==", 501, "5.5.2"),
        ("PLAIN  AA==", 501, "5.5.2"),
        ("PLAIN A", 501, "5.5.2"),
        ("PLAIN AA", 501, "5.5.2"),
        ("PLAIN AA=", 501, "5.5.2"),
        ("PLAIN AA==x", 501, "5.5.2"),
        ("PLAIN A-==", 501, "5.5.2"),
        ("PLAIN ==", 501, "5.5.2"),
        ("PLAIN ü", 501, "5.5.2"),
    ],
)
def test_a_mistake_in_auth(argument: str, code: int, status: str) -> None:
    """Base64 is strict: no other alphabet, nothing left out, nothing behind it."""
    with pytest.raises(CommandError) as caught:
        parse_auth(argument)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (code, status)


@pytest.mark.parametrize(
    ("argument", "domains"),
    [
        ("", ()),
        ("test.example", ("test.example",)),
        ("TEST.example,b.test.example,Test.Example", ("test.example", "b.test.example")),
        ("xn--fr-via.example", ("xn--fr-via.example",)),
    ],
)
def test_the_domains_of_atrn(argument: str, domains: tuple[str, ...]) -> None:
    """RFC 2645 §5.2.1: as A-labels, each once, in their order."""
    assert parse_atrn(argument) == domains


@pytest.mark.parametrize(
    "argument",
    [
        "example",
        "test.example, b.example",
        "test.example b.example",
        "test.example,",
        ",",
        "@test.example",
        "#customers",
        "[192.0.2.1]",
        "192.0.2.1:25",
        "test.example.",
        "a..b",
        "x'/**/UNION/**/SELECT.a",
        "anna@test.example",
        "a." * 1000,
    ],
)
def test_a_mistake_in_atrn(argument: str) -> None:
    """501 5.5.4: it takes domains, and neither the forms of ETRN nor a list with spaces."""
    with pytest.raises(CommandError) as caught:
        parse_atrn(argument)
    assert (caught.value.reply.code, caught.value.reply.enhanced) == (501, "5.5.4")


@given(st.text(max_size=60).filter(lambda text: "\ud800" not in text))
def test_xtext_goes_there_and_back(text: str) -> None:
    """Whatever the text, what is written is printable ASCII (RFC 3461 §4)."""
    written = encode_xtext(text)
    assert written.isascii()
    assert " " not in written
    assert decode_xtext(written) == text


def test_text_that_is_no_xtext_is_read_as_well_as_can_be() -> None:
    """An ORCPT of SMTPUTF8 may hold text as it is."""
    assert decode_xtext("ünï+40x") == "ünï@x"
    assert decode_xtext("a+FFb") == "a\ufffdb"


@given(st.one_of(st.text(max_size=120), st.text('FROM:<>@." \\=,SIZEBODY\t\x0b\x85\u0131\u2028', max_size=60)))
def test_any_argument_is_taken_or_answered(argument: str) -> None:
    """Nothing else is raised, and the reply goes on one line."""
    for parse in (
        parse_mail,
        parse_rcpt,
        parse_bdat,
        parse_auth,
        parse_atrn,
        parse_response,
        lambda text: parse_auth("PLAIN " + text),
        lambda text: parse_mail("FROM:<ann@far.example> AUTH=" + text),
        lambda text: parse_mail("FROM:" + text),
        lambda text: parse_mail("FROM:<ann@far.example> SMTPUTF8 " + text),
        lambda text: parse_rcpt("TO:<ann@far.example> " + text, smtputf8=True),
    ):
        replies = []
        try:
            parse(argument)
        except CommandError as error:
            replies.append(error.reply)
        assert all(bytes(reply).count(b"\r\n") == 1 for reply in replies)
