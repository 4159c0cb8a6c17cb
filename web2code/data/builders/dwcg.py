"""DWCG: a page from a writer, to be rendered, with an instruction in two steps."""

from __future__ import annotations

from random import Random

from web2code.data.builders.asks import instruction, style_of
from web2code.data.pii import scrub
from web2code.data.sample import Rejected, Render, Sample, dialogue
from web2code.data.writers.writer import Writer, WriterError

PART = "DWCG"
END = "</html>"


def code_pair(name: str, writer: Writer, seed: int) -> Sample | Rejected:
    """The code pair called `name`; personal data is replaced before the page is rendered."""
    try:
        html = whole_document(writer.page(name))
    except WriterError as error:
        return Rejected(name, writer.name, str(error))
    return Sample(
        id=name, part=PART, source=writer.name, licence=writer.licence,
        messages=dialogue([(instruction(Random(f"{seed}/{name}"), style_of(html)), html)]),
        image=Render(html), page=name,
    )  # fmt: skip


def whole_document(text: str) -> str:
    """The HTML document in a writer's reply, from `<html` to `</html>`, without what stands around it.

    Raises:
        WriterError: there is none, or it does not end.
    """
    start, end = text.lower().find("<html"), text.lower().rfind(END)
    if start < 0:
        raise WriterError("writer gave no HTML document")
    if end < start:
        raise WriterError("writer's HTML document does not end")
    return scrub(text[start : end + len(END)])
