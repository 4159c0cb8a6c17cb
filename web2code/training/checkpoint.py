"""A stage's checkpoints: written while training goes on, checked before they are loaded."""

from __future__ import annotations

import shutil
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import deepspeed
import torch
import torch.distributed as dist
from deepspeed.runtime.checkpoint_engine.checkpoint_engine import CheckpointEngine

from web2code.artifacts import CorruptArtifactError, sha256_of
from web2code.training.copies import Copies, rebuilt
from web2code.training.history import History
from web2code.training.manifests import (
    is_finished,
    manifest_path,
    num_writers,
    read_manifest,
    require_own,
    step_of,
    sync,
    write_manifest,
)
from web2code.training.reshard import load_resharded

TAG = "state"


class Checkpoints:
    """The checkpoints of one stage below a folder that all workers see; every worker must call every method.

    A checkpoint is `step-N-by-M/`, where M workers wrote it; any number can go on from it. Each worker's last file in
    it is its `manifest-RANK.json`, with the checksums of the files that it wrote and of its own content: a checkpoint
    is whole when all M manifests are there and everything matches. The newest `kept` are kept, and the best where that
    is measured. `identity` says what is trained: no checkpoint of anything else is loaded.
    """

    def __init__(self, folder: Path, engine: deepspeed.DeepSpeedEngine, identity: str = "", kept: int = 2) -> None:
        self.folder, self.engine, self.identity, self.kept = folder, engine, identity, kept
        self.rank, self.world_size = dist.get_rank(), dist.get_world_size()
        self.collected = engine.checkpoint_engine = Collected()
        self.writer: threading.Thread | None = None
        self.copied = threading.Event()
        self.copies = Copies(engine.device)
        self.error: Exception | None = None
        self.best = 0

    def save(self, step: int, history: History) -> None:
        """Begin to write the state after some steps; waits only for the checkpoint before it."""
        self.finish()
        directory = self.folder / f"step-{step:08}-by-{self.world_size}"
        manifest_path(directory, self.rank).unlink(missing_ok=True)  # of an attempt that was killed
        dist.barrier()  # before any worker writes: its files must not count together with what that attempt left
        self.engine.save_checkpoint(str(directory), tag=TAG, save_latest=False, exclude_frozen_parameters=True)
        manifest = {"identity": self.identity, "step": step, "history": asdict(history)}
        self.best = history.best_step()
        self.copied.clear()
        self.copies.begin()
        self.writer = threading.Thread(target=self._write, args=(directory, self._states(), manifest))
        self.writer.start()

    def before_update(self) -> None:
        """Wait until what is being saved has been copied: the optimizer is about to change it."""
        if self.writer:
            self.copied.wait()

    def finish(self) -> None:
        """Wait until everything is written.

        Raises:
            OSError: the last checkpoint could not be written.
        """
        if self.writer:
            self.writer.join()
            self.writer = None
        if self.error:
            raise self.error

    def restore(self) -> tuple[int, History] | None:
        """Load the newest whole checkpoint; returns the number of finished steps and the history, or None.

        A damaged one is passed over with a warning. DeepSpeed unpickles its files, so only those that match the
        checksums are read.

        Raises:
            CorruptArtifactError: there are checkpoints, and all of them are damaged.
            ValueError: one is of another training.
        """
        require_own(self.folder, self.identity)
        candidates = sorted(self.folder.glob("step-*/"), reverse=True)
        damaged = 0
        for directory in candidates:
            problems = self._problems(directory)
            if not any(problems):
                manifest = read_manifest(directory, self.rank % num_writers(directory))
                self._load(directory, as_written=num_writers(directory) == self.world_size)
                return manifest["step"], History(**manifest["history"])
            damaged += UNFINISHED not in problems
            if self.rank == 0:
                print(f"warning: passed over {directory.name}: {next(filter(None, problems))}", flush=True)
        if damaged:
            raise CorruptArtifactError(f"every checkpoint in {self.folder} is damaged: delete it and run again")
        return None

    def _states(self) -> list[tuple[Any, str]]:
        """What DeepSpeed has to save, of the model what is trained: the rest is there when a stage begins.

        DeepSpeed itself would leave in other names of tied weights, and the scales of weights in four bits.
        """
        trained = {name for name, parameter in self.engine.module.named_parameters() if parameter.requires_grad}
        states = self.collected.take()
        for state, _ in states:
            if "module" in state:
                state["module"] = {name: value for name, value in state["module"].items() if name in trained}
        return states

    def load_step(self, step: int) -> None:
        """Put an earlier step's weights in place of the engine's, when training is over.

        Raises:
            CorruptArtifactError: there is no whole checkpoint of that step.
        """
        for directory in sorted(self.folder.glob(f"step-{step:08}-*/")):
            if not any(self._problems(directory)):
                self._load(directory)
                return
        raise CorruptArtifactError(f"no checkpoint of step {step} in {self.folder} is whole: delete it and run again")

    def _load(self, directory: Path, as_written: bool = False) -> None:
        # Without ZeRO every worker holds everything.
        if as_written or not self.engine.zero_optimization():
            self.engine.load_checkpoint(str(directory), tag=TAG, load_module_strict=False)
        else:
            load_resharded(self.engine, directory / TAG)

    def _problems(self, directory: Path) -> list[str]:
        """What each worker finds wrong with its share of a checkpoint's files; empty where nothing is."""
        problems: list[str] = [""] * self.world_size
        mine = range(self.rank, num_writers(directory), self.world_size)
        dist.all_gather_object(problems, next(filter(None, (_problem(directory, rank) for rank in mine)), ""))
        return problems

    def _write(self, directory: Path, states: list[tuple[Any, str]], manifest: dict[str, Any]) -> None:
        try:
            copies = [(state, Path(path)) for state, path in self.copies.of(states)]
            self.copied.set()
            for state, path in copies:
                torch.save(state, path)
                sync(path)
            files = {str(path.relative_to(directory)): sha256_of(path) for _, path in copies}
            write_manifest(directory, self.rank, manifest | {"files": files})
            if self.rank == 0:
                self._remove_old(directory)
        except Exception as error:
            self.error = error
            self.copied.set()

    def _remove_old(self, newest: Path) -> None:
        """Of what lies there up to `newest`, which some workers may still be writing, remove all that has followers."""
        directories = [each for each in sorted(self.folder.glob("step-*/")) if step_of(each) <= step_of(newest)]
        whole = [each for each in directories if is_finished(each)]
        kept = {newest, *whole[-self.kept :]}
        for directory in directories:
            is_followed = bool(whole) and step_of(directory) <= step_of(whole[-1])
            if is_followed and directory not in kept and step_of(directory) != self.best:
                shutil.rmtree(directory)


UNFINISHED = "it was not finished"


def _problem(directory: Path, rank: int) -> str:
    if not manifest_path(directory, rank).exists():
        return UNFINISHED
    try:
        files = read_manifest(directory, rank)["files"]
    except CorruptArtifactError as error:
        return str(error)
    for name, expected in files.items():
        if not (directory / name).exists() or sha256_of(directory / name) != expected:
            return f"{name} is missing or corrupt"
    return ""


class Collected(CheckpointEngine):
    """What DeepSpeed has to save, kept for whoever writes it."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[tuple[Any, str]] = []

    def take(self) -> list[tuple[Any, str]]:
        """States and the paths of their files, since the last call."""
        states, self.states = self.states, []
        return states

    def create(self, info: Any) -> None:
        """Nothing is to be done before."""

    def save(self, state_dict: Any, path: str) -> None:
        """Note the state; dictionaries and lists are as they are now, tensors may still change."""
        self.states.append((_frozen(state_dict), path))

    def load(self, path: str, map_location: Any = None) -> Any:
        """Read a file that this project wrote, and whose checksum was right."""
        return torch.load(path, map_location=map_location, weights_only=False)

    def commit(self, info: Any) -> bool:
        """The manifests tell, later."""
        return True


def _frozen(state: Any) -> Any:
    return state if isinstance(state, torch.Tensor) else rebuilt(state, _frozen)
