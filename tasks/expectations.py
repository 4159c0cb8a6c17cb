"""What every dataset must satisfy, as Great Expectations' expectations; importing this takes seconds."""

from __future__ import annotations

from typing import Any, ClassVar

import pandas as pd
from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations import core as gxe
from great_expectations.expectations.expectation import Expectation, MulticolumnMapExpectation
from great_expectations.expectations.metrics.map_metric_provider import MulticolumnMapMetricProvider
from great_expectations.expectations.metrics.map_metric_provider.multicolumn_condition_partial import (
    multicolumn_condition_partial,
)

REQUIRED = (
    "id", "split", "source", "licence", "html", "caption", "image_sha256", "html_sha256", "width", "height",
    "image_bytes", "html_chars", "html_parses", "image_decodes", "shard",
)  # fmt: skip
TRUE = ("html_parses", "image_decodes", "answers_valid", "questions_counted", "html_hashed")
# Pixels, bytes and characters; the upper bounds are what a worker can decode without running out of memory.
BOUNDS = {
    "width": (16, 4096),
    "height": (16, 65_536),
    "image_bytes": (64, 50_000_000),
    "html_chars": (20, 200_000),
    "num_questions": (0, 100),
}
MIN_DISTINCT_IMAGES = 0.8
MIN_IMAGES_ON_ONE_SIDE = 0.98


class OneSideOfSplit(MulticolumnMapMetricProvider):
    """Whether a value is found on one side of the split alone; the columns are the value and the split."""

    condition_metric_name = "multicolumn_values.one_side_of_split"
    condition_domain_keys = (
        "batch_id", "table", "column_list", "row_condition", "condition_parser", "ignore_row_if",
    )  # fmt: skip

    @multicolumn_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column_list: pd.DataFrame, **_: Any) -> pd.Series:
        value, split = column_list.columns
        return column_list.groupby(value)[split].transform("nunique") <= 1


class ExpectValuesOnOneSideOfSplit(MulticolumnMapExpectation):
    """No value is found both among the training and among the held-out pages: that would be contamination."""

    map_metric: ClassVar[str] = OneSideOfSplit.condition_metric_name


def page_expectations() -> list[Expectation]:
    """The suite for a manifest; expectations about values pass over nulls, so that each column is asked for nulls."""
    return [
        gxe.ExpectTableRowCountToBeBetween(min_value=2),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in REQUIRED),
        gxe.ExpectColumnValuesToBeUnique(column="id"),
        gxe.ExpectColumnDistinctValuesToEqualSet(column="split", value_set=["train", "eval"]),
        *(gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=1) for column in ("licence", "source")),
        gxe.ExpectColumnValueLengthsToBeBetween(column="caption", min_value=3, max_value=2_000),
        gxe.ExpectColumnValuesToMatchRegex(column="html", regex="^<html[ >]"),
        *(gxe.ExpectColumnValuesToBeInSet(column=column, value_set=[True]) for column in TRUE),
        *(
            gxe.ExpectColumnValuesToBeBetween(column=column, min_value=low, max_value=high)
            for column, (low, high) in BOUNDS.items()
        ),
        ExpectValuesOnOneSideOfSplit(
            column_list=["html_sha256", "split"], description="No page is in both splits: that would be contamination."
        ),
        ExpectValuesOnOneSideOfSplit(
            column_list=["image_sha256", "split"],
            mostly=MIN_IMAGES_ON_ONE_SIDE,
            description="Hardly any screenshot is in both splits.",
        ),
        gxe.ExpectColumnProportionOfUniqueValuesToBeBetween(column="image_sha256", min_value=MIN_DISTINCT_IMAGES),
    ]
