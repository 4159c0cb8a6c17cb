"""Options that several commands have."""

import pytest
from typer.testing import CliRunner

from web2code.cli import app
from web2code.options import parse_folders


def test_a_folder_may_follow_a_name():
    assert parse_folders(["wub=a=b", "mme"]) == {"wub": "a=b", "mme": ""}


@pytest.mark.parametrize(("options", "sentence"), [
    (["--source", "web2code=a", "--source", "web2code=b"], "web2code is named twice: name it once"),
    (["--benchmark", "pope", "--benchmark", "pope=a"], "pope is named twice: name it once"),
    (["--gpus", "2", "--workers", "2"], "--workers: one process trains on each of --gpus: leave it out"),
])  # fmt: skip
def test_what_a_run_would_pass_over_is_refused(options, sentence):
    done = CliRunner().invoke(app, ["run", *options])
    assert done.exit_code == 2
    assert done.stderr == f"error: {sentence}\n"
