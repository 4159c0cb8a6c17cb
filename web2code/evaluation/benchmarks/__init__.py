"""The benchmarks by name."""

from __future__ import annotations

from web2code.evaluation.benchmarks.ai2d import AI2D
from web2code.evaluation.benchmarks.benchmark import Benchmark
from web2code.evaluation.benchmarks.chartqa import CHARTQA
from web2code.evaluation.benchmarks.design2code import DESIGN2CODE, DESIGN2CODE_LAYOUT
from web2code.evaluation.benchmarks.documents import DOCVQA, INFOVQA, STVQA
from web2code.evaluation.benchmarks.forms import FUNSD, SROIE
from web2code.evaluation.benchmarks.llava_bench import COCO, IN_THE_WILD, llava_bench
from web2code.evaluation.benchmarks.mathvista import MATHVISTA
from web2code.evaluation.benchmarks.mmbench import MMBENCH
from web2code.evaluation.benchmarks.mme import MME
from web2code.evaluation.benchmarks.mmmu import MMMU
from web2code.evaluation.benchmarks.ocrbench import OCRBENCH
from web2code.evaluation.benchmarks.pope import POPE
from web2code.evaluation.benchmarks.scienceqa import SCIENCEQA, SCIENCEQA_ENSEMBLE, SCIENCEQA_IMG
from web2code.evaluation.benchmarks.vqa import GQA, TEXTVQA, TEXTVQA_OCR, VQAV2
from web2code.evaluation.benchmarks.wcgb import (
    WCGB,
    WCGB_DESIGN2CODE,
    WCGB_JUDGE,
    WCGB_JUDGE_PUBLISHED,
    WCGB_PAGE_DOWN,
    WCGB_WIDTHS,
)
from web2code.evaluation.benchmarks.wub import WUB

# A new benchmark needs a line here.
BENCHMARKS: dict[str, Benchmark] = {
    "ai2d": AI2D,
    "chartqa": CHARTQA,
    "design2code": DESIGN2CODE,
    "design2code_layout": DESIGN2CODE_LAYOUT,
    "docvqa": DOCVQA,
    "funsd": FUNSD,
    "gqa": GQA,
    "infovqa": INFOVQA,
    COCO.name: llava_bench(COCO),
    IN_THE_WILD.name: llava_bench(IN_THE_WILD),
    "mathvista": MATHVISTA,
    "mmbench": MMBENCH,
    "mme": MME,
    "mmmu": MMMU,
    "ocrbench": OCRBENCH,
    "pope": POPE,
    "scienceqa": SCIENCEQA,
    "scienceqa_ensemble": SCIENCEQA_ENSEMBLE,
    "scienceqa_img": SCIENCEQA_IMG,
    "sroie": SROIE,
    "stvqa": STVQA,
    "textvqa": TEXTVQA,
    "textvqa_ocr": TEXTVQA_OCR,
    "vqav2": VQAV2,
    "wcgb": WCGB,
    "wcgb_design2code": WCGB_DESIGN2CODE,
    "wcgb_judge": WCGB_JUDGE,
    "wcgb_judge_published": WCGB_JUDGE_PUBLISHED,
    "wcgb_page_down": WCGB_PAGE_DOWN,
    "wcgb_widths": WCGB_WIDTHS,
    "wub": WUB,
}
