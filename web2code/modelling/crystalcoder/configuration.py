"""The shape and muP factors of a CrystalCoder model, under the names of the published config.json."""

from typing import ClassVar, Literal

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig


@strict
class CrystalCoderConfig(PreTrainedConfig):
    """What the published checkpoints were trained with; defaults are CrystalCoder-7B and CrystalChat-7B.

    Source: LLM360/crystalcoder-train, `finetune/Megatron-LM/CrystalCoder/config.json` and `pretrain/params`.

    Raises:
        StrictDataclassError: a field has the wrong type, or asks for dropout or for another variant of the family.
    """

    model_type = "crystalcoder"
    keys_to_ignore_at_inference = ("past_key_values",)
    attribute_map: ClassVar = {
        "hidden_size": "n_embd",
        "intermediate_size": "n_inner",
        "max_position_embeddings": "n_positions",
        "num_attention_heads": "n_head",
        "num_hidden_layers": "n_layer",
    }

    vocab_size: int = 32032
    n_positions: int = 2048
    n_embd: int = 4096
    n_layer: int = 32
    n_head: int = 32
    n_inner: int = 10922
    activation_function: Literal["swiglu"] = "swiglu"
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.073
    position_embedding_type: Literal["rotary"] = "rotary"
    rotary_dim: int = 32
    scale_attn_weights: Literal[True] = True
    scale_attn_by_inverse_layer_idx: Literal[False] = False
    mup_width_scale: float = 0.0625
    mup_embeddings_scale: float = 14.6
    mup_output_alpha: float = 2.22
    mup_scale_qk_dot_by_d: bool = True
    attn_pdrop: float = 0.0
    embd_pdrop: float = 0.0
    resid_pdrop: float = 0.0
    use_cache: bool = True
    tie_word_embeddings: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None

    def validate_architecture(self) -> None:
        """Called by `strict`."""
        if self.n_embd % self.n_head:
            raise ValueError(f"n_embd ({self.n_embd}) is not a multiple of n_head ({self.n_head})")
        if self.attn_pdrop or self.embd_pdrop or self.resid_pdrop:
            raise ValueError("CrystalCoder has no dropout here: set attn_pdrop, embd_pdrop and resid_pdrop to 0")
