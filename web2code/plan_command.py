"""The command `web2code plan`: memory, hours and cost of a recipe on a cluster, as tables or JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from web2code.estimate.devices import parse_cluster
from web2code.mistakes import fail
from web2code.recipes import parse_overrides, resolve
from web2code.recipes.llava import PACK_TOKENS

if TYPE_CHECKING:
    from web2code.estimate.memory import Setup
    from web2code.estimate.plan import RecipePlan, StagePlan

console = Console()
GIB = 2**30
# A smaller share of padding is not worth a sentence.
WORTH_PACKING = 0.02


def plan(
    recipe: Annotated[str, typer.Argument(help="Name of a full-size recipe; `web2code recipes` lists them.")],
    cluster: Annotated[str, typer.Option(help="Number and kind of GPUs, e.g. 8xH100 or 2x8xA100-40.")] = "8xH100",
    set: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a value, e.g. instruct.zero_stage=2."),
    ] = None,
    mfu: Annotated[
        float | None, typer.Option(help="Share of the GPUs' peak that training gets; 0.3 by default.")
    ] = None,
    price: Annotated[float | None, typer.Option(min=0.0, help="US dollars for an hour of one GPU.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate what a recipe needs: parameters, memory by part, hours, cost; and what fits where it does not."""
    try:
        resolved, gpus = resolve(recipe, parse_overrides(set or [])), parse_cluster(cluster, price)
        with Console(stderr=True).status("running its training steps on tensors without content"):
            from web2code.estimate.plan import MFU, plan_recipe  # imports torch, in some seconds

            planned = plan_recipe(resolved, gpus, MFU if mfu is None else mfu)
    except ValueError as error:
        fail(error)
    if json:
        print(planned.model_dump_json(indent=2))
    else:
        _show(planned)


def _show(planned: RecipePlan) -> None:
    console.print(_parameters(planned))
    console.print(_memory(planned))
    for stage in planned.stages:
        if not stage.fits:
            console.print(_alternatives(stage))
    console.print(_time(planned))
    for stage in planned.stages:
        if sentence := _padding(stage, planned.packs):
            console.print(sentence, highlight=False)
    console.print(
        f"assumed: {planned.mfu:.0%} of the peak of {planned.cluster.device.teraflops:g} TFLOP/s with padded rows and "
        f"at most {max(planned.mfu, planned.most_mfu):.0%} without padding, "
        f"${planned.cluster.device.price:.2f} an hour for a GPU, {planned.context_gib:g} GiB for the CUDA context, "
        f"{planned.filled:.0%} of {planned.cluster.device.memory:g} GiB usable, "
        f"{planned.image_tokens:,} tokens for a picture, all text learned",
        style="dim",
        highlight=False,
    )


def _parameters(planned: RecipePlan) -> Table:
    table = Table(title="millions of parameters, trained of all", title_justify="left")
    table.add_column("module")
    for stage in planned.stages:
        table.add_column(stage.name, justify="right")
    counts = [{**stage.parameters.by_module, "all": stage.parameters} for stage in planned.stages]
    for module in counts[-1]:
        shown = (f"{each[module].trained / 1e6:,.2f} of {each[module].total / 1e6:,.2f}" for each in counts)
        table.add_row(module, *shown)
    return table


def _memory(planned: RecipePlan) -> Table:
    table = Table(title=f"GiB on one of {planned.cluster.name}", title_justify="left")
    table.add_column("")
    for stage in planned.stages:
        table.add_column(stage.name, justify="right")
    for name, values in _rows(planned.stages).items():
        table.add_row(name, *values, style="bold" if name == "at the peak" else "")
    table.add_row("", *("[green]fits" if stage.fits else "[red]does not fit" for stage in planned.stages))
    return table


def _rows(stages: tuple[StagePlan, ...]) -> dict[str, list[str]]:
    setups = [stage.setup for stage in stages]
    memories = [stage.memory for stage in stages]
    parts = {
        "weights": [memory.weights for memory in memories],
        "gradients": [memory.gradients for memory in memories],
        "optimizer": [memory.optimizer for memory in memories],
        "activations": [memory.activations for memory in memories],
        "loss, temporary tensors": [memory.transient for memory in memories],
        "DeepSpeed's buffers": [memory.buffers for memory in memories],
        "optimizer's step, after these three": [memory.step for memory in memories],
        "at the peak": [memory.total for memory in memories],
    }
    if any(memory.host for memory in memories):
        parts["in the machine's own memory"] = [memory.host for memory in memories]
    return {
        "setup": [_described(setup) for setup in setups],
        "gradient checkpointing": ["yes" if setup.checkpointing else "no" for setup in setups],
        "micro batch x accumulation x GPUs": [
            f"{_held(stage.setup)} x {stage.accumulation:.3g} x {stage.setup.num_devices}" for stage in stages
        ],
        "longest sample, tokens": [f"{stage.workload.longest:,}" for stage in stages],
    } | {name: [f"{value / GIB:.1f}" for value in values] for name, values in parts.items()}


def _alternatives(stage: StagePlan) -> Table:
    table = Table(title=f"{stage.name}: what fits", title_justify="left")
    for column in ("change", "micro batch or pack", "GiB", "host GiB a GPU"):
        table.add_column(column, justify="left" if column == "change" else "right")
    for other in stage.alternatives:
        host = f"{other.memory.host / GIB:.0f}" if other.memory.host else ""
        table.add_row(other.change, _held(other.setup), f"{other.memory.total / GIB:.1f}", host)
    if not stage.alternatives:
        table.add_row("nothing that was tried", "", "", "")
    return table


def _time(planned: RecipePlan) -> Table:
    table = Table(title=f"{planned.recipe} on {planned.cluster.name}", title_justify="left")
    table.add_column("")
    for column in (*(stage.name for stage in planned.stages), "all"):
        table.add_column(column, justify="right")
    stages, works = planned.stages, [stage.workload for stage in planned.stages]
    table.add_row("samples", *(f"{work.samples:,}" for work in works))
    table.add_row("tokens", *(f"{work.tokens / 1e9:.2f} G" for work in works))
    table.add_row("padding", *(f"{stage.padding_share:.0%}" for stage in stages))
    table.add_row("steps", *(f"{work.steps:,}" for work in works))
    table.add_row("hours", *(f"{hours:.1f}" for hours in (*(stage.hours for stage in stages), planned.hours)))
    table.add_row("cost", *(f"${cost:,.0f}" for cost in (*(stage.cost for stage in stages), planned.cost)))
    table.add_row("model, GB", *(f"{stage.model_bytes / 1e9:.1f}" for stage in stages))
    table.add_row("checkpoint, GB", *(f"{stage.checkpoint_bytes / 1e9:.1f}" for stage in stages))
    return table


def _padding(stage: StagePlan, packs: bool) -> str:
    """What packing saves, or would where the model's samples can be packed."""
    work, share = stage.name, stage.padding_of_rows
    if stage.setup.pack_tokens:
        return (
            f"{work} packs its samples, the same in each step as without; padded rows ({work}.pack_tokens=0), as "
            f"published, would be {share:.0%} padding and take {stage.hours_of_rows:.1f} hours"
        )
    if not packs or share < WORTH_PACKING:
        return ""
    return (
        f"{work} computes {share:.0%} padding: {work}.pack_tokens={PACK_TOKENS} with {work}.attention=varlen trains on "
        f"the same samples in each step and would save {stage.hours_of_rows - stage.hours_of_packs:.1f} hours"
    )


def _held(setup: Setup) -> str:
    """What a GPU holds at once."""
    return f"{setup.pack_tokens:,} tokens" if setup.pack_tokens else str(setup.micro_batch)


def _described(setup: Setup) -> str:
    adapters = "" if not setup.lora else ", 4-bit LoRA" if setup.lora.four_bit else ", LoRA"
    return f"ZeRO-{setup.zero_stage}, {setup.precision}{adapters}{', offloaded' if setup.offload else ''}"
