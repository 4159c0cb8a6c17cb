"""Image-text-to-text models of the published architectures at toy widths, with processors and chat templates."""

import copy
import io
import json

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers, processors, trainers
from transformers import (
    CONFIG_MAPPING,
    AutoModelForImageTextToText,
    Gemma3Config,
    Gemma3ImageProcessorPil,
    Gemma3Processor,
    GemmaTokenizer,
    GotOcr2ImageProcessorPil,
    Idefics3Config,
    Idefics3ImageProcessorPil,
    Idefics3Processor,
    InternVLConfig,
    InternVLProcessor,
    LlavaNextImageProcessorPil,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessorPil,
    Qwen3VLProcessor,
    SmolVLMConfig,
    SmolVLMImageProcessorPil,
    SmolVLMProcessor,
)
from transformers.utils import is_num2words_available, is_torchvision_available

from web2code.modelling.backbones import IMAGE_TEXT_MODELS
from web2code.modelling.image_text import without_videos
from web2code.modelling.tokenizer import train_tokenizer

from .tokenizers import llama

QWEN_TOKENS = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
TEXTS = [
    "<html><body><p>a page, an assistant</p></body></html>\n\n", "system user assistant\nYou are a helpful assistant.",
    "Write the HTML of this page. What is it? Is it red? Yes, it is.",
] * 4  # fmt: skip
# As Qwen2.5-VL's, without videos and tools.
QWEN25 = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<|im_start|>system\n"
    "You are a helpful assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m['role'] }}\n"
    "{% if m['content'] is string %}{{ m['content'] }}<|im_end|>\n{% else %}{% for c in m['content'] %}"
    "{% if c['type'] == 'image' or 'image' in c %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As Qwen3-VL's, likewise.
QWEN3 = (
    "{%- if messages[0].role == 'system' %}{{- '<|im_start|>system\n' }}{%- for c in messages[0].content %}"
    "{%- if 'text' in c %}{{- c.text }}{%- endif %}{%- endfor %}{{- '<|im_end|>\n' }}{%- endif %}"
    "{%- for m in messages %}{%- if m.role != 'system' %}{{- '<|im_start|>' + m.role + '\n' }}"
    "{%- for c in m.content %}{%- if c.type == 'image' or 'image' in c %}<|vision_start|><|image_pad|><|vision_end|>"
    "{%- elif 'text' in c %}{{- c.text }}{%- endif %}{%- endfor %}{{- '<|im_end|>\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}"
)
# As is published with LLaVA-NeXT on Mistral: what ends an answer is text. MENDED ends it with a token.
PUBLISHED = (
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '[INST] ' }}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'image') %}{{ '<image>\n' }}{% endfor %}"
    "{% for content in message['content'] | selectattr('type', 'equalto', 'text') %}{{ content['text'] }}{% endfor %}"
    "{{' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'][0]['text'] + '<\\\\s> '}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
MENDED = PUBLISHED.replace("'<\\\\s> '", "eos_token")
# As is published with HuggingFaceTB/SmolVLM-Instruct, and with Idefics3: no space after the colon before an image.
SMOLVLM = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
SMOLVLM_TOKENS = (
    "<|im_start|>", "<|im_end|>", "<end_of_utterance>", "<fake_token_around_image>", "<global-img>",
    *(f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)),
)  # fmt: skip
# As is published with google/gemma-3-4b-it.
GEMMA3 = (
    "{{ bos_token }}{%- if messages[0]['role'] == 'system' -%}{%- if messages[0]['content'] is string -%}"
    "{%- set first_user_prefix = messages[0]['content'] + '\n\n' -%}{%- else -%}"
    "{%- set first_user_prefix = messages[0]['content'][0]['text'] + '\n\n' -%}{%- endif -%}"
    "{%- set loop_messages = messages[1:] -%}{%- else -%}{%- set first_user_prefix = '' -%}"
    "{%- set loop_messages = messages -%}{%- endif -%}{%- for message in loop_messages -%}"
    "{%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}"
    "{{ raise_exception('Conversation roles must alternate user/assistant/user/assistant/...') }}{%- endif -%}"
    "{%- if (message['role'] == 'assistant') -%}{%- set role = 'model' -%}{%- else -%}"
    "{%- set role = message['role'] -%}{%- endif -%}"
    "{{ '<start_of_turn>' + role + '\n' + (first_user_prefix if loop.first else '') }}"
    "{%- if message['content'] is string -%}{{ message['content'] | trim }}"
    "{%- elif message['content'] is iterable -%}{%- for item in message['content'] -%}"
    "{%- if item['type'] == 'image' -%}{{ '<start_of_image>' }}"
    "{%- elif item['type'] == 'text' -%}{{ item['text'] | trim }}{%- endif -%}{%- endfor -%}{%- else -%}"
    "{{ raise_exception('Invalid content type') }}{%- endif -%}{{ '<end_of_turn>\n' }}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{'<start_of_turn>model\n'}}{%- endif -%}"
)
GEMMA3_TOKENS = ("<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>", "<image_soft_token>")
TEXT = {
    "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 1024,
}  # fmt: skip
TILES = [[28, 56], [56, 28], [56, 56]]
VISION = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
          "image_size": 56, "patch_size": 14}  # fmt: skip
PUBLISHED_MODELS = ("llava-next-mistral-7b", "qwen2.5-vl-7b", "qwen3-vl-8b")
SMOLVLM_LOADS = is_num2words_available() and is_torchvision_available()
NEEDS = pytest.mark.skipif(not SMOLVLM_LOADS, reason="its processor asks for num2words and torchvision")
MODELS = (*PUBLISHED_MODELS, "gemma3", "idefics3", pytest.param("smolvlm", marks=NEEDS))


def picture(width, height, form="PNG"):
    """A picture of random pixels, as a file."""
    stream = io.BytesIO()
    pixels = np.random.default_rng(width).integers(0, 255, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(stream, form)
    return stream.getvalue()


def toy_processor(name):
    """A processor of the published class."""
    if name in OTHERS:
        return OTHERS[name][0]()
    if name.startswith("llava"):
        return llava_next_processor(MENDED)
    trained = train_tokenizer(TEXTS, 600, 1024, QWEN_TOKENS).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<|im_end|>", pad_token="<pad>")
    newer = name.startswith("qwen3")
    sizes = {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3} if newer else {"patch_size": 14}
    kind = without_videos(Qwen3VLProcessor if newer else Qwen2_5_VLProcessor)
    images = Qwen2VLImageProcessorPil(min_pixels=56 * 56, max_pixels=160 * 160, **sizes)
    return kind(images, tokenizer, chat_template=QWEN3 if newer else QWEN25)


def llava_next_processor(chat_template):
    tokenizer = copy.deepcopy(llama())
    tokenizer.add_special_tokens({"pad_token": "<pad>"})
    start = ("<s>", tokenizer.bos_token_id)
    tokenizer._tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[start])
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": 28}, crop_size={"height": 28, "width": 28}, image_grid_pinpoints=TILES
    )
    return LlavaNextProcessor(
        images, tokenizer, patch_size=14, vision_feature_select_strategy="default", chat_template=chat_template,
        num_additional_image_tokens=1,
    )  # fmt: skip


def gemma3_processor():
    """Line breaks are tokens of their own, as many of them as there are, and text like any other."""
    trained = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    pieces = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", *(f"<0x{byte:02X}>" for byte in range(256))]
    trained.train_from_iterator(TEXTS, trainers.BpeTrainer(vocab_size=700, special_tokens=pieces, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    names = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = GemmaTokenizer(model["vocab"], [*map(tuple, model["merges"])], extra_special_tokens=names)
    tokenizer.add_tokens([AddedToken("\n" * count, normalized=False) for count in range(1, 7)])
    tokenizer.add_tokens([AddedToken(name, special=True) for name in GEMMA3_TOKENS], special_tokens=True)
    images = Gemma3ImageProcessorPil(size={"height": 56, "width": 56})
    return Gemma3Processor(images, tokenizer, chat_template=GEMMA3, image_seq_length=4)


def gemma3_config(tokenizer):
    text = TEXT | {"vocab_size": len(tokenizer), "head_dim": 16, "sliding_window": 32, "query_pre_attn_scalar": 16,
                   "layer_types": ["sliding_attention", "full_attention"]}  # fmt: skip
    ids = {"boi": "<start_of_image>", "eoi": "<end_of_image>", "image": "<image_soft_token>"}
    return Gemma3Config(
        text_config=text, vision_config=VISION | {"vision_use_head": False}, mm_tokens_per_image=4,
        **{f"{name}_token_{'id' if name == 'image' else 'index'}": tokenizer.convert_tokens_to_ids(token)
           for name, token in ids.items()},
    )  # fmt: skip


def idefics3_processor(kind=Idefics3Processor, images=Idefics3ImageProcessorPil, *others):
    """A picture is seen in tiles and as a whole."""
    trained = train_tokenizer(TEXTS, 600, 1024, SMOLVLM_TOKENS).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, bos_token="<|im_start|>", eos_token="<end_of_utterance>", pad_token="<|im_end|>"
    )
    sizes = {"size": {"longest_edge": 112}, "max_image_size": {"longest_edge": 56}}
    return kind(images(**sizes), tokenizer, *others, image_seq_len=4, chat_template=SMOLVLM)


def idefics3_config(tokenizer, kind=Idefics3Config):
    pad, image = tokenizer.pad_token_id, tokenizer.convert_tokens_to_ids("<image>")
    text = TEXT | {"model_type": "llama", "vocab_size": len(tokenizer), "pad_token_id": pad}
    return kind(text_config=text, vision_config=VISION, scale_factor=2, image_token_id=image, pad_token_id=pad)


def smolvlm_processor():
    from transformers import SmolVLMVideoProcessor  # needs torchvision

    return idefics3_processor(SmolVLMProcessor, SmolVLMImageProcessorPil, SmolVLMVideoProcessor())


def smolvlm_config(tokenizer):
    return idefics3_config(tokenizer, SmolVLMConfig)


# Families that the table of backbones does not have: a processor, and a configuration for its tokenizer.
OTHERS = {
    "gemma3": (gemma3_processor, gemma3_config),
    "idefics3": (idefics3_processor, idefics3_config),
    "smolvlm": (smolvlm_processor, smolvlm_config),
}


def toy_internvl():
    """A processor and a model of a family that the table of backbones does not have."""
    names = {"start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
             "video_token": "<video>"}  # fmt: skip
    trained = train_tokenizer(TEXTS, 600, 1024, ("<|im_start|>", "<|im_end|>", *names.values())).backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=trained, eos_token="<|im_end|>", pad_token="<pad>", extra_special_tokens=names
    )
    images = GotOcr2ImageProcessorPil(size={"height": 28, "width": 28}, crop_to_patches=True, max_patches=4)
    template = QWEN3.replace("<|vision_start|><|image_pad|><|vision_end|>", "{{ '<IMG_CONTEXT>\n' }}")
    processor = without_videos(InternVLProcessor)(images, tokenizer, image_seq_length=1, chat_template=template)
    vision = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": [28, 28], "patch_size": [14, 14]}  # fmt: skip
    config = InternVLConfig(
        text_config=TEXT | {"model_type": "qwen2", "vocab_size": len(tokenizer)}, vision_config=vision,
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"), image_seq_length=1, downsample_ratio=0.5,
    )  # fmt: skip
    torch.manual_seed(0)
    return processor, AutoModelForImageTextToText.from_config(config)


def toy_config(name, tokenizer):
    """The published configuration at toy widths, for a tokenizer of ours."""
    if name in OTHERS:
        return OTHERS[name][1](tokenizer)
    shape = copy.deepcopy(dict(IMAGE_TEXT_MODELS[name].shape))
    ids = {f"{kind}_token_id": getattr(tokenizer, f"{kind}_token_id") for kind in ("bos", "eos", "pad")}
    text, vision = shape["text_config"], shape["vision_config"]
    text |= TEXT | ids | {"vocab_size": len(tokenizer)}
    if name.startswith("llava"):
        vision |= {
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2,
            "image_size": 28, "patch_size": 14,
        }  # fmt: skip
        shape |= {"image_grid_pinpoints": TILES, "image_token_index": tokenizer.convert_tokens_to_ids("<image>")}
    else:
        vision |= {
            "depth": 3, "hidden_size": 32, "intermediate_size": 64, "num_heads": 2, "out_hidden_size": 64
        }  # fmt: skip
        newer = name.startswith("qwen3")
        if newer:
            text["head_dim"] = 16
        text["rope_parameters"]["mrope_section"] = [4, 2, 2] if newer else [2, 3, 3]
        vision |= (
            {"deepstack_visual_indexes": [0], "num_position_embeddings": 16}
            if newer
            else {"fullatt_block_indexes": [1]}
        )
        named = {"image": "<|image_pad|>", "video": "<|video_pad|>", "vision_start": "<|vision_start|>",
                 "vision_end": "<|vision_end|>"}  # fmt: skip
        shape |= {f"{key}_token_id": tokenizer.convert_tokens_to_ids(token) for key, token in named.items()}
    return CONFIG_MAPPING[shape.pop("model_type")](**shape)


def toy_model(name, tokenizer, seed=0):
    """A model of random weights."""
    torch.manual_seed(seed)
    return AutoModelForImageTextToText.from_config(toy_config(name, tokenizer))


def save_toy(folder, name):
    """A checkpoint as it lies on the hub."""
    processor = toy_processor(name)
    toy_model(name, processor.tokenizer).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)
