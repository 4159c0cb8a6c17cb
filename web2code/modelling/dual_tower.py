"""A vision tower for transformers' LLaVA that reads a picture with CLIP and, at a higher resolution, with ConvNeXt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import Any, ClassVar

import torch
from torch import nn
from torch.nn import functional
from transformers import (
    AutoConfig,
    AutoModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    PreTrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import can_return_tuple

from web2code.modelling.resolution_adapters import ResolutionAdapter, ResolutionMerge

# CLIP's blocks are cut into so many groups, with an adapter between one group and the next.
GROUPS = 4

# Prefixes of parameter names in a LLaVA, as in `web2code.training.trainable.MODULES`. LLaVA-HR's first stage trains
# `merge` beside the projector, and its second stage everything.
PARTS = {
    "clip": "model.vision_tower.clip.",
    "convnext": "model.vision_tower.convnext.",
    "adapters": "model.vision_tower.adapters.",
    "merge": "model.vision_tower.merge.",
}


def _clip_large() -> CLIPVisionConfig:
    return CLIPVisionConfig(
        image_size=336,
        patch_size=14,
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        projection_dim=768,
    )


def _convnext_large() -> ConvNextConfig:
    return ConvNextConfig(hidden_sizes=[192, 384, 768, 1536], depths=[3, 3, 27, 3])


class DualTowerConfig(PreTrainedConfig):
    """The shape of a `DualTower`; by default that of LLaVAR-2 at 768 px, which gives 24 x 24 features of 1024.

    The weights that fit the defaults are `openai/clip-vit-large-patch14-336` and OpenCLIP's ConvNeXt-L on LAION-2B at
    320 px: `laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft`, in timm `convnext_large_mlp.clip_laion2b_ft_320`,
    whose names `web2code.modelling.convnext_weights.from_timm` translates.

    `image_size` is the side of the pictures given, in pixels, and `low_image_size` that of CLIP's view of them. None is
    LLaVA-HR's rule: a grid of patches as fine as ConvNeXt's map, but not coarser than CLIP's own. A given one keeps
    the number of image tokens while `image_size` grows.

    A LLaVA's config needs `vision_feature_layer=-1`, since there is one layer of features and no other, and
    `vision_feature_select_strategy="full"`, since none of them is a class token.

    Raises:
        ValueError: the sizes do not fit each other.
    """

    model_type = "web2code_dual_tower"
    base_config_key = "vision_config"
    sub_configs: ClassVar[dict[str, type[PreTrainedConfig]]] = {
        "clip_config": CLIPVisionConfig,
        "convnext_config": ConvNextConfig,
    }

    clip_config: CLIPVisionConfig = field(default_factory=_clip_large)
    convnext_config: ConvNextConfig = field(default_factory=_convnext_large)
    image_size: int = 768
    low_image_size: int | None = None

    def __post_init__(self, **kwargs: Any) -> None:
        if isinstance(self.clip_config, dict):
            self.clip_config = CLIPVisionConfig(**self.clip_config)
        if isinstance(self.convnext_config, dict):
            self.convnext_config = ConvNextConfig(**self.convnext_config)
        super().__post_init__(**kwargs)
        self._check()

    @property
    def hidden_size(self) -> int:
        """Size of a feature, which is CLIP's."""
        return self.clip_config.hidden_size

    @property
    def clip_input_size(self) -> int:
        """Side of CLIP's view of a picture in pixels."""
        as_fine = self.image_size // self._stride * self.clip_config.patch_size
        return self.low_image_size or max(as_fine, self.clip_config.image_size)

    @property
    def num_image_tokens(self) -> int:
        """Features of one picture, LLaVA's `image_seq_length`."""
        return (self.clip_input_size // self.clip_config.patch_size) ** 2

    @property
    def _stride(self) -> int:
        return self.convnext_config.patch_size * 2 ** (len(self.convnext_config.depths) - 1)

    def _check(self) -> None:
        if self.clip_config.num_hidden_layers % GROUPS:
            raise ValueError(
                f"CLIP's {self.clip_config.num_hidden_layers} layers do not make {GROUPS} equal groups; "
                f"give clip_config a num_hidden_layers that is a multiple of {GROUPS}"
            )
        for name, size, unit in (
            ("image_size", self.image_size, self._stride),
            ("low_image_size", self.clip_input_size, self.clip_config.patch_size),
        ):
            if size % unit:
                raise ValueError(f"{name} {size} is not a multiple of {unit}, the side of a feature in pixels")
        fine, coarse = self.image_size // self._stride, self.clip_input_size // self.clip_config.patch_size
        if fine % coarse and coarse % fine:
            raise ValueError(
                f"neither of ConvNeXt's {fine} and CLIP's {coarse} features a side is a multiple of the other; "
                f"change image_size ({self.image_size}) or low_image_size ({self.clip_input_size})"
            )


class _ConvNext(ConvNextModel):
    """ConvNeXt in a LLaVA whose parts are all told which attention to use: it has none, and refuses none."""

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        return "eager"


class DualTower(PreTrainedModel):
    """CLIP with ConvNeXt's features of the same picture mixed in; a new one gives CLIP's features and nothing else.

    Follows LLaVA-HR (arXiv 2403.03003) and its published `MultiPathCLIPVisionTower`: ConvNeXt's last map goes into
    CLIP's patches after each of the first three quarters of its blocks and once more at the end. CLIP runs on a
    bilinearly resized picture, without its class token and to its last block. Where its grid differs from its
    checkpoint's, transformers interpolates the position embeddings: bicubic as there, but without antialiasing.

    Both towers expect the same input: OpenCLIP's ConvNeXt was trained with CLIP's mean and standard deviation.
    A frozen block keeps no activations unless something before it is trained; gradient checkpointing is by block.
    Importing this module makes the tower known to transformers' Auto classes and so to LLaVA.
    """

    config: DualTowerConfig
    config_class = DualTowerConfig
    main_input_name = "pixel_values"
    input_modalities = ("image",)
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config: DualTowerConfig) -> None:
        super().__init__(config)
        fast_size, slow_size = config.hidden_size, config.convnext_config.hidden_sizes[-1]
        self.clip = CLIPVisionModel(config.clip_config)
        self.convnext = _ConvNext(config.convnext_config)
        self.adapters = nn.ModuleList(ResolutionAdapter(fast_size, slow_size) for _ in range(GROUPS - 1))
        self.merge = ResolutionMerge(fast_size, slow_size)
        self.gradient_checkpointing = False
        self.post_init()

    @can_return_tuple
    def forward(self, pixel_values: torch.Tensor, output_hidden_states: bool = False) -> BaseModelOutputWithPooling:
        """CLIP's pixels (batch, 3, image_size, image_size) to features (batch, num_image_tokens, hidden_size).

        `hidden_states`, where LLaVA looks for its features, has them as its one layer.

        Raises:
            ValueError: the pictures have another size.
        """
        side = self.config.image_size
        if pixel_values.shape[-2:] != (side, side):
            raise ValueError(
                f"pictures of {tuple(pixel_values.shape[-2:])} pixels in a tower for {side} x {side}; resize"
            )
        slow = self._feature_map(pixel_values.to(self.dtype))
        fast = self._patch_embeddings(pixel_values)
        layers = self.clip.encoder.layers
        for number, layer in enumerate(layers):
            group, place = divmod(number, len(layers) // GROUPS)
            if group > 0 and place == 0:
                fast = self.adapters[group - 1](fast, slow)
            fast = layer(fast, None)
        features = self.merge(fast, slow)
        return BaseModelOutputWithPooling(
            last_hidden_state=features, hidden_states=(features,) if output_hidden_states else None
        )

    @classmethod
    def is_custom_code(cls) -> bool:
        """False, since `_init_weights` spares loaded weights itself; True would skip modules without own parameters."""
        return False

    def get_correct_attn_implementation(self, requested_attention: str | None, is_init_check: bool = False) -> str:
        """transformers' own choice for the request."""
        # LLaVA's set_attn_implementation marks each config that it has been to, and takes the mark off its direct parts
        # alone: left on a part's part, it would make CLIP keep the first implementation that it was ever given.
        for part in (self.config.clip_config, self.config.convnext_config):
            vars(part).pop("_attn_was_changed", None)
        return super().get_correct_attn_implementation(requested_attention, is_init_check)

    def _feature_map(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """ConvNeXt's last map: (batch, channels, height, height), at 768 px 24 x 24."""
        features = self.convnext.embeddings(pixel_values)
        for stage in self.convnext.encoder.stages:
            for layer in (*stage.downsampling_layer, *stage.layers):
                features = self._checkpointed(layer, features)
        return features

    def _patch_embeddings(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """What CLIP's first block reads of the resized pictures: (batch, num_image_tokens, hidden_size)."""
        size = self.config.clip_input_size
        small = functional.interpolate(pixel_values.float(), size=(size, size), mode="bilinear", align_corners=True)
        interpolated = size != self.config.clip_config.image_size
        embeddings = self.clip.embeddings(small, interpolate_pos_encoding=interpolated)
        return self.clip.pre_layrnorm(embeddings[:, 1:])

    def _checkpointed(self, layer: Callable[[torch.Tensor], torch.Tensor], features: torch.Tensor) -> torch.Tensor:
        if self.gradient_checkpointing and self.training:
            return self._gradient_checkpointing_func(layer, features)
        return layer(features)

    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        if isinstance(module, (ResolutionAdapter, ResolutionMerge)):
            module.reset_parameters()


AutoConfig.register(DualTowerConfig.model_type, DualTowerConfig)
AutoModel.register(DualTowerConfig, DualTower)
