"""Layers that are alike: a trace runs a few of them, and the others stand in for what one of them takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

# Of layers that are alike these are run. Peaks are at the last, or at the one before it where nothing is read from the
# last, as of LLaVA's tower: forwards nothing is freed before, and backwards nothing is added after.
FIRST, LAST = 1, 2

Forward = Callable[..., torch.Tensor]


@dataclass(frozen=True)
class LayerCost:
    """What a layer keeps for the backward pass, its input or not and bytes beside input and result, or computes."""

    keeps_input: bool = False
    num_bytes: int = 0
    flops: int = 0


# Runs a layer on what it is given, apart from the rest of the trace.
Measure = Callable[[Callable[[torch.Tensor], torch.Tensor], torch.Tensor], LayerCost]


class Alike:
    """Layers of a kind: those between the first and the last compute nothing, once one of them is measured."""

    def __init__(self, layers: list[nn.Module], measure: Measure) -> None:
        self.between, self.measure = layers[FIRST:-LAST], measure
        self.shape: torch.Size | None = None
        self.cost: LayerCost | None = None
        self.repeats = 0
        self.hook = layers[0].register_forward_hook(self._look)
        for layer in self.between:
            layer.forward = partial(self._stand_in, layer.forward)

    def remove(self) -> None:
        """Make all layers run again."""
        self.hook.remove()
        for layer in self.between:
            del layer.forward

    def _look(self, layer: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        """Whether a layer has a stand-in: it gives one tensor, as large as the one that it is given."""
        one = given and isinstance(result, torch.Tensor) and result.dtype == given[0].dtype
        self.shape = result.shape if one and result.shape == given[0].shape else None

    def _stand_in(self, forward: Forward, *given: Any, **others: Any) -> torch.Tensor:
        if not given or given[0].shape != self.shape:
            return forward(*given, **others)
        states, *rest = given
        if self.cost is None:
            self.cost = self.measure(lambda alone: forward(alone, *rest, **others), states)
        else:
            self.repeats += 1
        return _Keep.apply(states, self.cost.keeps_input, self.cost.num_bytes)


class _Keep(torch.autograd.Function):
    """Gives and keeps what a layer does, without its content."""

    @staticmethod
    def forward(ctx: Any, states: torch.Tensor, keeps_input: bool, num_bytes: int) -> torch.Tensor:
        kept = states.new_empty(num_bytes, dtype=torch.uint8)
        ctx.save_for_backward(kept, *([states] if keeps_input else []))
        return torch.empty_like(states)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        return torch.empty_like(gradients[0]), None, None


@contextmanager
def stand_ins(model: nn.Module, measure: Measure, in_full: bool = False) -> Iterator[list[Alike]]:
    """While it is on, most layers that are alike compute nothing and keep as much as if they did; `in_full` all run."""
    groups = [] if in_full else [Alike(layers, measure) for layers in alike_layers(model)]
    try:
        yield groups
    finally:
        for group in groups:
            group.remove()


def alike_layers(model: nn.Module) -> list[list[nn.Module]]:
    """Layers of one list, of the same class and parameters, that the configuration does not tell apart: where many."""
    found: list[list[nn.Module]] = []
    inner: set[nn.Module] = set()
    for name, layers in model.named_modules():
        if isinstance(layers, nn.ModuleList) and layers not in inner:
            config = getattr(model.get_submodule(name.rpartition(".")[0]), "config", None)
            kinds: dict[Any, list[nn.Module]] = {}
            for index, layer in enumerate(layers):
                kinds.setdefault((*_treatment(config, index), *_shape(layer)), []).append(layer)
            many = [kind for kind in kinds.values() if len(kind) > FIRST + LAST]
            inner |= {module for kind in many for layer in kind for module in layer.modules()}
            found += many
    return found


def _treatment(config: Any, index: int) -> tuple[Any, ...]:
    """How a configuration has a layer attend: by its type, or of a Qwen2.5-VL's tower to all or to a window."""
    types = getattr(config, "layer_types", None)
    return types[index] if types else "", index in getattr(config, "fullatt_block_indexes", ())


def _shape(layer: nn.Module) -> tuple[Any, ...]:
    parameters = ((name, each.shape, each.requires_grad) for name, each in layer.named_parameters())
    return type(layer), *parameters
