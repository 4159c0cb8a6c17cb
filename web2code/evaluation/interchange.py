"""Results in the files of lmms-eval and VLMEvalKit, written and read as far as their formats hold them.

lmms-eval (`--log_samples`): `MODEL/DATE_results.json` with figures as `metric,filter`, and for each task
`DATE_samples_TASK.jsonl`. VLMEvalKit: a table `MODEL_DATASET.tsv` with `index`, `question`, `answer`, `prediction`.
What is read becomes a folder of results that stands beside ours, marked as imported: another program judged it.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pandas as pd
from pydantic import TypeAdapter, ValidationError

from web2code.artifacts import replace_text
from web2code.evaluation.benchmarks.benchmark import Outcome
from web2code.evaluation.results import (
    SCORES,
    BenchmarkName,
    BenchmarkScores,
    Figure,
    Row,
    Scores,
    clean,
    figure_of,
    means_of,
    read_rows,
    read_scores,
    read_text,
    write_rows,
    write_scores,
)
from web2code.evaluation.spreadsheet import read_spreadsheet

TARGETS = ("answer", "answers", "target", "gold")
HALF_INTERVAL = 1.96
VALUE = "value_"
# What VLMEvalKit calls the score of a row, by kind of dataset.
HITS = ("hit", "score", "eval_score")
SEPARATORS = {".tsv": "\t", ".csv": ","}
NO_ANSWER = "Failed to obtain answer"
BOOTSTRAP_SAMPLES = 1000
LARGEST = 1e12


def write_lmms_eval(folder: Path, out: Path) -> Path:
    """Write a folder's results as lmms-eval does; returns the path of `DATE_results.json`."""
    scores = read_scores(folder)
    sanitized = re.sub(r'["<>:/\\|?*\[\]]+', "__", scores.model)
    place = out / sanitized
    date = re.sub(r"\D", "", scores.date)[:14]
    results, hashes = {}, {}
    for name, benchmark in scores.benchmarks.items():
        samples = [_lmms_sample(number, row) for number, row in enumerate(read_rows(folder, name))]
        hashes[name] = _sha256("".join(f"sample_{i}{sample['doc_hash']}" for i, sample in enumerate(samples)))
        results[name] = {"alias": name} | _lmms_figures(benchmark)
        lines = "".join(json.dumps(sample) + "\n" for sample in samples)
        replace_text(place / f"{date}_samples_{name}.jsonl", lines)
    whole = {
        "results": results,
        "configs": {name: {"task": name, "metadata": {"dataset": one.dataset, "title": one.title}}
                    for name, one in scores.benchmarks.items()},
        "n-samples": {name: {"original": one.num, "effective": one.num} for name, one in scores.benchmarks.items()},
        "config": {"model": scores.engine, "model_args": f"pretrained={scores.model}", "seed": scores.seed},
        "date": date, "task_hashes": hashes, "model_source": scores.engine, "model_name": scores.model,
        "model_name_sanitized": sanitized,
    }  # fmt: skip
    path = place / f"{date}_results.json"
    replace_text(path, json.dumps(whole, indent=2))
    return path


def read_lmms_eval(path: Path, out: Path) -> Scores:
    """Read `DATE_results.json`, and the samples beside it where there are some, into a folder of results.

    Intervals are those of a normal distribution with the standard error that lmms-eval gives, where it gives one.

    Raises:
        ValueError: the file is no such result, or damaged, or the folder is another model's.
    """
    whole = _json(read_text(path), str(path))
    results = whole.get("results") if isinstance(whole, dict) else None
    if not isinstance(results, dict) or not results:
        raise ValueError(f"{path} has no results: name a file DATE_results.json that lmms-eval wrote")
    model = str(whole.get("model_name") or _inside(whole, "config", "model") or path.parent.name)
    scores = _imported(out, clean(model), "lmms-eval", clean(str(whole.get("date") or path.name)))
    for task, found in results.items():
        name = _benchmark_name(task)
        samples = path.with_name(path.name.replace("_results.json", f"_samples_{name}.jsonl"))
        rows = _lmms_rows(samples) if samples != path and samples.is_file() else []
        dataset = _inside(whole, "configs", task, "metadata", "dataset") or _inside(whole, "task_hashes", task) or ""
        told = _inside(whole, "n-samples", task, "effective")
        num = len(rows) or (int(told) if _is_number(told) else 0)
        scores = _add(out, scores, name, str(dataset), num, rows, _read_figures(found))
    return scores


def write_vlmevalkit(folder: Path, out: Path) -> list[Path]:
    """Write a folder's answers as VLMEvalKit's tables of predictions, one for each benchmark; returns their paths."""
    scores = read_scores(folder)
    paths = []
    for name in scores.benchmarks:
        lines = [
            {"index": row.id, "question": row.prompt, "answer": _target(row), "prediction": row.answer,
             "outcome": row.outcome} | _judged_by(row) | {VALUE + key: repr(value) for key, value in row.values.items()}
            for row in read_rows(folder, name)
        ]  # fmt: skip
        table = pd.DataFrame(lines).to_csv(None, sep="\t", index=False, quoting=csv.QUOTE_ALL, lineterminator="\n")
        paths.append(out / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', scores.model)}_{name}.tsv")
        replace_text(paths[-1], table)
    return paths


def read_vlmevalkit(path: Path, out: Path, model: str, benchmark: str) -> Scores:
    """Read a table of predictions with the scores that VLMEvalKit gave them into a folder of results.

    Raises:
        ValueError: it is no such table, or has no scores, or the folder is another model's.
    """
    table = _table(path)
    columns = [column for column in table.columns if column in HITS or column.startswith(VALUE)]
    if not columns:
        raise ValueError(f"{path} has no column {', '.join(HITS)}: name a table that VLMEvalKit has evaluated")
    rows = [_table_row(row, columns) for row in table.to_dict("records")]
    figures = tuple(figure_of(measure, BOOTSTRAP_SAMPLES, 0) for measure in means_of(rows))
    scores = _imported(out, clean(model), "VLMEvalKit", "")
    dataset = _sha256("\n".join(row.id for row in rows))
    return _add(out, scores, _benchmark_name(benchmark), dataset, len(rows), rows, figures)


def _imported(out: Path, model: str, evaluator: str, date: str) -> Scores:
    """Scores to add to: those of the same model that are in the folder already."""
    before = read_scores(out) if (out / SCORES).exists() else None
    if before and (before.model, before.evaluator, before.imported) != (model, evaluator, True):
        raise ValueError(
            f"{out} holds the results of {before.model} by {before.evaluator}, and not of {model} by {evaluator}: name "
            "another folder"
        )
    return Scores(
        model=model, checkpoint="", engine=evaluator, precision="", evaluator=evaluator, code="", seed=0, date=date,
        hardware="", bootstrap_samples=BOOTSTRAP_SAMPLES, imported=True, benchmarks=before.benchmarks if before else {},
    )  # fmt: skip


def _add(
    out: Path, scores: Scores, name: str, dataset: str, num: int, rows: list[Row], figures: tuple[Figure, ...]
) -> Scores:
    write_rows(out, name, rows)
    outcomes = dict(sorted(Counter(row.outcome for row in rows).items()))
    added = BenchmarkScores(title=name, dataset=dataset, num=num, outcomes=outcomes, figures=figures)
    whole = Scores.model_validate(dict(scores) | {"benchmarks": scores.benchmarks | {name: added}})
    write_scores(out, whole)
    return whole


def _lmms_sample(number: int, row: Row) -> dict[str, Any]:
    values = {name: value for name, value in row.values.items() if name not in _RESERVED}
    return values | {
        "doc_id": number, "doc": {"id": row.id} | row.facts, "input": row.prompt, "target": _target(row),
        "filtered_resps": [row.answer], "doc_hash": _sha256(row.id), "prompt_hash": _sha256(row.prompt),
        "target_hash": _sha256(_target(row)), "outcome": row.outcome, "reason": row.reason,
    }  # fmt: skip


_RESERVED = {
    "doc_id", "doc", "input", "target", "arguments", "resps", "filtered_resps", "doc_hash", "prompt_hash",
    "target_hash", "outcome", "reason",
}  # fmt: skip


def _lmms_figures(benchmark: BenchmarkScores) -> dict[str, float]:
    errors = {
        figure.name: (figure.high - figure.low) / (2 * HALF_INTERVAL)
        for figure in benchmark.figures
        if figure.low is not None and figure.high is not None
    }
    return {f"{figure.name},none": figure.value for figure in benchmark.figures} | {
        f"{name}_stderr,none": error for name, error in errors.items()
    }


def _read_figures(found: Any) -> tuple[Figure, ...]:
    numbers = {key: value for key, value in found.items() if _is_number(value)} if isinstance(found, dict) else {}
    figures = []
    for key, value in numbers.items():
        metric, _, chosen = key.rpartition(",")
        if not metric or metric.endswith(("_stderr", "_stderr_clt", "_stderr_clustered")):
            continue
        name = metric if chosen == "none" else key
        error = numbers.get(f"{metric}_stderr,{chosen}")
        half = None if error is None else HALF_INTERVAL * error
        ends = {} if half is None else {"low": value - half, "high": value + half}
        figures.append(Figure(name=clean(name), value=value, scale=_scale(value), **ends))
    return tuple(figures)


def _scale(value: float) -> float:
    """The power of ten that bounds a figure: lmms-eval does not say what its largest value is."""
    return 10.0 ** max(0, math.ceil(math.log10(abs(value)))) if value else 1.0


def _lmms_rows(path: Path) -> list[Row]:
    rows = []
    for number, line in enumerate(read_text(path).split("\n"), 1):
        if line:
            sample = _json(line, f"{path}, line {number}")
            if not isinstance(sample, dict) or "doc_id" not in sample:
                raise ValueError(f"{path}, line {number} has no doc_id: it is no sample of lmms-eval")
            rows.append(_lmms_row(sample))
    return rows


def _lmms_row(sample: dict[str, Any]) -> Row:
    doc = sample["doc"] if isinstance(sample.get("doc"), dict) else {}
    facts = {str(name): value for name, value in doc.items() if name != "id"}
    facts |= {"target": sample["target"]} if not facts and "target" in sample else {}
    values = {str(name): _score(value) for name, value in sample.items() if name not in _RESERVED}
    outcome = sample.get("outcome")
    return Row(
        id=clean(str(doc.get("id", sample["doc_id"]))),
        outcome=outcome if outcome in get_args(Outcome) else "scored",
        reason=clean(str(sample.get("reason") or "")),
        values={clean(name): value for name, value in values.items() if value is not None},
        answer=clean(_first_text(sample.get("filtered_resps", sample.get("resps")))),
        prompt=clean(str(sample.get("input") or "")),
        facts=facts,
    )


def _score(value: Any) -> float | None:
    """A row's number: tasks with figures over several rows put it, as `score`, beside what they group by."""
    inner = value.get("score") if isinstance(value, dict) else value
    return float(inner) if isinstance(inner, int | float) and abs(inner) < LARGEST else None


def _first_text(responses: Any) -> str:
    while isinstance(responses, list):
        responses = responses[0] if responses else ""
    return str(responses or "")


def _table(path: Path) -> pd.DataFrame:
    if path.suffix == ".xlsx":
        table = read_spreadsheet(path)
    elif path.suffix in SEPARATORS:
        read_text(path)
        try:
            separator = SEPARATORS[path.suffix]
            table = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8")
        except (ValueError, pd.errors.ParserError) as error:
            raise ValueError(f"{path} is no table of VLMEvalKit: {error}") from None
    else:
        raise ValueError(f"{path}: only .xlsx, .tsv and .csv are read; save the table as one of these")
    if missing := [column for column in ("index", "prediction") if column not in table.columns]:
        raise ValueError(f"{path} has no column {missing[0]!r}: it is no table of predictions of VLMEvalKit")
    return table


def _table_row(row: dict[str, str], columns: list[str]) -> Row:
    outcome = row.get("outcome") or ("no_answer" if NO_ANSWER in row["prediction"] else "scored")
    values = {column.removeprefix(VALUE): _float(row[column]) for column in columns if row[column]}
    facts = {"answer": clean(row["answer"])} if row.get("answer") else {}
    return Row(
        id=clean(row["index"]), outcome=outcome if outcome in get_args(Outcome) else "scored", values=values,
        answer=clean(row["prediction"]), prompt=clean(row.get("question", "")), facts=facts,
    )  # fmt: skip


def _float(text: str) -> float:
    try:
        value = float({"True": "1", "False": "0"}.get(text, text))
    except ValueError:
        value = math.nan
    if not abs(value) < LARGEST:
        raise ValueError(f"{text[:40]!r} is no score: name a table that VLMEvalKit has evaluated")
    return value


def _judged_by(row: Row) -> dict[str, str]:
    """The further columns that VLMEvalKit judges by: options by their letters, and what figures are taken apart by."""
    options = row.facts.get("options")
    apart = {name: row.facts[name] for name in ("category", "l2-category", "split") if name in row.facts}
    return {name: clean(str(value)) for name, value in ((options if isinstance(options, dict) else {}) | apart).items()}


def _target(row: Row) -> str:
    value = next((row.facts[name] for name in TARGETS if name in row.facts), "")
    return clean(value) if isinstance(value, str) else json.dumps(value)


def _benchmark_name(name: str) -> str:
    try:
        return TypeAdapter(BenchmarkName).validate_python(name)
    except ValidationError:
        raise ValueError(
            f"{name[:80]!r} is no name of a benchmark: letters, digits, '.', '-' and '_' make one"
        ) from None


def _inside(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is no JSON: {error}") from None


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
