"""DeepSpeed's configuration, generated from a stage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from web2code.config import StageConfig

PERSISTENT_NUMBERS = 1_000_000


def accumulation_steps(stage: StageConfig, world_size: int) -> tuple[int, int]:
    """(micro batch, accumulation steps) that give the stage's global batch on `world_size` workers.

    Raises:
        ValueError: the global batch cannot be split evenly.
    """
    if stage.global_batch % world_size:
        raise ValueError(
            f"{stage.name}: a global batch of {stage.global_batch} does not split over {world_size} workers; "
            f"set {stage.name}.global_batch to a multiple of {world_size}"
        )
    per_worker = stage.global_batch // world_size
    micro = min(stage.micro_batch, per_worker)
    if per_worker % micro:
        raise ValueError(
            f"{stage.name}: {per_worker} samples a worker do not split into micro batches of {micro}; "
            f"set {stage.name}.micro_batch to a divisor of {per_worker}"
        )
    return micro, per_worker // micro


def deepspeed_config(stage: StageConfig, world_size: int, overlap: bool = False) -> dict[str, Any]:
    """ZeRO stage and precision. The training loop says where a step ends: packs are not equally many in every step.

    With `overlap` workers exchange while they compute, which takes a device with streams.

    The optimizer is torch's AdamW, which needs no compiler at run time: hence the two `zero_` switches.
    """
    accumulation_steps(stage, world_size)
    offload = {"offload_optimizer": {"device": "cpu", "pin_memory": True}} if stage.offload else {}
    return {
        "train_batch_size": stage.global_batch,
        "gradient_accumulation_steps": 1,
        "gradient_clipping": 1.0,
        "bf16": {"enabled": stage.precision == "bf16"},
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": stage.zero_stage,
            "overlap_comm": overlap,
            "contiguous_gradients": True,
            # Small parameters stay whole on every worker: gathering them costs more than it saves.
            "stage3_param_persistence_threshold": PERSISTENT_NUMBERS,
            "stage3_gather_16bit_weights_on_model_save": False,
            **offload,
        },
        "steps_per_print": 10**9,
        "wall_clock_breakdown": False,
    }
