"""What a key means stands under its field."""

import pytest

from restante.config.meanings import meaning_of
from restante.config.settings import ACTIONS, SECTIONS, Hold, MayRelay, Section, Settings


def test_the_text_under_a_field_is_what_its_key_means() -> None:
    """On one line; a key may have another name than its field."""
    assert meaning_of(Hold, "order") == (
        "In which order mail leaves; priority (RFC 6710) comes first in each, and after it arrival, or the smallest."
    )
    assert meaning_of(MayRelay, "from") == "Their networks. Without it nobody may."


@pytest.mark.parametrize("section", [*SECTIONS.values(), *ACTIONS.values()])
def test_every_key_says_what_it_means(section: type[Section]) -> None:
    """The manual has a line for each."""
    for key in section.by_key():
        assert meaning_of(section, key).endswith((".", ":"))


def test_so_does_the_top_of_the_file() -> None:
    """But for the tables, which say it themselves."""
    assert [key for key in Settings.by_key() if Settings.form_of(key) is not None] == ["hostname", "data", "store"]
    assert all(meaning_of(Settings, key) for key in ("hostname", "data", "store"))
