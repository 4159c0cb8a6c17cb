"""A public model is asked through its own processor and chat template."""

import pytest

from tests.web2code.modelling.image_text_models import picture, save_toy
from web2code.evaluation.engines.engine import Inbox, Request
from web2code.evaluation.engines.transformers import AnyModel, TransformersEngine


@pytest.mark.parametrize("name", ["llava-next-mistral-7b", "qwen2.5-vl-7b"])
def test_answers_in_a_batch_are_those_alone_and_a_bad_picture_fails_alone(tmp_path, name):
    save_toy(tmp_path, name)
    engine = TransformersEngine(str(tmp_path))
    assert isinstance(engine.batches, AnyModel)
    asked = [Request(str(n), (picture(60 + 30 * n, 80),), "word " * (n + 1), 5) for n in range(3)]
    inbox = Inbox()
    inbox.put([*asked, Request("bad", (b"no picture",), "x", 5)])
    inbox.close()
    replies = {reply.key: reply for replies in engine.stream(inbox) for reply in replies}
    assert [replies[one.key].text for one in asked] == [engine.batches.answer([one])[0] for one in asked]
    assert replies["bad"].error
    assert not any(replies[one.key].error for one in asked)
