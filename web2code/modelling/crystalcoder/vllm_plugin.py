"""Makes vLLM know CrystalCoder: vLLM calls `register` in each of its processes where this package is installed."""

from vllm import ModelRegistry

import web2code.modelling.crystalcoder  # noqa: F401  (transformers' Auto classes know the configuration by it)

# Saved by transformers, and published.
ARCHITECTURES = ("CrystalCoderForCausalLM", "CrystalCoderLMHeadModel")
# By name: what computes is imported by the processes that load a model.
IMPLEMENTATION = "web2code.modelling.crystalcoder.vllm_model:CrystalCoderForCausalLM"


def register() -> None:
    """Register the language model alone; vLLM's own LLaVA builds it around a vision tower."""
    for architecture in ARCHITECTURES:
        ModelRegistry.register_model(architecture, IMPLEMENTATION)
