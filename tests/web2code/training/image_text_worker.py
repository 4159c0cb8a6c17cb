"""One of two workers that train a stage: `python -m tests.web2code.training.image_text_worker FOLDER RANK`."""

import json
import os
import sys
from pathlib import Path


def main(folder, rank):
    """Train the prepared model under ZeRO-3, which splits it, and write what the job of training leaves."""
    import torch.distributed as dist

    from tests.web2code.training.test_image_text_training import STAGE
    from web2code.modelling.base import load_reader, load_template, save_checkpoint
    from web2code.modelling.llava import load_model
    from web2code.training import deepspeed_config
    from web2code.training.arrays import load_arrays
    from web2code.training.loop import save_weights, train_stage, trained_weights

    deepspeed_config.PERSISTENT_NUMBERS = 1000  # so that ZeRO-3 splits weights as small as these
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    base = folder / "base"
    stage = STAGE.model_copy(update={"zero_stage": 3, "micro_batch": 1, "gradient_checkpointing": True})
    engine, history = train_stage(load_model(base), stage, load_arrays(folder), 0, folder / "checkpoints")
    weights = trained_weights(engine)
    if rank == 0:
        save_checkpoint(folder / "trained", save_weights(base, weights), load_reader(base), load_template(base))
        (folder / "trained" / "losses.json").write_text(json.dumps(history.losses))
    dist.destroy_process_group()


if __name__ == "__main__":
    from web2code.services import compiler_environment  # before DeepSpeed is imported

    os.environ.update(compiler_environment() | {"LOCAL_RANK": "0"})
    main(Path(sys.argv[1]), int(sys.argv[2]))
