"""The data gate: a Great Expectations checkpoint over the dataset's manifest."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from prefect import task

from tasks.reuse import note_reuse
from web2code import dataset
from web2code.artifacts import publish, read_record
from web2code.config import ValidationRecord, digest

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
    gate = digest(Path(__file__).read_text())[:12]
    marker = f"{home}/artifacts/validation/{digest([version, gate])[:16]}"
    if done := read_record(marker, ValidationRecord):
        note_reuse(f"the verdict on {version}")
        return done
    dataset.verify_shards(data_dir)
    record = check_manifest(pd.read_parquet(data_dir / dataset.MANIFEST), version, home)
    publish(Path(marker), marker, record)
    return record


def check_manifest(manifest: pd.DataFrame, version: str, home: Path) -> ValidationRecord:
    """Run the checkpoint, write Data Docs, and raise where a row is bad."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # 3 s to import, and not needed where the version was checked before

    frame = with_contamination(manifest)
    project = home / "gx"
    project.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=project)
    context.variables.progress_bars = gx.data_context.types.base.ProgressBarsConfig(globally=False)
    source = context.data_sources.add_or_update_pandas("manifest")
    batch = source.add_dataframe_asset("pages").add_batch_definition_whole_dataframe("all")
    suite = context.suites.add_or_update(gx.ExpectationSuite(name="pages", expectations=expectations()))
    validation = context.validation_definitions.add_or_update(
        gx.ValidationDefinition(name="pages", data=batch, suite=suite)
    )
    checkpoint = context.checkpoints.add_or_update(
        gx.Checkpoint(
            name="pages",
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format={"result_format": "COMPLETE", "unexpected_index_column_names": ["id"]},
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    docs = project / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"
    results = [result for run in outcome.run_results.values() for result in run.results]
    raise_for_bad_data(results, docs)
    return ValidationRecord(
        success=True, num_rows=len(frame), num_expectations=len(results), data_docs=str(docs), dataset_version=version
    )


def expectations() -> list:
    """What every page of a dataset must satisfy."""
    from great_expectations import expectations as gxe

    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=2),
        gxe.ExpectColumnValuesToNotBeNull(column="id"),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnValuesToBeInSet(column="split", value_set=["train", "eval"]),
        gxe.ExpectColumnValueLengthsToBeBetween(column="licence", min_value=1),
        gxe.ExpectColumnValuesToMatchRegex(column="html", regex=r"^<html"),
        gxe.ExpectColumnValuesToBeInSet(column="html_parses", value_set=[True]),
        gxe.ExpectColumnValuesToBeBetween(column="html_chars", min_value=20, max_value=200_000),
        gxe.ExpectColumnValuesToBeInSet(column="image_decodes", value_set=[True]),
        gxe.ExpectColumnValuesToBeBetween(column="width", min_value=64, max_value=4096),
        gxe.ExpectColumnValuesToBeBetween(column="height", min_value=64, max_value=65_536),
        gxe.ExpectColumnValuesToBeBetween(column="image_bytes", min_value=100, max_value=50_000_000),
        gxe.ExpectColumnValueLengthsToBeBetween(column="caption", min_value=3),
        gxe.ExpectColumnValuesToBeInSet(column="answers_valid", value_set=[True]),
        gxe.ExpectColumnValuesToBeInSet(column="on_both_sides", value_set=[False]),
    ]


def with_contamination(manifest: pd.DataFrame) -> pd.DataFrame:
    """The manifest with two more columns: is a page on both sides of the split, are all answers yes or no."""
    sides = manifest.groupby("html_sha256")["split"].transform("nunique")
    answers = manifest["questions"].map(lambda items: all(item["answer"] in ("Yes", "No") for item in items))
    return manifest.assign(on_both_sides=sides > 1, answers_valid=answers).drop(columns=["questions"])


def raise_for_bad_data(results: list, docs: Path) -> None:
    """Turn failed expectations into one sentence."""
    for result in results:
        exceptions = result.exception_info or {}
        details = exceptions.values() if "raised_exception" not in exceptions else [exceptions]
        broken = [detail for detail in details if detail.get("raised_exception")]
        if broken:
            raise GateBrokeError(
                f"the data gate broke at {_name(result)} ({broken[0].get('exception_message')}); the data is not judged"
            )
    for result in results:
        if not result.success:
            found = result.result
            rows = [str(row.get("id")) for row in (found.get("unexpected_index_list") or [])][:MAX_BAD_IDS]
            raise ValueError(
                f"the dataset was refused by {_name(result)}: {found.get('unexpected_count', 'the table')} bad row(s)"
                f"{': ' + ', '.join(rows) if rows else ''}; see {docs}, mend the source and run again"
            )


def _name(result) -> str:
    configuration = result.expectation_config
    column = configuration.kwargs.get("column")
    return configuration.type + (f" on {column}" if column else "")
