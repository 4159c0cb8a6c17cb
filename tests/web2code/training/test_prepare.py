import numpy as np
import pytest

from web2code.modelling.prompts import IGNORED, answer_text
from web2code.modelling.templates import TEMPLATES
from web2code.modelling.tokenizer import train_tokenizer
from web2code.training.arrays import CODE, load_arrays, write_samples
from web2code.training.prepare import Counts, samples, tokenizer_texts

ROWS = [
    {
        "html": "<html><body><s>old</s> new</body></html>",
        "caption": "a page",
        "questions": [{"question": "Is it a page?", "answer": "Yes"}],
    }
] * 4


@pytest.mark.parametrize("name", TEMPLATES)
def test_arrays_learn_the_same_answers_in_every_template(tmp_path, name):
    template = TEMPLATES[name]
    tokenizer = train_tokenizer(tokenizer_texts(ROWS, template), 600, 512, template.control_tokens)
    counts = Counts()
    assert write_samples(tmp_path, samples(tokenizer, ROWS, template, 4, 512, counts))["code"] == len(ROWS)
    assert counts.num_truncated == 0
    np.save(tmp_path / "pixels.npy", np.zeros((len(ROWS), 2, 2, 3), np.uint8))
    arrays = load_arrays(tmp_path)
    for index, kind in enumerate(arrays.kinds):
        if kind == CODE:
            learned = [label for label in arrays.sample(index).labels if label != IGNORED]
            assert answer_text(tokenizer, template, learned) == ROWS[0]["html"]


def test_a_sample_that_is_too_long_is_cut_and_counted():
    template, counts = TEMPLATES["user_assistant"], Counts()
    tokenizer = train_tokenizer(tokenizer_texts(ROWS, template), 600, 512)
    made = [sample for sample, _, _ in samples(tokenizer, ROWS[:1], template, 4, 24, counts)]
    assert counts.num_truncated == sum(len(sample.tokens) == 24 for sample in made) > 0
    assert all(len(sample.tokens) == len(sample.labels) <= 24 for sample in made)
