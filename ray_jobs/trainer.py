"""Ray Train's trainer with its controller in the driver's own process: three processes less to wait for.

Ray Train runs the controller as an actor, which imports all of Ray Train a second time. Beside it run an actor that
frees the workers' resources should the controller die, and one that asks for machines on behalf of Ray Train and Ray
Data. Here the controller ends with the driver, whose placement groups Ray frees; and they ask for machines themselves.
"""

from __future__ import annotations

import asyncio
from typing import Any

import ray
from ray.train import Result
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.scaling_policy import FixedScalingPolicy
from ray.train.v2._internal.execution.worker_group import WorkerGroup
from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

# What hands out Ray's datasets, of which there are none; and what frees the resources of a controller that died.
UNUSED = ("DatasetsCallback", "PlacementGroupCleanerCallback")


class Trainer(DataParallelTrainer):
    """Trains as Ray Train's does; what it starts ends with this process."""

    def _create_default_callbacks(self) -> list[Any]:
        return [one for one in super()._create_default_callbacks() if type(one).__name__ not in UNUSED]

    def _initialize_and_run_controller(self, **parts: Any) -> Result:
        controller = Controller(**parts | {"scaling_policy": FixedNumber(self.scaling_config)})
        asyncio.run(controller.run())
        return controller.get_result()


class FixedNumber(FixedScalingPolicy):
    """As many workers as were asked for."""

    def after_controller_start(self, train_run_context: Any) -> None:
        """Ask nobody: the placement group does."""

    def _maybe_send_resource_request(self) -> None:
        pass


class Workers(WorkerGroup):
    """Workers without a way to ask an actor for checkpoints that were reported; none of ours are."""

    def _init_train_context_on_workers(self, workers: list[Any], sync_actor: Any, arguments: dict[str, Any]) -> None:
        ray.get([
            worker.actor.init_train_context.remote(
                train_run_context=self._train_run_context,
                distributed_context=worker.distributed_context,
                synchronization_actor=sync_actor,
                storage_context=self._storage_context,
                worker_callbacks=self._worker_callbacks_to_propagate,
                controller_actor=None,
                **{name: values[number] for name, values in arguments.items()},
            )
            for number, worker in enumerate(workers)
        ])  # fmt: skip
        self._decorate_worker_log_file_paths(workers)


class Controller(TrainController):
    """Starts such workers, watches them, and tells how they ended."""

    worker_group_cls = Workers
