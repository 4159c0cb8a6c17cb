"""The benchmark of a training step where there are torch and transformers and none of what trains in earnest."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ABSENT = ("psutil", "ray", "deepspeed", "prefect", "mlflow", "pyarrow", "peft", "accelerate", "pydantic", "datasets")
ALONE = f"""
import sys
sys.modules |= dict.fromkeys({ABSENT})
import torch
from benchmarks import train_step
with torch.device("meta"):
    whole = train_step.build(train_step.SHAPES["crystalchat-7b"])
print(type(whole.model.language_model).__name__, sum(each.numel() for each in whole.model.language_model.parameters()))
train_step.SHAPES["toy"] = train_step.Shape(
    {{"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28,
      "patch_size": 14}},
    train_step.SHAPES["crystalchat-7b"].language | {{"n_embd": 32, "n_inner": 64, "n_layer": 2, "n_head": 4,
                                                    "rotary_dim": 4, "vocab_size": 320}},
    4096,
)
train_step.GLOBAL_BATCH, train_step.WARM_UP = 4, 1
for optimizer, recompute in (("bf16", 1.0), ("float32", 0.5)):
    train_step.alone("toy", "cpu", 2, optimizer, recompute)
"""


def test_ours_alone_is_measured_on_the_projects_own_model():
    done = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    built, bf16, *figures, float32, again = done.stdout.splitlines()
    name, parameters = built.split()
    assert name == "CrystalCoderModel"
    assert abs(int(parameters) / 1e9 - 6.575) < 1e-3
    assert bf16.endswith("(8 bytes a parameter); 100% of the layers computed again")
    assert float32.endswith("(16 bytes a parameter); 50% of the layers computed again")
    for measured in (*figures, again):
        assert measured.startswith("toy: ")
        assert measured.endswith("2 steps of 4 samples")
    losses = [float(measured.partition("last loss ")[2].partition(",")[0]) for measured in (*figures, again)]
    assert losses[0] > 0
    assert losses[1] == pytest.approx(losses[0], rel=1e-2)
