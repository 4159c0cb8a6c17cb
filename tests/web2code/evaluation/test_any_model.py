"""A public model is asked through its own processor and chat template."""

import json

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


def test_a_model_with_code_of_its_own_is_not_run_and_the_sentence_says_what_to_do(tmp_path):
    code = f"open({str(tmp_path / 'run')!r}, 'w')\nfrom transformers import PretrainedConfig as Own"
    (tmp_path / "configuration_own.py").write_text(code)
    config = {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is not run here.*--trust-remote-code.*web2code evaluate .* --url"):
        TransformersEngine(str(tmp_path))
    assert not (tmp_path / "run").exists()
