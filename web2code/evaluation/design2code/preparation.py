"""A model's page made ready to be rendered, as Design2Code does it."""

from __future__ import annotations

from collections import Counter

from web2code.evaluation.design2code.repetition import cut_repetition
from web2code.evaluation.html_tree import Element, elements, parse, serialise, start_tag

MAX_COPIES = 50
MAX_CHARS = 1_000_000


def prepare(html: str) -> str:
    """The document without degenerate repetition, under `<html>`, and in the markup that `html.parser` understands.

    Raises:
        ValueError: it is longer than `MAX_CHARS`, repeats itself in too many ways, or cannot be parsed.
    """
    if len(html) > MAX_CHARS:
        raise ValueError(f"the document is longer than {MAX_CHARS} characters")
    html = cut_repetition(html)
    start = html.lower().find("<html")
    if start < 0 or ">" not in html[start:]:
        html = f"<html><body><p>{html}</p></body></html>"
    tree = parse(html)
    drop_copies(tree)
    return serialise(tree)


def drop_copies(root: Element) -> None:
    """Take out each element whose exact markup has come `MAX_COPIES` times before it."""
    markup = _markup_numbers(root)
    counts: Counter[int] = Counter()
    dropped = set()
    todo = [root]
    while todo:
        element = todo.pop()
        counts[markup[element]] += 1
        if counts[markup[element]] > MAX_COPIES:
            dropped.add(element)
        else:
            todo += [child for child in reversed(element.children) if isinstance(child, Element)]
    if dropped:
        for element in [root, *elements(root)]:
            element.children = [child for child in element.children if child not in dropped]


def _markup_numbers(root: Element) -> dict[Element, int]:
    """A number for each element that is the same for the same markup; the texts themselves would be quadratic."""
    numbers: dict[Element, int] = {}
    known: dict[tuple, int] = {}
    for element in reversed([root, *elements(root)]):
        content = tuple(numbers[child] if isinstance(child, Element) else child for child in element.children)
        numbers[element] = known.setdefault((start_tag(element, element.attributes), content), len(known))
    return numbers
