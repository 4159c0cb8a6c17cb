"""TreeBLEU: how much of a page's structure another page has (WebCode2M, arXiv 2404.06369)."""

from __future__ import annotations

from dataclasses import dataclass

from web2code.evaluation.html_tree import Element, elements, first, parse


@dataclass(frozen=True)
class TreeBleu:
    """Shares, 0 to 1, both 0 where either page has no subtree.

    Args:
        recall: the paper's TreeBLEU, the share of the reference's distinct subtrees that the candidate has too.
        precision: the share of the candidate's subtrees, each as often as it occurs, that the reference has too.
    """

    recall: float
    precision: float


def tree_bleu(reference_html: str, candidate_html: str) -> TreeBleu:
    """TreeBLEU of two documents. Text counts for nothing, and markup that cannot be parsed has no subtree."""
    reference, candidate = _subtrees(reference_html), _subtrees(candidate_html)
    if not reference or not candidate:
        return TreeBleu(0.0, 0.0)
    known = set(reference)
    return TreeBleu(
        recall=len(known & set(candidate)) / len(known),
        precision=sum(subtree in known for subtree in candidate) / len(candidate),
    )


def _subtrees(html: str) -> list[tuple[str, ...]]:
    """For each element under `<html>` that has child elements, its name and theirs, in order."""
    try:
        root = first(parse(html), "html")
    except ValueError:
        return []
    names = [(element.name, *_child_names(element)) for element in elements(root)] if root else []
    return [subtree for subtree in names if len(subtree) > 1]


def _child_names(element: Element) -> list[str]:
    return [child.name for child in element.children if isinstance(child, Element)]
