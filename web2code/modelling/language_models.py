"""Whether a language model can be trained within LLaVA, and with which attention: tried on a toy copy of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    CLIPVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedConfig,
    PreTrainedModel,
)

from web2code.config import ImageTextConfig, PretrainedModelConfig, Recipe, StageConfig
from web2code.modelling.attention import register_varlen
from web2code.modelling.backbones import LANGUAGE_MODELS, image_text_config, language_config
from web2code.modelling.image_text_packs import require_packs

TOY_LANGUAGE = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "head_dim": 16,
    "rotary_dim": 4, "vocab_size": 320, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
# Of what not all have; None stands for a part that is not there.
TOY_PARTS = {
    "first_k_dense_replace": 1, "kv_lora_rank": 16, "linear_key_head_dim": 16, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "linear_value_head_dim": 16, "mamba_d_head": 16, "mamba_d_state": 8,
    "mamba_n_heads": 8, "moe_intermediate_size": 32, "n_group": 1, "n_routed_experts": 4, "num_experts": 4,
    "num_experts_per_tok": 2, "num_local_experts": 4, "q_lora_rank": 16, "qk_head_dim": 32, "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 16, "shared_expert_intermediate_size": 32, "topk_group": 1, "v_head_dim": 16,
}  # fmt: skip
# Tokens that a toy copy sees at once, where not all, and those of the samples that it is tried with.
WINDOWS = dict.fromkeys(("attention_chunk_size", "index_topk", "local_attention", "sliding_window", "window_size"), 4)
LENGTHS = (11, 14)
# How many times as large as at the start its weights are, so that what caps scores and logits shows in them.
LARGE = 30
# Of the largest logit. Other orders of summation change 1e-5 at most; Gemma 2's cap of scores, the slightest of what
# is left out, 7e-4.
TOLERANCE = 5e-5
# A larger copy takes too long.
MOST_LAYERS, MOST_PARAMETERS = 12, 10**7
TOWER = {
    "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "image_size": 4,
    "patch_size": 2,
}  # fmt: skip
# What LLaVA adds to a language model.
NEW = ("model.vision_tower.", "model.multi_modal_projector.")


@dataclass(frozen=True)
class Toy:
    """A language model's toy copy within LLaVA, samples (1, length) and the logits that it gives of each by itself."""

    llava: LlavaForConditionalGeneration
    samples: list[torch.Tensor]
    logits: list[torch.Tensor]


def require_trainable(recipe: Recipe) -> None:
    """Nothing, where all stages train the recipe's model rightly, or where it cannot be read here.

    Those of the table of backbones are not tried but by its tests.

    Raises:
        ValueError: as `require_stages`; or as `require_packs`, where it is published whole.
    """
    model = recipe.model
    if isinstance(model, ImageTextConfig):
        return _require_image_text(model, recipe.instruct)
    if not isinstance(model, PretrainedModelConfig):
        return
    if model.language_model in LANGUAGE_MODELS and not model.language_revision:
        return
    try:
        config = language_config(model.language_model, model.language_revision)
    except ValueError:
        return  # it may be a folder of other machines, and preparing it tells
    require_stages(model.language_model, config, recipe.stages)


def _require_image_text(model: ImageTextConfig, stage: StageConfig) -> None:
    if not stage.pack_tokens:
        return  # its configuration need not be read
    try:
        config = image_text_config(model.name, model.revision)
    except ValueError:
        return
    require_packs(model.name, config, stage)


def require_language_model(name: str, config: PreTrainedConfig) -> None:
    """ValueError where the language model is not its layers and an output layer, which is what LLaVA takes of it."""
    toy_within_llava(name, config)


def require_stages(name: str, config: PreTrainedConfig, stages: Iterable[StageConfig]) -> None:
    """Nothing, where with each stage's attention the logits are the language model's own and no sample sees another.

    Raises:
        ValueError: as `require_language_model`; or they are not, with what to set.
    """
    toy = toy_within_llava(name, config)
    about = f"model.language_model: {name} ({config.model_type})"
    changes: list[str] = []
    reasons: set[str] = set()
    for stage in stages:
        wanted = (stage.attention, stage.pack_tokens > 0)
        right = next((way for way in _ways(*wanted) if is_right(toy, *way)), None)
        if right is None:
            raise ValueError(
                f"{about} gives tokens in a batch other logits than alone, whatever the attention: choose another model"
            )
        if right[0] != wanted[0]:
            reasons.add("the attention that is set does not compute what its own does")
            changes.append(f"--set {stage.name}.attention={right[0]}")
        if right[1] != wanted[1]:
            reasons.add("samples in one sequence see each other in it")
            changes.append(f"--set {stage.name}.pack_tokens=0")
    if changes:
        raise ValueError(f"{about} is not trained as set: {', and '.join(sorted(reasons))}: add {' '.join(changes)}")


def toy_within_llava(name: str, config: PreTrainedConfig) -> Toy:
    """The toy copy of a language model; the same configuration gives the same weights and samples.

    Raises:
        ValueError: it has none, or LLaVA does not compute what it does.
    """
    about = f"model.language_model: {name} ({config.model_type})"
    if config.get_text_config() is not config:
        raise ValueError(f"{about} is published with more than text: name a model of text alone")
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            language = _toy_language(config)
            llava = _empty_llava(language.config)
            samples = [torch.randint(3, TOY_LANGUAGE["vocab_size"] - 1, (1, length)) for length in LENGTHS]
        without = _without_place(language, llava)
        toy = Toy(llava, samples, [_logits(language, input_ids=sample) for sample in samples])
        within = [_logits(llava, input_ids=sample) for sample in samples]
        if not all(logits.isfinite().all() for logits in toy.logits):
            raise ValueError("its logits are not finite")
    except Exception as error:  # whatever a model's code raises that is not made for such a configuration
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"{about} cannot be tried at a small size ({reason}), so it is not known whether LLaVA computes what it "
            "does: choose another model"
        ) from None
    if without:
        raise ValueError(f"{about} has parts for which LLaVA has no place ({without[0]}): choose another model")
    if not _is_alike(toy, within):
        raise ValueError(
            f"{about} scales or caps its logits, or makes them of more than its last layer's states, which LLaVA does "
            "not: choose another model"
        )
    return toy


def toy_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """The same language model at toy widths, with its first layers, at least two and one of each kind."""
    small = deepcopy(config)
    heads = TOY_LANGUAGE["num_attention_heads"]
    grouped = getattr(small, "num_key_value_heads", None) or config.num_attention_heads
    lists = _by_layer(small)
    set_values(small, TOY_LANGUAGE)
    set_values(small, {"num_key_value_heads": heads // 2 if grouped < config.num_attention_heads else heads})
    _set_numbers(small, TOY_PARTS)
    small.num_hidden_layers = min(_num_layers(lists), config.num_hidden_layers)
    set_values(small, {name: values[: small.num_hidden_layers] for name, values in lists.items()})
    rope = getattr(small, "rope_parameters", None) or {}
    rotated = int(TOY_LANGUAGE["head_dim"] * rope.get("partial_rotary_factor", 1))
    for factors in {"long_factor", "short_factor"} & set(rope):
        rope[factors] = rope[factors][: rotated // 2]
    return small


def is_right(toy: Toy, attention: str, packed: bool) -> bool:
    """Whether samples in one batch, as rows or in one sequence, have the logits that each has alone.

    In one sequence no logit of a sample may have a gradient, however small, in the other.
    """
    register_varlen()
    try:
        toy.llava.set_attn_implementation({"text_config": attention, "vision_config": "eager"})
        return _are_apart_in_a_sequence(toy) if packed else _is_alike(toy, _in_rows(toy))
    except Exception:  # whatever the code of a model raises that does not know such attention or such inputs
        return False


def _ways(attention: str, packed: bool) -> Iterator[tuple[str, bool]]:
    """Attention and packing as they are set, and what may be set in their place, the least change first."""
    yield attention, packed
    if packed:
        # Written out (eager), the scores of a whole sequence are too many.
        yield "sdpa", True
    yield from ((other, False) for other in (attention, "sdpa", "eager"))


def _in_rows(toy: Toy) -> list[torch.Tensor]:
    """Logits of the samples as rows of a batch that are padded at the right, without a mask."""
    rows = torch.zeros(len(LENGTHS), max(LENGTHS) + 1, dtype=torch.long)
    for row, sample in zip(rows, toy.samples, strict=True):
        row[: sample.shape[1]] = sample
    logits = _logits(toy.llava, input_ids=rows)
    return [row[None, :length] for row, length in zip(logits, LENGTHS, strict=True)]


def _are_apart_in_a_sequence(toy: Toy) -> bool:
    """Whether the samples one after another in one row are, as `web2code.training.batches` packs them.

    Gradients tell, and not another sample's other logits: where experts share a batch those differ in the last bit.
    """
    bounds = torch.tensor([0, *LENGTHS]).cumsum(0, dtype=torch.int32)
    embeddings = toy.llava.get_input_embeddings()(torch.cat(toy.samples, dim=1)).detach().requires_grad_()
    logits = toy.llava(
        inputs_embeds=embeddings,
        position_ids=torch.cat([torch.arange(length) for length in LENGTHS])[None],
        cu_seq_lens_q=bounds,
        cu_seq_lens_k=bounds,
        max_length_q=max(LENGTHS),
        max_length_k=max(LENGTHS),
        use_cache=False,
    ).logits.split(LENGTHS, dim=1)
    gradients = [torch.autograd.grad(own.square().sum(), embeddings, retain_graph=True)[0] for own in logits]
    before, after = (gradient.split(LENGTHS, dim=1) for gradient in gradients)
    return _is_alike(toy, [own.detach() for own in logits]) and not before[1].any() and not after[0].any()


@torch.no_grad()
def _logits(model: PreTrainedModel, **inputs: Any) -> torch.Tensor:
    return model(**inputs, use_cache=False).logits


def _is_alike(toy: Toy, logits: list[torch.Tensor]) -> bool:
    """Whether logits are those of the language model by itself, but for rounding."""
    return all(
        bool((got - own).abs().max() <= TOLERANCE * own.abs().max())
        for own, got in zip(toy.logits, logits, strict=True)
    )


def _toy_language(config: PreTrainedConfig) -> PreTrainedModel:
    """The toy copy by itself, in large random weights; its windows are smaller than the samples."""
    small = toy_config(config)
    _set_numbers(small, WINDOWS)
    with torch.device("meta"):
        size = AutoModelForCausalLM.from_config(small).num_parameters()
    if size > MOST_PARAMETERS:
        raise ValueError(f"{size:,} parameters are left")
    model = AutoModelForCausalLM.from_config(small, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight *= LARGE if weight.ndim > 1 else 1
    return model


def _empty_llava(text: PreTrainedConfig) -> LlavaForConditionalGeneration:
    """LLaVA as it is made for a checkpoint's weights."""
    config = LlavaConfig(
        text_config=deepcopy(text),
        vision_config=CLIPVisionConfig(**TOWER),
        image_token_index=TOY_LANGUAGE["vocab_size"] - 1,
    )
    llava = LlavaForConditionalGeneration._from_config(config, attn_implementation="eager")
    return llava.eval().requires_grad_(False)


def _without_place(language: PreTrainedModel, llava: LlavaForConditionalGeneration) -> list[str]:
    """Give LLaVA the weights of a language model, as a checkpoint does; the names of those that do not fit."""
    head = language.get_output_embeddings()
    weights = language.get_decoder().state_dict(prefix="model.language_model.")
    weights |= head.state_dict(prefix="lm_head.") if head else {}
    missing, unexpected = llava.load_state_dict(weights, strict=False)
    others = [*unexpected, *(name for name in missing if not name.startswith(NEW))]
    tied = [model.get_output_embeddings().weight is model.get_input_embeddings().weight for model in (language, llava)]
    return others or (["tied embeddings"] if tied[0] != tied[1] else [])


def _by_layer(config: PreTrainedConfig) -> dict[str, Any]:
    """What a configuration says of each layer in turn, as a list or in letters."""
    return {
        name: values
        for name, values in vars(config).items()
        if isinstance(values, list | tuple) or (isinstance(values, str) and name.endswith("pattern"))
        if len(values) == config.num_hidden_layers
    }


def _num_layers(lists: Mapping[str, Any]) -> int:
    kinds = list(zip(*(each for each in lists.values() if all(isinstance(kind, str) for kind in each)), strict=True))
    return min(max([1, *(kinds.index(kind) for kind in set(kinds))]) + 1, MOST_LAYERS)


def set_values(config: PreTrainedConfig, values: Mapping[str, Any]) -> None:
    """Replace those values that the architecture has."""
    for name, value in values.items():
        if hasattr(config, name):
            setattr(config, name, value)


def _set_numbers(config: PreTrainedConfig, values: Mapping[str, int]) -> None:
    """Replace those that are numbers: None, as well as False, stands for a part that is not there."""
    set_values(config, {name: value for name, value in values.items() if type(getattr(config, name, None)) is int})
