"""Small checkpoints of published architectures, as they lie on the hub."""

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen3Config,
    SiglipVisionConfig,
    SiglipVisionModel,
)

from web2code.config import LanguageConfig, ModelConfig, VisionConfig
from web2code.modelling.base import build_model, save_checkpoint
from web2code.modelling.crystalcoder import CrystalCoderConfig
from web2code.modelling.tokenizer import train_tokenizer

TEXTS = ["<html><body><p>a page</p></body></html>"] * 4
LANGUAGE = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 128, "pad_token_id": 0,
}  # fmt: skip
VISION = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "image_size": 28,
    "patch_size": 14,
}  # fmt: skip
LANGUAGE_MODELS = {
    "crystalcoder": lambda shape: CrystalCoderConfig(
        n_embd=64, n_inner=100, n_layer=2, n_head=2, n_positions=512, rotary_dim=8, vocab_size=shape["vocab_size"]
    ),
    "llama": lambda shape: LlamaConfig(**shape),
    "mistral": lambda shape: MistralConfig(**shape),
    "phi3": lambda shape: Phi3Config(**shape),
    "qwen3": lambda shape: Qwen3Config(**shape, head_dim=8, tie_word_embeddings=True),
}
VISION_TOWERS = {
    "clip_vision_model": lambda: CLIPVisionModel(CLIPVisionConfig(**VISION)),
    "clip": lambda: CLIPModel(CLIPConfig(vision_config=VISION, text_config=LANGUAGE)),
    "siglip": lambda: SiglipVisionModel(SiglipVisionConfig(**VISION)),
}


def save_language_model(directory, name):
    """A language model with a tokenizer that knows neither the image token nor a padding token."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer, trained.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(
        TEXTS, trainers.BpeTrainer(special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False)
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, bos_token="<s>", eos_token="</s>")
    torch.manual_seed(0)
    config = LANGUAGE_MODELS[name](LANGUAGE | {"vocab_size": len(tokenizer)})
    AutoModelForCausalLM.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return str(directory)


def save_vision_tower(directory, name):
    """A vision tower, of `clip` with the text model that is published beside it."""
    torch.manual_seed(1)
    VISION_TOWERS[name]().save_pretrained(directory)
    return str(directory)


def small_parts(folder):
    """Overrides that make a full-size recipe's model a small one, of checkpoints saved below a folder."""
    return {
        "model.language_model": save_language_model(folder / "language", "llama"),
        "model.vision_tower": save_vision_tower(folder / "tower", "clip_vision_model"),
        "model.max_length": 128,
        "instruct.template": "vicuna_v1",
    }


def save_llava(folder, template, max_length=1024):
    """A checkpoint of a model made from scratch, whose answers differ, and which never writes the image token."""
    config = ModelConfig(
        vision=VisionConfig(
            image_size=32, patch_size=16, hidden_size=32, intermediate_size=64, num_layers=2, num_heads=2
        ),
        language=LanguageConfig(
            hidden_size=64, intermediate_size=128, num_layers=2, num_heads=2, max_length=max_length
        ),
    )
    texts = ["<p>a page</p>", "user assistant system"] * 4
    tokenizer = train_tokenizer(texts, 400, max_length, template.control_tokens)
    model = build_model(config, tokenizer, seed=0)
    with torch.no_grad():
        for weight in model.parameters():
            weight *= 1 if weight.ndim == 1 else 4
        model.get_input_embeddings().weight[model.config.image_token_id] = 0
    save_checkpoint(folder, model, tokenizer, template)
    return folder


class Attack:
    """Makes a file when it is read as a pickle."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return type(self.path).touch, (self.path,)
