"""DWU: questions about a page that are answered from its HTML, in sentences."""

from __future__ import annotations

from dataclasses import replace

from web2code.data.pii import scrub
from web2code.data.sample import Rejected, Sample, dialogue
from web2code.data.writers.writer import Writer, WriterError

PART = "DWU"
NUM_QUESTIONS = 10


def questions_about(page: Sample, writer: Writer) -> Sample | Rejected:
    """One conversation of `NUM_QUESTIONS` about a page that has HTML; the picture is the page's own."""
    name = f"{PART.lower()}/{page.id}"
    try:
        pairs = writer.questions(page.id, page.html, NUM_QUESTIONS)
    except WriterError as error:
        return Rejected(name, page.source, str(error))
    clean = [(scrub(question), scrub(answer)) for question, answer in pairs]
    return replace(page, id=name, part=PART, messages=dialogue(clean))
