"""Yes/no questions about a generated page, drawn so that both answers are equally likely."""

from __future__ import annotations

from random import Random

from web2code.pages.page import Facts, Question
from web2code.pages.themes import ACCENTS

# The fact that a part leaves behind, and what the part is called.
PARTS = {
    "header": "a header",
    "footer": "a footer",
    "sidebar": "a sidebar",
    "links": "a row of links",
    "hero": "a banner",
    "cards": "a group of cards",
    "tiles": "a gallery",
    "form": "a form",
    "table": "a table",
    "list": "a list",
    "button": "a button",
}
COLOURED = {"header": "the header", "footer": "the footer", "hero": "the banner", "form": "the form"}
COUNTED = {
    "cards": "cards",
    "tiles": "tiles in the gallery",
    "fields": "fields in the form",
    "list": "entries in the list",
}
NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}


def ask(rng: Random, facts: Facts, num: int) -> tuple[Question, ...]:
    """Up to `num` different questions about a page of which `facts` are true; a coin decides each one's answer."""
    pool = candidates(rng, facts)
    chosen: list[Question] = []
    for _ in range(num):
        wanted = rng.choice(("Yes", "No"))
        fitting = [question for question in pool if question.answer == wanted and question not in chosen]
        if fitting:
            kind = rng.choice(sorted({question.kind for question in fitting}))
            chosen.append(rng.choice([question for question in fitting if question.kind == kind]))
    return tuple(chosen)


def candidates(rng: Random, facts: Facts) -> list[Question]:
    """Every question that fits a page; a question about a part's look is asked only where the part is there."""
    pool = [_question(f"Is there {name}?", part in facts, "presence") for part, name in PARTS.items()]
    pool.append(_question("Is the background dark?", bool(facts["dark"]), "background"))
    for part, name in COLOURED.items():
        if part in facts:
            other = rng.choice([colour.name for colour in ACCENTS if colour.name != facts[part]])
            pool += [
                _question(f"Is {name} {colour}?", colour == facts[part], "colour")
                for colour in (str(facts[part]), other)
            ]
    for part, name in COUNTED.items():
        if part in facts:
            real = int(facts[part])
            other_number = rng.choice([number for number in NUMBERS if number != real])
            pool += [
                _question(f"Is the number of {name} {NUMBERS[number]}?", number == real, "count")
                for number in (real, other_number)
            ]
    if "side" in facts:
        pool += [
            _question(f"Is the sidebar on the {side}?", side == facts["side"], "side") for side in ("left", "right")
        ]
    return pool


def _question(text: str, true: bool, kind: str) -> Question:
    return Question(text, "Yes" if true else "No", kind)
