"""Selection scores: spans proved against likelihoods computed token by token, windows, and scores of whole datasets."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)

from ray_jobs.build_dataset import main as build
from ray_jobs.select_data import main as select
from tests.web2code.data import layouts
from tests.web2code.test_data_commands import web2code
from web2code.config import BuildJob, DataConfig, SelectionConfig, SelectionJob, SourceConfig, Where, digest_tree
from web2code.selection.scorer import Scorer
from web2code.selection.scores import Request, ratios, terms
from web2code.selection.window import keep, kept_curve

PAIRS = [("What is it?", "A shop </s> <image>."), ("Why?", "It sells tea.")]


def make_tokenizer() -> PreTrainedTokenizerFast:
    alphabet = sorted(ByteLevel.alphabet())
    special = ["<pad>", "<s>", "</s>", "<image>"]
    tokenizer = Tokenizer(BPE(vocab={token: i for i, token in enumerate([*special, *alphabet])}, merges=[]))
    tokenizer.pre_tokenizer, tokenizer.decoder = ByteLevel(add_prefix_space=False), ByteLevelDecoder()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>",
        additional_special_tokens=["<image>"],
    )  # fmt: skip


LANGUAGE = {
    "vocab_size": 260, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
    "max_position_embeddings": 512, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip


@pytest.fixture(scope="session")
def language_model(tmp_path_factory) -> str:
    """A causal language model of random weights, saved."""
    path = tmp_path_factory.mktemp("language")
    torch.manual_seed(0)
    LlamaForCausalLM(LlamaConfig(**LANGUAGE)).save_pretrained(path)
    make_tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(scope="session")
def vision_model(tmp_path_factory) -> str:
    """A LLaVA of random weights, saved with its processor."""
    path = tmp_path_factory.mktemp("vision")
    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=16, patch_size=8
    )
    config = LlavaConfig(
        vision_config=vision, text_config=LlamaConfig(**LANGUAGE), image_token_id=3, image_seq_length=4,
        vision_feature_layer=-1,
    )  # fmt: skip
    LlavaForConditionalGeneration(config).save_pretrained(path)
    pictures = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    LlavaProcessor(
        pictures, make_tokenizer(), patch_size=8, vision_feature_select_strategy="default", image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(path)  # fmt: skip
    return str(path)


def test_the_span_is_the_answer_and_nothing_else(language_model):
    scorer = Scorer(language_model, 512, 4)
    request = Request(("What is it?",), PAIRS[0][1], with_picture=False)
    got = scorer.likelihoods([(request, None)])[0]
    tokenizer, model = make_tokenizer(), scorer.model
    context = [1, *tokenizer.encode("What is it?\n", add_special_tokens=False)]
    answer = tokenizer.encode(PAIRS[0][1], add_special_tokens=False, split_special_tokens=True)
    assert 2 not in answer  # the </s> inside is text
    with torch.no_grad():
        logits = model(torch.tensor([context + answer])).logits[0].log_softmax(-1)
    by_hand = [-float(logits[len(context) + i - 1, token]) for i, token in enumerate(answer)]
    assert got == pytest.approx(np.mean(by_hand), rel=1e-5)


def test_batches_do_not_change_a_score(vision_model):
    image = Image.new("RGB", (20, 20), "red")
    requests = [
        (Request(("Q" * n,), "answer " * (n % 3 + 1), with_picture=n % 2 == 0), image if n % 2 == 0 else None)
        for n in range(1, 8)
    ]
    together = Scorer(vision_model, 512, 8).likelihoods(requests)
    alone = Scorer(vision_model, 512, 1).likelihoods(requests)
    assert together == pytest.approx(alone, rel=1e-4)


def test_a_picture_changes_the_score(vision_model):
    scorer = Scorer(vision_model, 512, 4)
    seen, asked = terms("vfd", PAIRS[:1], has_picture=True)[0]
    red, blue = (scorer.likelihoods([(seen, Image.new("RGB", (16, 16), c))])[0] for c in ("red", "blue"))
    assert len({red, blue, scorer.likelihoods([(asked, None)])[0]}) == 3


def test_what_does_not_fit_is_not_scored(language_model):
    scorer = Scorer(language_model, 16, 4)
    short, long = Request((), "short", False), Request((), "long " * 20, False)
    assert [value is None for value in scorer.likelihoods([(short, None), (long, None)])] == [False, True]


def test_definitions():
    asked, alone = terms("ifd", PAIRS, False)[1]
    assert (asked, alone) == (Request(("Why?",), "It sells tea.", False), Request((), "It sells tea.", False))
    seen, asked = terms("vfd", PAIRS, True)[0]
    assert (seen.with_picture, asked.with_picture, seen.context) == (True, False, ("What is it?",))
    with_extraction, without = terms("ffd", PAIRS, True)[1]
    assert with_extraction.context == ("What is it?", PAIRS[0][1], "Why?")
    assert without.context == ("Why?",)
    assert terms("ffd", PAIRS, True).keys() == {1}
    assert terms("vfd", PAIRS, False) == terms("ffd", PAIRS, False) == {}


def test_mifd_is_the_product_of_vfd_and_ifd():
    likelihoods = {
        request: 1.0 + i
        for i, request in enumerate(
            dict.fromkeys(r for n in ("ifd", "vfd", "mifd") for pair in terms(n, PAIRS, True).values() for r in pair)
        )
    }
    found = {(one.name, one.turn): one.value for one in ratios(("ifd", "vfd", "mifd"), PAIRS, True, likelihoods)}
    for turn in (0, 1):
        assert found["mifd", turn] == pytest.approx(found["vfd", turn] * found["ifd", turn])


def config(**options) -> SelectionConfig:
    return SelectionConfig(model="m", **options)


def test_windows():
    values = np.array([0.1, 0.5, np.nan, 0.9, 1.5])
    assert keep(values, config(by="ratio", window=(0.2, 1.0))).tolist() == [False, True, False, True, False]
    assert keep(values, config(window=(0.0, 50.0))).tolist() == [True, True, False, False, False]
    assert keep(values, config()).tolist() == [True, True, False, True, True]
    thresholds, shares = kept_curve(values)
    assert (thresholds[0], thresholds[-1], shares[-1]) == (0.1, 1.5, 0.8)  # the sample without a score is never kept
    assert (np.diff(shares) >= 0).all()


@pytest.mark.parametrize(("window", "by"), [
    ((60.0, 40.0), "percentile"), ((60.0, 40.0), "ratio"), ((-5.0, 50.0), "percentile"), ((0.0, 101.0), "percentile"),
    ((0.2, math.inf), "ratio"), ((math.nan, 1.0), "ratio"),
])  # fmt: skip
def test_a_window_that_is_none_is_refused_before_anything_is_scored(window, by):
    with pytest.raises(ValueError, match=r"lower end comes first|finite number"):
        config(by=by, window=window)


@pytest.fixture(scope="module")
def dataset(local_ray, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("selected")
    layouts.write_llavar2(home / "llavar2")
    layouts.write_llava_mix665k(home / "mix")
    folders = {"llavar2": str(home / "llavar2"), "llava-mix665k": str(home / "mix")}
    sources = tuple(SourceConfig(name=name) for name in folders)
    where = Where(home=str(home), data_dir=str(home / "data"), out=str(home / "data"), folders=folders)
    build(BuildJob(where=where, data=DataConfig(sources=sources)))
    return home


def job(home: Path, model: str, **options) -> SelectionJob:
    selection = SelectionConfig(model=model, max_tokens=512, **options)
    checkpoint = digest_tree(Path(model))
    return SelectionJob(home=str(home), folder=str(home / "data"), selection=selection, checkpoint=checkpoint)


def test_a_dataset_is_scored_once_and_windows_are_applied(dataset, vision_model):
    options = {"scores": ("mifd", "ffd"), "keep": "mifd"}
    record = select(job(dataset, vision_model, **options))
    out = dataset / "artifacts" / "selection" / record.fingerprint
    assert (record.num_samples, record.num_scored, record.num_selected) == (10, 8, 8)
    assert record.unscored == {"has no picture, or no explanation": 2}
    scores = [row for path in sorted((out / "scores").glob("*.parquet")) for row in pq.read_table(path).to_pylist()]
    explained = [row for row in scores if row["score"] == "ffd"]
    assert {row["turn"] for row in explained} == {1, 3}
    assert all(math.isclose(row["ratio"], row["numerator"] / row["denominator"]) for row in scores if row["score"])
    before = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()}
    half = select(job(dataset, vision_model, **options, window=(0.0, 50.0)))
    assert half.num_selected == 4
    assert {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir()} == before
    assert "<svg" in (out / "curves.html").read_text()


def test_after_a_kill_only_the_missing_shards_are_scored(dataset, vision_model):
    first = select(job(dataset, vision_model, scores=("vfd",), keep="vfd"))
    out = dataset / "artifacts" / "selection" / first.fingerprint
    expected = pq.read_table(out / "selected.parquet")
    lost = sorted((out / "scores").iterdir())[0]
    kept = {path: path.stat().st_mtime_ns for path in (out / "scores").iterdir() if path != lost}
    lost.unlink()
    assert select(job(dataset, vision_model, scores=("vfd",), keep="vfd")) == first
    assert pq.read_table(out / "selected.parquet").equals(expected)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_the_command_scores_and_names_what_it_kept(dataset, language_model, tmp_path):
    options = ["--model", language_model, "--part", "mix665k", "--percentiles", "0-50", "--max-tokens", "512"]
    selected = web2code(tmp_path, "select", str(dataset / "data"), *options)
    assert selected.returncode == 0, selected.stderr
    assert " samples kept; the curves: " in selected.stdout
    (out,) = (tmp_path / "home" / "artifacts" / "selection").iterdir()
    kept = pq.read_table(out / "selected.parquet").num_rows
    assert f"{kept} of " in selected.stdout
    assert 0 < kept < pq.read_table(next((out / "scores").iterdir())).num_rows


def test_a_part_that_is_not_there_is_one_sentence(dataset, vision_model):
    with pytest.raises(ValueError, match="has no part DWCG: it has"):
        select(job(dataset, vision_model, scores=("ifd",), parts=("DWCG",)))
