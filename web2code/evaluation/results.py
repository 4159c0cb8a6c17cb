"""What the evaluation of one model leaves in a folder, and the figures computed from it again.

    scores.json            `Scores`: which model was judged how, and its figures
    BENCHMARK.jsonl        a `Row` for each sample, in the benchmark's order
    pictures/NAME.webp     what the rows show, made small, named after the content

Figures are functions of the rows alone, so that a later comparison computes them again from the same answers.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from PIL import Image
from pydantic import Field, StringConstraints

from web2code.artifacts import replace_bytes, replace_text
from web2code.config import Config
from web2code.data.images import decode_image
from web2code.evaluation.benchmarks.benchmark import Benchmark, Outcome, Sample, Verdict
from web2code.evaluation.measure import Direction, Measure, by_cluster, interval, mean

SCORES = "scores.json"
# What ends the name of a figure that follows the rule of others, computed from the same answers.
OTHER_RULES = ("(published)", "(lmms-eval)", "(VLMEvalKit)")
# What others call a value of which less is better: nothing but its name tells.
LESS_IS_BETTER = re.compile(
    r"(^|[\W_])(failed|failures?|unparsed|errors?|wer|cer|edit_distance)($|[\W_])", re.IGNORECASE
)
PICTURE_SIZE = (960, 1920)
MAX_BYTES = 1024**3
MAX_FACT_CHARS = 20_000

BenchmarkName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")]
PictureName = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


class Figure(Config):
    """A figure of a benchmark, with its 95 % interval if it has one; `published` where the rule is that of others."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    scale: float = Field(1.0, gt=0, description="the largest value there is: 1 for a share, 10 for points")
    published: bool = False

    def interval(self, between: str = "–") -> str:
        """Its ends as people write them; empty where there is none."""
        if self.low is None or self.high is None:
            return ""
        return f"{show(self.low, self.scale)}{between}{show(self.high, self.scale)}"


class BenchmarkScores(Config):
    """The figures of one benchmark, the main one first, over all its `num` samples."""

    title: str
    dataset: str = Field(description="digest of the benchmark's files")
    num: int
    limit: int = Field(0, description="only so many first samples were asked; 0 means all")
    outcomes: dict[Outcome, int]
    figures: tuple[Figure, ...]
    published: tuple[int, ...] = Field((), description="how many samples the published splits have, where known")

    @property
    def notice(self) -> str:
        """That there are not as many samples as any published split has; empty where there are, or none is known."""
        if not self.published or self.num in self.published:
            return ""
        split = min((size for size in self.published if size > self.num), default=max(self.published))
        return f"{self.num:,} of {split:,} published samples"


class Spent(Config):
    """What all runs of an evaluation asked of a judge, and what that cost."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost: float = Field(description="in the currency of the prices that were given")

    def __str__(self) -> str:
        return (
            f"{self.requests:,} requests, {self.input_tokens:,} tokens in, {self.output_tokens:,} out, "
            f"cost {self.cost:.2f}"
        )


class Scores(Config):
    """All that one model reached, and what is needed to reach it again."""

    model: str
    checkpoint: str = Field(description="what identifies the weights: a digest, or a name with its revision")
    engine: str = Field(description="what answered, with its version")
    precision: str
    evaluator: str = Field(description="what judged, with its version")
    code: str = Field(description="digest of the code that judged")
    seed: int
    date: str = Field(description="when it ended, ISO 8601 in UTC")
    hardware: str
    bootstrap_samples: int = 1000
    imported: bool = Field(False, description="judged by another harness, so its figures cannot be computed again")
    benchmarks: dict[BenchmarkName, BenchmarkScores] = Field({}, description="by name")
    judges: dict[str, Spent] = Field({}, description="by model that judged, over all benchmarks")


class Row(Config):
    """One sample, what the model answered, and what that is worth."""

    id: str
    outcome: Outcome
    reason: str = ""
    values: dict[str, float] = Field({}, description="those of the verdict")
    answer: str
    prompt: str = ""
    facts: dict[str, Any] = Field({}, description="those of the sample that are short enough, as JSON has them")
    pictures: tuple[PictureName, ...] = ()
    rendering: PictureName | None = Field(None, description="how the page that was answered looks")


def make_row(folder: Path, sample: Sample, answer: str, verdict: Verdict, rendering: bytes = b"") -> Row:
    """A sample's row; its pictures, and that of the rendered answer where there is one, are written to the folder.

    Facts that are bytes, or longer than `MAX_FACT_CHARS` in JSON, are what only judging needs and are left out.
    """
    return Row(
        id=sample.id,
        outcome=verdict.outcome,
        reason=clean(verdict.reason),
        values=verdict.values,
        answer=clean(answer),
        prompt=clean(sample.prompt),
        facts={name: value for name, value in sample.facts.items() if _is_short(value)},
        pictures=keep_pictures(folder, sample),
        rendering=keep_picture(folder, rendering),
    )


def write_benchmark(
    folder: Path, benchmark: Benchmark, rows: Sequence[Row], scores: Scores, dataset: str, limit: int = 0
) -> Scores:
    """Write the rows of one benchmark, then `scores.json` with its figures added; returns those scores."""
    write_rows(folder, benchmark.name, rows)
    measures = measures_of(benchmark, read_rows(folder, benchmark.name))
    counts = Counter(row.outcome for row in rows)
    added = BenchmarkScores(
        title=benchmark.title + benchmark.remark(_samples_of(rows)),
        dataset=dataset,
        num=len(rows),
        limit=limit,
        outcomes=dict(sorted(counts.items())),
        figures=tuple(figure_of(measure, scores.bootstrap_samples, scores.seed) for measure in measures),
        published=benchmark.published,
    )
    whole = Scores.model_validate(dict(scores) | {"benchmarks": scores.benchmarks | {benchmark.name: added}})
    write_scores(folder, whole)
    return whole


def figure_of(measure: Measure, samples: int, seed: int) -> Figure:
    """A measure's figure with its interval."""
    found = interval(measure, samples, seed)
    return Figure(
        name=measure.name, value=found.mean, low=found.low, high=found.high, scale=measure.scale,
        published=measure.name.endswith(OTHER_RULES),
    )  # fmt: skip


def measures_of(benchmark: Benchmark, rows: Sequence[Row]) -> tuple[Measure, ...]:
    """A benchmark's measures, from rows alone.

    Units about one picture become one: a picture that is hard to see makes several questions hard. One that is named
    after no sample, as a benchmark may name what it draws together itself, stays what it is.
    """
    samples = _samples_of(rows)
    verdicts = [Verdict(row.id, row.outcome, row.values, row.reason) for row in rows]
    together = _by_picture(rows)
    return tuple(
        by_cluster(measure, [together.get(unit, unit) for unit in measure.units])
        for measure in benchmark.measures(samples, verdicts)
    )


def _by_picture(rows: Sequence[Row]) -> dict[str, str]:
    """By row's name that of the first row about the same picture, or where they have several, the same first one."""
    first: dict[str, str] = {}
    return {row.id: first.setdefault(row.pictures[0], row.id) for row in rows if row.pictures}


def _samples_of(rows: Sequence[Row]) -> list[Sample]:
    return [Sample(row.id, (), row.prompt, 0, row.facts) for row in rows]


def means_of(rows: Sequence[Row]) -> tuple[Measure, ...]:
    """The mean of each named value over the rows that have it: for rows that another harness judged.

    One that was not scored counts 0. A scored one without the value is of a part of the benchmark that is judged in
    another way: it is left out, and the name says over how many rows the mean is.
    """
    names = dict.fromkeys(name for row in rows for name in row.values)
    return tuple(_mean_of(name, rows) for name in names)


def _mean_of(name: str, rows: Sequence[Row]) -> Measure:
    kept = [row for row in rows if name in row.values or row.outcome != "scored"]
    over = "" if len(kept) == len(rows) else f", {len(kept):,} of {len(rows):,} rows"
    better: Direction = "less" if LESS_IS_BETTER.search(name) else "more"
    return mean(
        f"mean {name}{over}", [row.id for row in kept], [row.values.get(name, 0.0) for row in kept], better=better
    )


def read_measures(folder: Path, scores: Scores, name: str, benchmarks: Mapping[str, Benchmark]) -> tuple[Measure, ...]:
    """The measures of one benchmark in a folder.

    Raises:
        ValueError: the rows are missing or damaged, or the benchmark is not known.
    """
    rows = read_rows(folder, name)
    if scores.imported:
        return means_of(rows)
    if name not in benchmarks:
        raise ValueError(
            f"{folder} has a benchmark {name!r} that is not known here: {', '.join(sorted(benchmarks))} are"
        )
    return measures_of(benchmarks[name], rows)


def write_scores(folder: Path, scores: Scores) -> None:
    """Write `scores.json` in one piece."""
    replace_text(folder / SCORES, scores.model_dump_json(indent=1))


def read_scores(folder: Path) -> Scores:
    """The scores in a folder.

    Raises:
        ValueError: there are none, or the file is no such record.
    """
    path = folder / SCORES
    if not path.is_file():
        raise ValueError(f"{folder} has no {SCORES}: name a folder that `web2code evaluate` wrote")
    try:
        return Scores.model_validate_json(read_text(path))
    except pydantic.ValidationError as error:
        raise ValueError(f"{path}: {_first(error)}; evaluate again, into another folder") from None


def write_rows(folder: Path, name: str, rows: Iterable[Row]) -> None:
    """Write the rows of one benchmark in one piece."""
    replace_text(folder / f"{name}.jsonl", "".join(json.dumps(row.model_dump()) + "\n" for row in rows))


def read_rows(folder: Path, name: str) -> list[Row]:
    """The rows of one benchmark.

    Raises:
        ValueError: they are not there, or a line is no such row.
    """
    path = folder / f"{name}.jsonl"
    if not path.is_file():
        raise ValueError(f"{path} is missing: evaluate {name} again")
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        try:
            if line:
                rows.append(Row.model_validate(json.loads(line)))
        except (ValueError, RecursionError) as error:
            first = _first(error) if isinstance(error, pydantic.ValidationError) else str(error)
            raise ValueError(f"{path}, line {number}: {first}; evaluate {name} again") from None
    return rows


def read_text(path: Path) -> str:
    """A text file of results.

    Raises:
        ValueError: it is larger than any result, or no text.
    """
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"{path} is larger than {MAX_BYTES} bytes: it is no result of an evaluation")
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is no text in UTF-8: it is no result of an evaluation") from None


def keep_pictures(folder: Path, sample: Sample) -> tuple[str, ...]:
    """Write what a sample shows, once; returns the names."""
    return tuple(name for data in sample.images if (name := keep_picture(folder, data)))


def keep_picture(folder: Path, data: bytes) -> str | None:
    """Write a picture, scaled and cut to `PICTURE_SIZE`, under the name of its content, once; returns the name.

    None stands for bytes that are no picture: an evaluation does not end because it cannot show one.
    """
    name = hashlib.sha256(data).hexdigest()[:32]
    path = _picture(folder, name)
    if not path.exists():
        try:
            image = decode_image(data)
        except ValueError:
            return None
        width = min(PICTURE_SIZE[0], image.width)
        image = image.resize((width, max(1, round(image.height * width / image.width))), Image.Resampling.BOX)
        stream = io.BytesIO()
        image.crop((0, 0, width, min(image.height, PICTURE_SIZE[1]))).save(stream, "WEBP", quality=80, method=2)
        replace_bytes(path, stream.getvalue())
    return name


def read_picture(folder: Path, name: str | None) -> bytes:
    """A picture that a row names; empty where there is none."""
    path = _picture(folder, name or "none")
    return path.read_bytes() if path.is_file() else b""


def show(value: float, scale: float) -> str:
    """A figure as people write it: shares in percent, other figures with the digits that their scale bears."""
    if scale == 1:
        return f"{100 * value:.1f}"
    return f"{value:.2f}" if scale <= 10 else f"{value:.1f}"


def clean(text: str) -> str:
    """A text that UTF-8 can hold: halves of surrogate pairs, which a tokenizer or JSON may give, are replaced."""
    return re.sub(r"[\ud800-\udfff]", "\ufffd", text)


def _is_short(value: Any) -> bool:
    try:
        return len(json.dumps(value)) <= MAX_FACT_CHARS
    except (TypeError, ValueError):
        return False


def _picture(folder: Path, name: str) -> Path:
    return folder / "pictures" / f"{name}.webp"


def _first(error: pydantic.ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}"
