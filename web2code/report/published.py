"""Figures that others published, each with its source, on the scales that ours have."""

from __future__ import annotations

from dataclasses import dataclass

from web2code.config import GROUPS
from web2code.evaluation.results import Figure


@dataclass(frozen=True)
class Source:
    """Where figures were published."""

    title: str
    url: str


@dataclass(frozen=True)
class Column:
    """What a table has in one column: a figure of a benchmark, and what its numbers are divided by to be on our scale.

    Figures that a model judged have names of their own, so that they never stand beside computed ones.
    """

    benchmark: str
    figure: str
    scale: float = 1.0
    divisor: float = 1.0


@dataclass(frozen=True)
class Table:
    """Rows of a published table; None where it has no number."""

    source: Source
    columns: tuple[Column, ...]
    rows: dict[str, tuple[float | None, ...]]

    def figures(self) -> list[tuple[str, str, Figure]]:
        """Model, benchmark and figure of every number."""
        return [
            (model, column.benchmark, _figure(column, value))
            for model, values in self.rows.items()
            for column, value in zip(self.columns, values, strict=True)
            if value is not None
        ]


def _figure(column: Column, value: float) -> Figure:
    shown = value / column.divisor
    return Figure(name=column.figure, value=shown, low=shown, high=shown, scale=column.scale, published=True)


WEB2CODE = Source("Web2Code, arXiv 2406.20098", "https://arxiv.org/abs/2406.20098")
# What the card has and the paper has not, or has otherwise: its other rows are the paper's.
CARD = Source("CrystalChat-7B-Web2Code, its card", "https://huggingface.co/LLM360/CrystalChat-7B-Web2Code")
FIRST_LLAVA = Source("LLaVA, arXiv 2304.08485", "https://arxiv.org/abs/2304.08485")
LLAVA = Source("LLaVA-1.5, arXiv 2310.03744", "https://arxiv.org/abs/2310.03744")
LLAVA_HR = Source("LLaVA-HR, arXiv 2403.03003", "https://arxiv.org/abs/2403.03003")
LLAVAR2 = Source(
    "LLaVAR-2, arXiv 2412.16364; words that OCR read may have been in the prompt", "https://arxiv.org/abs/2412.16364"
)
DESIGN2CODE = Source("Design2Code, arXiv 2403.03163", "https://arxiv.org/abs/2403.03163")
IXC = Source("InternLM-XComposer-2.5, arXiv 2407.03320", "https://arxiv.org/abs/2407.03320")
UI2CODE = Source("UI2Code^N, arXiv 2511.08195", "https://arxiv.org/abs/2511.08195")
VISION_CODER = Source("VisionCoder, its README", "https://github.com/amaljoe/vision-coder")
VLMEVALKIT = Source("VLMEvalKit, PR 1395", "https://github.com/open-compass/VLMEvalKit/pull/1395")


def _percent(benchmark: str, figure: str) -> Column:
    return Column(benchmark, figure, divisor=100)


def _elements(benchmark: str) -> tuple[Column, ...]:
    return tuple(_percent(benchmark, name) for name in ("Block", "Text", "Position", "Colour", "CLIP"))


ELEMENTS = _elements("design2code")
PERCEPTION = Column("mme", "perception", 2000)
COGNITION = Column("mme", "cognition", 800)
# By the scripts of POPE and LLaVA, which these papers took over.
POPE = _percent("pope", "F1, mean of splits (published)")
SCIENCEQA = _percent("scienceqa_img", "accuracy (published)")
# LLaVA's evaluation, which its successors took over, puts words that an OCR program read into the prompt.
TEXTVQA = _percent("textvqa_ocr", "accuracy")
RELATIVE = "relative score (published)"
# Whether LLaVAR-2 means containment or a benchmark's official metric could not be confirmed.
NOT_STATED = "as reported, metric not stated"
WCGB_AND_WUB = (
    *(Column("wcgb_judge", f"{group} (published)", 10) for group in GROUPS),
    _percent("wub", "accuracy (published)"),
)
GENERAL = (PERCEPTION, COGNITION, POPE, SCIENCEQA, TEXTVQA)
JUDGED = "similar (o4-mini as judge)"

TABLES = (
    Table(
        WEB2CODE,
        WCGB_AND_WUB,
        {
            "CrystalChat-7B, all web data": (8.394, 8.384, 8.287, 8.417, 8.488, 74.14),
            "CrystalChat-7B, DWCG + DWU": (8.080, 7.900, 8.001, 8.204, 8.215, 73.48),
            "CrystalChat-7B, no web data": (4.825, 4.714, 4.572, 4.865, 5.147, 73.94),
            "Llama-3-8B, all web data": (8.530, 8.522, 8.564, 8.421, 8.611, 74.84),
            "Llama-3-8B, DWCG + DWU + DWCG_R": (7.806, None, None, None, None, 68.68),
            "Llama-3-8B, DWCG + DWU": (6.716, None, None, None, None, 69.33),
            "Llama-3-8B, DWCG": (6.402, None, None, None, None, 60.00),
            "Llama-3-8B, no web data": (1.79, None, None, None, None, 65.56),
            "CrystalCoder-7B, DWCG + DWU": (8.126, None, None, None, None, 73.74),
            "CrystalCoder-7B, DWCG": (7.990, None, None, None, None, 71.81),
            "CrystalCoder-7B, no web data": (3.728, None, None, None, None, 73.54),
            "Llama-3-8B, + raw WebSight v0.1": (4.125, None, None, None, None, 70.13),
            "Llama-3-8B, WebSight v0.1": (7.701, None, None, None, None, 59.38),
            "Llama-3-8B, WebSight v0.2": (5.831, None, None, None, None, 56.06),
        },
    ),
    Table(
        WEB2CODE,
        GENERAL,
        {
            "CrystalChat-7B, all web data": (1449.54, 279.64, 86.53, 68.32, 57.86),
            "CrystalChat-7B, DWCG + DWU": (1478.82, 297.14, 86.13, 67.92, 57.41),
            "CrystalChat-7B, DWU": (1438.51, 292.14, 87.10, 68.27, 58.15),
            "CrystalChat-7B, no web data": (1456.53, 308.21, 86.86, 67.77, 57.84),
            "Llama-3-8B, all web data": (1464.73, 265.14, 86.34, 72.08, 58.76),
            "Llama-3-8B, + raw WebSight v0.1": (None, None, None, None, 23.38),
            "Llama-3-8B, + raw WebSight v0.2": (None, None, None, None, 20.51),
            "CrystalCoder-7B, no web data": (1359.83, 238.92, 86.182, 64.15, 50.39),
        },
    ),
    Table(
        CARD,
        WCGB_AND_WUB,
        {
            "CrystalChat-7B, DWCG": (8.080, 7.900, 8.001, 8.204, 8.215, None),
            "Vicuna-7B, all web data": (7.598, 7.876, 7.687, 7.267, 7.563, 71.23),
            "Vicuna-7B, DWCG": (6.754, 6.871, 6.660, 6.589, 6.897, 68.11),
            "Vicuna-7B, DWU": (3.595, 3.898, 3.489, 3.340, 3.651, 70.82),
            "Vicuna-7B, no web data": (3.198, 3.042, 3.250, 3.333, 3.167, 71.12),
        },
    ),
    Table(
        CARD,
        GENERAL,
        {
            "CrystalChat-7B, no web data": (1456.53, 308.21, 86.96, 67.77, 57.84),
            "Vicuna-7B, no web data": (1481.12, 302.85, 87.174, 67.97, 56.49),
        },
    ),
    Table(
        WEB2CODE,
        ELEMENTS,
        {
            "Llama-3-8B, all web data": (77.1, 96.9, 77.0, 66.2, 86.7),
            "Llama-3-8B, DWCG": (76.3, 92.0, 74.8, 63.7, 84.2),
            "Llama-3-8B, no web data": (5.3, 11.6, 7.4, 26.0, 73.2),
            "Llama-3-8B, WebSight v0.1": (62.4, 77.7, 63.9, 60.7, 79.2),
        },
    ),
    Table(
        DESIGN2CODE,
        ELEMENTS,
        {
            "LLaVA-1.6-7B": (50.4, 87.9, 69.1, 63.4, 84.6),
            "WebSight VLM-8B": (55.9, 86.6, 77.3, 79.4, 87.6),
            "Design2Code-18B": (78.5, 96.4, 74.3, 67.0, 85.8),
            "Gemini 1.0 Pro Vision": (80.2, 94.6, 72.3, 66.2, 84.4),
            "GPT-4V": (85.8, 97.4, 80.5, 73.3, 86.9),
            "Claude 3 Opus": (90.2, 97.5, 77.9, 71.4, 87.0),
            "GPT-4o": (93.0, 98.2, 85.5, 84.1, 90.4),
        },
    ),
    Table(
        DESIGN2CODE,
        _elements("design2code_hard"),
        {
            "GPT-4o": (56.6, 89.8, 78.6, 81.9, 87.1),
            "GPT-4o, with self-revision": (72.1, 96.4, 81.1, 82.4, 88.2),
            "Claude 3.5 Sonnet": (61.7, 91.1, 83.0, 84.4, 89.5),
        },
    ),
    Table(IXC, ELEMENTS, {"IXC-2.5-7B": (81.9, 95.6, 80.9, 80.8, 86.5)}),
    Table(VISION_CODER, ELEMENTS, {"Qwen3-VL-4B SFT + GRPO": (80.5, 91.3, 75.6, 70.2, 89.0)}),
    Table(VLMEVALKIT, ELEMENTS, {"GPT-5.1 High": (91.2, 97.5, 90.2, 88.8, 89.0)}),
    Table(
        UI2CODE,
        ELEMENTS,
        {
            "Gemini 2.5 Pro": (89.1, 93.5, 85.5, 71.4, 80.9),
            "GPT-5": (89.1, 94.2, 86.4, 78.0, 81.6),
            "UI2Code^N-9B RL": (88.7, 93.1, 83.8, 72.6, 80.5),
        },
    ),
    Table(
        UI2CODE,
        tuple(_percent(name, JUDGED) for name in ("design2code", "flame", "wcgb")),
        {
            "GPT-4o": (35.3, 75.0, 62.7),
            "Qwen2.5-VL-7B": (29.1, 25.0, 37.2),
            "Qwen2.5-VL-72B": (41.9, 46.3, 64.1),
            "Qwen3-VL-8B Thinking": (56.6, 56.3, 68.7),
            "GLM-4.1V-9B Thinking": (64.7, 72.5, 71.3),
            "Claude 4 Sonnet": (81.2, 76.3, 85.1),
            "Qwen3-VL-32B": (83.3, 82.5, 81.2),
            "Gemini 2.5 Pro": (89.5, 87.5, 90.6),
            "GPT-5": (89.7, 91.3, 93.7),
            "UI2Code^N-9B RL": (88.6, 95.0, 92.5),
        },
    ),
    Table(FIRST_LLAVA, (Column("llava_bench_coco", RELATIVE, 100),), {"LLaVA-13B": (85.1,)}),
    Table(
        FIRST_LLAVA,
        (
            _percent("scienceqa", "accuracy (published)"),
            *(_percent("scienceqa_ensemble", f"{name} (published)") for name in ("judge", "complement", "text model")),
        ),
        {"LLaVA-13B trained on ScienceQA, with GPT-4": (90.92, 92.53, 90.97, 82.69)},
    ),
    Table(
        LLAVA,
        (
            SCIENCEQA,
            TEXTVQA,
            POPE,
            PERCEPTION,
            _percent("mmbench", "accuracy"),
            Column("llava_bench_in_the_wild", RELATIVE, 100),
        ),
        {
            "LLaVA-1.5-7B": (66.8, 58.2, 85.9, 1510.7, 64.3, 65.4),
            "LLaVA-1.5-13B": (71.6, 61.3, 85.9, 1531.3, 67.7, 72.5),
        },
    ),
    Table(
        LLAVA_HR,
        (TEXTVQA, SCIENCEQA, PERCEPTION, POPE),
        {"LLaVA-HR-7B, 1024 pixels": (67.1, 67.9, 1554.9, 87.6)},
    ),
    Table(
        LLAVAR2,
        (
            Column("ocrbench", "score", 1000),
            *(
                _percent(name, NOT_STATED)
                for name in ("stvqa", "textvqa", "docvqa", "chartqa", "infovqa", "funsd", "sroie")
            ),
        ),
        {
            "LLaVAR-2 3.8B, Phi-3": (634, 52.3, 60.2, 66.1, 78.5, 30.3, 36.0, 51.9),
            "LLaVAR-2 8B, Llama-3.1": (None, 51.6, 61.0, 69.3, 69.9, 32.0, 32.3, 58.4),
            "LLaVAR-2 13B, Vicuna": (680, 59.5, 66.0, 71.3, 76.3, 40.2, 36.7, 61.9),
        },
    ),
)
