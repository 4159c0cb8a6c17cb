"""CrystalCoder of vLLM's layers: paged attention, split over devices by heads and units or by blocks."""

# Without annotations from the future: vLLM's compiler reads those of `CrystalCoderModel.forward`.

import re
from collections.abc import Iterable, Iterator
from itertools import islice

import torch
from torch import nn
from torch.nn import functional
from vllm.compilation.decorators import support_torch_compile
from vllm.config import VllmConfig
from vllm.distributed import get_pp_group, get_tensor_model_parallel_world_size
from vllm.model_executor.layers.activation import MulAndSilu
from vllm.model_executor.layers.attention import Attention
from vllm.model_executor.layers.layernorm import LayerNorm
from vllm.model_executor.layers.linear import MergedColumnParallelLinear, QKVParallelLinear, RowParallelLinear
from vllm.model_executor.layers.logits_processor import LogitsProcessor
from vllm.model_executor.layers.rotary_embedding import get_rope
from vllm.model_executor.layers.vocab_parallel_embedding import ParallelLMHead, VocabParallelEmbedding
from vllm.model_executor.models.interfaces import SupportsPP
from vllm.model_executor.models.utils import (
    AutoWeightsLoader,
    WeightsMapper,
    make_empty_intermediate_tensors_factory,
    make_layers,
    maybe_prefix,
)
from vllm.sequence import IntermediateTensors

from web2code.modelling.crystalcoder.configuration import CrystalCoderConfig

# An MLP's units on each device are a multiple of this: 10,922 are divided by few numbers of devices.
UNITS = 64
CONV1D_WEIGHT = re.compile(r"\.(attn\.c_attn|attn\.c_proj|mlp\.c_fc2?|mlp\.c_proj)\.weight$")


def padded_units(config: CrystalCoderConfig) -> int:
    """Units of an MLP on all devices together, with those that are zero."""
    multiple = UNITS * get_tensor_model_parallel_world_size()
    return -(-config.n_inner // multiple) * multiple


class CrystalCoderAttention(nn.Module):
    """Causal attention whose scores are divided by the size of a head, not its square root (muP)."""

    def __init__(self, vllm_config: VllmConfig, config: CrystalCoderConfig, prefix: str) -> None:
        super().__init__()
        head_dim, quant_config = config.n_embd // config.n_head, vllm_config.quant_config
        self.c_attn = QKVParallelLinear(
            config.n_embd, head_dim, config.n_head, quant_config=quant_config, prefix=f"{prefix}.c_attn",
            return_bias=False,
        )  # fmt: skip
        self.c_proj = RowParallelLinear(
            config.n_embd, config.n_embd, quant_config=quant_config, prefix=f"{prefix}.c_proj", return_bias=False
        )
        self.rotary_emb = get_rope(
            head_dim,
            max_position=config.n_positions,
            is_neox_style=False,
            rope_parameters={"rope_theta": 10000, "rope_dim": config.rotary_dim},
        )
        self.attn = Attention(
            self.c_attn.num_heads,
            head_dim,
            scale=head_dim ** (-1.0 if config.mup_scale_qk_dot_by_d else -0.5),
            cache_config=vllm_config.cache_config,
            quant_config=quant_config,
            prefix=f"{prefix}.attn",
        )

    def forward(self, positions: torch.Tensor, hidden_states: torch.Tensor) -> torch.Tensor:
        query, key, value = self.c_attn(hidden_states).chunk(3, dim=-1)
        query, key = self.rotary_emb(positions, query, key)
        return self.c_proj(self.attn(query, key, value))


class CrystalCoderMLP(nn.Module):
    """SwiGLU; `c_fc` and `c_fc2` are one layer."""

    def __init__(self, vllm_config: VllmConfig, config: CrystalCoderConfig, prefix: str) -> None:
        super().__init__()
        units, quant_config = padded_units(config), vllm_config.quant_config
        self.up_gate_proj = MergedColumnParallelLinear(
            config.n_embd, [units] * 2, quant_config=quant_config, prefix=f"{prefix}.up_gate_proj", return_bias=False
        )
        self.activation = MulAndSilu()
        self.c_proj = RowParallelLinear(
            units, config.n_embd, quant_config=quant_config, prefix=f"{prefix}.c_proj", return_bias=False
        )

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.activation(self.up_gate_proj(hidden_states)))


class CrystalCoderBlock(nn.Module):
    """Attention and MLP, each on normalised states and added to the residual stream."""

    def __init__(self, vllm_config: VllmConfig, config: CrystalCoderConfig, prefix: str) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = CrystalCoderAttention(vllm_config, config, prefix=f"{prefix}.attn")
        self.ln_2 = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = CrystalCoderMLP(vllm_config, config, prefix=f"{prefix}.mlp")

    def forward(self, positions: torch.Tensor, hidden_states: torch.Tensor) -> torch.Tensor:
        hidden_states = hidden_states + self.attn(positions, self.ln_1(hidden_states))
        return hidden_states + self.mlp(self.ln_2(hidden_states))


@support_torch_compile
class CrystalCoderModel(nn.Module):
    """The model without its head; embeddings that are passed in are scaled like those that are looked up."""

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        self.config = config = vllm_config.model_config.hf_config
        self.embed_tokens = VocabParallelEmbedding(
            config.vocab_size, config.n_embd, quant_config=vllm_config.quant_config, prefix=f"{prefix}.embed_tokens"
        )
        self.start_layer, self.end_layer, self.h = make_layers(
            config.n_layer, lambda prefix: CrystalCoderBlock(vllm_config, config, prefix), prefix=f"{prefix}.h"
        )
        self.ln_f = LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.make_empty_intermediate_tensors = make_empty_intermediate_tensors_factory(["hidden_states"], config.n_embd)

    def embed_input_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.embed_tokens(input_ids)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor | IntermediateTensors:
        if get_pp_group().is_first_rank:
            embeddings = self.embed_input_ids(input_ids) if inputs_embeds is None else inputs_embeds
            hidden_states = embeddings * self.config.mup_embeddings_scale
        else:
            assert intermediate_tensors is not None
            hidden_states = intermediate_tensors["hidden_states"]
        for block in islice(self.h, self.start_layer, self.end_layer):
            hidden_states = block(positions, hidden_states)
        if not get_pp_group().is_last_rank:
            return IntermediateTensors({"hidden_states": hidden_states})
        return self.ln_f(hidden_states)


class CrystalCoderForCausalLM(nn.Module, SupportsPP):
    """The language model, alone or within vLLM's LLaVA, which looks for its decoder at `model`."""

    hf_to_vllm_mapper = WeightsMapper(
        orig_to_new_prefix={"transformer.": "model."},
        orig_to_new_substr={".attn.bias": None, ".attn.masked_bias": None, ".wte.": ".embed_tokens."},
        orig_to_new_stacked={".c_fc.": (".up_gate_proj.", 0), ".c_fc2.": (".up_gate_proj.", 1)},
    )

    def __init__(self, *, vllm_config: VllmConfig, prefix: str = "") -> None:
        super().__init__()
        self.config = config = vllm_config.model_config.hf_config
        self.quant_config = vllm_config.quant_config
        self.model = CrystalCoderModel(vllm_config=vllm_config, prefix=maybe_prefix(prefix, "model"))
        self.lm_head = ParallelLMHead(
            config.vocab_size, config.n_embd, quant_config=self.quant_config, prefix=maybe_prefix(prefix, "lm_head")
        )
        if config.tie_word_embeddings:
            self.lm_head = self.lm_head.tie_weights(self.model.embed_tokens)
        self.logits_processor = LogitsProcessor(
            config.vocab_size, scale=config.mup_output_alpha * config.mup_width_scale
        )
        self.make_empty_intermediate_tensors = self.model.make_empty_intermediate_tensors

    def embed_input_ids(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.model.embed_input_ids(input_ids)

    def forward(
        self,
        input_ids: torch.Tensor | None,
        positions: torch.Tensor,
        intermediate_tensors: IntermediateTensors | None = None,
        inputs_embeds: torch.Tensor | None = None,
    ) -> torch.Tensor | IntermediateTensors:
        return self.model(input_ids, positions, intermediate_tensors, inputs_embeds)

    def compute_logits(self, hidden_states: torch.Tensor) -> torch.Tensor | None:
        return self.logits_processor(self.lm_head, hidden_states)

    def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
        return AutoWeightsLoader(self).load_weights(self._as_linear(weights), mapper=self.hf_to_vllm_mapper)

    def _as_linear(self, weights: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        """Weights of `Conv1D`, which are (in, out), as those of linear layers, with units that are zero."""
        missing = padded_units(self.config) - self.config.n_inner
        for name, weight in weights:
            if ".mlp.c_fc" in name:
                weight = functional.pad(weight, (0, missing))
            elif name.endswith(".mlp.c_proj.weight"):
                weight = functional.pad(weight, (0, 0, 0, missing))
            yield name, weight.t() if CONV1D_WEIGHT.search(name) else weight
