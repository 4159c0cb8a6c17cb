"""Stage 2 of training: useful tokens a second beside TRL's trainer and a loop like LLaVA's.

`python -m benchmarks.train_step` measures all three on this machine's CPU, on a small model. With a device,
`--shape crystalchat-7b --device cuda`, it measures ours alone: tokens a second, the share of the device's own bf16 peak
that they come to (MFU), and memory. For that it needs torch and transformers, with numpy and Pillow, and none of what
the rest of training needs.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from types import SimpleNamespace
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

sys.path.append(f"{sys.prefix}/peers")  # before transformers looks for what it can work with
from transformers import (
    CONFIG_MAPPING,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from benchmarks.arms import Arm, apart, report
from web2code.modelling.attention import VARLEN, register_varlen
from web2code.modelling.backbones import LANGUAGE_MODELS
from web2code.modelling.images import CLIP_MEAN, CLIP_STD
from web2code.modelling.samples import IGNORED, Sample
from web2code.training.arrays import Arrays, arrays_of, columns_of
from web2code.training.batches import Batch, collate, collate_packed
from web2code.training.flops import model_flops
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loader import ahead
from web2code.training.loss import AnswerLoss
from web2code.training.packing import lay_out

ROUNDS, STEPS, GLOBAL_BATCH, SEED = 5, 4, 16, 0
MAX_LENGTH, LEARNING_RATE, WARM_UP = 2048, 1e-4, 3
BOS, EOS, PAD, IMAGE = range(4)

# Thousands of samples, whether they show a picture, tokens of the questions, mean and deviation of the answers'. A
# sample of DWU or DWU_R is a page with all that is asked about it. The lengths of DWCG and DWCG_R are those of the
# Web2Code paper, sizes those of the papers; the other lengths are estimates.
MIX = (
    ("DWCG", 60.0, True, 40, 472, 162),
    ("DWCG_R", 824.7, True, 40, 653, 157),
    ("DWU", 24.35, True, 150, 300, 100),
    ("DWU_R", 6.44, True, 60, 60, 30),
    ("mix665k: LLaVA", 158.0, True, 40, 200, 100),
    ("mix665k: short answers", 444.0, True, 80, 40, 30),
    ("mix665k: captions", 22.0, True, 20, 15, 5),
    ("mix665k: ShareGPT", 40.0, False, 200, 1000, 500),
)


@dataclass(frozen=True)
class Shape:
    """A CLIP tower and a language model of some type, and how many tokens a pack has."""

    vision: dict[str, int]
    language: dict[str, Any]
    pack_tokens: int


CLIP_L = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 336, "patch_size": 14,
}  # fmt: skip
LLAMA = {"model_type": "llama", "max_position_embeddings": MAX_LENGTH}
SHAPES = {
    # Parts in proportion to a 7B model's: the head 4 %, the tower 3 % of what a step computes.
    "small": Shape(
        {**CLIP_L, "hidden_size": 128, "intermediate_size": 512, "num_hidden_layers": 4, "num_attention_heads": 2},
        {**LLAMA, "hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 8, "num_attention_heads": 4,
         "vocab_size": 1024},
        4096,
    ),
    "llama-1b": Shape(
        CLIP_L,
        {**LLAMA, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
         "num_key_value_heads": 8, "vocab_size": 32000},
        16384,
    ),
    "crystalchat-7b": Shape(CLIP_L, {**LANGUAGE_MODELS["crystalchat-7b"].shape}, 16384),
}  # fmt: skip


def config_of(shape: Shape) -> LlavaConfig:
    """The model's configuration."""
    text = CONFIG_MAPPING[shape.language["model_type"]](
        **{name: value for name, value in shape.language.items() if name != "model_type"},
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
    )  # fmt: skip
    return LlavaConfig(vision_config=CLIPVisionConfig(**shape.vision), text_config=text, image_token_index=IMAGE)


def build(shape: Shape) -> LlavaForConditionalGeneration:
    """The model with random weights, the same at every call; its tower is frozen."""
    torch.manual_seed(SEED)
    model = LlavaForConditionalGeneration(config_of(shape))
    model.model.vision_tower.requires_grad_(False)
    return model


def placed(shape: Shape, device: str) -> LlavaForConditionalGeneration:
    """The model on a device, in bf16, with attention that keeps packed samples apart."""
    register_varlen()
    with torch.device(device):
        model = build(shape).to(torch.bfloat16).train()
    model.set_attn_implementation({"text_config": VARLEN, "vision_config": "sdpa"})
    return model


def draw(num_samples: int, vocab_size: int, image_tokens: int, image_size: int) -> Arrays:
    """Samples of the mixture, of random tokens; every picture is one of a few."""
    rng = np.random.default_rng(SEED)
    sizes = np.array([size for _, size, *_ in MIX])
    samples = []
    for part in rng.choice(len(MIX), num_samples, p=sizes / sizes.sum()):
        _, _, pictured, question, mean, deviation = MIX[part]
        head = [BOS, *[IMAGE] * (image_tokens * pictured), *rng.integers(4, vocab_size, question).tolist()]
        room = MAX_LENGTH - len(head) - 1
        answer = [*rng.integers(4, vocab_size, int(np.clip(rng.normal(mean, deviation), 4, room))).tolist(), EOS]
        page = int(rng.integers(16)) if pictured else -1
        samples.append((Sample([*head, *answer], [*[IGNORED] * len(head), *answer]), page, 0))
    pixels = rng.integers(0, 255, (16, image_size, image_size, 3), dtype=np.uint8)
    layout: Any = SimpleNamespace(pixel_mean=CLIP_MEAN, pixel_std=CLIP_STD)  # what batches need of a prepared one
    return arrays_of(columns_of(samples), pixels, layout)


def prepared(arrays: Arrays) -> Arrays:
    """The same samples as those of a stage, which a run of it asks for."""
    from web2code.config import PreparedLayout, PreparedPart  # pydantic's

    parts = (PreparedPart(stage="instruct", part="mix"),)
    return replace(arrays, layout=PreparedLayout(parts=parts, pixel_mean=CLIP_MEAN, pixel_std=CLIP_STD))


def trained_of(model: LlavaForConditionalGeneration) -> list[torch.nn.Parameter]:
    """All but the tower's."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def optimizer_of(model: LlavaForConditionalGeneration) -> torch.optim.Optimizer:
    """AdamW as all three use it."""
    return torch.optim.AdamW(trained_of(model), lr=LEARNING_RATE, weight_decay=0.0, fused=True)


class Optimizer(Protocol):
    """What a training step does with it."""

    def step(self) -> Any: ...

    def zero_grad(self) -> None: ...


class MasterAdamW:
    """AdamW as recipes have it under DeepSpeed: weights and moments in float32 beside bf16 weights and gradients.

    One optimizer for each parameter, so that no more than one gradient is there in float32.
    """

    def __init__(self, parameters: list[torch.nn.Parameter]) -> None:
        self.parameters = parameters
        self.masters = [torch.nn.Parameter(parameter.detach().float()) for parameter in parameters]
        self.optimizers = [
            torch.optim.AdamW([master], lr=LEARNING_RATE, weight_decay=0.0, fused=True) for master in self.masters
        ]

    @torch.no_grad()
    def step(self) -> None:
        """Update the masters, and the weights that are computed with."""
        for parameter, master, optimizer in zip(self.parameters, self.masters, self.optimizers, strict=True):
            assert parameter.grad is not None
            master.grad = parameter.grad.float()
            optimizer.step()
            master.grad = None
            parameter.copy_(master)

    def zero_grad(self) -> None:
        """Let the gradients go."""
        for parameter in self.parameters:
            parameter.grad = None


# Of ours alone: bytes for each trained parameter, weights and gradients included.
OPTIMIZERS = {
    "bf16": ("AdamW, weights and moments in bf16 (8 bytes a parameter)", optimizer_of),
    "float32": (
        "AdamW, float32 master weights and moments (16 bytes a parameter)",
        lambda model: MasterAdamW(trained_of(model)),
    ),
}


def clip(model: LlavaForConditionalGeneration) -> float:
    """Clip the gradient to a norm of 1; returns what it was."""
    return float(torch.nn.utils.clip_grad_norm_(trained_of(model), 1.0))


def grouped(arrays: Arrays) -> list[np.ndarray]:
    """Global batches as LLaVA's sampler makes them: random samples of one modality, sorted by length."""
    from web2code.config import StageConfig  # pydantic's
    from web2code.training.order import Order

    stage = StageConfig(
        name="instruct", trainable=(), zero_stage=0, template="vicuna_v1", steps=1, global_batch=GLOBAL_BATCH,
        learning_rate=LEARNING_RATE, grouping="modality_length",
    )  # fmt: skip
    order = Order(prepared(arrays), stage, SEED)
    return [order.batch(step) for step in range(order.batches_per_epoch)]


def shuffled(arrays: Arrays) -> list[np.ndarray]:
    """Global batches in random order."""
    order = np.random.default_rng(SEED).permutation(len(arrays.lengths))
    return [order[i : i + GLOBAL_BATCH] for i in range(0, len(order) - GLOBAL_BATCH + 1, GLOBAL_BATCH)]


def packs_of(shape: Shape, arrays: Arrays, batch: np.ndarray) -> list[Batch]:
    """A global batch as micro batches."""
    packs = lay_out(arrays.lengths[batch], 1, shape.pack_tokens)[0]
    return [collate_packed(arrays, batch[pack], torch.bfloat16) for pack in packs]


def on_device(tensors: Batch, device: str) -> Batch:
    """A micro batch where the model is."""
    return {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in tensors.items()}


def train_on(model, packs: list[Batch], num_tokens: float, device: str) -> torch.Tensor:
    """Forward and backward of one global batch; returns its loss. Weights in bf16 are computed with as they are."""
    total = torch.zeros((), device=device)
    for tensors in packs:
        with torch.autocast(device, torch.bfloat16, enabled=model.dtype == torch.float32):
            loss = AnswerLoss(model)(**on_device(tensors, device), num_tokens=num_tokens)
        loss.backward()
        total += loss.detach()
    return total


def ours_step(model, shape: Shape, arrays: Arrays, batch: np.ndarray, device: str) -> float:
    """Forward and backward of one global batch, packed; returns its loss."""
    num_tokens = float(arrays.label_counts[batch].sum())
    return float(train_on(model, packs_of(shape, arrays, batch), num_tokens, device))


def llava_step(model, shape: Shape, arrays: Arrays, batch: np.ndarray, device: str) -> float:
    """Forward and backward of one global batch as LLaVA's trainer has it: padded rows, a mask, all logits."""
    num_tokens = float(arrays.label_counts[batch].sum())
    tensors = collate(arrays, batch, PAD, torch.bfloat16)
    inputs = {"input_ids": tensors["input_ids"], "attention_mask": (tensors["input_ids"] != PAD).long()}
    if tensors["num_images"]:
        inputs["pixel_values"] = tensors["pixel_values"]
    with torch.autocast(device, torch.bfloat16):
        labels = tensors["labels"].to(device)
        outputs = model(**{name: value.to(device) for name, value in inputs.items()}, labels=labels, use_cache=False,
                        num_items_in_batch=num_tokens)  # fmt: skip
    outputs.loss.backward()
    return float(outputs.loss.detach())


def loop(way: str, shape_name: str, steps: int = STEPS, device: str = "cpu") -> dict[str, float]:
    """Train some steps; loss and gradient norm of the first, seconds and tokens of those after it."""
    shape = SHAPES[shape_name]
    register_varlen()
    model = build(shape).to(device).train()
    model.set_attn_implementation({"text_config": VARLEN if way == "ours" else "sdpa", "vision_config": "sdpa"})
    arrays = draw(GLOBAL_BATCH * (steps + 1), *sizes_of(shape))
    step, order = (ours_step, shuffled) if way == "ours" else (llava_step, grouped)
    optimizer = optimizer_of(model)
    loss = step(model, shape, arrays, np.arange(GLOBAL_BATCH), device)
    norm = clip(model)
    optimizer.step()
    optimizer.zero_grad()
    began, tokens = time.perf_counter(), 0
    for batch in order(arrays)[:steps]:
        step(model, shape, arrays, batch, device)
        clip(model)
        optimizer.step()
        optimizer.zero_grad()
        tokens += int(arrays.lengths[batch].sum())
    return {"loss": loss, "norm": norm, "seconds": time.perf_counter() - began, "tokens": tokens}


def sizes_of(shape: Shape) -> tuple[int, int, int]:
    """Vocabulary, image tokens, image size."""
    vision = shape.vision
    return shape.language["vocab_size"], (vision["image_size"] // vision["patch_size"]) ** 2, vision["image_size"]


def processor_of(shape: Shape) -> LlavaProcessor:
    """Words `t4`, `t5` ... are single tokens, so that TRL's processor makes exactly the same ids."""
    vocabulary, _, size = sizes_of(shape)
    words = {"<s>": BOS, "</s>": EOS, "<pad>": PAD, "<image>": IMAGE} | {f"t{i}": i for i in range(4, vocabulary)}
    backend = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens={"image_token": "<image>"},
    )  # fmt: skip
    pictures = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    return LlavaProcessor(
        pictures, tokenizer, patch_size=shape.vision["patch_size"], vision_feature_select_strategy="default",
        image_token="<image>", num_additional_image_tokens=1,
    )  # fmt: skip


def trl(shape_name: str, steps: int = STEPS) -> dict[str, float]:
    """TRL's SFTTrainer with its own collator for pictures, random batches; the same figures as `loop`."""
    import trl as library
    from datasets import Dataset, Features, List, Value
    from datasets import Image as Picture
    from transformers import TrainerCallback

    shape = SHAPES[shape_name]
    arrays = draw(GLOBAL_BATCH * (steps + 1), *sizes_of(shape))
    assert isinstance(arrays.pixels, np.ndarray)
    pictures = [Image.fromarray(pixels) for pixels in arrays.pixels]
    marks: list[float] = []

    class Clock(TrainerCallback):
        def on_step_end(self, *arguments, **kwargs):
            marks.append(time.perf_counter())

    def rows(indices):
        for index in indices:
            sample = arrays.sample(int(index))
            start = int(arrays.lengths[index] - arrays.label_counts[index])
            shown = bool(arrays.pages[index] >= 0)
            text = [f"t{token}" for token in sample.tokens if token > IMAGE]
            question = sum(token > IMAGE for token in sample.tokens[:start])
            yield {
                "prompt": " ".join(["<s>", *["<image>"] * shown, *text[:question]]),
                "completion": " " + " ".join([*text[question:], "</s>"]),
                "images": [pictures[arrays.pages[index]]] if shown else [],
            }

    def train(indices, num_steps, folder):
        features = Features({"prompt": Value("string"), "completion": Value("string"), "images": List(Picture())})
        options = library.SFTConfig(
            output_dir=folder, per_device_train_batch_size=GLOBAL_BATCH, max_steps=num_steps, bf16=True, use_cpu=True,
            learning_rate=LEARNING_RATE, lr_scheduler_type="constant", logging_steps=1, report_to=[],
            save_strategy="no", max_length=None, gradient_checkpointing=False, completion_only_loss=True, seed=SEED,
            disable_tqdm=True, optim="adamw_torch_fused",
        )  # fmt: skip
        trainer = library.SFTTrainer(
            model, options, train_dataset=Dataset.from_list(list(rows(indices)), features=features),
            processing_class=processor_of(shape), callbacks=[Clock()],
        )  # fmt: skip
        trainer.train()
        return trainer.state.log_history[0]

    model = build(shape)
    with tempfile.TemporaryDirectory() as folder:
        first = train(np.arange(GLOBAL_BATCH), 1, folder)
        marks.clear()
        used = np.concatenate(shuffled(arrays))[: GLOBAL_BATCH * (steps + 1)]
        train(used, steps + 1, folder)
    # The first step is not counted; which samples the others held is the sampler's choice: the mean length tells.
    tokens = int(arrays.lengths[used].mean() * GLOBAL_BATCH * steps)
    return {
        "loss": first["loss"], "norm": first["grad_norm"], "seconds": marks[-1] - marks[0], "tokens": tokens
    }  # fmt: skip


def compare(shape: str, rounds: int) -> None:
    """The three ways in turns; their first steps must agree."""
    ways = {
        "TRL 1.16 SFTTrainer": partial(trl, shape),
        "LLaVA's loop: grouped by modality and length, padded": partial(loop, "llava", shape),
        "ours: packed, logits of answers alone": partial(loop, "ours", shape),
    }
    arms = {name: Arm(name) for name in ways}
    for number in range(rounds):
        firsts = []
        for name, work in ways.items():
            _, gigabytes, got = apart(work)
            arms[name].seconds.append(got["seconds"] / got["tokens"] * 1000)
            arms[name].gigabytes.append(gigabytes)
            firsts.append((got["loss"], got["norm"]))
            print(f"round {number + 1}  {name:<55} {got['tokens'] / got['seconds']:7.0f} tokens/s"
                  f"  loss {got['loss']:.4f}  gradient {got['norm']:.4f}", flush=True)  # fmt: skip
        assert np.allclose(firsts, firsts[-1], rtol=0.01), f"the first steps differ: {firsts}"
    note = "Seconds are those of a thousand useful tokens; pictures stored at training size in all three."
    report("Training step", 1000, "useful tokens", arms, note)
    theirs, loops, mine = (arm.median for arm in arms.values())
    print(f"{theirs / mine:.2f} times TRL, {loops / mine:.2f} times LLaVA's loop")


def alone(shape_name: str, device: str, steps: int, optimizer_name: str = "bf16", recompute: float = 1.0) -> None:
    """Ours on one device, whole model but the tower trained, with bf16 weights and gradients."""
    shape = SHAPES[shape_name]
    model = placed(shape, device)
    checkpoint_layers(model, recompute)
    arrays = draw(GLOBAL_BATCH * (steps + WARM_UP), *sizes_of(shape))
    name, make = OPTIMIZERS[optimizer_name]
    optimizer: Optimizer = make(model)
    counted = model_flops(model)
    began, flops, tokens = 0.0, 0.0, 0
    for number, (batch, packs) in enumerate(ahead(batches(shape, arrays))):
        if number == WARM_UP:
            began, flops, tokens = now(device), 0.0, 0
        num_learned = int(arrays.label_counts[batch].sum())
        loss = train_on(model, packs, float(num_learned), device)
        clip(model)
        optimizer.step()
        optimizer.zero_grad()
        num_pictures = int((arrays.pages[batch] >= 0).sum())
        flops += counted.of(arrays.lengths[batch], num_learned, num_pictures)
        tokens += int(arrays.lengths[batch].sum())
    seconds, peak = now(device) - began, peak_flops(device)
    memory = torch.cuda.max_memory_allocated() / 2**30 if device == "cuda" else 0.0
    print(f"{name}; {recompute:.0%} of the layers computed again")
    print(f"{shape_name}: {tokens / seconds:,.0f} useful tokens/s, {flops / seconds / 1e12:.3f} TFLOP/s, "
          f"{flops / seconds / peak:.1%} of the {peak / 1e12:.3f} that a matrix product gets here (MFU), "
          f"peak memory {memory:.1f} GiB, last loss {loss:.3f}, {steps} steps of {GLOBAL_BATCH} samples")  # fmt: skip


def batches(shape: Shape, arrays: Arrays) -> Iterator[tuple[np.ndarray, list[Batch]]]:
    """Global batches in random order, each with its micro batches."""
    for batch in shuffled(arrays):
        yield batch, packs_of(shape, arrays, batch)


def peak_flops(device: str) -> float:
    """What the device reaches in a product of two bf16 matrices: small ones on processors, which may be slow at it."""
    side, rounds = (8192, 20) if device == "cuda" else (1024, 5)
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        left @ right
    began = now(device)
    for _ in range(rounds):
        left @ right
    return 2 * side**3 * rounds / (now(device) - began)


def now(device: str) -> float:
    """Seconds, when the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--device", choices=("cpu", "cuda"), help="measure ours alone there")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of the comparison")
    parser.add_argument("--steps", type=int, default=20, help="of ours alone")
    parser.add_argument("--optimizer", choices=OPTIMIZERS, default="bf16", help="what ours alone keeps its states in")
    parser.add_argument("--recompute", type=float, default=1.0, metavar="SHARE", help="of layers, in the backward pass")
    options = parser.parse_args()
    if options.device:
        alone(options.shape, options.device, options.steps, options.optimizer, options.recompute)
    else:
        compare(options.shape, options.rounds)


if __name__ == "__main__":
    main()
