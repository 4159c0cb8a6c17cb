"""A public model is asked through its own processor and chat template."""

import json
import weakref
from dataclasses import replace

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.web2code.modelling.image_text_models import picture, save_toy
from tests.web2code.small_hub import NEW, OLD, fetched_before
from web2code.evaluation.engines.engine import Inbox, Request
from web2code.evaluation.engines.transformers import AnyModel, TransformersEngine, conversation


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


class Full:
    """A model on a GPU that another job fills: it has room for one request, and for none called `large`."""

    def __init__(self):
        self.batch, self.was_freed = lambda: None, []

    def answer(self, requests):
        self.was_freed.append(self.batch() is None)
        held = torch.zeros(1)
        self.batch = weakref.ref(held)
        if len(requests) > 1 or requests[0].key == "large":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return ["fine"]


def test_a_batch_that_had_no_room_holds_none_while_its_requests_are_answered_alone(tmp_path):
    engine = TransformersEngine.__new__(TransformersEngine)
    engine.batches = Full()
    inbox = Inbox()
    inbox.put([Request(key, (), "word", 5) for key in ("small", "large", "last")])
    inbox.close()
    replies = [reply for replies in engine.stream(inbox) for reply in replies]
    assert [(reply.key, reply.text) for reply in replies] == [("small", "fine"), ("large", ""), ("last", "fine")]
    assert replies[1].error.startswith("OutOfMemoryError: ")
    assert engine.batches.was_freed == [True] * 4


def test_a_model_answers_greedily_whatever_its_generation_config_says(tmp_path):
    save_toy(tmp_path, "qwen2.5-vl-7b")
    asked = [Request("one", (picture(60, 80),), "word", 12)]
    [plain] = TransformersEngine(str(tmp_path)).batches.answer(asked)
    path = tmp_path / "generation_config.json"
    published = {"do_sample": True, "temperature": 2.0, "repetition_penalty": 9.0, "no_repeat_ngram_size": 1}
    path.write_text(json.dumps(json.loads(path.read_text()) | published))
    [model] = TransformersEngine(str(tmp_path)).batches.answer(asked)
    assert model == plain
    sampled = AutoModelForImageTextToText.from_pretrained(tmp_path).generation_config
    assert sampled.repetition_penalty == 9.0


def test_weights_are_of_the_type_that_is_asked_for_and_told(tmp_path):
    save_toy(tmp_path, "qwen2.5-vl-7b")
    assert TransformersEngine(str(tmp_path)).version().endswith(", float32")
    engine = TransformersEngine(str(tmp_path), dtype="bfloat16")
    assert engine.version().endswith(", bfloat16")
    assert engine.batches.model.dtype == torch.bfloat16
    assert engine.batches.answer([Request("one", (picture(60, 80),), "word", 3)])


def test_a_prompt_and_its_answer_have_the_length_that_is_given(tmp_path):
    save_toy(tmp_path, "qwen2.5-vl-7b")
    asked = [Request("one", (picture(60, 80),), "word", 40)]
    whole = TransformersEngine(str(tmp_path)).batches
    inputs = whole.processor.apply_chat_template(
        [conversation(asked[0])], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    length = len(inputs["input_ids"][0])
    cut = TransformersEngine(str(tmp_path), max_length=length + 4).batches
    assert cut.answer(asked) == whole.answer([replace(asked[0], max_new_tokens=4)]) != whole.answer(asked)
    with pytest.raises(ValueError, match=f"the prompt takes {length} tokens"):
        TransformersEngine(str(tmp_path), max_length=length).batches.answer(asked)


def test_a_public_model_is_read_at_its_revision(tmp_path, monkeypatch):
    folders = fetched_before(monkeypatch, tmp_path)
    save_toy(folders[OLD], "llava-next-mistral-7b")
    save_toy(folders[NEW], "qwen2.5-vl-7b")
    asked = [Request("one", (picture(60, 80),), "word", 12)]
    old, new = (TransformersEngine(str(folders[commit])).batches.answer(asked) for commit in (OLD, NEW))
    assert old != new
    for revision, expected in ((OLD, old), (NEW, new), ("", old)):
        assert TransformersEngine("owner/toy", revision=revision).batches.answer(asked) == expected


def test_a_model_with_code_of_its_own_is_not_run_and_the_sentence_says_what_to_do(tmp_path):
    code = f"open({str(tmp_path / 'run')!r}, 'w')\nfrom transformers import PretrainedConfig as Own"
    (tmp_path / "configuration_own.py").write_text(code)
    config = {"model_type": "own", "auto_map": {"AutoConfig": "configuration_own.Own"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"is not run here.*--trust-remote-code.*web2code evaluate .* --url"):
        TransformersEngine(str(tmp_path))
    assert not (tmp_path / "run").exists()
