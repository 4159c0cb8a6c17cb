"""Personal data in texts: e-mail addresses and telephone numbers, found and replaced.

The audit of Web2Code (arXiv 2406.20098) found these two kinds in 2.7 % of 1,000 samples. Numbers are judged by
libphonenumber's rules, so that what is kept for fiction (555-01xx), prices and dates are not taken for one; digits must
be grouped as the numbers of a country are.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import phonenumbers

EMAIL = re.compile(r"\b[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24}\b", re.IGNORECASE)
# Domains that RFC 2606 keeps for examples, and what stands for a name in placeholders.
EXAMPLE = re.compile(r"@(?:[\w-]+\.)*(?:example\.(?:com|net|org)|(?:\w+\.)?(?:test|invalid|localhost|example))$", re.I)
# What a number may be written with; only such places are looked at more closely.
MAYBE_PHONE = re.compile(r"[+(]?\d[\d ().\-/]{6,20}\d")
REGION = "US"
REPLACEMENTS = {"email": "name@example.com", "phone": "(202) 555-0100"}


@dataclass(frozen=True)
class Found:
    """Personal data at `[start, end)` of a text."""

    kind: Literal["email", "phone"]
    start: int
    end: int


def find_pii(text: str) -> list[Found]:
    """Every e-mail address and telephone number in a text, in order, without overlaps."""
    emails = [
        Found("email", match.start(), match.end()) for match in EMAIL.finditer(text) if not EXAMPLE.search(match[0])
    ]
    return sorted([*emails, *_phones(text)], key=lambda found: found.start)


def scrub(text: str) -> str:
    """The text with personal data replaced by what is kept for examples."""
    pieces, position = [], 0
    for found in find_pii(text):
        pieces += [text[position : found.start], REPLACEMENTS[found.kind]]
        position = found.end
    return "".join(pieces) + text[position:]


def _phones(text: str) -> Iterator[Found]:
    for maybe in MAYBE_PHONE.finditer(text):
        if maybe[0].isdigit():  # an identifier: numbers for people are written in groups
            continue
        for match in phonenumbers.PhoneNumberMatcher(maybe[0], REGION, phonenumbers.Leniency.STRICT_GROUPING):
            if "555" in match.raw_string and _for_fiction(match.number):
                continue
            yield Found("phone", maybe.start() + match.start, maybe.start() + match.end)


def _for_fiction(number: phonenumbers.PhoneNumber) -> bool:
    national = str(number.national_number)
    return number.country_code == 1 and len(national) == 10 and national[3:8] == "55501"
