"""Sixty texts that have run as scripts, or as something else that nobody meant, in pages that show what others wrote.

Each is to stay text wherever it gets to. `RAN` in them is an assignment to `ran`, which a visitor notices (visitor.py);
the number tells which one it was. Where a place has a grammar, `local_part()`, `xtext()` and `header()` put a payload
there as that allows, or give None where it cannot be put.
"""

from __future__ import annotations

import re
from base64 import b64encode
from itertools import chain

from restante.smtp.address import MAX_PATH

ELEMENTS = (
    "<script>RAN</script>",
    "<SCRIPT >RAN</SCRIPT\t>",
    "<scr<script>ipt>RAN</scr</script>ipt>",
    "<script src=http://127.0.0.2:9/RAN.js></script>",
    "<script\n>RAN\n</script>",
    "<<script>RAN;//<</script>",
    "<x-ran onclick=RAN>click</x-ran>",
    "<iframe srcdoc='<script>parent.RAN</script>'></iframe>",
    "<iframe src=javascript:parent.RAN></iframe>",
    "<object data=javascript:RAN></object><embed src=javascript:RAN>",
    "<base href=http://127.0.0.2:9/>",
    "<meta http-equiv=refresh content='0;url=http://127.0.0.2:9/RAN'>",
    "<link rel=stylesheet href=http://127.0.0.2:9/RAN.css>",
    "<form action=http://127.0.0.2:9/><button formaction=javascript:RAN autofocus>Log in</button></form>",
)
"""Elements, and what is left of them when something was cut out."""
HANDLERS = (
    "<img src=x onerror=RAN>",
    "<img/src/onerror=RAN>",
    "<body onload=RAN onpageshow=RAN>",
    "<input autofocus onfocus=RAN>",
    "<details open ontoggle=RAN>",
    "<video><source onerror=RAN></video>",
    "<marquee onstart=RAN>",
    "<style>@keyframes r{}</style><b style=animation-name:r onanimationstart=RAN>",
    "<a href=# onmouseover=RAN tabindex=0 onfocus=RAN autofocus>over</a>",
)
"""Handlers, with and without blanks and quotes."""
BREAKOUTS = (
    '"><script>RAN</script>',
    "'><script>RAN</script>",
    '" autofocus onfocus="RAN" x="',
    "' autofocus onfocus='RAN' x='",
    "` onmouseover=RAN `",
    "</title></textarea></style></script><script>RAN</script>",
    "--><script>RAN</script><!--",
    "]]><script>RAN</script>",
    '"};RAN;var x={"y":"',
    "';RAN;//",
    '\\";RAN;//',
    "</script><svg/onload=RAN>",
)
"""Out of an attribute, of a script, of a comment, of a text area."""
FOREIGN = (
    "<svg onload=RAN>",
    "<svg><script>RAN</script></svg>",
    "<svg><animate onbegin=RAN attributeName=x dur=1s>",
    "<svg><a xlink:href=javascript:RAN><text y=20>go</text></a></svg>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=1 onerror=RAN&gt;'>",
    "<noscript><p title='</noscript><img src=x onerror=RAN>'>",
    "<form><math><mtext></form><form><mglyph><style></math><img src onerror=RAN>",
)
"""SVG and MathML, and what parsers make of them when they read twice."""
ADDRESSES = (
    "javascript:RAN",
    "JaVaScRiPt:RAN//",
    "java\tscript:RAN",
    "data:text/html,<script>RAN</script>",
    "data:text/html;base64,BASE64",
    "//127.0.0.2:9/%2e%2e/RAN",
    "\\\\127.0.0.2\\RAN",
)
"""Addresses that run."""
TEMPLATES = (
    "{{7*7}}{% for x in (1,) %}RAN{% endfor %}",
    "{{ self.__init__.__globals__.__builtins__ }}${7*7}#{7*7}<%= 7*7 %>",
    "{{constructor.constructor('RAN')()}}",
    "[go](javascript:RAN) ![x](http://127.0.0.2:9/RAN.png)",
    "}</style><style>*{background:url(http://127.0.0.2:9/RAN)}",
    "%3Cscript%3ERAN%3C/script%3E&lt;script&gt;RAN&lt;/script&gt;&#60;script&#62;RAN",
)
"""Templates, Markdown, style sheets."""
OCTETS = (
    "\udcc0\udcbcscript\udcc0\udcbeRAN\udcc0\udcbc/script\udcc0\udcbe",
    "\uff1cscript\uff1eRAN\uff1c/script\uff1e\ufe64img src=x onerror=RAN\ufe65",
    "\u202e\u2066>tpircs<\u2069\u202c\u200b\ufeff<script>RAN</script>\u2028RAN",
    "\x1b]0;RAN\x07\x1b[2J\x9b31m<script>RAN</script>\0<scr\0ipt>RAN</scr\0ipt>",
    "250 OK\r\nSet-Cookie: ran=1\r\n\r\n<script>RAN</script>",
)
"""Octets and characters that are not what they look like."""


def _numbered(number: int, text: str) -> str:
    script = f"<script>ran={number}</script>"
    return text.replace("BASE64", b64encode(script.encode()).decode()).replace("RAN", f"ran={number}")


GROUPS = (ELEMENTS, HANDLERS, BREAKOUTS, FOREIGN, ADDRESSES, TEMPLATES, OCTETS)
PAYLOADS = tuple(_numbered(number, text) for number, text in enumerate(chain(*GROUPS)))
"""By number."""


def of_group(group: tuple[str, ...]) -> tuple[str, ...]:
    """Those of one of the GROUPS."""
    start = sum(len(before) for before in GROUPS[: GROUPS.index(group)])
    return PAYLOADS[start : start + len(group)]


LONG = "<script>ran=60</script>" + "<img src=x onerror=ran=60>" * 3000
"""And one that is as long as a header section may be."""


def is_plain(text: str) -> bool:
    """Whether a page can show it as it is: it has no octet that is no character, and nothing that cannot be printed."""
    return text.isprintable()


def local_part(text: str, domain: str) -> str | None:
    """A mailbox whose local part it is, quoted (RFC 5321 §4.1.2, RFC 6531 §3.3)."""
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    mailbox = f'"{quoted}"@{domain}'
    return mailbox if is_plain(text) and len(mailbox.encode()) <= MAX_PATH - 2 else None


def xtext(text: str) -> str | None:
    """As the value of a parameter (RFC 3461 §4), of ASCII that can be printed."""
    if not (is_plain(text) and text.isascii()):
        return None
    return "".join(c if c.isalnum() else f"+{ord(c):02X}" for c in text)


def header(text: str) -> bytes:
    """As the body of a header field, without what no message may have; a line end in it is folded."""
    octets = text.encode("utf-8", "surrogateescape").replace(b"\0", b"")
    return re.sub(rb"[\r\n]+", b"\r\n ", octets)
