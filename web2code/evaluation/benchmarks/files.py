"""Rows of public benchmark files: Parquet as on the hub, and VLMEvalKit's tables with pictures in base64."""

from __future__ import annotations

import ast
import base64
import binascii
import csv
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from web2code.data.images import FORMATS, MAX_BYTES, MAX_PIXELS, ImageIndex, image_size, is_left_by_macos, load_image
from web2code.data.sample import ImageFile
from web2code.evaluation.benchmarks.benchmark import Sample

if TYPE_CHECKING:
    from web2code.evaluation.benchmarks.tables import Table

Row = dict[str, Any]
BATCH = 16
# A shorter cell of a table's column `image` is the index of the row whose picture it shares (VLMEvalKit).
MIN_ENCODED = 64
MAX_CELL = MAX_BYTES * 4 // 3 + MIN_ENCODED
MAX_JSON = 256 * 1024**2
MAX_LIST = 10_000
# A file of several, as the hub names them: its split, its number and how many there are.
SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(?:-[0-9a-f]+)?\.parquet")
MAX_NAMED = 20
# How the name of a file or a folder of the hub begins that belongs to one split.
SPLIT = re.compile(r"(train|validation|val|dev|testdev|testmini|test)(?=[-.]|$)")
# Words in a table's name that tell of which split, language or version of a benchmark it is.
VARIANT = re.compile(r"TRAIN|VALIDATION|VAL|DEV|TESTDEV|TEST|MINI|EN|CN|CC|AR|PT|RU|TR|KO|MASK|V\d+")
# What tables have where there is nothing.
NOTHING = ("", "nan", None)


def read_rows(
    folder: Path, fetch: str, columns: Sequence[str], split: str = "", table: Table | None = None
) -> Iterator[Row]:
    """Rows of every `.parquet` and `.tsv` file below a folder: files by path, rows as they stand.

    Files of other splits than `split`, and tables of other variants than `fetch` names, are left out. In a row of a
    table `image` is the picture, or a list of several, from base64 or from the files that `image_path` names. `table`
    says how one is read that lacks some of the columns, as VLMEvalKit's do.

    Raises:
        ValueError: there is no such file, one is not whole or lacks a column, shards are missing, or there is more than
            one set of files; the sentence ends with what to fetch.
    """
    there = [path for path in sorted(folder.rglob("*")) if path.suffix in (".parquet", ".tsv")]
    there = [path for path in there if not is_left_by_macos(path.relative_to(folder))]
    if not there:
        raise ValueError(f"{folder} holds no .parquet or .tsv file: {fetch}")
    files = _published(there, folder, fetch, split)
    _require_one_whole_set(files, folder, fetch)
    for path in files:
        if path.suffix == ".parquet":
            yield from _read_parquet(path, fetch, columns)
        else:
            yield from _read_table(path, fetch, columns, table)


def _published(files: Sequence[Path], folder: Path, fetch: str, split: str) -> list[Path]:
    """Parquet files of the split, else tables of the variant that `fetch` names, else files whose names tell of none.

    Raises:
        ValueError: all are of other splits, languages or versions.
    """
    wanted = _variants(" ".join(re.findall(r"\w+(?=\.tsv)", fetch)))
    of_split, tables, neutral = list[Path](), list[Path](), list[Path]()
    for path in files:
        if path.suffix == ".tsv":
            told = _variants(path.stem)
            if told <= wanted:
                (tables if told else neutral).append(path)
        elif (named := _split_of(path.relative_to(folder))) == split:
            of_split.append(path)
        elif not named or not split:
            neutral.append(path)
    if not (found := of_split or tables or neutral):
        other = files[0].relative_to(folder)
        raise ValueError(f"{folder} holds {other}, which is another split, language or version: {fetch}")
    return found


def _split_of(path: Path) -> str:
    """The split that a file is named after, or else the nearest of its folders; empty where none is named."""
    found = next(filter(None, map(SPLIT.match, reversed(path.parts))), None)
    return "" if found is None else "validation" if found[1] == "val" else found[1]


def _variants(name: str) -> set[str]:
    return {word for word in re.split(r"[\W_]+", name.upper()) if VARIANT.fullmatch(word)}


def configuration_folder(folder: Path, fetch: str, name: str, others: Sequence[str] = ()) -> Path:
    """The folder of one configuration of a repository on the hub; where none is below the folder, the folder itself.

    Raises:
        ValueError: there are only folders of other configurations.
    """
    found = {one: [path for path in folder.rglob(one) if any(path.rglob("*.parquet"))] for one in (name, *others)}
    if found[name]:
        # A repository may have the name of one of its configurations.
        return max(found[name], key=lambda path: len(path.parts))
    if wrong := [one for one in others if found[one]]:
        raise ValueError(f"{folder} holds {' and '.join(wrong)} in place of {name}: {fetch}")
    return folder


def _require_one_whole_set(files: Sequence[Path], folder: Path, fetch: str) -> None:
    """The shards of one file are a set, and so are other Parquet files of one folder; a table is one by itself."""
    shards = [SHARD.fullmatch(path.name) for path in files]
    only, *others = dict.fromkeys(starmap(_set_of, zip(files, shards, strict=True)))
    if others:
        several = " and ".join(str(one.relative_to(folder)) for one in (only, *others))
        raise ValueError(f"{folder} holds {several}, which may have the same rows: leave one of them there; {fetch}")
    numbers = {int(shard[2]) for shard in shards if shard}
    total = max((int(shard[3]) for shard in shards if shard), default=0)
    missing = [only.name.replace("*", f"{number:05}") for number in range(total) if number not in numbers]
    if missing:
        named = ", ".join(missing[:MAX_NAMED]) + (", ..." if len(missing) > MAX_NAMED else "")
        raise ValueError(f"{only.parent} has {total - len(missing)} of {total} shards: add {named}; {fetch}")


def _set_of(path: Path, shard: re.Match[str] | None) -> Path:
    if shard:
        return path.with_name(f"{shard[1]}-*-of-{shard[3]}.parquet")
    return path if path.suffix == ".tsv" else path.with_name("*.parquet")


def _read_parquet(path: Path, fetch: str, columns: Sequence[str]) -> Iterator[Row]:
    import pyarrow as pa  # heavy: only loading needs it
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            _require(path, fetch, columns, file.schema_arrow.names)
            for batch in file.iter_batches(batch_size=BATCH):
                yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"{path} is no whole Parquet file ({str(error).splitlines()[0]}): {fetch}") from None


def _read_table(path: Path, fetch: str, columns: Sequence[str], table: Table | None) -> Iterator[Row]:
    """Rows of a table; pictures that rows share are kept, all others only while their row is."""
    wanted = {row["image"] for row in _cells(path, fetch) if _is_reference(row)}
    shared: dict[str, Any] = {}
    for number, row in enumerate(_cells(path, fetch)):
        if number == 0:
            there = [*row, "image"] if "image_path" in row else list(row)
            if set(columns) <= set(there):
                table = None
            _require(path, fetch, table.columns if table else columns, there)
        try:
            if _is_reference(row) and row["image"] not in shared:
                raise ValueError(f"no row before has the picture {row['image']!r}")
            data = shared[row["image"]] if _is_reference(row) else _table_pictures(row, path.parent)
            if data is not None and row.get("index") in wanted:
                shared[row["index"]] = data
            found = row | {"image": data}
            yield from table.rows(found) if table else [found]
        except ValueError as error:
            raise ValueError(f"{path}, row {number}: {error}; {fetch}") from None


def _cells(path: Path, fetch: str) -> Iterator[dict[str, str]]:
    # For the whole process, as the library has it: a picture of megabytes is one cell.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_CELL))
    try:
        with open(path, encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines, delimiter="\t")):
                if None in row:
                    raise csv.Error(f"row {number} has more cells than there are columns")
                yield {name: cell or "" for name, cell in row.items()}
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise ValueError(f"{path} is no whole table ({error}): {fetch}") from None


def _is_reference(row: Row) -> bool:
    return 0 < len(row.get("image", "")) <= MIN_ENCODED


def _table_pictures(row: Row, folder: Path) -> bytes | list[bytes] | None:
    """A row's picture, or several, which a cell has as the text of a list."""
    encoded, path = row.get("image"), row.get("image_path")
    if encoded:
        cells = [cell.strip(" '\"") for cell in encoded.strip("[]").split(",")]  # base64 has none of these
        try:
            found = [base64.b64decode(cell, validate=True) for cell in cells]
        except binascii.Error:
            raise ValueError("the picture is no base64") from None
    else:
        found = [_read_inside(folder, name) for name in listed(path)] if path else []
    return found if len(found) > 1 else next(iter(found), None)


def listed(cell: str) -> list[str]:
    """What a cell has: the text of a Python list, or one text."""
    return parse_list(cell) if cell.startswith("[") else [cell]


def parse_list(cell: str) -> list[str]:
    """A list that a file holds as the text of a Python list.

    Raises:
        ValueError: it is none, or longer than any that a benchmark has.
    """
    try:
        found = ast.literal_eval(cell) if len(cell) <= MAX_LIST else None
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        found = None
    if not isinstance(found, list):
        raise ValueError("what should be the text of a list is none")
    return [str(one) for one in found]


def _require(path: Path, fetch: str, columns: Sequence[str], there: Sequence[str]) -> None:
    if missing := [name for name in columns if name not in there]:
        raise ValueError(f"{path} has no column {missing[0]!r}: {fetch}")


def samples_of(rows: Iterable[Row], where: Path, fetch: str, make: Callable[[int, Row], Sample]) -> Iterator[Sample]:
    """What `make` makes of every row and its number, with distinct ids.

    Raises:
        ValueError: a row is not as published, or there is none: no row is left out.
    """
    times: Counter[str] = Counter()
    for number, row in enumerate(rows):
        try:
            sample = make(number, row)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = str(error) if type(error) is ValueError else f"it is not as published ({error!r})"
            raise ValueError(f"{where}, row {number}: {reason}; {fetch}") from None
        # Public files repeat ids.
        name = sample.id
        while times[name]:
            times[sample.id] += 1
            name = f"{sample.id}#{times[sample.id]}"
        times[name] += 1
        yield sample if name == sample.id else replace(sample, id=name)
    if not times:
        raise ValueError(f"{where} holds no question: {fetch}")


def picture(cell: Any, folder: Path) -> bytes:
    """The encoded picture of a row's cell: bytes, or the hub's pair of `bytes` and `path`.

    Raises:
        ValueError: there is none, it is too large, it lies outside the folder, or as `checked`.
    """
    data, name = (cell.get("bytes"), cell.get("path") or "") if isinstance(cell, dict) else (cell, "")
    if data is None and name:
        data = _read_inside(folder, name)
    if not isinstance(data, bytes) or not data:
        raise ValueError("there is no picture")
    if len(data) > MAX_BYTES:
        raise ValueError(f"the picture has {len(data):,} bytes, more than {MAX_BYTES:,}")
    return checked(data, name)


def indexed_picture(images: ImageIndex, name: str) -> bytes:
    """The encoded picture that a record names.

    Raises:
        ValueError: it is not there, several fit equally, it is too large, or as `checked`.
    """
    try:
        data = load_image(images.find(name))
    except ValueError as error:
        raise ValueError(f"picture {name}: {error}") from None
    return checked(data, name)


def checked(data: bytes, name: str = "", fetch: str = "") -> bytes:
    """An encoded picture that every engine decodes, as far as its header and the end of a PNG tell.

    Raises:
        ValueError: it is of another format, too large, or cut off; the sentence ends with what to fetch.
    """
    try:
        image_size(data)
    except ValueError as error:
        needed = f"it has to be a whole {', '.join(FORMATS[:-1])} or {FORMATS[-1]} of {MAX_PIXELS:,} pixels at most"
        named = f"picture {name}".rstrip()
        raise ValueError("; ".join(filter(None, (f"{named}: {error}: {needed}", fetch)))) from None
    return data


def question(row: Row, column: str = "question") -> str:
    """The text of a row's question.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(row[column], str) or not row[column].strip():
        raise ValueError("there is no question")
    return row[column].strip()


def truths(cell: Any) -> tuple[str, ...]:
    """The true answers in a row's cell, one or a list of them.

    Raises:
        ValueError: there is none, as in the splits whose answers are kept back.
    """
    found = tuple(str(one) for one in (cell if isinstance(cell, list | tuple) else [cell]) if one is not None)
    if not found or found in (("",), ("?",), ("nan",)):
        raise ValueError("there is no answer, as in splits whose answers are not published")
    return found


def true_letter(cell: Any, options: Mapping[str, str]) -> str:
    """The true answer of a question with lettered options.

    Raises:
        ValueError: it is the letter of none.
    """
    if cell not in options:
        raise ValueError(f"the true answer is {str(cell)[:20]!r}, the letter of no option")
    return str(cell)


def yes_or_no(cell: str) -> str:
    """A true answer in lower case.

    Raises:
        ValueError: it is another one.
    """
    found = cell.lower().strip().removesuffix(".")
    if found not in ("yes", "no"):
        raise ValueError(f"the true answer is {cell!r}, neither yes nor no")
    return found


def read_json(path: Path, fetch: str) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: it is missing, too large or no JSON; the sentence ends with what to fetch.
    """
    try:
        if path.stat().st_size > MAX_JSON:
            raise ValueError(f"{path} has more than {MAX_JSON:,} bytes: {fetch}")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ValueError(f"{path} is missing: {fetch}") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise ValueError(f"{path} is no JSON: {fetch}") from None


def _read_inside(folder: Path, name: str) -> bytes:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"the picture {name!r} lies outside of the folder")
    return load_image(ImageFile(path))
