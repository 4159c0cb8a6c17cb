"""The models that the published systems are made of, with all that building them needs offline."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from transformers import CONFIG_MAPPING, AutoConfig, PreTrainedConfig

from web2code.modelling.crystalcoder import CrystalCoderConfig
from web2code.modelling.dual_tower import DualTowerConfig

if TYPE_CHECKING:
    from web2code.config import TemplateName


@dataclass(frozen=True)
class Backbone:
    """A model of the hub; `shape` holds the arguments of its configuration class, beside the model type.

    A dual tower's CLIP is at `hub`, its ConvNeXt at `slow_hub`.
    """

    hub: str
    licence: str
    shape: Mapping[str, Any]
    revision: str = "main"
    slow_hub: str = ""

    def config(self) -> PreTrainedConfig:
        """The model's configuration, without reading anything."""
        shape = dict(self.shape)
        return CONFIG_MAPPING[shape.pop("model_type")](**shape)


@dataclass(frozen=True, kw_only=True)
class LanguageBackbone(Backbone):
    """A causal language model, with the template and special tokens that it is trained with.

    `num_tokens` counts its tokenizer's tokens: what is added gets the next id, and the embeddings grow where they have
    no row for it.
    """

    template: TemplateName
    bos: str
    eos: str
    pad: str
    num_tokens: int

    @property
    def context(self) -> int:
        """Tokens of the longest sequence that it was made for."""
        return self.config().max_position_embeddings


CLIP_336_COMMIT = "ce19dc912ca5cd21c8a653c79e251e808ccabcd1"

_LLAMA = {
    "model_type": "llama", "vocab_size": 32_000, "hidden_size": 4096, "intermediate_size": 11_008,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0,
}  # fmt: skip
_LLAMA_13B = _LLAMA | {
    "hidden_size": 5120, "intermediate_size": 13_824, "num_hidden_layers": 40, "num_attention_heads": 40,
    "num_key_value_heads": 40,
}  # fmt: skip
_LLAMA3 = {
    "model_type": "llama", "vocab_size": 128_256, "hidden_size": 4096, "intermediate_size": 14_336,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 8192, "rope_parameters": {"rope_type": "default", "rope_theta": 500_000.0},
    "bos_token_id": 128_000, "eos_token_id": 128_001,
}  # fmt: skip
_LLAMA31 = _LLAMA3 | {
    "max_position_embeddings": 131_072,
    "rope_parameters": {
        "rope_type": "llama3", "rope_theta": 500_000.0, "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}  # fmt: skip
_PHI3 = {
    "model_type": "phi3", "vocab_size": 32_064, "hidden_size": 3072, "intermediate_size": 8192,
    "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 32, "rms_norm_eps": 1e-5,
    "max_position_embeddings": 4096, "original_max_position_embeddings": 4096, "sliding_window": 2047,
    "bos_token_id": 1, "eos_token_id": 32_000, "pad_token_id": 32_000,
}  # fmt: skip
# Published as float32, of which these are the same numbers.
_PHI35_LONG = [
    1.08, 1.11, 1.14, 1.34, 1.59, 1.6, 1.62, 2.62, 3.23, 3.23, 4.79, 7.4, 7.7, 9.09, 12.2, 17.67, 24.46, 28.57, 30.42,
    30.84, 32.59, 32.93, 42.32, 44.96, 50.34, 50.45, 57.55, 57.93, 58.21, 60.14, 62.61, 62.62, 62.71, 63.14, 63.14,
    63.77, 63.93, 63.96, 63.97, 64.03, 64.07, 64.08, 64.12, 64.41, 64.48, 64.51, 64.53, 64.84,
]  # fmt: skip
_PHI35_SHORT = [
    1.0, 1.02, 1.03, 1.03, 1.05, 1.05, 1.05, 1.05, 1.05, 1.07, 1.1, 1.11, 1.16, 1.16, 1.17, 1.29, 1.34, 1.68, 1.79,
    1.82, 1.85, 1.88, 1.91, 1.94, 1.99, 2.02, 2.02, 2.02, 2.02, 2.02, 2.02, 2.03, 2.03, 2.03, 2.03, 2.03, 2.03, 2.03,
    2.03, 2.03, 2.08, 2.09, 2.19, 2.22, 2.59, 2.73, 2.75, 2.84,
]  # fmt: skip
_PHI35 = _PHI3 | {
    "max_position_embeddings": 131_072, "sliding_window": 262_144,
    "rope_parameters": {
        "rope_type": "longrope", "rope_theta": 10_000.0, "factor": 32.0, "long_factor": _PHI35_LONG,
        "short_factor": _PHI35_SHORT, "original_max_position_embeddings": 4096,
    },
}  # fmt: skip
# The defaults of these two's configuration classes are the published ones.
_DUAL = {"model_type": DualTowerConfig.model_type, "image_size": 768}
_CRYSTAL = {"model_type": CrystalCoderConfig.model_type, "vocab_size": 32_032, "n_positions": 2048}
_CLIP_L = {
    "model_type": "clip_vision_model", "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24,
    "num_attention_heads": 16, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip


def _mrope(theta: float, sections: list[int]) -> dict[str, Any]:
    return {"rope_type": "default", "rope_theta": theta, "mrope_section": sections}


def _vicuna(name: str, licence: str, shape: Mapping[str, Any]) -> LanguageBackbone:
    # LLaVA pads with <unk>: the Llama tokenizer has no padding token of its own.
    return LanguageBackbone(
        f"lmsys/{name}", licence, shape, template="vicuna_v1", bos="<s>", eos="</s>", pad="<unk>", num_tokens=32_000
    )


def _crystal(name: str) -> LanguageBackbone:
    # Published multimodal models were tuned with the Vicuna template, not the native one (arXiv 2406.20098).
    return LanguageBackbone(
        f"LLM360/{name}", "Apache-2.0", _CRYSTAL, template="vicuna_v1", bos="<s>", eos="</s>", pad="<unk>",
        num_tokens=32_022,
    )  # fmt: skip


def _llama3(name: str, licence: str, shape: Mapping[str, Any], eos: str, pad: str) -> LanguageBackbone:
    return LanguageBackbone(
        f"meta-llama/{name}", licence, shape, template="llama3", bos="<|begin_of_text|>", eos=eos, pad=pad,
        num_tokens=128_256,
    )  # fmt: skip


def _phi3(name: str, shape: Mapping[str, Any]) -> LanguageBackbone:
    return LanguageBackbone(
        f"microsoft/{name}", "MIT", shape, template="phi3_instruct", bos="<s>", eos="<|end|>", pad="<|endoftext|>",
        num_tokens=32_011,
    )  # fmt: skip


# A new backbone needs an entry only where a published system is to be built offline: any name on the hub, and any
# folder that transformers can read, serves as well.
LANGUAGE_MODELS: Mapping[str, LanguageBackbone] = {
    "crystalchat-7b": _crystal("CrystalChat"),
    "crystalcoder-7b": _crystal("CrystalCoder"),
    "vicuna-7b-v1.5": _vicuna("vicuna-7b-v1.5", "llama2", _LLAMA),
    "vicuna-13b-v1.5": _vicuna("vicuna-13b-v1.5", "llama2", _LLAMA_13B),
    "vicuna-13b-v1.3": _vicuna(
        "vicuna-13b-v1.3", "research-only (LLaMA)",
        _LLAMA_13B | {"max_position_embeddings": 2048, "rms_norm_eps": 1e-6},
    ),
    "llama-3-8b": _llama3(
        "Meta-Llama-3-8B", "llama3", _LLAMA3, "<|end_of_text|>", "<|reserved_special_token_0|>"
    ),
    "llama-3-8b-instruct": _llama3(
        "Meta-Llama-3-8B-Instruct", "llama3", _LLAMA3 | {"eos_token_id": 128_009},
        "<|eot_id|>", "<|reserved_special_token_0|>",
    ),
    "llama-3.1-8b": _llama3(
        "Llama-3.1-8B", "llama3.1", _LLAMA31, "<|end_of_text|>", "<|finetune_right_pad_id|>"
    ),
    "llama-3.1-8b-instruct": _llama3(
        "Llama-3.1-8B-Instruct", "llama3.1", _LLAMA31 | {"eos_token_id": [128_001, 128_008, 128_009]},
        "<|eot_id|>", "<|finetune_right_pad_id|>",
    ),
    "phi-3-mini": _phi3("Phi-3-mini-4k-instruct", _PHI3),
    "phi-3.5-mini": _phi3("Phi-3.5-mini-instruct", _PHI35),
}  # fmt: skip

VISION_TOWERS: Mapping[str, Backbone] = {
    "clip-convnext-768": Backbone(
        "openai/clip-vit-large-patch14-336", "MIT", _DUAL, revision=CLIP_336_COMMIT,
        slow_hub="timm/convnext_large_mlp.clip_laion2b_ft_320",
    ),
    "clip-vit-large-patch14": Backbone(
        "openai/clip-vit-large-patch14", "MIT", _CLIP_L | {"image_size": 224}
    ),
    "clip-vit-large-patch14-336": Backbone(
        "openai/clip-vit-large-patch14-336", "MIT", _CLIP_L | {"image_size": 336},
        revision=CLIP_336_COMMIT,
    ),
    "siglip-so400m-patch14-384": Backbone(
        "google/siglip-so400m-patch14-384", "Apache-2.0",
        {
            "model_type": "siglip_vision_model", "hidden_size": 1152, "intermediate_size": 4304,
            "num_hidden_layers": 27, "num_attention_heads": 16, "patch_size": 14, "image_size": 384,
        },
    ),
}  # fmt: skip

# Of each the configuration that is published with it; what is not here are the defaults of its classes.
IMAGE_TEXT_MODELS: Mapping[str, Backbone] = {
    "llava-next-mistral-7b": Backbone(
        "llava-hf/llava-v1.6-mistral-7b-hf", "Apache-2.0",
        {
            "model_type": "llava_next",
            "text_config": {
                "model_type": "mistral", "vocab_size": 32_064, "hidden_size": 4096, "intermediate_size": 14_336,
                "num_hidden_layers": 32, "num_attention_heads": 32, "num_key_value_heads": 8, "rms_norm_eps": 1e-5,
                "max_position_embeddings": 32_768, "sliding_window": None,
                "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
            },
            "vision_config": _CLIP_L | {"image_size": 336},
        },
    ),
    "qwen2.5-vl-7b": Backbone(
        "Qwen/Qwen2.5-VL-7B-Instruct", "Apache-2.0",
        {
            "model_type": "qwen2_5_vl",
            "text_config": {
                "vocab_size": 152_064, "hidden_size": 3584, "intermediate_size": 18_944, "num_hidden_layers": 28,
                "num_attention_heads": 28, "num_key_value_heads": 4, "rms_norm_eps": 1e-6,
                "max_position_embeddings": 128_000, "rope_parameters": _mrope(1_000_000.0, [16, 24, 24]),
            },
            "vision_config": {"hidden_size": 1280, "tokens_per_second": 2},
        },
    ),
    "qwen3-vl-8b": Backbone(
        "Qwen/Qwen3-VL-8B-Instruct", "Apache-2.0",
        {
            "model_type": "qwen3_vl",
            "text_config": {
                "vocab_size": 151_936, "hidden_size": 4096, "intermediate_size": 12_288, "num_hidden_layers": 36,
                "num_attention_heads": 32, "num_key_value_heads": 8, "max_position_embeddings": 262_144,
                "rope_parameters": _mrope(5_000_000.0, [24, 20, 20]) | {"mrope_interleaved": True},
            },
            "vision_config": {"out_hidden_size": 4096},
        },
    ),
}  # fmt: skip


def language_config(name: str, revision: str = "") -> PreTrainedConfig:
    """The configuration of a language model: of the table without reading anything, of the hub or a folder otherwise.

    Raises:
        ValueError: it is neither.
    """
    return _config(LANGUAGE_MODELS, name, revision)


def vision_config(name: str, revision: str = "") -> PreTrainedConfig:
    """The configuration of a vision tower; of a model that also reads text, its vision part.

    Raises:
        ValueError: it is neither in the table nor a name of the hub nor a folder.
    """
    config = _config(VISION_TOWERS, name, revision)
    return getattr(config, "vision_config", config)


def image_text_config(name: str, revision: str = "") -> PreTrainedConfig:
    """The configuration of an image-text-to-text model.

    Raises:
        ValueError: it is neither in the table nor a name of the hub nor a folder.
    """
    return _config(IMAGE_TEXT_MODELS, name, revision)


def source(name: str, revision: str = "") -> tuple[str, str]:
    """Where a backbone's weights are: a name on the hub or a folder, and the revision there."""
    known = LANGUAGE_MODELS.get(name) or VISION_TOWERS.get(name) or IMAGE_TEXT_MODELS.get(name)
    return (known.hub, revision or known.revision) if known else (name, revision or "main")


def _config(table: Mapping[str, Any], name: str, revision: str) -> PreTrainedConfig:
    if name in table and not revision:
        return table[name].config()
    hub, revision = source(name, revision)
    try:
        return AutoConfig.from_pretrained(hub, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"no backbone {name!r} ({reason}): choose one of {', '.join(table)}, a name on the hub or a folder"
        ) from None
