"""The documents speak the field's language: each word of this table has a better one."""

import re
from pathlib import Path

import pytest

from tests.unit.documents.pages import every_page, name_of, prose

RETIRED = {
    r"sounds?": "audio",
    r"pictures?(?! ids?)": "frame, video or resolution (VP8's picture id keeps its name)",
    r"anew": "again",
    r"can not": "cannot",
    r"seal(?:s|ed)?": "encrypt (frames), protect (SRTP), wrap (secrets at rest)",
    r"with blanks between": "space-separated",
}
WORD = re.compile(rf"\b(?:{'|'.join(RETIRED)})\b", re.IGNORECASE)
SPAN = re.compile(r"`[^`\n]*`|\]\([^)]*\)")


def retired_words(text: str) -> list[str]:
    """Names of the code and addresses of links are left out."""
    return WORD.findall(SPAN.sub("", text))


@pytest.mark.parametrize("page", every_page(), ids=name_of)
def test_no_page_has_a_retired_word(page: Path):
    lines = enumerate(prose(page).splitlines(), 1)
    assert {number: found for number, line in lines if (found := retired_words(line))} == {}


def test_retired_words_are_found_in_prose_and_not_in_names():
    assert retired_words("A sealed picture can not have sound.") == [
        "sealed",
        "picture",
        "can not",
        "sound",
    ]
    assert retired_words("`SealGuard` and `sealed`, VP8's picture ids, Sealroute") == []
