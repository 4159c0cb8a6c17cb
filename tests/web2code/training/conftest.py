import dataclasses

import numpy as np
import pytest

from web2code.config import LanguageConfig, ModelConfig, VisionConfig
from web2code.modelling.base import build_model, num_image_tokens, save_checkpoint
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.training.arrays import load_arrays, write_samples
from web2code.training.prepare import Counts, samples

COLOURS = {"red": (220, 30, 30), "blue": (30, 30, 220), "green": (30, 160, 30), "black": (0, 0, 0)}
MODEL = ModelConfig(
    vision=VisionConfig(image_size=32, patch_size=16, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2),
    language=LanguageConfig(
        vocab_size=400, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2, max_length=96
    ),
)


IMAGE_TOKEN = 3


def make_prepared(directory, num_pages=48):
    """A prepared dataset of one-colour pages, and its base checkpoint."""
    rows = [
        {
            "html": f"<html><body bgcolor={name}>{name} page</body></html>",
            "caption": f"a {name} page",
            "questions": [{"question": f"Is the page {name}?", "answer": "Yes"}],
        }
        for name in list(COLOURS) * (num_pages // 4)
    ]
    tokenizer = train_tokenizer([row["html"] for row in rows], 400, 96)
    save_checkpoint(directory / "base", build_model(MODEL, tokenizer, 0), tokenizer, TEMPLATES["user_assistant"])
    write_samples(
        directory, samples(tokenizer, rows, TEMPLATES["user_assistant"], num_image_tokens(MODEL), 96, Counts())
    )
    pixels = np.stack([np.full((32, 32, 3), COLOURS[name], np.uint8) for name in list(COLOURS) * (num_pages // 4)])
    np.save(directory / "pixels.npy", pixels)
    return directory


def without_pictures(arrays, indices):
    """The same samples, some of them with text in place of the picture."""
    pages, tokens = np.array(arrays.pages), np.array(arrays.tokens)
    for index in indices:
        pages[index] = -1
        own = tokens[arrays.offsets[index] : arrays.offsets[index + 1]]
        own[own == IMAGE_TOKEN] = 5
    return dataclasses.replace(arrays, pages=pages, tokens=tokens)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory):
    return make_prepared(tmp_path_factory.mktemp("prepared"))


@pytest.fixture(scope="session")
def arrays(prepared):
    return load_arrays(prepared)
