"""A JSON array in pieces."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from web2code.data import json_array
from web2code.data.json_array import read_array

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=5), children, max_size=4),
    max_leaves=8,
)


@given(values=st.lists(VALUES, max_size=12), chunk=st.integers(1, 40), indent=st.sampled_from([None, 2]))
@settings(max_examples=150, deadline=None)
def test_gives_what_json_load_gives(tmp_path_factory, values, chunk, indent):
    path = tmp_path_factory.mktemp("array") / "a.json"
    path.write_text(json.dumps(values, indent=indent, ensure_ascii=False), encoding="utf-8", errors="surrogatepass")
    before, json_array.CHUNK = json_array.CHUNK, chunk
    try:
        assert list(read_array(path)) == values
    finally:
        json_array.CHUNK = before


@pytest.mark.parametrize("text", ['[{"a": 1}, {"a"', "[1, 2", '["unterminated', "[", "[1,", "[12"])
def test_a_file_that_ends_too_early_is_an_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"ends inside element \d+, so it is not whole"):
        list(read_array(path))


@pytest.mark.parametrize("text", ["", "{}", "null", '{"a": []}'])
def test_another_kind_of_file_is_an_error(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="does not hold a JSON array"):
        list(read_array(path))


def test_a_broken_element_does_not_fill_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_array, "LARGEST_ELEMENT", 1000)
    monkeypatch.setattr(json_array, "CHUNK", 100)
    path = tmp_path / "a.json"
    path.write_text("[1, {broken" + " " * 100_000 + "]")
    reader = read_array(path)
    assert next(reader) == 1
    with pytest.raises(ValueError, match="element 1 is no JSON, or longer"):
        next(reader)
