"""SASLprep (RFC 4013): user names and passwords in the one form in which they are compared.

A non-breaking space and a space are the same, as are a letter with its accent and the two one after the other; what
cannot be seen or would turn the line round is refused. Code points that Unicode 3.2 did not know are let through, in
what is stored too (RFC 4013 §2.5 would allow them only in queries): the same text always has the same form.
"""

from __future__ import annotations

import stringprep
import unicodedata

_PROHIBITED = (  # RFC 4013 §2.3
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def prepare(text: str) -> str | None:
    """The prepared form of a name or password; None where there is none: prohibited characters, or nothing left."""
    if text.isascii():
        return text if text.isprintable() and text else None
    mapped = "".join(
        " " if stringprep.in_table_c12(character) else character
        for character in text
        if not stringprep.in_table_b1(character)
    )
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared or any(is_prohibited(c) for is_prohibited in _PROHIBITED for c in prepared):
        return None
    return prepared if _may_be_shown(prepared) else None


def _may_be_shown(text: str) -> bool:
    """RFC 3454 §6: right-to-left text has no left-to-right letters, and begins and ends so."""
    if not any(map(stringprep.in_table_d1, text)):
        return True
    ends = stringprep.in_table_d1(text[0]) and stringprep.in_table_d1(text[-1])
    return ends and not any(map(stringprep.in_table_d2, text))
