"""Writes data without a model: pages of a seeded generator, texts from lists, questions read off a page's elements."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from random import Random

import lxml.html
from lxml import etree

from web2code.data.writers.writer import Item, Made, Pair, WriterError
from web2code.pages.generator import generate

BUSINESSES = {
    "Corner Bakery": ("bread", "cakes", "coffee", "breakfast"),
    "Harbour Travel": ("city breaks", "sailing tours", "hotels", "guides"),
    "Green Clinic": ("check-ups", "vaccinations", "nutrition", "care at home"),
    "Pixel Studio": ("web design", "branding", "photography", "illustration"),
    "River Books": ("novels", "maps", "children's books", "readings"),
    "North Cycles": ("city bikes", "repairs", "helmets", "weekend tours"),
    "Oak Furniture": ("tables", "chairs", "shelves", "restoration"),
    "Bright School": ("evening courses", "languages", "music lessons", "summer camps"),
}
LINKS = ("Home", "About", "Services", "Prices", "Team", "News", "Gallery", "Contact", "Shop", "Help")
BUTTONS = ("Read more", "Book now", "Sign up", "Learn more", "Get started", "Order", "Contact us", "Try it free")
SENTENCES = (
    "We offer {a} and {b} for the whole family.",
    "Our team has looked after {a} in this town for years.",
    "Ask us about {a}: we are glad to help.",
    "From {a} to {b}, everything is made with care.",
    "New this month: {a}, with a discount on {b}.",
)
# What is counted on a page: an XPath, and its name for one and for several.
COUNTED = {
    "//a": ("link", "links"),
    "//button|//input[@type='submit']": ("button", "buttons"),
    "//img": ("image", "images"),
    "//p": ("paragraph", "paragraphs"),
    "//li": ("list entry", "list entries"),
    "//input|//textarea|//select": ("form field", "form fields"),
    "//tr": ("table row", "table rows"),
    "//h1|//h2|//h3|//h4": ("heading", "headings"),
}
PRESENT = {
    "//header|//*[@class='header clearfix']": "a header",
    "//footer": "a footer",
    "//nav": "a navigation bar",
    "//form": "a form",
    "//table": "a table",
    "//ul|//ol": "a list",
    "//img": "an image",
    "//button": "a button",
    "//aside": "a sidebar",
    "//video": "a video",
}
_SUBJECT = re.compile(r"^what(?:'s| is| was| are| were) (?:the )?(.+?)\??$", re.IGNORECASE)
_HOW_MANY = re.compile(r"^how many (.+?)(?: are there| does .*| do .*| is .*| are .*)?\??$", re.IGNORECASE)


class ProceduralWriter:
    """The same seed and key give the same text."""

    name, licence = "procedural", "CC0-1.0"

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def page(self, key: str) -> str:
        """A page of the generator, numbered by the key's digits."""
        return generate(self.seed, int(re.sub(r"\D", "", key.rsplit("/", 1)[-1]) or 0), 0).html

    def texts(self, key: str, slots: list[str]) -> list[str]:
        """Texts of one business."""
        rng = self._rng(key)
        name = rng.choice(sorted(BUSINESSES))
        goods = BUSINESSES[name]
        links = rng.sample(LINKS, len(LINKS))
        made, titles = [], [name, *(good.capitalize() for good in rng.sample(goods, len(goods)))]
        for number, slot in enumerate(slots):
            if slot == "link":
                made.append(links[number % len(links)])
            elif slot == "button":
                made.append(rng.choice(BUTTONS))
            elif slot == "title":
                made.append(titles[sum(kind == "title" for kind in slots[:number]) % len(titles)])
            else:
                a, b = rng.sample(goods, 2)
                made.append(rng.choice(SENTENCES).format(a=a, b=b))
        return made

    def questions(self, key: str, html: str, num: int) -> list[Pair]:
        """Questions on texts, counts and presence of elements; every answer holds for the page."""
        try:
            root = lxml.html.document_fromstring(html)
        except (etree.ParserError, etree.XMLSyntaxError, ValueError):
            raise WriterError("page has no elements to ask about") from None
        rng = self._rng(key)
        facts = [*_texts(root), *_counts(root)]
        rng.shuffle(facts)
        presence = _presence(root)
        rng.shuffle(presence)
        chosen = (facts[: max(num * 7 // 10, num - len(presence))] + presence)[:num]
        if len(chosen) < num:
            raise WriterError("page has too few elements to ask about")
        rng.shuffle(chosen)
        return chosen

    def sentences(self, key: str, pairs: list[Pair]) -> list[str]:
        """Answers with what they answer."""
        return [_sentence(question, answer) for question, answer in pairs]

    def ahead(self, items: Iterable[Item], make: Callable[[Item], Made]) -> Iterator[Made]:
        """One after the other: nothing is waited for."""
        return map(make, items)

    def _rng(self, key: str) -> Random:
        return Random(f"{self.seed}/{key}")


def _texts(root: etree._Element) -> list[Pair]:
    pairs = []
    for tag, name in (("title", "title of the page"), ("h1", "main heading"), ("footer", "text of the footer")):
        found = [text for element in root.iter(tag) if (text := _text(element))]
        if len(found) == 1:
            pairs.append((f"What is the {name}?", f'The {name} is "{found[0]}".'))
    for path, name in (("//nav//a|//ul[contains(@class,'nav')]//a", "navigation bar"), ("//form//label", "form")):
        found = list(dict.fromkeys(text for element in root.xpath(path) if (text := _text(element))))
        if len(found) > 1:
            listed = ", ".join(found[:-1]) + f" and {found[-1]}"
            pairs.append((f"What can be read in the {name}?", f"The {name} shows {listed}."))
            pairs.append((f"What comes first in the {name}?", f'"{found[0]}" comes first in the {name}.'))
    headings = [text for element in root.iter("h2", "h3", "h4") if (text := _text(element))]
    for text in dict.fromkeys(headings):
        follower = next((_text(e.getnext()) for e in root.iter("h2", "h3", "h4") if _text(e) == text
                         if e.getnext() is not None and e.getnext().tag == "p"), "")  # fmt: skip
        if follower and headings.count(text) == 1:
            pairs.append((f'What does the text under "{text}" say?', f'Under "{text}" it says: {follower}'))
    buttons = list(dict.fromkeys(_text(e) for e in root.xpath("//button|//a[contains(@class,'btn')]") if _text(e)))
    if len(buttons) == 1:
        pairs.append(("What is written on the button?", f'The button says "{buttons[0]}".'))
    prices = re.findall(r"\$\d+(?:\.\d\d)?", root.text_content())
    if prices:
        highest = max(prices, key=lambda price: float(price[1:]))
        pairs.append(("What is the highest price on the page?", f"The highest price on the page is {highest}."))
    return pairs


def _counts(root: etree._Element) -> list[Pair]:
    pairs = []
    for path, (one, several) in COUNTED.items():
        if count := len(root.xpath(path)):
            be = f"is one {one}" if count == 1 else f"are {count} {several}"
            pairs.append((f"How many {several} are on the page?", f"There {be} on the page."))
    return pairs


def _presence(root: etree._Element) -> list[Pair]:
    return [
        (
            f"Does the page have {name}?",
            f"Yes, the page has {name}." if root.xpath(path) else f"No, the page does not have {name}.",
        )
        for path, name in PRESENT.items()
    ]


def _text(element: etree._Element) -> str:
    return " ".join(element.text_content().split())[:200]


def _sentence(question: str, answer: str) -> str:
    answer = answer.strip()
    if answer.lower() in ("yes", "no"):
        return f"{answer.capitalize()}, that is {'so' if answer.lower() == 'yes' else 'not so'} on this page."
    if match := _SUBJECT.match(question.strip()):
        return f"The {match[1]} is {answer.rstrip('.')}."
    if match := _HOW_MANY.match(question.strip()):
        return f"The number of {match[1]} is {answer.rstrip('.')}."
    return f"According to the page, the answer is {answer.rstrip('.')}."
