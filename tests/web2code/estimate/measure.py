"""Trains toy copies of recipes for two steps in this process: `python -m tests.web2code.estimate.measure CASES`.

Prints, for each case, the bytes of weights, gradients and optimizer, and the peak of what the allocator gave out beside
them during a micro batch in which all of them are there.
"""

import json
import sys

import torch
from torch.profiler import ProfilerActivity, profile

from web2code.config import LoraConfig
from web2code.modelling.adapters import add_adapters
from web2code.modelling.attention import register_varlen
from web2code.modelling.llava import llava_config, model_class, shrunken
from web2code.modelling.samples import IGNORED
from web2code.recipes import RECIPES
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import parameter_groups, set_trainable

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure(case):
    """Bytes by part, in the second micro batch of the second step."""
    recipe = RECIPES[case["recipe"]]()
    stage = getattr(recipe, case["stage"])
    torch.manual_seed(0)
    register_varlen()
    config = toy_config(recipe, case)
    model = model_class(config)(config)
    if case["lora"]:
        add_adapters(model, LoraConfig(rank=8))
    model.to(DTYPES[case["precision"]]).train()
    set_trainable(model, stage.trainable)
    model.set_attn_implementation({"text_config": case["attention"], "vision_config": "sdpa"})
    if case["checkpointing"]:
        checkpoint_layers(model)
    optimizer = torch.optim.AdamW(parameter_groups(model, stage), lr=1e-3, foreach=False)
    objective, batch = AnswerLoss(model), make_batch(config, case["micro_batch"], case["length"], model.dtype)
    if case["packed"]:
        batch = pack(batch)
    objective(**batch).backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    for _ in range(2):  # on a busy machine the first profile of a process may lack events
        with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
            objective(**batch).backward()
    return {**states(model, optimizer), "peak": peak(profiled)}


def toy_config(recipe, case):
    """A recipe's model at toy widths, with a case's vocabulary."""
    config = shrunken(llava_config(recipe.model))
    config.text_config.vocab_size, config.image_token_index = case["vocab_size"], case["vocab_size"] - 1
    return config


def make_batch(config, micro_batch, length, dtype):
    size, seen = config.vision_config.image_size, config.image_seq_length
    ids = torch.randint(3, config.image_token_id, (micro_batch, length))
    ids[:, :seen] = config.image_token_id
    labels = ids.clone()
    labels[:, :seen] = IGNORED
    pixels = torch.randn(micro_batch, 3, size, size, dtype=dtype)
    return {"input_ids": ids, "labels": labels, "pixel_values": pixels, "num_images": micro_batch, "num_tokens": 1.0}


def pack(batch):
    """The same samples as `collate_packed` lays them out."""
    num, length = batch["input_ids"].shape
    bounds = torch.arange(num + 1, dtype=torch.int32) * length
    labels = batch["labels"].clone()
    labels[:, 0] = IGNORED
    return batch | {
        "input_ids": batch["input_ids"].reshape(1, -1), "labels": labels.reshape(1, -1),
        "position_ids": torch.arange(length).repeat(num)[None], "cu_seq_lens_q": bounds, "cu_seq_lens_k": bounds,
        "max_length_q": length, "max_length_k": length,
    }  # fmt: skip


def states(model, optimizer):
    """Bytes of what stays from step to step, in the second step."""
    moments = [value for state in optimizer.state.values() for value in state.values() if value.dim() > 0]
    return {
        "weights": sum(parameter.nbytes for parameter in model.parameters()),
        "gradients": sum(parameter.grad.nbytes for parameter in model.parameters() if parameter.grad is not None),
        "optimizer": sum(value.nbytes for value in moments),
    }


def peak(profiled):
    """The most that was given out and not yet given back, of what was asked for while the profile ran."""
    events = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    now = most = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        most = max(most, now)
    return most


if __name__ == "__main__":
    print(json.dumps([measure(case) for case in json.loads(sys.argv[1])]))
