"""What is kept of a stage's checkpoints, and which of them is loaded."""

import shutil

import pytest
import torch

from tests.web2code.training.workers import small_engine, small_loss
from web2code.artifacts import CorruptArtifactError
from web2code.config import Where
from web2code.training.checkpoint import Checkpoints
from web2code.training.history import History

ZERO1 = "zero1-fp32"


def train(folder, last, first=1, name=ZERO1, **options):
    """Train the small model, with a checkpoint after each of the steps; returns the checkpoints and all weights."""
    engine = small_engine(name, seed=1)
    checkpoints = Checkpoints(folder, engine, **options)
    history, weights = History(last, [float(step) for step in range(1, first)], []), {}
    for step in range(first, last + 1):
        engine.backward(small_loss(engine, step))
        checkpoints.before_update()
        engine.step()
        history.losses.append(float(step))
        weights[step] = [parameter.detach().clone() for parameter in engine.module.parameters()]
        checkpoints.save(step, history)
    checkpoints.finish()
    return checkpoints, weights


def restored(folder, **options):
    """The step and the losses of what another engine goes on from."""
    step, history = Checkpoints(folder, small_engine(ZERO1, seed=2), **options).restore()
    return step, history.losses


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


MANIFESTS = {
    "empty": lambda content: b"",
    "cut off": lambda content: content[:-20],
    "no text": lambda content: b"\xff" * len(content),
    "no object": lambda content: b"[1]",
    "no checksum": lambda content: b"{}",
    "another step": lambda content: content.replace(b'"step": 3', b'"step": 2'),
    "another loss": lambda content: content.replace(b"3.0", b"3.5"),
    "another bit": flipped,
}


@pytest.mark.parametrize("damage", MANIFESTS.values(), ids=MANIFESTS)
def test_a_damaged_manifest_is_told_and_the_checkpoint_before_it_is_loaded(alone, tmp_path, capsys, damage):
    train(tmp_path, 3)
    manifest = tmp_path / "step-00000003-by-1" / "manifest-0.json"
    content = manifest.read_bytes()
    assert damage(content) != content
    manifest.write_bytes(damage(content))
    assert restored(tmp_path) == (2, [1.0, 2.0])
    assert "warning: passed over step-00000003-by-1: manifest-0.json is corrupt\n" in capsys.readouterr().out


def test_a_damaged_and_an_unfinished_checkpoint_are_told_each(alone, tmp_path, capsys):
    train(tmp_path, 4, kept=4)
    (tmp_path / "step-00000004-by-1" / "manifest-0.json").unlink()
    state = tmp_path / "step-00000003-by-1" / "state" / "mp_rank_00_model_states.pt"
    state.write_bytes(flipped(state.read_bytes()))
    assert restored(tmp_path) == (2, [1.0, 2.0])
    told = capsys.readouterr().out
    assert "warning: passed over step-00000004-by-1: it was not finished\n" in told
    assert "warning: passed over step-00000003-by-1: state/mp_rank_00_model_states.pt is missing or corrupt\n" in told


def test_where_every_checkpoint_is_damaged_nothing_begins_anew(alone, tmp_path):
    train(tmp_path, 2)
    for manifest in tmp_path.glob("*/manifest-0.json"):
        manifest.write_text("")
    with pytest.raises(CorruptArtifactError, match=r"every checkpoint in .* is damaged: delete it and run again"):
        restored(tmp_path)


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_as_many_are_kept_as_are_asked_for(alone, tmp_path, kept):
    train(tmp_path, 5, kept=kept)
    assert names(tmp_path) == [f"step-{step:08}-by-1" for step in range(6 - kept, 6)]


def test_none_cannot_be_kept():
    with pytest.raises(ValueError, match="kept_checkpoints"):
        Where(home="home", data_dir="data", kept_checkpoints=0)


def test_what_was_never_finished_is_removed_once_a_newer_one_is_whole(alone, tmp_path):
    """Of a step that is still ahead it may be needed: other workers may be about to finish it."""
    train(tmp_path, 2)
    for step in (2, 9):  # by two workers, of which one was killed while it wrote
        shutil.copytree(tmp_path / "step-00000002-by-1", tmp_path / f"step-{step:08}-by-2")
    shutil.rmtree(tmp_path / "step-00000002-by-1")
    train(tmp_path, 4, first=3)
    assert names(tmp_path) == ["step-00000003-by-1", "step-00000004-by-1", "step-00000009-by-2"]


@pytest.mark.parametrize("name", ["zero0-fp32", "zero0-bf16", ZERO1, "zero3-bf16"])
def test_an_earlier_step_is_gone_back_to(alone, tmp_path, name):
    checkpoints, weights = train(tmp_path, 3, name=name)
    checkpoints.load_step(2)
    found = [parameter.detach().clone() for parameter in checkpoints.engine.module.parameters()]
    assert all(torch.equal(one, other) for one, other in zip(found, weights[2], strict=True))
    assert not all(torch.equal(one, other) for one, other in zip(found, weights[3], strict=True))


def test_a_checkpoint_of_another_training_is_refused(alone, tmp_path):
    train(tmp_path, 2, identity="one")
    assert restored(tmp_path, identity="one")[0] == 2
    with pytest.raises(ValueError, match="step-00000002-by-1 is a checkpoint of one, not of another, which has"):
        restored(tmp_path, identity="another")
