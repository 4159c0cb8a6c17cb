"""CrystalCoder: GPT-2 blocks with rotary positions, SwiGLU and muP scaling, as a transformers model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional
from transformers import Cache, DynamicCache, GenerationMixin, PreTrainedModel, initialization
from transformers.masking_utils import create_causal_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutputWithPast, CausalLMOutputWithPast
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.glm.modeling_glm import apply_rotary_pos_emb
from transformers.models.gpt2.modeling_gpt2 import eager_attention_forward
from transformers.pytorch_utils import Conv1D
from transformers.utils import can_return_tuple
from transformers.utils.generic import merge_with_config_defaults
from transformers.utils.output_capturing import capture_outputs

from web2code.modelling.crystalcoder.configuration import CrystalCoderConfig


def rotary_embeddings(
    position_ids: torch.Tensor, rotary_dim: int, dtype: torch.dtype
) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the rotation at each position: two tensors (batch, length, rotary_dim), as in GLM."""
    # Computed in float32 at each call: a buffer would be rounded with the weights when a model is cast to bfloat16.
    dims = torch.arange(0, rotary_dim, 2, dtype=torch.float32, device=position_ids.device)
    angles = (position_ids[..., None] * (1.0 / 10000 ** (dims / rotary_dim))).repeat(1, 1, 2)
    return angles.cos().to(dtype), angles.sin().to(dtype)


class ResidualProjection(Conv1D):
    """A layer that writes into the residual stream: its weights start smaller the deeper the model is."""


class CrystalCoderAttention(nn.Module):
    """Causal attention whose scores are divided by the size of a head, not its square root (muP)."""

    is_causal = True

    def __init__(self, config: CrystalCoderConfig, layer_idx: int) -> None:
        super().__init__()
        self.config = config
        self.layer_idx = layer_idx
        self.head_dim = config.n_embd // config.n_head
        self.scaling = self.head_dim ** (-1.0 if config.mup_scale_qk_dot_by_d else -0.5)
        self.c_attn = Conv1D(3 * config.n_embd, config.n_embd)
        self.c_proj = ResidualProjection(config.n_embd, config.n_embd)

    def forward(
        self,
        hidden_states: torch.Tensor,
        position_embeddings: tuple[torch.Tensor, torch.Tensor],
        attention_mask: torch.Tensor | None,
        past_key_values: Cache | None,
        **kwargs: Any,
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch, length, _ = hidden_states.shape
        heads = self.c_attn(hidden_states).view(batch, length, 3, -1, self.head_dim)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        query, key = apply_rotary_pos_emb(query, key, *position_embeddings)
        if past_key_values is not None:
            key, value = past_key_values.update(key, value, self.layer_idx)
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attend(self, query, key, value, attention_mask, scaling=self.scaling, **kwargs)
        return self.c_proj(output.reshape(batch, length, -1)), weights


class CrystalCoderMLP(nn.Module):
    """SwiGLU."""

    def __init__(self, config: CrystalCoderConfig) -> None:
        super().__init__()
        self.c_fc = Conv1D(config.n_inner, config.n_embd)
        self.c_fc2 = Conv1D(config.n_inner, config.n_embd)
        self.c_proj = ResidualProjection(config.n_embd, config.n_inner)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.c_proj(self.c_fc(hidden_states) * functional.silu(self.c_fc2(hidden_states)))


class CrystalCoderBlock(GradientCheckpointingLayer):
    """Attention and MLP, each on normalised states and added to the residual stream."""

    def __init__(self, config: CrystalCoderConfig, layer_idx: int) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.attn = CrystalCoderAttention(config, layer_idx)
        self.ln_2 = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.mlp = CrystalCoderMLP(config)

    def forward(self, hidden_states: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        hidden_states = hidden_states + self.attn(self.ln_1(hidden_states), **kwargs)[0]
        return hidden_states + self.mlp(self.ln_2(hidden_states))


class CrystalCoderPreTrainedModel(PreTrainedModel):
    """What transformers has to know of the family."""

    config_class = CrystalCoderConfig
    base_model_prefix = "transformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ("CrystalCoderBlock",)
    _skip_keys_device_placement = ("past_key_values",)
    _keys_to_ignore_on_load_unexpected = (r"\.attn\.(masked_)?bias$",)
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_flex_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    _can_record_outputs: ClassVar = {"hidden_states": CrystalCoderBlock, "attentions": CrystalCoderAttention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        std = self.config.initializer_range * self.config.mup_width_scale**0.5
        if isinstance(module, ResidualProjection):
            std /= (2 * self.config.n_layer) ** 0.5
        if isinstance(module, (nn.Linear, Conv1D)):
            initialization.normal_(module.weight, std=std)
        if isinstance(module, Conv1D):
            initialization.zeros_(module.bias)


class CrystalCoderModel(CrystalCoderPreTrainedModel):
    """The model without its head, after the modelling code published with LLM360/CrystalCoder.

    Both muP factors on activations are applied here (Yang et al., "Tensor Programs V", 2022).
    `last_hidden_state` carries the factor of the logits, so that any linear head on top, LLaVA's too, gives the
    published logits. Embeddings that are passed in are scaled like those that are looked up.
    """

    def __init__(self, config: CrystalCoderConfig) -> None:
        super().__init__(config)
        # Not `wte`, as published: LLaVA ties its head to a text model's `embed_tokens`.
        self.embed_tokens = nn.Embedding(config.vocab_size, config.n_embd)
        self.h = nn.ModuleList([CrystalCoderBlock(config, index) for index in range(config.n_layer)])
        self.ln_f = nn.LayerNorm(config.n_embd, eps=config.layer_norm_epsilon)
        self.gradient_checkpointing = False
        self.post_init()

    @merge_with_config_defaults
    @capture_outputs
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> BaseModelOutputWithPast:
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("pass either input_ids or inputs_embeds")
        if inputs_embeds is None:
            inputs_embeds = self.embed_tokens(input_ids)
        if use_cache and past_key_values is None:
            past_key_values = DynamicCache(config=self.config)
        if position_ids is None:
            seen = past_key_values.get_seq_length() if past_key_values is not None else 0
            position_ids = (torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device) + seen).unsqueeze(0)
        mask = create_causal_mask(
            config=self.config,
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            position_ids=position_ids,
        )
        hidden_states = inputs_embeds * self.config.mup_embeddings_scale
        position_embeddings = rotary_embeddings(position_ids, self.config.rotary_dim, hidden_states.dtype)
        for block in self.h:
            hidden_states = block(
                hidden_states,
                position_embeddings=position_embeddings,
                attention_mask=mask,
                past_key_values=past_key_values,
                position_ids=position_ids,
                **kwargs,
            )
        hidden_states = self.ln_f(hidden_states) * (self.config.mup_output_alpha * self.config.mup_width_scale)
        return BaseModelOutputWithPast(last_hidden_state=hidden_states, past_key_values=past_key_values)


class CrystalCoderForCausalLM(CrystalCoderPreTrainedModel, GenerationMixin):
    """The language model; published as `CrystalCoderLMHeadModel`."""

    _tied_weights_keys: ClassVar = {"lm_head.weight": "transformer.embed_tokens.weight"}

    def __init__(self, config: CrystalCoderConfig) -> None:
        super().__init__(config)
        self.transformer = CrystalCoderModel(config)
        self.lm_head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.post_init()

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        outputs = self.transformer(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            use_cache=use_cache,
            **kwargs,
        )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(outputs.last_hidden_state[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.vocab_size, **kwargs)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
        )
