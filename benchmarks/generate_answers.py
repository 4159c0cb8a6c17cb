"""The demo model's answers: vLLM in an actor that is fed all at once, vLLM's own call, and a loop over samples.

Needs a finished `make demo` and `make vllm`.
"""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from PIL import Image

from benchmarks.arms import ROUNDS, Arm, apart, report
from benchmarks.demo import demo_model
from web2code.config import BenchmarkJob, EngineConfig, Where
from web2code.data.pages import read_pages
from web2code.evaluation.engines import serving
from web2code.evaluation.engines.engine import Request
from web2code.modelling.templates import CODE_PROMPT
from web2code.plan import home_folder

NUM, LOOP_NUM, MAX_NEW_TOKENS, SIZE = 200, 48, 320, 128
RAW, OURS, LOOP = "vLLM, `LLM.chat`", "vLLM in a Ray actor", "transformers, a call for each sample"


def asked() -> list[Request]:
    """Held-out pages of the demo, at the size that the model sees, so that nobody's way of resizing matters."""
    return [
        Request(row["id"], (small(row["image"]),), CODE_PROMPT, MAX_NEW_TOKENS)
        for row in read_pages("data", "eval")[:NUM]
    ]


def small(picture: bytes) -> bytes:
    """The upper square of a screenshot, made small."""
    image, stream = Image.open(io.BytesIO(picture)).convert("RGB"), io.BytesIO()
    image.crop((0, 0, image.width, image.width)).resize((SIZE, SIZE)).save(stream, "PNG")
    return stream.getvalue()


def raw(model: Path) -> tuple[float, list[str]]:
    """vLLM alone, in its own environment."""
    home, engine = home_folder(), EngineConfig(kind="vllm", model=str(model))
    requests = [
        {"image": base64.b64encode(one.images[0]).decode(), "prompt": one.prompt, "max_new_tokens": one.max_new_tokens}
        for one in asked()
    ]
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(requests, file)
        file.flush()
        output = subprocess.run(
            [serving.vllm_python(), "-m", "benchmarks.raw_vllm", serving.vllm_arguments(engine, home, 0)["model"],
             file.name],
            env={**os.environ, **serving.vllm_variables(0), "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=True,
        ).stdout  # fmt: skip
    answer = json.loads(output.splitlines()[-1])
    return answer["seconds"], answer["texts"]


def ours(model: Path) -> tuple[float, list[str]]:
    """The path that `web2code evaluate` takes, from the first request to the last reply."""
    import ray

    from ray_jobs.engines import answer, engine_starter

    job = BenchmarkJob(
        where=Where(home=str(home_folder()), data_dir=""), name="demo", checkpoint="demo", benchmarks={},
        engine=EngineConfig(kind="vllm", model=str(model)),
    )  # fmt: skip
    ray.init("local", num_cpus=2, include_dashboard=False, log_to_driver=False)
    actor, requests = engine_starter(job)(), asked()
    ray.get(actor.__ray_ready__.remote())
    began = time.perf_counter()
    texts = {reply.key: reply.text for reply in answer(lambda: actor, 1, ([request] for request in requests))}
    seconds = time.perf_counter() - began
    ray.shutdown()
    return seconds, [texts[request.key] for request in requests]


def loop(model: Path) -> tuple[float, list[str]]:
    """One call of `generate` for each of the first samples."""
    import torch

    from web2code.evaluation.engines.transformers import OwnCheckpoint

    torch.set_num_threads(1)
    checkpoint, requests = OwnCheckpoint(str(model), "cpu"), asked()[:LOOP_NUM]
    began = time.perf_counter()
    texts = [checkpoint.answer([request])[0] for request in requests]
    return time.perf_counter() - began, texts


def main() -> None:
    """All three in turns."""
    model = demo_model()
    arms = {name: Arm(name) for name in (RAW, OURS, LOOP)}
    for number in range(ROUNDS):
        for name, way in ((RAW, raw), (OURS, ours), (LOOP, loop)):
            _, memory, (seconds, texts) = apart(partial(way, model))
            arms[name].seconds.append(seconds / len(texts))
            arms[name].gigabytes.append(memory)
            arms[name].result = texts
            assert texts == arms[RAW].result[: len(texts)], f"{name} gave other texts"
            print(f"round {number + 1}  {name:<40} {seconds:7.2f} s for {len(texts)}", flush=True)
    note = "Seconds are those of one page; loading is not counted; a thread each; the texts are equal."
    report("Answers", 1, "pages", arms, note)
    print(
        f"{arms[RAW].median / arms[OURS].median:.1%} of vLLM's own call, "
        f"{arms[LOOP].median / arms[OURS].median:.1f} times the loop"
    )


if __name__ == "__main__":
    main()
