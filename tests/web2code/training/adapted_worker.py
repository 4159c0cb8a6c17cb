"""One of two workers that train stages with adapters."""

import json
import os
import shutil
import sys

import torch
import torch.distributed as dist

from web2code.config import LoraConfig, StageConfig
from web2code.modelling.llava import load_model
from web2code.training import deepspeed_config
from web2code.training.arrays import load_arrays
from web2code.training.loop import train_stage, trained_weights

LORA = LoraConfig(rank=4, alpha=8, dropout=0.1)
STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model"), zero_stage=2, template="user_assistant", steps=10,
    global_batch=8, micro_batch=2, learning_rate=1e-2, module_learning_rates={"projector": 1e-3},
    checkpoint_every=4, gradient_checkpointing=True,
)  # fmt: skip
CASES = {
    "zero2": {"zero_stage": 2, "precision": "bf16"},
    "zero3": {"zero_stage": 3, "precision": "fp32"},
    "four_bits": {"zero_stage": 2, "precision": "bf16"},
}


def work(rank, folder):
    """Write, for every case, what became of a run and of one that went on from the first one's newest checkpoint."""
    assert "peft" not in sys.modules, "it is for stages with adapters alone"
    from web2code.modelling.adapters import save_adapters

    os.environ["LOCAL_RANK"] = "0"
    deepspeed_config.PERSISTENT_NUMBERS = 1000  # so that ZeRO-3 splits weights as small as these
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    for name in CASES:
        for run in ("whole", "ended", "resumed"):
            if run == "resumed" and rank == 0:
                shutil.rmtree(max((folder / f"{name}-checkpoints").iterdir()))  # of the last step
            dist.barrier()
            engine, history, num_passes = train(folder, name)
            weights = trained_weights(engine)
            if rank == 0:
                torch.save(weights, folder / f"{name}-{run}.pt")
                save_adapters(
                    folder / f"{name}-{run}-adapter", load_model(folder / "base", torch.float32), LORA, weights
                )
                result = {"losses": history.losses, "resumed": history.resumed_from_step, "passes": num_passes}
                (folder / f"{name}-{run}.json").write_text(json.dumps(result))
    dist.destroy_process_group()


def train(folder, name):
    """The engine, the history, and how often a layer was computed."""
    from web2code.modelling.adapters import adapt

    model = load_model(folder / "base", torch.float32)
    adapt(model, LORA.model_copy(update={"four_bit": name == "four_bits"}), 0, torch.device("cpu"))
    passes = []
    model.model.language_model.layers[0].self_attn.register_forward_hook(lambda *_: passes.append(1))
    stage = STAGE.model_copy(update=CASES[name])
    return *train_stage(model, stage, load_arrays(folder), 0, folder / f"{name}-checkpoints"), len(passes)
