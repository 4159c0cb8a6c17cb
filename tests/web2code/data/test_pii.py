"""Personal data: found, not invented, and replaced."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web2code.data.pii import find_pii, scrub


@pytest.mark.parametrize("text", [
    "write to bob.smith@acme.io", "BOB+news@mail.acme.co.uk", '<a href="mailto:jo@acme.org">', "(415) 867-5309",
    "+44 20 7946 0958", "tel:+1-415-867-5309",
])  # fmt: skip
def test_is_found_and_replaced(text):
    assert len(find_pii(text)) == 1
    assert find_pii(scrub(text)) == []


@pytest.mark.parametrize("text", [
    "name@example.com", "you@sub.example.org", "(202) 555-0100", "Phone 555 0144", "$1,299.00 to $2,400.00",
    "2024-11-21 12:30", "width=1234567890", "@media screen", "user@localhost", "10.0.0.1", "margin:0 10px 20px 30px",
    "viewBox='0 0 1024 768'", "4111111111111111",
])  # fmt: skip
def test_is_not_invented(text):
    assert find_pii(text) == []
    assert scrub(text) == text


@given(st.text(alphabet="ab@.0123456789-+() \n<>", max_size=80))
def test_scrubbing_leaves_nothing_and_is_stable(text):
    clean = scrub(text)
    assert scrub(clean) == clean


def test_what_stands_around_is_kept():
    assert scrub("<p>Bob, bob@acme.io, (415) 867-5309!</p>") == "<p>Bob, name@example.com, (202) 555-0100!</p>"
