"""Running a Great Expectations checkpoint, and telling bad data from a gate that broke."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd


class GateBrokeError(RuntimeError):
    """An expectation could not be computed: nothing is known about the data."""


def run_checkpoint(frame: pd.DataFrame, project: Path, expectations: Callable[[], list[Any]]) -> list[Any]:
    """The result of every expectation, in a file context below `project` that also gets the Data Docs."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    import great_expectations as gx  # 3 s to import, and not needed where the verdict is known

    project.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", project_root_dir=project)
    context.variables.progress_bars = {"globally": False}
    batch = (
        context.data_sources.add_pandas("dataset")
        .add_dataframe_asset("manifest")
        .add_batch_definition_whole_dataframe("all rows")
    )
    suite = context.suites.add(gx.ExpectationSuite(name="rows", expectations=expectations()))
    validation = context.validation_definitions.add(gx.ValidationDefinition(name="rows", data=batch, suite=suite))
    checkpoint = context.checkpoints.add(
        gx.Checkpoint(
            name="rows",
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="docs")],
            result_format="SUMMARY",
        )
    )
    outcome = checkpoint.run(batch_parameters={"dataframe": frame})
    return [result for run in outcome.run_results.values() for result in run.results]


def raise_if_broken(results: list[Any]) -> None:
    """Pass over results that say that the data is bad: the caller counts the rows.

    Raises:
        GateBrokeError: an expectation could not be computed and no other failed.
    """
    failed = [result for result in results if not result.success]
    broken = [(result, message) for result in failed if (message := exception_of(result))]
    if broken and len(broken) == len(failed):
        result, message = broken[0]
        raise GateBrokeError(f"the data gate broke at {name_of(result)}, so the data is not judged: {message}")


def exception_of(result: Any) -> str:
    """What kept an expectation from being computed, or nothing."""
    information = result.exception_info or {}
    details = [information] if "raised_exception" in information else list(information.values())
    return next((str(detail["exception_message"]) for detail in details if detail.get("raised_exception")), "")


def name_of(result: Any) -> str:
    """An expectation's type, with the columns it looks at."""
    configuration = result.expectation_config
    column = configuration.kwargs.get("column") or " and ".join(configuration.kwargs.get("column_list", []))
    return configuration.type + (f" on {column}" if column else "")
