import io

import numpy as np
import pytest
from PIL import Image

from web2code.config import DataConfig, DatasetRecord, PreparedLayout, PreparedPart
from web2code.data.rows import build_row
from web2code.data.sample import Sample, dialogue
from web2code.data.shards import finish, write_shard
from web2code.modelling.images import CLIP_MEAN, CLIP_STD, square_pixels
from web2code.modelling.prompts import answer_text
from web2code.modelling.samples import IGNORED
from web2code.modelling.templates import CODE_PROMPT, TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.training.arrays import join_shards, load_arrays
from web2code.training.prepare import Preparation, SquarePictures, owners, prepare_shard

HTML = "<html><body><s>old</s> <image> new</body></html>"
TALK = [("Is it a page?", "Yes, it is"), ("Is it red?", "No")]
PARTS = (
    PreparedPart(stage="align", part="code"),
    PreparedPart(stage="instruct", part="code"),
    PreparedPart(stage="instruct", part="talk"),
    PreparedPart(stage="instruct", part="talk", turns="apart"),
)


def png(width, height):
    stream = io.BytesIO()
    Image.new("RGB", (width, height), (200, 30, 30)).save(stream, "PNG")
    return stream.getvalue()


def samples(part):
    if part == "code":
        return [Sample(f"page/{i}", part, "s", "MIT", dialogue([(CODE_PROMPT, HTML)]), png(40, 30)) for i in range(3)]
    return [
        Sample("talk/0", part, "s", "MIT", dialogue(TALK), png(40, 30)),
        Sample("talk/2", part, "s", "MIT", dialogue(TALK), png(64, 64)),
        Sample("talk/1", part, "s", "MIT", dialogue(TALK)),
    ]


def write(folder, parts):
    shards = [write_shard(folder, [build_row(sample, len) for sample in samples(part)]) for part in parts]
    finish(folder, DatasetRecord(fingerprint="data", data=DataConfig(sources=())), shards, [])
    return shards


def preparation(folder, template="user_assistant", **changes):
    used = {"align": TEMPLATES["plain"], "instruct": TEMPLATES[template]}
    texts = [HTML, CODE_PROMPT, *(text for pair in TALK for text in pair)]
    tokenizer = train_tokenizer(texts, 600, 512, used["instruct"].control_tokens)
    return Preparation(**{
        "folder": folder, "tokenizer": tokenizer, "templates": used, "parts": PARTS, "kept": {}, "excluded": (),
        "max_length": 4096, "pictures": SquarePictures(num_tokens=4, size=16, mean=CLIP_MEAN, form="raw"),
    } | changes)  # fmt: skip


def prepared(folder, how, parts=("code", "talk")):
    shards = write(how.folder, parts)
    own = owners(how, shards)
    folders = [folder / "prepared" / shard.part for shard in shards]
    made = zip(shards, folders, strict=True)
    counts = [prepare_shard(how, shard, own[shard.path], out) for shard, out in made]
    join_shards(folder / "prepared", folders, PreparedLayout(parts=PARTS, pixel_mean=CLIP_MEAN, pixel_std=CLIP_STD))
    return load_arrays(folder / "prepared"), counts


def learned(arrays, how, index):
    """What the labels of a sample spell, answer by answer."""
    labels = np.array(arrays.sample(index).labels)
    template = how.templates[PARTS[arrays.parts[index]].stage]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], labels != IGNORED, [0]])))
    runs = [labels[start:end].tolist() for start, end in edges.reshape(-1, 2)]
    return [text for text in (answer_text(how.tokenizer, template, run) for run in runs) if text]


@pytest.mark.parametrize("template", [name for name, template in TEMPLATES.items() if template.next is not None])
def test_every_answer_is_learned_in_every_template(tmp_path, template):
    how = preparation(tmp_path, template)
    arrays, counts = prepared(tmp_path, how)
    assert [count.num_truncated + count.num_dropped for count in counts] == [0, 0]
    of_part = [np.flatnonzero(arrays.parts == number) for number in range(len(PARTS))]
    assert [len(indices) for indices in of_part] == [3, 3, 3, 6]
    assert all(learned(arrays, how, index) == [HTML] for index in (*of_part[0], *of_part[1]))
    assert all(learned(arrays, how, index) == ["Yes, it is", "No"] for index in of_part[2])
    assert [learned(arrays, how, index) for index in of_part[3]] == [["Yes, it is"], ["No"]] * 3
    assert arrays.label_counts.tolist() == [
        sum(label != IGNORED for label in arrays.sample(index).labels) for index in range(len(arrays.lengths))
    ]


@pytest.mark.parametrize("form", ["raw", "jpeg"])
def test_a_picture_is_stored_once_at_training_size(tmp_path, form):
    arrays, _ = prepared(tmp_path, preparation(tmp_path, pictures=SquarePictures(4, 16, CLIP_MEAN, form)))
    assert len(arrays.pixels) == 2, "all pages look the same, and one conversation is about them"
    talk = np.flatnonzero(arrays.parts == 2)
    assert (arrays.pages[talk] >= 0).tolist() == [True, True, False]
    assert set(arrays.pages[arrays.parts == 0]) == {arrays.pages[talk[0]]} != {arrays.pages[talk[1]]}
    shown = arrays.shown(talk)
    expected = np.stack([square_pixels(sample.image, 16) for sample in samples("talk")[:2]])
    assert shown.shape == (2, 16, 16, 3)
    assert np.abs(shown.astype(int) - expected).max() <= (0 if form == "raw" else 8)


def test_pictures_of_the_first_part_alone_are_stored(tmp_path):
    arrays, _ = prepared(tmp_path, preparation(tmp_path, parts=PARTS[:1]))
    assert set(arrays.parts) == {0}
    assert len(arrays.pixels) == 1
    assert arrays.shown(np.arange(3)).shape == (3, 16, 16, 3)


def test_what_is_excluded_or_over_the_cap_is_left_out(tmp_path):
    how = preparation(tmp_path, excluded={"page/0", "talk/2"}, kept={0: (), 1: {"page/2"}})
    arrays, _ = prepared(tmp_path, how)
    assert np.bincount(arrays.parts).tolist() == [0, 1, 2, 4]
    assert len(arrays.pixels) == 1
    assert arrays.shown(np.arange(len(arrays.parts))).shape == (4, 16, 16, 3)


def test_a_sample_that_is_too_long_is_cut_and_counted_and_dropped_where_nothing_is_left_to_learn(tmp_path):
    how = preparation(tmp_path)
    whole, _ = prepared(tmp_path / "whole", how)
    prompt = int((whole.lengths - whole.label_counts)[whole.parts == 1][0])
    arrays, counts = prepared(tmp_path / "cut", preparation(tmp_path, max_length=prompt + 2), ("code",))
    assert arrays.lengths.max() == prompt + 2
    assert counts[0].num_truncated == 3
    arrays, counts = prepared(tmp_path / "dropped", preparation(tmp_path, max_length=prompt), ("code",))
    assert counts[0].num_dropped == 3
    assert set(arrays.parts) == {0}


def test_a_shard_that_is_done_is_not_done_again(tmp_path):
    how, (shard,) = preparation(tmp_path), write(tmp_path, ["code"])
    first = prepare_shard(how, shard, (), tmp_path / "out")
    (tmp_path / shard.path).unlink()
    assert prepare_shard(how, shard, (), tmp_path / "out") == first


def test_a_broken_picture_is_named(tmp_path):
    rows = [build_row(sample, len) | {"image": b"no picture"} for sample in samples("code")]
    shard = write_shard(tmp_path, rows)
    with pytest.raises(ValueError, match="the picture of sample page/0 cannot be read"):
        prepare_shard(preparation(tmp_path), shard, {rows[0]["image_sha256"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()
