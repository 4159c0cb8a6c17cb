"""Room for a job's processes on the machines of the cluster, looked for before anything is started."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from typing import Any

import ray

from web2code.config import Where

# Machines at this address belong to a Ray that listens on loopback alone: no other can join them.
LOOPBACK = "127.0.0.1"
LOOK_SECONDS = 0.5


def require_room(num: int, resources: dict[str, float], what: str, seconds: float) -> None:
    """Nothing, where the machines have room for `num` processes with these `resources`, whoever uses it now.

    More machines may be on their way: they are asked for, and waited for as long as `seconds` says.

    Raises:
        ValueError: there is no such room; the message says what was asked for, what there is, and what to do.
    """
    if room_for(resources) >= num:
        return
    lacking, waited = no_room(num, resources, what), ""
    if seconds and can_grow():
        print(f"warning: {lacking}; waiting {seconds:g} s for more machines", flush=True)
        if machines_come(num, resources, seconds):
            return
        lacking, waited = no_room(num, resources, what), f" after {seconds:g} s"
    raise ValueError(f"{lacking}{waited}: ask for fewer {what}, or for less for each, or add machines to the cluster")


def machines_come(num: int, resources: dict[str, float], seconds: float) -> bool:
    """Ask for room, so that an autoscaler starts machines; returns whether there was any in time."""
    from ray.util.placement_group import placement_group, remove_placement_group

    asked = placement_group([resources] * num)
    deadline = time.monotonic() + seconds
    try:
        while room_for(resources) < num:
            if time.monotonic() > deadline:
                return False
            time.sleep(LOOK_SECONDS)
        return True
    finally:
        remove_placement_group(asked)


def room_for(resources: Mapping[str, float]) -> int:
    """How many processes with these resources the machines hold that are there now."""
    return sum(
        min(int(machine["Resources"].get(name, 0) / amount + 1e-6) for name, amount in resources.items())
        for machine in machines()
    )


def can_grow() -> bool:
    """Whether other machines may join: not the Ray of `web2code up`, nor one that this program has for itself."""
    is_alone = os.environ.get("RAY_ADDRESS") == "local"
    return not is_alone and any(machine["NodeManagerAddress"] != LOOPBACK for machine in machines())


def machines() -> list[dict[str, Any]]:
    """What Ray tells of the machines that are alive."""
    return [node for node in ray.nodes() if node["Alive"]]


def worker_resources(where: Where) -> dict[str, float]:
    """What each training worker takes."""
    return resources_of(where.cpus_per_worker, where.gpus_per_worker)


def resources_of(cpus: float, gpus: float) -> dict[str, float]:
    """CPUs, and GPUs where there are any, as Ray calls them."""
    return {"CPU": cpus} | ({"GPU": gpus} if gpus else {})


def no_room(num: int, resources: Mapping[str, float], what: str) -> str:
    """What was asked for, and what there is."""
    return f"{num} {what} with {in_words(resources)} each do not fit on the cluster: {what_there_is(resources)}"


def no_place(where: Where) -> str:
    """What training waited for in vain, and what to do."""
    resources = worker_resources(where)
    free = {name: ray.available_resources().get(name, 0.0) for name in resources}
    verb = "is" if sum(free.values()) == 1 else "are"
    return (
        f"{where.num_workers} workers with {in_words(resources)} each found no place within {where.start_seconds:g} s: "
        f"{what_there_is(resources)}, of which {in_words(free)} {verb} free; run again when others are done or "
        "machines are back, or raise where.start_seconds"
    )


def what_there_is(resources: Mapping[str, float]) -> str:
    """How many such processes the cluster holds, and what it has."""
    had = {name: ray.cluster_resources().get(name, 0.0) for name in resources}
    return f"it holds {room_for(resources)}, for it has {in_words(had)} on {len(machines())} machine(s)"


def in_words(resources: Mapping[str, float]) -> str:
    """Resources as a sentence names them."""
    return " and ".join(f"{amount:g} {name}{'' if amount == 1 else 's'}" for name, amount in resources.items())
