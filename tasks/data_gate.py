"""The gate for datasets of samples: Great Expectations over every row's checks, with quarantine and Data Docs.

`python -m tasks.data_gate '{"folder": ...}'` runs it on its own.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from tasks.gate_verdict import run_checkpoint, split_failures
from web2code.artifacts import publish, read_record
from web2code.config import CheckResult, Config, DataGateConfig, DataGateRecord, code_digest, digest
from web2code.data import shards
from web2code.data.checks import CHECKS, Audit, check_rows
from web2code.data.licences import restriction

QUARANTINE = "quarantine.parquet"
MAX_EXAMPLES = 5


class DataGateJob(Config):
    """A dataset to be judged."""

    folder: str
    home: str
    against: tuple[str, ...] = ()
    gate: DataGateConfig = DataGateConfig()

    def output(self) -> Path:
        """The folder of the verdict: the same data is judged once by the same gate."""
        datasets = [shards.load_record(Path(folder)) for folder in (self.folder, *self.against)]
        own = [path.read_bytes().hex() for path in sorted(Path(__file__).parent.glob("*gate*.py"))]
        identity = [[record.model_dump() for record in datasets], self.gate.model_dump(), own, code_digest(("data",))]
        return Path(self.home) / "artifacts" / "gate" / digest(identity)[:16]


def judge(job: DataGateJob) -> DataGateRecord:
    """The verdict on a dataset; `<output>/quarantine.parquet` names the rows that training must leave out.

    Raises:
        ValueError: the data is bad, or a shard of it is damaged.
        GateBrokeError: a check could not be computed: nothing is known about the data.
    """
    out = job.output()
    if not (record := read_record(str(out), DataGateRecord)):
        dataset = shards.verify(Path(job.folder))
        frame, audit = check_rows(Path(job.folder), [Path(other) for other in job.against], job.gate)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        record = verdict(job, dataset, frame, audit, out)
        publish(out, str(out), record)
    if not record.success:
        raise ValueError(_refusal(record, job.gate))
    return record


def verdict(job: DataGateJob, dataset, frame: pd.DataFrame, audit: Audit, out: Path) -> DataGateRecord:
    """Run the checkpoint, write the quarantine, and sum up."""
    results = run_checkpoint(frame, out, lambda: _expectations(job.gate), "SUMMARY")
    split_failures(results)
    blocking = [name for name in CHECKS if name not in job.gate.warn]
    refused = ~frame[blocking].all(axis=1)
    reasons = [
        ", ".join(name for name in blocking if not row[name]) for row in frame[refused][blocking].to_dict("records")
    ]
    pq.write_table(pa.table({"id": frame["id"][refused].tolist(), "reason": reasons}), out / QUARANTINE)
    left_out = int(refused.sum()) + dataset.num_quarantined
    licences = tuple(sorted({licence for found in dataset.licences.values() for licence in found}))
    return DataGateRecord(
        success=left_out <= job.gate.max_quarantined * (len(frame) + dataset.num_quarantined),
        dataset=dataset.fingerprint,
        num_rows=len(frame),
        num_quarantined=int(refused.sum()),
        num_left_out_by_build=dataset.num_quarantined,
        checks={name: _outcome(frame, name, name in job.gate.warn) for name in CHECKS},
        cut_share=audit.cut,
        untrained_share=audit.untrained,
        marker_share=audit.marker,
        non_commercial=restriction(licences) == "non-commercial",
        licences=licences,
        data_docs=str(out / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"),
    )


def _expectations(gate: DataGateConfig):
    from tasks.gate_expectations import row_expectations  # Great Expectations takes seconds to import

    return row_expectations(gate)


def _outcome(frame: pd.DataFrame, name: str, warns: bool) -> CheckResult:
    bad = frame["id"][~frame[name]]
    return CheckResult(
        severity="warn" if warns else "block",
        num_bad=len(bad),
        share=len(bad) / max(1, len(frame)),
        examples=tuple(bad.head(MAX_EXAMPLES)),
    )


def _refusal(record: DataGateRecord, gate: DataGateConfig) -> str:
    left_out = record.num_quarantined + record.num_left_out_by_build
    worst = max(
        ((name, check) for name, check in record.checks.items() if check.severity == "block"),
        key=lambda item: item[1].num_bad,
    )
    found = f"{worst[0]} ({worst[1].num_bad} rows: {', '.join(worst[1].examples)})" if worst[1].num_bad else "the build"
    return (
        f"the dataset was refused: {left_out} of {record.num_rows + record.num_left_out_by_build} rows were left out, "
        f"over {gate.max_quarantined:.1%} of them, most by {found}; see {record.data_docs}, mend the source or raise "
        "max_quarantined, and run again"
    )


if __name__ == "__main__":
    print(judge(DataGateJob.model_validate_json(sys.argv[1])).model_dump_json())
