import dataclasses

import numpy as np
import pytest
import torch.distributed as dist

from web2code.config import LanguageConfig, ModelConfig, PreparedLayout, PreparedPart, VisionConfig
from web2code.modelling.base import build_model, num_image_tokens, save_checkpoint
from web2code.modelling.images import CLIP_MEAN, CLIP_STD
from web2code.modelling.prompts import about_image, conversation_sample
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.training.arrays import KEYS, columns_of, join_shards, load_arrays, write_columns
from web2code.training.pictures import write_pictures

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 160, 30), "black": (0, 0, 0)}
MODEL = ModelConfig(
    vision=VisionConfig(image_size=32, patch_size=16, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2),
    language=LanguageConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, max_length=96
    ),
)


IMAGE_TOKEN = 3


CAPTIONS, CODE, QUESTIONS = range(3)
LAYOUT = PreparedLayout(
    parts=(
        PreparedPart(stage="align", part="captions"),
        PreparedPart(stage="instruct", part="code"),
        PreparedPart(stage="instruct", part="questions", weight=0.25, turns="apart"),
    ),
    pixel_mean=CLIP_MEAN,
    pixel_std=CLIP_STD,
)


def make_prepared(directory, num_pages=48):
    """A prepared dataset of one-colour pages, and its base checkpoint."""
    names = list(COLOURS) * (num_pages // 4)
    pages = [f"<html><body bgcolor={name}>{name} page</body></html>" for name in names]
    tokenizer = train_tokenizer(pages, 400, 96)
    save_checkpoint(directory / "base", build_model(MODEL, tokenizer, 0), tokenizer, TEMPLATES["user_assistant"])
    samples = []
    for page, (name, html) in enumerate(zip(names, pages, strict=True)):
        for part, template, ask, answer in (
            (CAPTIONS, "plain", "", f"a {name} page"),
            (CODE, "user_assistant", "Write the HTML of this page.", html),
            (QUESTIONS, "user_assistant", f"Is the page {name}?", "Yes"),
        ):
            sample = conversation_sample(
                tokenizer, TEMPLATES[template], about_image((ask, answer)), num_image_tokens(MODEL)
            )
            samples.append((sample, page, part))
    shard = directory / "shards" / "pages"
    shard.mkdir(parents=True)
    write_columns(shard, columns_of(samples))
    write_pictures(shard, [np.full((32, 32, 3), COLOURS[name], np.uint8) for name in names], "raw")
    np.save(shard / KEYS, np.arange(len(names)))
    join_shards(directory, [shard], LAYOUT)
    return directory


def without_pictures(arrays, indices):
    """The same samples, some of them with text in place of the picture."""
    pages, tokens = np.array(arrays.pages), np.array(arrays.tokens)
    for index in indices:
        pages[index] = -1
        own = tokens[arrays.offsets[index] : arrays.offsets[index] + arrays.lengths[index]]
        own[own == IMAGE_TOKEN] = 5
    return dataclasses.replace(arrays, pages=pages, tokens=tokens)


@pytest.fixture(scope="session")
def alone(tmp_path_factory):
    """A process group of this process only; DeepSpeed keeps the first one that it sees."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOCAL_RANK", "0")
        store = tmp_path_factory.mktemp("group") / "store"
        dist.init_process_group("gloo", init_method=f"file://{store}", rank=0, world_size=1)
        yield
        dist.destroy_process_group()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def arrays(prepared):
    return load_arrays(prepared)
