"""DWCG_R: WebSight in the same instruction format, and Pix2Code as Bootstrap pages with meaningful texts."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from web2code.data.builders.asks import instruction, style_of
from web2code.data.builders.pix2code_layout import compile_layout, parse_layout
from web2code.data.sample import Rejected, Render, Sample, dialogue
from web2code.data.writers.writer import Writer, WriterError

PART = "DWCG_R"


def refine_page(sample: Sample, seed: int) -> Sample:
    """A page of WebSight with an instruction; picture and HTML stay as they are."""
    ask = instruction(Random(f"{seed}/{sample.id}"), style_of(sample.html))
    return replace(sample, part=PART, messages=dialogue([(ask, sample.answer)]))


def refine_layout(sample: Sample, writer: Writer, seed: int) -> Sample | Rejected:
    """A layout of Pix2Code compiled to a Bootstrap page that is rendered anew; texts replace its random letters."""
    try:
        layout = parse_layout(sample.answer)
        html = compile_layout(layout, writer.texts(sample.id, layout.slots()))
    except WriterError as error:
        return Rejected(sample.id, sample.source, str(error))
    ask = instruction(Random(f"{seed}/{sample.id}"), "bootstrap")
    return replace(sample, part=PART, messages=dialogue([(ask, html)]), image=Render(html))
