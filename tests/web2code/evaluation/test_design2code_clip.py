import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.web2code.evaluation.clip import small_encoder
from web2code.evaluation.design2code.blocks import Block
from web2code.evaluation.design2code.clip import load_clip, without_text


@pytest.fixture(scope="module")
def encoder():
    return small_encoder()


def drawn(number):
    """Two pictures with stripes like lines of text, of other sizes and colours."""
    picture = Image.new("RGB", (200 + 40 * number, 150 - 30 * number), ("#e8f0ff", "#203040")[number])
    draw = ImageDraw.Draw(picture)
    draw.rectangle([10, 10, 90, 60], fill="#c03020")
    draw.ellipse([100, 40, 180 + 10 * number, 110], fill="#30a060")
    for line in range(6):
        draw.line([20, 70 + 5 * line, 95, 70 + 5 * line], fill=("black", "white")[number], width=2)
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("boxes", "similarity"),
    [
        (([], []), 0.98186451),
        (([(0.1, 0.45, 0.4, 0.25)], [(0.08, 0.57, 0.35, 0.3), (0.5, 0.2, 0.2, 0.1)]), 0.98038632),
    ],
)
def test_similarity_is_that_of_the_published_code(encoder, boxes, similarity):
    """Figures of OpenAI's CLIP and OpenCV, as Design2Code's script calls them, with these weights (OpenCV 5.0)."""
    one, other = (
        encoder.features(drawn(number), [Block("words", box, (0, 0, 0)) for box in boxes[number]]) for number in (0, 1)
    )
    assert float(one @ other) == pytest.approx(similarity, abs=1e-5)


def test_the_same_picture_is_wholly_alike(encoder):
    one, same = (encoder.features(drawn(0), []) for _ in range(2))
    assert float(one @ same) == pytest.approx(1, abs=1e-6)


def test_text_is_taken_out_of_the_picture():
    image = Image.new("RGB", (100, 60), "white")
    ImageDraw.Draw(image).text((10, 20), "words", fill="black")
    emptied = without_text(np.asarray(image), [Block("words", (0.05, 0.2, 0.6, 0.6), (0, 0, 0))])
    assert emptied.min() == 255


def test_an_encoder_is_loaded_from_a_checkpoint(tmp_path, encoder):
    encoder.model.save_pretrained(tmp_path)
    loaded = load_clip(tmp_path)
    assert torch.allclose(loaded.features(drawn(1), []), encoder.features(drawn(1), []), atol=1e-5)
