import pytest

from flows.bare_name import complete


def test_the_bare_name_is_completed_and_options_are_kept():
    words = ["prefect", "deployment", "run", "train-web2code", "--watch"]
    assert complete(words) == ["prefect", "deployment", "run", "train-web2code/train-web2code", "--watch"]


@pytest.mark.parametrize(
    "words",
    [
        ["prefect", "deployment", "run", "train-web2code/other"],
        ["prefect", "deployment", "run", "another-flow"],
        ["prefect", "deployment", "inspect", "train-web2code"],
        ["prefect"],
    ],
)
def test_every_other_command_line_is_left_alone(words):
    assert complete(words) == words
