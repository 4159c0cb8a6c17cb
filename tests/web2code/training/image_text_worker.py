"""One of two workers that train an image-text-to-text model."""

import json
import os

import torch.distributed as dist

from web2code.config import StageConfig
from web2code.modelling.base import load_reader, load_template, save_checkpoint
from web2code.modelling.llava import load_model
from web2code.training import deepspeed_config
from web2code.training.arrays import load_arrays
from web2code.training.loop import save_weights, train_stage, trained_weights

STAGE = StageConfig(
    name="instruct", trainable=("projector", "language_model"), zero_stage=2, template="own", steps=4, global_batch=4,
    micro_batch=2, learning_rate=1e-2, precision="fp32",
)  # fmt: skip


def work(rank, folder, pack_tokens):
    """Train the prepared model under ZeRO-3, which splits it, and write what the job of training leaves."""
    os.environ["LOCAL_RANK"] = "0"
    deepspeed_config.PERSISTENT_NUMBERS = 1000  # so that ZeRO-3 splits weights as small as these
    dist.init_process_group("gloo", init_method=f"file://{folder}/store-{pack_tokens}", rank=rank, world_size=2)
    base = folder / "base"
    changes = {"zero_stage": 3, "micro_batch": 1, "gradient_checkpointing": True, "pack_tokens": pack_tokens}
    stage = STAGE.model_copy(update=changes)
    checkpoints = folder / f"checkpoints-{pack_tokens}"
    engine, history = train_stage(load_model(base), stage, load_arrays(folder), 0, checkpoints)
    weights = trained_weights(engine)
    if rank == 0:
        save_checkpoint(folder / "trained", save_weights(base, weights), load_reader(base), load_template(base))
        (folder / "trained" / "losses.json").write_text(json.dumps(history.losses))
    dist.destroy_process_group()
