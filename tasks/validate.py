"""The data gate: a Great Expectations checkpoint over the dataset's manifest."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
from prefect import task

from tasks.reuse import note_reuse
from web2code import dataset
from web2code.artifacts import publish, read_record, sha256_of
from web2code.config import ValidationRecord, code_digest, digest
from web2code.validation import read_manifest, with_checks

MAX_BAD_IDS = 5


class GateBrokeError(RuntimeError):
    """An expectation could not be computed: nothing is known about the data."""


@task(task_run_name="validate-dataset")
def validate_dataset(data_dir: Path, version: str, home: Path) -> ValidationRecord:
    """Check a dataset version; the same version is checked once by the same gate.

    Raises:
        ValueError: the data is bad; the message names expectation, rows and Data Docs.
        GateBrokeError: an expectation could not be computed.
    """
    key = digest([version, gate_digest()])[:16]
    marker = f"{home}/artifacts/validation/{key}"
    if done := read_record(marker, ValidationRecord):
        note_reuse(f"the verdict on {version}")
        return done
    dataset.verify_shards(data_dir)  # a pull may have brought something else than what was pushed
    record = check_manifest(read_manifest(data_dir), version, home / "gx" / key)
    publish(Path(marker), marker, record)
    return record


def gate_digest() -> str:
    """Changes when the gate does."""
    own = [sha256_of(Path(__file__).with_name(name)) for name in ("validate.py", "expectations.py")]
    return digest([own, code_digest(("validation", "dataset"))])


def check_manifest(manifest: pd.DataFrame, version: str, project: Path) -> ValidationRecord:
    """Run the checkpoint in a file context of its own, write Data Docs, and raise where a row is bad.

    A context that a killed run left half written is made again.
    """
    frame = with_checks(manifest)
    shutil.rmtree(project, ignore_errors=True)
    results = run_checkpoint(frame, project)
    docs = project / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    raise_for_bad_data(results, docs)
    return ValidationRecord(
        success=True, num_rows=len(frame), num_expectations=len(results), data_docs=str(docs), dataset_version=version
    )


def run_checkpoint(frame: pd.DataFrame, project: Path) -> list[Any]:
    """The result of every expectation."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # 3 s to import, and not needed where the version was checked before

    from tasks.expectations import page_expectations

    project.mkdir(parents=True)
    context = gx.get_context(mode="file", project_root_dir=project)
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("dataset")
        .add_dataframe_asset("manifest")
        .add_batch_definition_whole_dataframe("all pages")
    )
    suite = context.suites.add(gx.ExpectationSuite(name="pages", expectations=page_expectations()))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="pages", data=batch, suite=suite))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="pages",
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    return [result for run in outcome.run_results.values() for result in run.results]


def raise_for_bad_data(results: list[Any], docs: Path) -> None:
    """Turn failed expectations into one sentence; that the data is bad is certain even where another one broke."""
    failed = [result for result in results if not result.success]
    broken = {id(result): message for result in failed if (message := _exception(result))}
    bad = [result for result in failed if id(result) not in broken]
    if bad:
        others = f", and by {len(bad) - 1} other expectation(s)" if len(bad) > 1 else ""
        raise ValueError(
            f"the dataset was refused by {_name(bad[0])}: {_found(bad[0])}{others}; "
            f"see {docs}, mend the source of the pages and run again"
        )
    if broken:
        result = next(result for result in failed if id(result) in broken)
        raise GateBrokeError(
            f"the data gate broke at {_name(result)}, so the data is not judged: {broken[id(result)]}; see {docs}"
        )


def _exception(result: Any) -> str:
    information = result.exception_info or {}
    details = [information] if "raised_exception" in information else list(information.values())
    return next((str(detail["exception_message"]) for detail in details if detail.get("raised_exception")), "")


def _name(result: Any) -> str:
    configuration = result.expectation_config
    column = configuration.kwargs.get("column") or " and ".join(configuration.kwargs.get("column_list", []))
    return configuration.type + (f" on {column}" if column else "")


def _found(result: Any) -> str:
    found = result.result
    if "unexpected_count" not in found:
        return f"found {found.get('observed_value')}"
    rows = [str(row.get("id")) for row in (found.get("unexpected_index_list") or [])][:MAX_BAD_IDS]
    return f"{found['unexpected_count']} bad row(s){': ' + ', '.join(rows) if rows else ''}"
