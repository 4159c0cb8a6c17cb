"""Letters and their accents, written the same way."""

from __future__ import annotations

from itertools import groupby
from unicodedata import combining, normalize

# More upon one letter are no writing (Unicode's Stream-Safe Text Format), and putting them in order takes long.
MAX_MARKS = 30


def composed(text: str) -> str:
    """A text in Unicode's form NFC: a letter and its accent are one character where there is one.

    NFKC would also make `m2` of `m²` and `1` of `①`, which are other answers.
    """
    if text.isascii():
        return text
    marks = (len(list(run)) for is_mark, run in groupby(map(combining, text), bool) if is_mark)
    return text if max(marks, default=0) > MAX_MARKS else normalize("NFC", text)
