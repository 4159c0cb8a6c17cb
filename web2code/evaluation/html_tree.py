"""A document as Python's `html.parser` reads it: the tree that published page metrics are defined on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = frozenset(
    ("area", "base", "basefont", "bgsound", "br", "col", "command", "embed", "frame", "hr", "image", "img", "input",
     "isindex", "keygen", "link", "menuitem", "meta", "nextid", "param", "source", "spacer", "track", "wbr")
)  # fmt: skip
RAW_TEXT = frozenset(("script", "style"))
PREFORMATTED = frozenset(("pre", "textarea"))
SPACES = " \n\t\f\r"
# What the parser cannot finish, such as a comment without an end, it would scan again for every `<` in it.
MAX_UNFINISHED = 10_000


@dataclass(frozen=True)
class Verbatim:
    """Markup that is no element: a comment, a doctype, a declaration."""

    markup: str


@dataclass(eq=False, slots=True)
class Element:
    """An element; its texts are without character references. The root of a document has no name."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | Verbatim | str] = field(default_factory=list)


def parse(html: str) -> Element:
    """The tree as BeautifulSoup builds it over `html.parser`: what is open stays open until its own end tag.

    Raises:
        ValueError: `html.parser` gives up on the markup.
    """
    builder = _Builder()
    try:
        builder.feed(html)
        return builder.finish()
    except AssertionError as error:
        raise ValueError(f"the markup cannot be parsed: {error}") from error


def serialise(root: Element, attributes: Callable[[Element], Mapping[str, str]] | None = None) -> str:
    """The markup of a tree; `attributes` gives those to write where they are not the element's own."""
    parts: list[str] = []
    todo: list[Element | Verbatim | str] = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, Verbatim):
            parts.append(node.markup)
        elif isinstance(node, str):
            parts.append(escape(node))
        else:
            if node.name:
                parts.append(start_tag(node, attributes(node) if attributes else node.attributes))
                if node.children or node.name not in VOID:
                    todo.append(Verbatim(f"</{node.name}>"))
            raw = node.name in RAW_TEXT
            todo += [Verbatim(child) if raw and isinstance(child, str) else child for child in reversed(node.children)]
    return "".join(parts)


def start_tag(element: Element, attributes: Mapping[str, str]) -> str:
    """The tag that opens an element, or is all of it; attributes are in alphabetical order."""
    written = "".join(f" {name}={_quoted(value)}" for name, value in sorted(attributes.items()))
    return f"<{element.name}{written}{'' if element.children or element.name not in VOID else '/'}>"


def escape(text: str) -> str:
    """Text as markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def elements(root: Element) -> Iterator[Element]:
    """Every element from this one on, in document order."""
    todo = [root]
    while todo:
        element = todo.pop()
        if element.name:
            yield element
        todo += [child for child in reversed(element.children) if isinstance(child, Element)]


def first(root: Element, name: str) -> Element | None:
    """The first element of a name."""
    return next((element for element in elements(root) if element.name == name), None)


def _quoted(value: str) -> str:
    value = escape(value)
    if '"' not in value:
        return f'"{value}"'
    return f"'{value}'" if "'" not in value else '"{}"'.format(value.replace('"', "&quot;"))


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack = [Element("")]
        self.num_open: Counter[str] = Counter()
        # End tags of elements that ended by themselves are passed over, should they come.
        self.ended: Counter[str] = Counter()
        self.text: list[str] = []

    def finish(self) -> Element:
        if len(self.rawdata) > MAX_UNFINISHED and not self.cdata_elem:
            rest, self.rawdata = self.rawdata, ""
            self.handle_data(rest)
        self.close()
        self._end_text()
        return self.stack[0]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs)
        if tag in VOID:
            self._close(tag)
            self.ended[tag] += 1

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._open(tag, attrs)
        self._close(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.ended[tag]:
            self.ended[tag] -= 1
        else:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        self._add(Verbatim(f"<!--{data}-->"))

    def handle_decl(self, decl: str) -> None:
        self._add(Verbatim(f"<!DOCTYPE {decl[len('DOCTYPE ') :]}>\n"))

    def unknown_decl(self, data: str) -> None:
        self._add(Verbatim(f"<![{data}]]>" if data.upper().startswith("CDATA[") else f"<?{data}?>"))

    def handle_pi(self, data: str) -> None:
        self._add(Verbatim(f"<?{data}>"))

    def _open(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._add(element)
        self.stack.append(element)
        self.num_open[tag] += 1

    def _close(self, tag: str) -> None:
        self._end_text()
        closed = ""
        while self.num_open[tag] and closed != tag:
            closed = self.stack.pop().name
            self.num_open[closed] -= 1

    def _add(self, node: Element | Verbatim) -> None:
        self._end_text()
        self.stack[-1].children.append(node)

    def _end_text(self) -> None:
        text, self.text = "".join(self.text), []
        if text and not text.strip(SPACES) and not any(self.num_open[name] for name in PREFORMATTED):
            text = "\n" if "\n" in text else " "
        if text:
            self.stack[-1].children.append(text)
