"""A lifecycle of half a minute: every part is real, all are small."""

import json
import os
import subprocess
import sys

SMALL = {
    "pages.num_train": 40,
    "pages.num_eval": 12,
    "pages.viewport.width": 256,
    "pages.viewport.height": 256,
    "model.vision.image_size": 32,
    "model.vision.hidden_size": 32,
    "model.vision.intermediate_size": 64,
    "model.vision.num_layers": 1,
    "model.vision.num_heads": 2,
    "model.language.hidden_size": 32,
    "model.language.intermediate_size": 64,
    "model.language.num_layers": 1,
    "model.language.num_heads": 2,
    "model.warmup_steps": 2,
    "align.steps": 3,
    "align.global_batch": 8,
    "instruct.steps": 12,
    "instruct.global_batch": 8,
    "instruct.checkpoint_every": 3,
    "evaluation.max_new_tokens": 16,
    "evaluation.bootstrap_samples": 100,
    "evaluation.constant_candidates": 4,
}


def environment(folder):
    """A user's environment: a home of its own, and none of what the tests set for their own Ray."""
    ours = ("RAY_", "PREFECT_", "WEB2CODE_", "MLFLOW_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return {**kept, "WEB2CODE_HOME": str(folder / "home"), "PYTHONPATH": ""}


def start_lifecycle(folder, **changes):
    """The flow in a process of its own, with its own session, so that all of it can be killed."""
    parameters = {"recipe": "tiny", "overrides": SMALL, "pages": None, "screenshots": None} | changes
    return subprocess.Popen(
        [sys.executable, "-m", "flows", json.dumps(parameters)], cwd=folder, env=environment(folder),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip


def summary(folder):
    """What the newest run below a folder told of itself."""
    return json.loads((folder / "home" / "runs" / "latest" / "summary.json").read_text())
