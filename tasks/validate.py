"""The gate for datasets of samples: Great Expectations over every row's checks, with quarantine and Data Docs.

`python -m tasks.validate '{"folder": ...}'` runs it on its own.
"""

from __future__ import annotations

import shutil
import sys
from collections import Counter
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from prefect import task

from tasks.checkpoint import raise_if_broken, run_checkpoint
from tasks.reuse import note_reuse
from web2code.artifacts import publish, read_record, sha256_of
from web2code.config import CheckResult, Config, DatasetRecord, ValidationConfig, ValidationRecord, code_digest, digest
from web2code.data import shards
from web2code.data.licences import restriction
from web2code.validation.checks import CHECKS, Audit, check_rows
from web2code.validation.quarantine import QUARANTINE, verdict_folder

MAX_EXAMPLES = 5
# The build's reason for a row without its picture.
NO_PICTURE = "image not found"


class ValidationJob(Config):
    """A dataset to be judged."""

    folder: str
    home: str
    against: tuple[str, ...] = ()
    gate: ValidationConfig = ValidationConfig()

    def fingerprint(self) -> str:
        """Names the verdict: the same data is judged once by the same gate."""
        datasets = [shards.load_record(Path(folder)) for folder in (self.folder, *self.against)]
        own = [
            sha256_of(Path(__file__).with_name(name)) for name in ("validate.py", "expectations.py", "checkpoint.py")
        ]
        code = code_digest(("validation", "data/licences"))
        return digest([[record.model_dump() for record in datasets], self.gate.model_dump(), own, code])[:16]

    def output(self) -> Path:
        """The folder of the verdict."""
        return verdict_folder(self.home, self.fingerprint())


@task(task_run_name="validate-dataset")
def validate_dataset(data_dir: Path, home: Path, gate: ValidationConfig) -> ValidationRecord:
    """Judge a dataset; the same dataset is judged once by the same gate.

    Raises:
        ValueError, GateBrokeError: as `judge`.
    """
    job = ValidationJob(folder=str(data_dir), home=str(home), gate=gate)
    known = read_record(str(job.output()), ValidationRecord)
    record = judge(job)
    if known:
        note_reuse(f"the verdict on {record.num_rows} rows")
    return record


def judge(job: ValidationJob) -> ValidationRecord:
    """The verdict on a dataset; `<output>/quarantine.parquet` names the rows that training must leave out.

    Raises:
        ValueError: the data is bad, or a shard of it is damaged.
        GateBrokeError: a check could not be computed: nothing is known about the data.
    """
    out = job.output()
    if not (record := read_record(str(out), ValidationRecord)):
        dataset = shards.verify(Path(job.folder))
        frame, audit = check_rows(Path(job.folder), [Path(other) for other in job.against], job.gate)
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir(parents=True)
        record = verdict(job, dataset, frame, audit, out)
        publish(out, str(out), record)
    if not record.success:
        raise ValueError(_refusal(record, job))
    return record


def verdict(
    job: ValidationJob, dataset: DatasetRecord, frame: pd.DataFrame, audit: Audit, out: Path
) -> ValidationRecord:
    """Run the checkpoint, write the quarantine, and sum up."""
    raise_if_broken(run_checkpoint(frame, out, lambda: _expectations(job.gate)))
    blocking = [name for name in CHECKS if name not in job.gate.warn]
    refused = ~frame[blocking].all(axis=1)
    reasons = [
        ", ".join(name for name in blocking if not row[name]) for row in frame[refused][blocking].to_dict("records")
    ]
    pq.write_table(pa.table({"id": frame["id"][refused].tolist(), "reason": reasons}), out / QUARANTINE)
    left_out = int(refused.sum()) + dataset.num_quarantined
    return ValidationRecord(
        fingerprint=job.fingerprint(),
        success=left_out <= job.gate.max_quarantined * (len(frame) + dataset.num_quarantined),
        dataset=dataset.fingerprint,
        num_rows=len(frame),
        num_quarantined=int(refused.sum()),
        num_left_out_by_build=dataset.num_quarantined,
        checks={name: _outcome(frame, name, name in job.gate.warn) for name in CHECKS},
        cut_share=audit.cut,
        untrained_share=audit.untrained,
        marker_share=audit.marker,
        non_commercial=restriction(dataset.all_licences) == "non-commercial",
        licences=dataset.all_licences,
        data_docs=str(out / "gx" / "uncommitted" / "data_docs" / "local_site" / "index.html"),
    )


def _expectations(gate: ValidationConfig):
    from tasks.expectations import row_expectations  # Great Expectations takes seconds to import

    return row_expectations(gate)


def _outcome(frame: pd.DataFrame, name: str, warns: bool) -> CheckResult:
    bad = frame["id"][~frame[name]]
    return CheckResult(
        severity="warn" if warns else "block",
        num_bad=len(bad),
        share=len(bad) / max(1, len(frame)),
        examples=tuple(bad.head(MAX_EXAMPLES)),
    )


def _refusal(record: ValidationRecord, job: ValidationJob) -> str:
    left_out = record.num_quarantined + record.num_left_out_by_build
    name, check = max(
        ((name, check) for name, check in record.checks.items() if check.severity == "block"),
        key=lambda item: item[1].num_bad,
    )
    if record.num_left_out_by_build > check.num_bad:
        found = _left_out_by_build(Path(job.folder))
    else:
        found = f"{name} ({check.num_bad} rows: {', '.join(check.examples)}); see {record.data_docs}, mend the source"
    return (
        f"the dataset was refused: {left_out} of {record.num_rows + record.num_left_out_by_build} rows were left out, "
        f"over {job.gate.max_quarantined:.1%} of them, most by {found} or raise max_quarantined, and run again"
    )


def _left_out_by_build(folder: Path) -> str:
    """The commonest reason for which the build left rows out, where they stand, and what to do."""
    rows = shards.read_quarantine(folder)
    [(reason, number)] = Counter(row["reason"] for row in rows).most_common(1)
    examples = [row["detail"] or row["id"] for row in rows if row["reason"] == reason][:MAX_EXAMPLES]
    mend = "put the missing pictures where their source names them" if reason == NO_PICTURE else "mend the source"
    where = folder / shards.load_record(folder).quarantine
    return f"the build: {reason} ({number} rows: {', '.join(examples)}); see {where}, {mend}"


if __name__ == "__main__":
    print(judge(ValidationJob.model_validate_json(sys.argv[1])).model_dump_json())
