"""What a training step of a model keeps in memory and computes, from a run of it on tensors without content."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import LlavaConfig, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from web2code.config import LoraConfig, Module
from web2code.estimate.pictures import is_known, picture_inputs
from web2code.estimate.stand_ins import LayerCost, stand_ins
from web2code.modelling.adapters import add_adapters
from web2code.modelling.llava import empty_model
from web2code.training.gradient_checkpointing import checkpoint_layers
from web2code.training.loss import AnswerLoss
from web2code.training.trainable import module_of, set_trainable

# The peak of a micro batch is at most what the straight line between 1 and so many samples says.
MANY = 64


@dataclass(frozen=True)
class Activations:
    """Bytes beside what stays from step to step.

    A sample adds `saved` for the backward pass and, while that goes through the layers, `transient` on top of that at
    the peak; `fixed` does not grow with samples: gradients that are being made. The loss takes `loss` on top of `saved`
    before, of all samples together.
    """

    saved: int
    transient: int
    fixed: int
    loss: int = 0


def stage_model(
    config: PreTrainedConfig, trainable: tuple[Module, ...], lora: LoraConfig | None, dtype: torch.dtype
) -> PreTrainedModel:
    """A stage's model on the meta device, with its adapters, and with what it does not train frozen."""
    with torch.device("meta"):
        model = empty_model(_static(config))
        if lora and "language_model" in trainable:
            add_adapters(model, lora)
    model.to(dtype)
    set_trainable(model, trainable)
    return model


def trace_memory(model: PreTrainedModel, length: int, checkpointing: bool, in_full: bool = False) -> Activations:
    """Memory of samples of `length` tokens, the picture's included, without that of their loss.

    Attention is PyTorch's fused kernel. A gradient counts while it is made and not longer. Of layers that are alike a
    few are run, or all of them `in_full`. The model is of use for nothing but traces afterwards.
    """
    _set_checkpointing(model, checkpointing)
    with _without_content(model):
        few, many = (_live_bytes(model, size, length, in_full) for size in (1, MANY))
    saved, peak = ((more - less) // (MANY - 1) for less, more in zip(few, many, strict=True))
    return Activations(saved, peak - saved, few[1] - peak)


def trace_loss(model: PreTrainedModel, num_tokens: int) -> int:
    """Bytes of the loss of so many learned tokens, forward and backward, at the peak.

    The model is of use for nothing but traces afterwards.
    """
    with _without_content(model):
        live = LiveBytes([*model.parameters(), *model.buffers()])
        with live:
            hidden = torch.zeros(num_tokens, model.lm_head.in_features, dtype=model.dtype, requires_grad=True)
            targets = torch.zeros(num_tokens, dtype=torch.long)
            AnswerLoss(model).cross_entropy(hidden, targets)[0].backward()
    return live.peak


def count_flops(model: PreTrainedModel, length: int, in_full: bool = False) -> int:
    """Floating-point operations of one sample's forward and backward pass, nothing computed twice.

    As torch's counter counts, causal attention as if it were full. Of layers that are alike a few are run, or all of
    them `in_full`. The model is of use for nothing but traces afterwards.
    """
    _set_checkpointing(model, False)
    counter = FlopCounterMode(display=False, custom_mapping=ATTENTION_FLOPS)
    with _without_content(model), counter, stand_ins(model, partial(_layer_flops, counter), in_full) as alike:
        hidden = _forward(model, 1, length, apart=True)
        logits = model.lm_head(hidden[:, model.config.image_seq_length :])
        logits.backward(torch.empty_like(logits))
    return counter.get_total_flops() + sum(group.repeats * group.cost.flops for group in alike if group.cost)


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of all tensors that are made while it is on, for as long as they live."""

    def __init__(self, ignored: Iterable[torch.Tensor]) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.seen = weakref.WeakSet(tensor.untyped_storage() for tensor in ignored)

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operation(*args, **(kwargs or {}))
        for value in tree_leaves(result):
            if isinstance(value, torch.Tensor) and (storage := value.untyped_storage()) not in self.seen:
                self.seen.add(storage)
                self.now += storage.nbytes()
                self.peak = max(self.peak, self.now)
                weakref.finalize(storage, self._free, storage.nbytes())
        return result

    def layer_cost(self, layer: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor) -> LayerCost:
        """What a layer keeps of a run that does not count."""
        before, peak = self.now, self.peak
        given = states.clone()
        result, input_bytes = layer(given), given.untyped_storage().nbytes()
        with_input = self.now
        del given
        keeps_input, self.peak = self.now == with_input, peak
        kept = self.now - before - result.untyped_storage().nbytes()
        return LayerCost(keeps_input=keeps_input, num_bytes=kept - input_bytes * keeps_input)

    def _free(self, num_bytes: int) -> None:
        self.now -= num_bytes


def _without_content(model: PreTrainedModel) -> FakeTensorMode:
    """Makes all parameters fake tensors, once, in the mode that is theirs; no gradient stays."""
    first = next(model.parameters())
    if isinstance(first, FakeTensor):
        return first.fake_mode
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        # A fake tensor of the CPU, and no meta tensor: on the meta device attention is the one that is written out.
        model.to_empty(device="cpu").train()
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(_drop_gradient)
    return mode


def _set_checkpointing(model: PreTrainedModel, on: bool) -> None:
    if on:
        checkpoint_layers(model)
    else:
        model.gradient_checkpointing_disable()


def _live_bytes(model: PreTrainedModel, batch: int, length: int, in_full: bool) -> tuple[int, int]:
    """After the forward pass, and at the peak of it and the backward pass."""
    live = LiveBytes([*model.parameters(), *model.buffers()])
    with live, stand_ins(model, live.layer_cost, in_full):
        hidden = _forward(model, batch, length)
        saved = live.now
        # Stands for the loss: the states' whole gradient, which nothing but the backward pass holds.
        hidden[:, -1].sum().backward()
    return saved, live.peak


def _layer_flops(
    counter: FlopCounterMode, layer: Callable[[torch.Tensor], torch.Tensor], states: torch.Tensor
) -> LayerCost:
    """What a layer computes forwards and backwards, which is counted once, too."""
    before = counter.get_total_flops()
    result = layer(states.detach().requires_grad_(states.requires_grad))
    if result.requires_grad:
        result.backward(torch.empty_like(result))
    return LayerCost(flops=counter.get_total_flops() - before)


def _forward(model: PreTrainedModel, batch: int, length: int, apart: bool = False) -> torch.Tensor:
    """Last hidden states (batch, length, width) of samples that are a picture, then text."""
    config, llava = model.config, model.model
    tokens = torch.zeros(batch, length - config.image_seq_length, dtype=torch.long)
    # Kept until the text model is through, as LLaVA's own forward keeps it: it holds every layer's features.
    seen = _seen(model, batch, apart)
    features = torch.stack(list(seen.pooler_output))
    for deeper in getattr(seen, "deepstack_features", None) or ():
        # A Qwen adds these to the states of its first layers, which takes as much.
        features = features + torch.stack(list(deeper))
    embeddings = torch.cat([features, llava.get_input_embeddings()(tokens)], dim=1)
    return llava.get_decoder()(inputs_embeds=embeddings, use_cache=False).last_hidden_state


def _seen(model: PreTrainedModel, batch: int, apart: bool) -> BaseModelOutputWithPooling:
    """Features of pictures; of a model of which it is not known what it is given, without what its tower computes."""
    config = model.config
    if isinstance(config, LlavaConfig):
        size = config.vision_config.image_size
        return model.model.get_image_features(torch.zeros(batch, 3, size, size, dtype=model.dtype))
    if is_known(config):
        return model.model.get_image_features(**picture_inputs(model, config.page, batch, apart))
    shape = (batch, config.image_seq_length, config.get_text_config().hidden_size)
    # Where a projector is trained, a gradient goes back as far as its output.
    trained = any(each.requires_grad for name, each in model.named_parameters() if module_of(name) == "projector")
    return BaseModelOutputWithPooling(pooler_output=torch.zeros(shape, dtype=model.dtype, requires_grad=trained))


def _drop_gradient(parameter: torch.Tensor) -> None:
    parameter.grad = None


def _static(config: PreTrainedConfig) -> PreTrainedConfig:
    """The same sizes with rotary positions that do not look at their values, of which there are none."""
    copy = deepcopy(config)
    rope = getattr(copy.text_config, "rope_parameters", None) or {}
    if rope.get("rope_type") in ("longrope", "dynamic"):
        kept = {name: rope[name] for name in ("rope_theta", "partial_rotary_factor") if name in rope}
        copy.text_config.rope_parameters = kept | {"rope_type": "default"}
    return copy


def _attention_flops(query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **options: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _attention_backward_flops(
    gradient: Any, query: Any, key: Any, value: Any, *rest: Any, out_shape: Any = None, **options: Any
) -> int:
    return sdpa_backward_flop_count(gradient, query, key, value)


# The fused kernel of CPUs, which the counter does not know.
ATTENTION_FLOPS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}
