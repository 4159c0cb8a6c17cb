"""The first sheet of an Excel file, as texts: VLMEvalKit writes its tables so unless it is told otherwise.

The format is ECMA-376, part 1, section 18 (SpreadsheetML). Formulas are not computed, dates stay numbers.
"""

from __future__ import annotations

import posixpath
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from lxml import etree

MAX_BYTES = 1024**3
SHEETS = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
RELATION = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"
ESCAPED = re.compile(r"_x([0-9A-Fa-f]{4})_")


def read_spreadsheet(path: Path) -> pd.DataFrame:
    """The first sheet; its first row names the columns, and a cell that is empty is an empty text.

    Raises:
        ValueError: the file is no such table, or unpacks to more than `MAX_BYTES`.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(part.file_size for part in archive.infolist()) > MAX_BYTES:
                raise ValueError(f"{path} unpacks to more than {MAX_BYTES} bytes: it is no table of answers")
            rows = list(_rows(archive))
    except (zipfile.BadZipFile, etree.XMLSyntaxError, KeyError, IndexError) as error:
        raise ValueError(f"{path} is no Excel file: {error}") from None
    names = [name for _, name in sorted(rows[0].items())] if rows else []
    return pd.DataFrame([[row.get(place, "") for place in sorted(rows[0])] for row in rows[1:]], columns=names)


def _rows(archive: zipfile.ZipFile) -> Iterator[dict[int, str]]:
    """Cells of each row, by the number of their column."""
    shared = [_text(item) for item in _elements(archive, "xl/sharedStrings.xml", "si")]
    for row in _elements(archive, _first_sheet(archive), "row"):
        cells: dict[int, str] = {}
        for place, cell in enumerate(row.iter(f"{SHEETS}c")):
            value, kind = cell.findtext(f"{SHEETS}v") or "", cell.get("t")
            text = shared[int(value)] if kind == "s" else _text(cell) if kind == "inlineStr" else _unescape(value)
            cells[_column(cell.get("r", ""), place)] = text
        yield cells


def _elements(archive: zipfile.ZipFile, name: str, tag: str) -> Iterator[etree._Element]:
    """Elements of a part, one after the other; none where the part is not there."""
    if name in archive.namelist():
        with archive.open(name) as stream:
            for _, element in etree.iterparse(stream, tag=f"{SHEETS}{tag}", resolve_entities=False, no_network=True):
                yield element
                element.clear()


def _first_sheet(archive: zipfile.ZipFile) -> str:
    sheet = next(_elements(archive, "xl/workbook.xml", "sheet"), None)
    if sheet is None:
        raise KeyError("it has no sheet")
    relations = etree.fromstring(archive.read("xl/_rels/workbook.xml.rels"), etree.XMLParser(resolve_entities=False))
    targets = {relation.get("Id"): relation.get("Target") for relation in relations}
    return posixpath.join("/xl", targets[sheet.get(RELATION)])[1:]


def _text(item: etree._Element) -> str:
    """The text of a string, without how it is to be read aloud."""
    runs = item.iter(f"{SHEETS}t")
    return _unescape("".join(run.text or "" for run in runs if run.getparent().tag != f"{SHEETS}rPh"))


def _unescape(text: str) -> str:
    """Characters that XML cannot hold stand there as `_x000D_`."""
    return ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _column(reference: str, place: int) -> int:
    """The number of a cell's column, from 0, by the letters of its reference; its place where it has none."""
    letters = re.match(r"[A-Z]+", reference)
    number = 0
    for letter in letters[0] if letters else "":
        number = 26 * number + ord(letter) - ord("A") + 1
    return number - 1 if letters else place
