"""Names on the hub, where it is not reached."""

import pytest

from tests.web2code.small_hub import NEW, OLD, fetched_before
from web2code.hub import fetch


def test_a_name_stands_for_the_commit_that_it_had_when_it_was_fetched(tmp_path, monkeypatch):
    folders = fetched_before(monkeypatch, tmp_path)
    for source in ("owner/toy", "owner/toy@main", f"owner/toy@{OLD}"):
        assert fetch(source, ["config.json"]) == folders[OLD]
    assert fetch(f"owner/toy@{NEW}", ["config.json"]) == folders[NEW]


@pytest.mark.parametrize(("source", "words"), [
    ("owner/toy@v2", "owner/toy@v2 cannot be fetched .*: name a folder that holds it"),
    ("owner/none", "owner/none cannot be fetched"), ("toy", "toy is no folder and no name on the hub"),
])  # fmt: skip
def test_what_is_not_there_is_a_sentence(tmp_path, monkeypatch, source, words):
    fetched_before(monkeypatch, tmp_path)
    with pytest.raises(ValueError, match=words):
        fetch(source, ["config.json"])
