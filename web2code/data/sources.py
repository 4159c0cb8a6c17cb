"""Everything that samples can come from, by name: readers of public data, refined public data, and writers."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Literal

from web2code.config import SourceConfig
from web2code.data.builders import dwcg, dwcg_r, dwu, dwu_r
from web2code.data.builders.asks import CAPTION_ASK, CODE_ASK, YES_NO_ASK
from web2code.data.pages import CAPTIONS, YES_NO
from web2code.data.readers import READERS
from web2code.data.sample import Reader, Rejected, Render, Sample, dialogue
from web2code.data.writers.writer import Writer
from web2code.pages import draw_pages

Made = Iterator[Sample | Rejected]
SPLITS: tuple[Literal["train"], Literal["eval"]] = ("train", "eval")
Stream = Callable[[SourceConfig, Path, Writer, int], Made]


@dataclass(frozen=True)
class Source:
    """How a source is streamed, which parts it gives, and whether it reads a folder."""

    parts: tuple[str, ...]
    stream: Stream
    reads_folder: bool = True


def stream_source(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    """Samples of the parts that the configuration asks for, with the pages that it holds out in the split `eval`."""
    for made in SOURCES[config.name].stream(config, folder, writer, seed):
        if isinstance(made, Rejected):
            yield made
        elif not config.parts or made.part in config.parts:
            yield replace(made, split="eval") if _held_out(made, config.eval_share) else made


def wants(config: SourceConfig, part: str) -> bool:
    """Whether a configuration asks for a part."""
    return not config.parts or part in config.parts


def _read(reader: Reader, config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    yield from islice(reader(folder), config.max_samples or None)


def _drawn(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    """Pages of the generator or of a folder of documents, each with its caption and its yes/no questions."""
    assert config.pages, f"source {config.name} needs pages"
    dropped: Counter = Counter()
    drawn = draw_pages(config.pages, str(folder), dropped)
    for split in SPLITS:
        for page in drawn[split]:
            for part, suffix, pairs in (
                ("DWCG", "", [(CODE_ASK, page.html)]),
                (CAPTIONS, "/caption", [(CAPTION_ASK, page.caption)]),
                (YES_NO, "/questions", [(f"{one.question} {YES_NO_ASK}", one.answer) for one in page.questions]),
            ):
                if pairs:
                    yield Sample(
                        id=page.id + suffix, part=part, source=page.source, licence=page.licence,
                        messages=dialogue(pairs), image=Render(page.html), page=page.id, split=split,
                    )  # fmt: skip
    for reason, count in sorted(dropped.items()):
        print(f"left out {count}: {reason}", flush=True)


def _written(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    """Pages that the writer invents, each followed by the questions about it."""

    def make(number: int) -> list[Sample | Rejected]:
        return _with_questions(dwcg.code_pair(f"dwcg/{seed}/{number:07}", writer, seed), config, writer)

    yield from chain.from_iterable(writer.ahead(range(config.max_samples or 1000), make))


def _refined_websight(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    for sample in _read(READERS["websight"], config, folder, writer, seed):
        yield sample if isinstance(sample, Rejected) else dwcg_r.refine_page(sample, seed)


def _refined_pix2code(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    """Pix2Code's pages, each followed by the questions about it."""

    def make(sample: Sample | Rejected) -> list[Sample | Rejected]:
        refined = sample if isinstance(sample, Rejected) else dwcg_r.refine_layout(sample, writer, seed)
        return _with_questions(refined, config, writer)

    yield from chain.from_iterable(writer.ahead(_read(READERS["pix2code"], config, folder, writer, seed), make))


def _refined_websrc(config: SourceConfig, folder: Path, writer: Writer, seed: int) -> Made:
    def make(sample: Sample | Rejected) -> Sample | Rejected:
        return sample if isinstance(sample, Rejected) else dwu_r.refine_questions(sample, writer)

    yield from writer.ahead(_read(READERS["websrc"], config, folder, writer, seed), make)


def _with_questions(page: Sample | Rejected, config: SourceConfig, writer: Writer) -> list[Sample | Rejected]:
    if isinstance(page, Rejected) or not wants(config, dwu.PART):
        return [page]
    return [page, dwu.questions_about(page, writer)]


def _held_out(sample: Sample, share: float) -> bool:
    """By the page's hash: a page is on one side whatever else the dataset holds."""
    page = sample.page or sample.id
    return int.from_bytes(hashlib.sha256(page.encode()).digest()[4:8], "big") < share * 2**32


def _public(name: str, *parts: str) -> Source:
    return Source(parts, partial(_read, READERS[name]))


# A new source needs a function that streams it and a line here.
SOURCES: dict[str, Source] = {
    "folder": Source(("DWCG", CAPTIONS, YES_NO), _drawn),
    "generated": Source(("DWCG", CAPTIONS, YES_NO), _drawn, reads_folder=False),
    "llava-instruct-150k": _public("llava-instruct-150k", "LLaVA-Instruct"),
    "llava-mix665k": _public("llava-mix665k", "mix665k"),
    "llava-pretrain": _public("llava-pretrain", "LCS-558K"),
    "llavar2": _public("llavar2", "LLaVAR-2", "LLaVAR-2-captions"),
    "pix2code": _public("pix2code", "Pix2Code"),
    "pix2code-refined": Source(("DWCG_R", "DWU"), _refined_pix2code),
    "scienceqa": _public("scienceqa", "ScienceQA"),
    "vsft": _public("vsft", "vsft"),
    "web2code": _public("web2code", "DWCG", "DWCG_R", "DWU", "DWU_R"),
    "websight": _public("websight", "WebSight"),
    "websight-refined": Source(("DWCG_R",), _refined_websight),
    "websrc": _public("websrc", "WebSRC"),
    "websrc-refined": Source(("DWU_R",), _refined_websrc),
    "written": Source(("DWCG", "DWU"), _written, reads_folder=False),
    "wub": _public("wub", "WUB"),
}
