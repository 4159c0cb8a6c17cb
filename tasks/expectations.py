"""The checks of a dataset's rows as Great Expectations' expectations; importing this takes seconds."""

from __future__ import annotations

from typing import Any, ClassVar

from great_expectations.execution_engine import PandasExecutionEngine
from great_expectations.expectations.expectation import ColumnMapExpectation
from great_expectations.expectations.metrics import ColumnMapMetricProvider, column_condition_partial

from web2code.config import ValidationConfig
from web2code.validation.checks import CHECKS


class RowPasses(ColumnMapMetricProvider):
    """Whether a row passed the check that a boolean column holds."""

    condition_metric_name = "column_values.row_passes"

    @column_condition_partial(engine=PandasExecutionEngine)
    def _pandas(cls, column, **kwargs):
        return column.astype(bool)


class ExpectRowsToPass(ColumnMapExpectation):
    """Expect rows to pass a check of the data gate."""

    map_metric: ClassVar[str] = "column_values.row_passes"
    success_keys: ClassVar[tuple[str, ...]] = ("mostly",)


def row_expectations(gate: ValidationConfig) -> list[Any]:
    """One expectation for each check: what blocks is critical, what is only counted a warning."""
    return [
        ExpectRowsToPass(
            column=name,
            mostly=1.0 - gate.max_quarantined,
            severity="warning" if name in gate.warn else "critical",
            description=description,
        )
        for name, description in CHECKS.items()
    ]
