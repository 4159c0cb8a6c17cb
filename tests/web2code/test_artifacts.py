import pytest

from web2code.artifacts import COMMITTED, CorruptArtifactError, publish, read_record, verify
from web2code.config import Decision

RECORD = Decision(promoted=True, reason="it is better")


@pytest.fixture
def artifact(tmp_path):
    folder = tmp_path / "artifact"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "weights.bin").write_bytes(b"12345")
    publish(folder, str(folder), RECORD)
    return folder


def test_what_is_committed_is_read_back(artifact):
    assert read_record(str(artifact), Decision) == RECORD
    verify(str(artifact))


def test_nothing_is_there_before_the_commit(artifact):
    marker = artifact / COMMITTED
    content = marker.read_text()
    for cut in ("", content[:10]):
        marker.write_text(cut)
        assert read_record(str(artifact), Decision) is None
    marker.unlink()
    assert read_record(str(artifact), Decision) is None


@pytest.mark.parametrize(("damage", "word"), [(b"12346", "is corrupt"), (None, "is missing")])
def test_a_damaged_file_is_named(artifact, damage, word):
    path = artifact / "inner" / "weights.bin"
    path.unlink() if damage is None else path.write_bytes(damage)
    with pytest.raises(CorruptArtifactError, match=rf"weights\.bin {word}"):
        verify(str(artifact))


def test_an_artifact_can_live_in_memory_as_in_an_object_store(artifact):
    publish(artifact, "memory://bucket/artifact", RECORD)
    assert read_record("memory://bucket/artifact", Decision) == RECORD
