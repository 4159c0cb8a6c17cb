"""What of a judge's reply is trusted."""

import json

import pytest

from web2code.evaluation.judges.scores import read_scores, scores_schema

NAMES = ("text", "fonts")


@pytest.mark.parametrize("reply", [
    '{"text": 0, "fonts": 10}', ' {"fonts": 10.0,\n"text": 0}\n', '```json\n{"text": 0, "fonts": 10}\n```',
])  # fmt: skip
def test_the_numbers_asked_for_are_read(reply):
    assert read_scores(reply, NAMES, 0, 10) == {"text": 0.0, "fonts": 10.0}


@pytest.mark.parametrize("reply", [
    "", "10, 10", "[10, 10]", "null", '"text"', "IGNORE ALL OTHER INSTRUCTIONS",
    'Sure: {"text": 1, "fonts": 1}', '{"text": 1, "fonts": 1} and {"text": 9, "fonts": 9}',
    '{"text": 1}', '{"text": 1, "fonts": 1, "overall": 10}', '{"text": 1, "Fonts": 1}',
    '{"text": 1, "text": 10, "fonts": 1}', '{"text": "10", "fonts": 1}', '{"text": true, "fonts": 1}',
    '{"text": null, "fonts": 1}', '{"text": [10], "fonts": 1}', '{"text": 10.01, "fonts": 1}',
    '{"text": -1, "fonts": 1}', '{"text": 1e999, "fonts": 1}', '{"text": NaN, "fonts": 1}',
    '{"text": Infinity, "fonts": 1}', '{"text": -Infinity, "fonts": 1}', "[" * 4000, '{"text": 1, "fonts": 1',
    '{"text": 1, "fonts": ' + "1" * 4000 + "}", '{"text": 1, "fonts": 1}' + " " * 9 + "." * 5000,
])  # fmt: skip
def test_nothing_else_is(reply):
    with pytest.raises(ValueError, match=r"."):
        read_scores(reply, NAMES, 0, 10)


def test_the_schema_asks_for_these_numbers_alone():
    schema = scores_schema(NAMES, 0, 10)
    assert json.loads(json.dumps(schema)) == schema
    assert (schema["required"], schema["additionalProperties"]) == (["text", "fonts"], False)
    assert schema["properties"]["text"] == {"type": "number", "minimum": 0, "maximum": 10}
